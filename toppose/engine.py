"""What both engines share: their contract, their checks, and what is read from a network's outputs.

Contract of every engine: `images` (uint8 BGR), `boxes` (one (n,4) array an image) -> keypoints (N,J,2) in pixels of each person's own
image and scores (N,J), the people in the order in which they came."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose import decode, geometry
from toppose.batching import Batches
from toppose.card import CoordinateOutput, HeatmapOutput, ModelCard, SimccOutput
from toppose.errors import CardError, ModelError, OptionError
from toppose.images import Pixels
from toppose.session import Session

Single = NDArray[np.float32]


@dataclass
class Stages:
    """Seconds spent in each stage of one call, for `toppose bench`."""

    crop: float = 0.0
    network: float = 0.0
    decode: float = 0.0

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        yield
        setattr(self, stage, getattr(self, stage) + perf_counter() - start)


class Engine(ABC):
    """Keypoints for given boxes. `name` is what users call it."""

    name: str

    def __init__(
        self,
        session: Session,
        card: ModelCard,
        decoder: str | None = None,
        flip_test: bool = False,
        batch_size: int | None = None,
        runs: int | None = None,
    ) -> None:
        """batch_size and runs are measured with `toppose bench` on two cores, pose-n and PP-TinyPose, where they are left open: batches of 4
        that share all threads are within 4 % of the best on one thread and on two; batches of 32 cost up to 40 % more. One run for every two
        cores, and 32 on a GPU, are not measured."""
        self.session, self.card, self.flip_test = session, card, flip_test
        self.batches = Batches(batch_size or session.batch or (4 if session.on_cpu else 32), self._runs(runs))
        self._decode, self._shift = reader(card, decoder)
        check_fit(session, card, flip_test)
        self._set_up(decoder)

    def __call__(self, images: Sequence[Pixels], boxes: Sequence[geometry.Float], stages: Stages | None = None) -> tuple[Single, Single]:
        images = self.frames(images)
        index = np.repeat(np.arange(len(images)), [len(b) for b in boxes])
        everyone = np.concatenate([np.zeros((0, 4)), *boxes])
        keypoints = np.empty((len(index), len(self.card.joints), 2), np.float32)
        scores = np.empty(keypoints.shape[:2], np.float32)

        def work(first: int, last: int) -> None:
            rows = slice(first, last)
            keypoints[rows], scores[rows] = self._batch(images, index[rows], everyone[rows], stages or Stages())

        self.batches(len(index), work)
        return keypoints, scores

    def frames(self, images: Sequence[Pixels]) -> Sequence[Pixels]:
        """The images of one call as detector and engine take them."""
        return images

    def warmup(self) -> None:
        """Runs one full batch, so that the first call is as fast as the others."""
        self._run_blank(self.batches.size)

    def _set_up(self, decoder: str | None) -> None:  # noqa: B027  # not every engine has more to set up
        """What an engine of one kind needs besides."""

    @abstractmethod
    def _batch(self, images: Any, index: NDArray[np.intp], boxes: geometry.Float, stages: Stages) -> tuple[Single, Single]:
        """Keypoints and scores of `boxes` (N,4), the nth on images[index[n]]."""

    @abstractmethod
    def _runs(self, runs: int | None) -> int:
        """Batches side by side, where `runs` is what the user asked for."""

    def _run_blank(self, people: int) -> None:
        w, h = self.card.input.size
        self([np.zeros((h, w, 3), np.uint8)], [np.tile([0.0, 0.0, w, h], (people, 1))])

    def _check_finite(self, scores: Single) -> None:
        """Raises ModelError when the network gave what are no scores."""
        if not np.isfinite(scores).all():
            raise ModelError(f"network {self.card.name!r} gave scores that are not finite numbers")


def mirrored_columns(width: int, shift: bool) -> NDArray[np.intp]:
    """Where each column of an un-mirrored map comes from: the mirror image, and with `shift` its right neighbour."""
    columns = np.arange(width)[::-1]
    return np.concatenate([columns[:1], columns[:-1]]) if shift else columns


def average(card: ModelCard, outputs: list[Single], mirrored: list[Single], shift: bool) -> list[Single]:
    """The mean with what the network said of the mirrored crop, un-mirrored and with left and right joints exchanged."""
    swap = np.array(card.joints.flip)
    if isinstance(card.output, HeatmapOutput):
        return [_mean(outputs[0], mirrored[0][:, swap][..., mirrored_columns(mirrored[0].shape[-1], shift)])]
    if isinstance(card.output, SimccOutput):
        return [_mean(outputs[0], mirrored[0][:, swap, ::-1]), _mean(outputs[1], mirrored[1][:, swap])]
    back = mirrored[0][:, swap].copy()
    assert isinstance(card.output, CoordinateOutput)
    width = card.input.size[0]
    back[..., 0] = (width - 1) / (width if card.output.unit == "relative" else 1) - back[..., 0]
    return [_mean(outputs[0], back)]


def _mean(a: Single, b: Single) -> Single:
    mean: Single = (a + b) * np.float32(0.5)
    return mean


def reader(card: ModelCard, decoder: str | None) -> tuple[Callable[[list[Single]], decode.Decoded], bool]:
    """The function from network outputs to coordinates in crop pixels, and whether a flip test shifts by one cell."""
    output, size, warp = card.output, card.input.size, card.input.warp
    if decoder is not None and not isinstance(output, HeatmapOutput):
        raise OptionError(f"decoder: network {card.name!r} gives {output.kind}, which has one decoder; got {decoder!r}")
    if isinstance(output, SimccOutput):
        return lambda outputs: decode.simcc(outputs[0], outputs[1], output.split, output.score), False
    if isinstance(output, CoordinateOutput):
        unit = np.array(size if output.unit == "relative" else (1, 1), np.float64)

        def from_coordinates(outputs: list[Single]) -> decode.Decoded:
            points, scores = decode.coordinates(outputs[0])
            return points * unit, scores

        return from_coordinates, False
    assert isinstance(output, HeatmapOutput)
    read, blur = decode.HEATMAP_DECODERS[decoder or output.decoder], output.blur

    def from_heatmaps(outputs: list[Single]) -> decode.Decoded:
        cells, scores = read(outputs[0], blur)
        H, W = outputs[0].shape[2:]
        return geometry.transform(cells, geometry.invert(geometry.heatmap_matrix(size, (W, H), warp))), scores

    return from_heatmaps, warp == "classic"


def check_fit(session: Session, card: ModelCard, flip_test: bool) -> None:
    """Raises CardError, saying both, when the network is not what its card says, and OptionError for a flip test without partners."""
    if flip_test and list(card.joints.flip) == list(range(len(card.joints))):
        raise OptionError(f"flip_test: skeleton {card.joints.name!r} has no left and right joints; name them left_... and right_... or give its flip")
    shapes = [o.shape for o in session.probe(card.name, card.input.size)]
    J, output = len(card.joints), card.output
    if isinstance(output, HeatmapOutput):
        fits, expected = len(shapes[0]) == 4 and shapes[0][1] == J, f"heatmaps (N, {J}, H, W)"
    elif isinstance(output, SimccOutput):
        vectors = [(1, J, round(s * output.split)) for s in card.input.size]
        fits, expected = list(shapes[:2]) == vectors, f"SimCC vectors {vectors}"
    else:
        fits, expected = len(shapes[0]) == 3 and shapes[0][1] == J and shapes[0][2] in (2, 3), f"coordinates (N, {J}, 2 or 3)"
    if not fits:
        raise CardError(f"card {card.name!r} says {output.kind} of {J} joints, so {expected}; the network gives {shapes}")
