"""What a detector's outputs mean: persons above a threshold as boxes in pixels of its input, on the host or on a device."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from toppose.errors import CardError, ModelError
from toppose.geometry import Float, Size
from toppose.networks.card import DetsOutput, ModelCard, YoloOutput
from toppose.runtime.reader import Array, Reader, Reading

MOST = 3000  # boxes of an image that are looked at, best first
_NOISE = 0.01  # how far beyond 0...1 rounding may bring a probability
Persons = list[tuple[Float, Float]]  # for each image boxes (K,4) xyxy and scores (K,)
Kind = TypeVar("Kind", YoloOutput, DetsOutput)


class BoxReader(Reader[Persons], Generic[Kind]):
    """Persons of one kind of head. `overlapping`: whether it gives several boxes a person, so that suppression must thin them."""

    overlapping = False

    def __init__(self, card: ModelCard, output: Kind, threshold: float) -> None:
        self.card, self.threshold = card, threshold
        self.output: Kind = output

    @abstractmethod
    def expected(self, shapes: Sequence[tuple[int, ...]], size: Size) -> str:
        """ "" where outputs of these shapes are such a head, else what was expected."""

    def choose(self, outputs: Mapping[str, Array], size: Size) -> list[str]:
        names = self._candidates(outputs)
        floats = all(outputs[n].dtype.kind == "f" for n in names[:1])
        if wrong := self.expected([outputs[n].shape for n in names], size) or ("" if floats else "numbers of floating point"):
            got = {n: f"{o.dtype} {o.shape}" for n, o in outputs.items()}
            raise CardError(f"detector {self.card.name!r}: its card says a {self.output.kind} head, so {wrong}; the network gives {got}")
        try:
            self.read([outputs[n] for n in names], size)
        except ModelError as e:
            raise CardError(f"{e} (on noise, when it was loaded)") from None
        return names

    def probable(self, least: float, most: float) -> str:
        """ "" where the scores between these are probabilities, else what they are."""
        return f"scores from {least:.3g} to {most:.3g}; expected 0 to 1" if least < -_NOISE or most > 1 + _NOISE else ""

    def _check_scores(self, scores: Array, rest: str = "so its card or its file is wrong") -> None:
        if scores.size and (wrong := self.probable(float(scores.min()), float(scores.max()))):
            raise ModelError(f"detector {self.card.name!r} gave {wrong}, {rest}")

    def _is_enough(self, scores: Array) -> Array:
        """Scores from the threshold on; what is filled up scores 0."""
        return np.asarray((scores >= np.float32(self.threshold)) & (scores > 0))

    def _candidates(self, outputs: Mapping[str, Array]) -> list[str]:
        if lost := [n for n in self.output.names if n not in outputs]:
            raise CardError(f"detector {self.card.name!r}: its card reads {lost}; the network gives {list(outputs)}")
        return list(self.output.names)

    def _above(self, boxes: Array, scores: Array, of_a_person: Array) -> tuple[Float, Float]:
        keep = of_a_person & self._is_enough(scores)
        return boxes[keep].astype(np.float64), scores[keep].astype(np.float64)


_CLASSES = "so they are no probabilities, or the card's `classes` must say how many rows are"


class RawReader(BoxReader[YoloOutput]):
    """(B, 4 + classes + more, anchors): cx, cy, w, h, then a probability a class; a box belongs to its best class."""

    overlapping = True

    def expected(self, shapes: Sequence[tuple[int, ...]], size: Size) -> str:
        least = 4 + max(self.output.person + 1, self.output.classes or 0)
        what = f"(B, 4 + classes, anchors) with a class {self.output.person}"
        if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][1] < least:
            return what
        _, channels, anchors = shapes[0]
        if channels > max(anchors, 100):  # boxes as rows: YOLOv5's, YOLOX's or a transformer's, which mean other things
            return f"{what}, channels before anchors"
        return ""

    def read(self, outputs: Sequence[Array], size: Size) -> Persons:
        self._check_scores(outputs[0][:, 4 : self._end], _CLASSES)
        found = []
        for rows in outputs[0]:  # (4 + classes, anchors)
            classes = rows[4 : self._end]
            scores = classes[self.output.person]
            keep = np.flatnonzero(self._is_enough(scores) & (scores >= classes.max(0)))  # what is rather a dog is not a person
            keep = keep[np.argsort(-scores[keep], kind="stable")[:MOST]]
            centre, half = rows[:2, keep].T.astype(np.float64), rows[2:4, keep].T.astype(np.float64) / 2
            found.append((np.concatenate([centre - half, centre + half], 1), scores[keep].astype(np.float64)))
        return found

    def reading(self, shapes: Sequence[tuple[int, ...]], size: Size) -> Reading:
        _, channels, anchors = shapes[0]
        numbers = {"person": self.output.person, "end": self._end or channels, "most": min(MOST, anchors)}
        constants = {name: np.array([number]) for name, number in numbers.items()}
        return Reading("best", ("predictions",), ("boxes", "scores", "range"), constants)

    def collect(self, arrays: Sequence[Array]) -> Persons:
        boxes, scores, extremes = arrays
        self._check_scores(extremes, _CLASSES)
        return [self._above(b, s, np.ones(s.shape, bool)) for b, s in zip(boxes, scores, strict=True)]

    @property
    def _end(self) -> int | None:
        return 4 + self.output.classes if self.output.classes else None

    def _candidates(self, outputs: Mapping[str, Array]) -> list[str]:
        return super()._candidates(outputs) or with_axes(outputs, 3)


class FinishedReader(BoxReader[YoloOutput]):
    """(B, K, 6 + more): x1, y1, x2, y2, score, class."""

    dense = False

    def expected(self, shapes: Sequence[tuple[int, ...]], size: Size) -> str:
        if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][2] < 6:
            return "(B, K, 6)"
        return "(B, K, 6) of finished boxes, not one for every anchor" if is_dense(shapes[0][1], size) and shapes[0][1] > 1000 else ""

    def read(self, outputs: Sequence[Array], size: Size) -> Persons:
        (rows,) = outputs
        self._check_scores(np.maximum(rows[..., 4], 0))  # what is filled up may have -1
        return [self._above(r[:, :4], r[:, 4], r[:, 5].round() == self.output.person) for r in rows]

    def _candidates(self, outputs: Mapping[str, Array]) -> list[str]:
        return super()._candidates(outputs) or with_axes(outputs, 3)


class DetsReader(BoxReader[DetsOutput]):
    """`dets` (B,K,5) as x1, y1, x2, y2, score and `labels` (B,K)."""

    dense = False

    def expected(self, shapes: Sequence[tuple[int, ...]], size: Size) -> str:
        fits = len(shapes) == 2 and len(shapes[0]) == 3 and shapes[0][2] == 5 and shapes[1] == shapes[0][:2]
        return "" if fits else "dets (B, K, 5) and labels (B, K)"

    def read(self, outputs: Sequence[Array], size: Size) -> Persons:
        dets, labels = outputs
        self._check_scores(np.maximum(dets[..., 4], 0))
        return [self._above(d[:, :4], d[:, 4], of == self.output.person) for d, of in zip(dets, labels, strict=True)]

    def _candidates(self, outputs: Mapping[str, Array]) -> list[str]:
        """By name; else the one of three axes, then the one of two."""
        named = [n for n in ("dets", "labels") if n in outputs]
        if len(named) != 2:
            named = with_axes(outputs, 3) + with_axes(outputs, 2)
        return super()._candidates(outputs) or named


def box_reader(card: ModelCard, threshold: float) -> BoxReader[Any]:
    """The reader for a detector's card."""
    output = card.output
    if isinstance(output, DetsOutput):
        return DetsReader(card, output, threshold)
    assert isinstance(output, YoloOutput)
    return (RawReader if output.head == "raw" else FinishedReader)(card, output, threshold)


def with_axes(outputs: Mapping[str, Array], axes: int) -> list[str]:
    """Names of the outputs that have so many axes."""
    return [n for n, a in outputs.items() if a.ndim == axes]


def is_dense(count: int, size: Size) -> bool:
    """Whether there are as many boxes as cells at the strides of YOLO networks, or three times as many: one for every anchor."""
    w, h = size
    cells = {s: -(-w // s) * -(-h // s) for s in (4, 8, 16, 32, 64)}
    grids = [sum(cells[s] for s in strides) for strides in ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32), (4, 8, 16))]
    return count in {k * n for n in grids for k in (1, 3)}
