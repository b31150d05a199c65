"""A network as a detector: matrices (letterbox) in, persons out. Knows boxes; not the head's form, nor where the network runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toppose import geometry
from toppose.detection.boxes import nms
from toppose.detection.readers import MOST, box_reader
from toppose.errors import CardError, ModelError
from toppose.images import Pixels
from toppose.networks.card import ModelCard
from toppose.runtime import Runtime, Session


class NetworkDetector:
    """Images -> person boxes, (N,5) float64 x1, y1, x2, y2, score in image pixels, best first, clipped to the image."""

    def __init__(self, runtime: Runtime, session: Session, card: ModelCard, threshold: float, nms_iou: float, batch_size: int | None = None) -> None:
        self.card, self.threshold, self.nms_iou = card, threshold, nms_iou
        self.flexible = session.shape[2] is None and session.shape[3] is None
        if self.flexible and any(n % 32 for n in card.input.size):
            raise CardError(f"card {card.name!r}: input.size: expected multiples of 32, the coarsest stride; got {list(card.input.size)}")
        self.reader = box_reader(card, threshold)
        self.backend = runtime.backend(session, card.input.look, self.reader, f"detector {card.name!r}", batch_size or 8, runs=1)

    def __call__(self, images: Sequence[Pixels]) -> list[geometry.Float]:
        images = self.backend.frames(images)
        shapes: dict[geometry.Size, list[int]] = {}
        for i, image in enumerate(images):
            shapes.setdefault(self.shape_of(image), []).append(i)
        found: list[geometry.Float] = [np.zeros((0, 5))] * len(images)
        for size, indices in shapes.items():
            matrices = self.matrices([images[i] for i in indices], size)
            persons = [p for batch in self.backend(images, np.array(indices), matrices, size) for p in batch]
            for i, matrix, (boxes, scores) in zip(indices, matrices, persons, strict=True):
                found[i] = self._finish(boxes, scores, images[i], matrix)
        return found

    def shape_of(self, image: Pixels) -> geometry.Size:
        """The letterbox (w, h): the card's, or for networks of free size the smallest rectangle of whole strides that holds the picture."""
        w, h = self.card.input.size
        if not self.flexible:
            return w, h
        scale = min(w / image.shape[1], h / image.shape[0])
        return tuple(max(32, min(s, -(-round(n * scale) // 32) * 32)) for s, n in ((w, image.shape[1]), (h, image.shape[0])))

    def matrices(self, images: Sequence[Pixels], size: geometry.Size) -> geometry.Float:
        """(B,2,3) from each image onto its letterbox of `size` (w, h)."""
        return np.stack([geometry.letterbox_matrix((i.shape[1], i.shape[0]), size, self.card.input.centre) for i in images])

    def _finish(self, boxes: geometry.Float, scores: geometry.Float, image: Pixels, matrix: geometry.Float) -> geometry.Float:
        """Boxes (K,4) in letterbox pixels -> (N,5) in image pixels, best first, the lesser of two that overlap gone, clipped to the image."""
        self._check(boxes)
        order = nms(boxes, scores, self.nms_iou, MOST) if self.reader.overlapping else np.argsort(-scores, kind="stable")
        boxes, scores = boxes[order], scores[order].clip(max=1)
        height, width = image.shape[:2]
        boxes = geometry.transform_boxes(boxes, geometry.invert(matrix)).clip(0, [width, height, width, height])
        real = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return np.column_stack([boxes, scores])[real]

    def _check(self, boxes: geometry.Float) -> None:
        """Raises ModelError for boxes that are something else: shares of the picture, or a corner and sides."""
        if not len(boxes):
            return
        if boxes.max() <= 2:
            raise ModelError(f"detector {self.card.name!r} gave boxes within 0...1: shares of the picture, not pixels of its input as its card says")
        if (boxes[:, 2:] <= boxes[:, :2]).any(1).mean() > 0.5:
            raise ModelError(
                f"detector {self.card.name!r} gave boxes whose second corner is before the first; expected x1, y1, x2, y2 as its card says"
            )
