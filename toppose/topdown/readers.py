"""What a top-down network's outputs mean: heatmaps, SimCC vectors or coordinates -> joints in pixels of the crop, on the host or on a device."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from toppose import geometry
from toppose.errors import CardError, OptionError
from toppose.geometry import Float, Size
from toppose.networks.card import CoordinateOutput, HeatmapOutput, ModelCard, SimccOutput
from toppose.runtime.reader import Array, Reader, Reading, Single, half_way
from toppose.topdown import decode

ABSURD = 1000  # heights of peaks are about 0 to 1, of some networks 0 to 255; what is orders of magnitude beyond is no score
Joints = tuple[Float, Single]  # (N,J,2) in pixels of the crop, (N,J) scores
Kind = TypeVar("Kind", HeatmapOutput, SimccOutput, CoordinateOutput)


_AXIS = re.compile(r"(?:^|[^a-zA-Z])([xyXY])(?:[^a-zA-Z]|$)|[a-z]([XY])$|simcc([xy])|^([xy])(?:pred|coord|map|vector|out)|(horizontal|vertical)")


class JointReader(Reader[Joints], Generic[Kind]):
    """Joints of one kind of output."""

    def __init__(self, card: ModelCard, output: Kind) -> None:
        self.card, self.swap = card, np.array(card.joints.flip)
        self.output: Kind = output

    def collect(self, arrays: Sequence[Array]) -> Joints:
        points, scores = arrays
        return points.astype(np.float64), scores

    def _named(self, outputs: Mapping[str, Array], fits: Callable[[Array], bool], expected: str) -> list[str]:
        """Outputs that fit, those of the card's `names` alone where it has some. CardError where there are none."""
        names = self.output.names
        if lost := [n for n in names if n not in outputs]:
            raise CardError(f"network {self.card.name!r}: its card reads {lost}; the network gives {list(outputs)}")
        found = [n for n in names or outputs if outputs[n].dtype.kind == "f" and fits(outputs[n])]
        if not found:
            said, got = f"{self.output.kind} of {len(self.swap)} joints", [f"{o.dtype} {o.shape}" for o in outputs.values()]
            raise CardError(f"network {self.card.name!r}: its card says {said}, so {expected}; the network gives {got}")
        return found

    def _one(self, outputs: Mapping[str, Array], fits: Callable[[Array], bool], expected: str) -> list[str]:
        found = self._named(outputs, fits, expected)
        if len(found) > 1:
            raise CardError(f"network {self.card.name!r}: expected one output of {expected}, got {found}; say in the card's output which: names")
        return found


class HeatmapReader(JointReader[HeatmapOutput]):
    """(N,J,H,W)."""

    def __init__(self, card: ModelCard, output: HeatmapOutput, decoder: str | None = None) -> None:
        super().__init__(card, output)
        self.decoder, self.warp = decoder or output.decoder, card.input.warp
        self._band = lru_cache(8)(decode.band)

    def choose(self, outputs: Mapping[str, Array], size: Size) -> list[str]:
        J, least = len(self.swap), 2 if self.warp == "udp" else 1  # udp measures from the first cell's middle to the last's
        if min(size) < least:
            raise CardError(f"network {self.card.name!r}: its card says warp 'udp' and input.size {list(size)}; expected 2 pixels a side at least")
        return self._one(outputs, lambda a: a.ndim == 4 and a.shape[1] == J and min(a.shape[2:]) >= least, f"heatmaps (N, {J}, H, W)")

    def read(self, outputs: Sequence[Array], size: Size) -> Joints:
        (heatmaps,) = outputs
        cells, scores = decode.HEATMAP_DECODERS[self.decoder](heatmaps, self.output.blur)
        return geometry.transform(cells, self._to_crop(heatmaps.shape, size)), scores

    def reading(self, shapes: Sequence[tuple[int, ...]], size: Size) -> Reading:
        _, _, H, W = shapes[0]
        constants: dict[str, Array] = {"size": np.array([W, H], np.float32), "scale": np.diagonal(self._to_crop(shapes[0], size)).copy()}
        if "dark" in self.decoder:
            constants |= {"blur_y": self._band(H, self.output.blur), "blur_x": self._band(W, self.output.blur)}
        return Reading(self.decoder, ("heatmaps",), ("keypoints", "scores"), constants)

    def mirror(self, output: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """A classic network's mirrored map is a cell to the left: each column comes from its right neighbour."""
        columns = np.arange(width)[::-1]
        return self.swap, np.concatenate([columns[:1], columns[:-1]]) if self.warp == "classic" else columns

    def _to_crop(self, shape: tuple[int, ...], size: Size) -> Float:
        return geometry.invert(geometry.heatmap_matrix(size, (shape[3], shape[2]), self.warp))


class SimccReader(JointReader[SimccOutput]):
    """(N,J,w*split) and (N,J,h*split): by what they are called, then by their lengths, then in the order of the file."""

    def choose(self, outputs: Mapping[str, Array], size: Size) -> list[str]:
        J, lengths = len(self.swap), [max(1, round(s * self.output.split)) for s in size]
        expected = f"SimCC vectors {[('N', J, length) for length in lengths]}"
        found = self._named(outputs, lambda a: a.ndim == 3 and a.shape[1] == J and a.shape[2] in lengths, expected)
        axes = [[n for n in found if outputs[n].shape[2] == length] for length in lengths]
        if axes[0] == axes[1] and not self.output.names:  # as many columns as rows
            axes = [[n for n in found if axis_of(n) == axis] for axis in "xy"]
            if not any(axes) and len(found) == 2:
                axes = [found[:1], found[1:]]
        elif axes[0] == axes[1] and len(found) == 2:
            axes = [found[:1], found[1:]]
        if [len(names) for names in axes] != [1, 1] or axes[0] == axes[1]:
            got = {n: o.shape for n, o in outputs.items()}
            raise CardError(f"network {self.card.name!r}: its card says simcc of {J} joints, so {expected}; the network gives {got}")
        return [axes[0][0], axes[1][0]]

    def read(self, outputs: Sequence[Array], size: Size) -> Joints:
        return self.collect(decode.simcc(outputs[0], outputs[1], self.output.split))

    def reading(self, shapes: Sequence[tuple[int, ...]], size: Size) -> Reading:
        return Reading("simcc", ("x_maps", "y_maps"), ("keypoints", "peaks"), {"scale": np.full(2, 1 / self.output.split)})

    def collect(self, arrays: Sequence[Array]) -> Joints:
        """The score joins both peaks (N,J,2): their lesser as mmpose has it, or their mean as rtmlib has it. An absurd one is not hidden."""
        points, peaks = arrays
        scores = peaks.min(-1) if self.output.score == "min" else peaks.mean(-1)
        absurd = np.abs(peaks).max(-1)
        return points.astype(np.float64), np.where(absurd > ABSURD, absurd, scores).astype(np.float32)

    def mirror(self, output: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return self.swap, np.arange(width)[:: -1 if output == 0 else 1]


class CoordinateReader(JointReader[CoordinateOutput]):
    """(N,J,2) or (N,J,3), as small as what is made of them: read on the host."""

    def choose(self, outputs: Mapping[str, Array], size: Size) -> list[str]:
        J = len(self.swap)
        return self._one(outputs, lambda a: a.ndim == 3 and a.shape[1] == J and a.shape[2] in (2, 3), f"coordinates (N, {J}, 2 or 3)")

    def read(self, outputs: Sequence[Array], size: Size) -> Joints:
        points, scores = decode.coordinates(outputs[0])
        return points * (size if self.output.unit == "relative" else (1, 1)), scores

    def mean(self, outputs: Sequence[Single], mirrored: Sequence[Single]) -> list[Single]:
        back, width = mirrored[0][:, self.swap].copy(), self.card.input.size[0]
        back[..., 0] = (width - 1) / (width if self.output.unit == "relative" else 1) - back[..., 0]
        return [half_way(outputs[0], back)]


def joint_reader(card: ModelCard, decoder: str | None, flip_test: bool) -> JointReader[Any]:
    """The reader for a card; OptionError for a decoder or a flip test that the network cannot have."""
    output, joints = card.output, card.joints
    if flip_test and list(joints.flip) == list(range(len(joints))):
        raise OptionError(f"flip_test: skeleton {joints.name!r} has no left and right joints; name them left_... and right_... or give its flip")
    if isinstance(output, HeatmapOutput):
        return HeatmapReader(card, output, decoder)
    if decoder is not None:
        raise OptionError(f"decoder: network {card.name!r} gives {output.kind}, which has one decoder; got {decoder!r}")
    if isinstance(output, SimccOutput):
        return SimccReader(card, output)
    assert isinstance(output, CoordinateOutput)
    return CoordinateReader(card, output)


def axis_of(name: str) -> str:
    """ "x" or "y" by what an output is called (simcc_x, x, coordY, ypred, vertical), "" where that does not say."""
    if found := _AXIS.search(name):
        axis = next(g for g in found.groups() if g).lower()
        return {"horizontal": "x", "vertical": "y"}.get(axis, axis)
    return ""
