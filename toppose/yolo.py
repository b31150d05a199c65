"""Person boxes from detection networks over ONNX Runtime: every Ultralytics head, and `dets`/`labels` exports."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose import geometry
from toppose.batching import Batches
from toppose.boxes import nms
from toppose.card import DetsOutput, ModelCard, YoloOutput
from toppose.chain import Chain, Frames
from toppose.crop import crop_into, normalise
from toppose.errors import CardError, ModelError
from toppose.images import Pixels
from toppose.session import Feeds, Session

Single = NDArray[np.float32]
_MOST = 3000  # boxes of an image that suppression keeps, best first


class YoloDetector:
    """Images -> person boxes, (N,5) float64 x1, y1, x2, y2, score in image pixels, best first, clipped to the image."""

    def __init__(
        self, session: Session, card: ModelCard, threshold: float, nms_iou: float, batch_size: int | None = None, on_device: bool = False
    ) -> None:
        self.session, self.card, self.threshold, self.nms_iou = session, card, threshold, nms_iou
        self.batches = Batches(batch_size or session.batch or 8)
        self.flexible = session.shape[2] is None and session.shape[3] is None
        self.chain = Chain(session, card.input) if on_device else None
        self._check_fit()

    def __call__(self, images: Sequence[Pixels]) -> list[geometry.Float]:
        found: list[geometry.Float] = [np.zeros((0, 5))] * len(images)
        if self.chain and not isinstance(images, Frames):
            images = Frames(images)

        def work(size: geometry.Size, indices: list[int], first: int, last: int) -> None:
            for i, boxes in zip(indices[first:last], self._batch(images, indices[first:last], size), strict=True):
                found[i] = boxes

        shapes: dict[geometry.Size, list[int]] = {}
        for i, image in enumerate(images):
            shapes.setdefault(self.shape_of(image), []).append(i)
        for size, indices in shapes.items():
            self.batches(len(indices), partial(work, size, indices))
        return found

    def warmup(self) -> None:
        """Looks once at a blank image of the network's own size, in every batch that images of it may come in."""
        w, h = self.card.input.size
        for count in self.chain.buckets(self.batches.size) if self.chain else [1]:
            for _ in range(3 if self.chain else 1):
                self([np.zeros((h, w, 3), np.uint8)] * count)

    def shape_of(self, image: Pixels) -> geometry.Size:
        """The letterbox (w, h): the card's, or for networks of free size the smallest rectangle of whole strides that holds the picture."""
        w, h = self.card.input.size
        if not self.flexible:
            return w, h
        scale = min(w / image.shape[1], h / image.shape[0])
        return tuple(max(32, min(s, -(-round(n * scale) // 32) * 32)) for s, n in ((w, image.shape[1]), (h, image.shape[0])))

    def _check_fit(self) -> None:
        """Raises CardError, saying both, when the network is not what its card says."""
        card = self.card
        if self.flexible and any(n % 32 for n in card.input.size):
            raise CardError(f"card {card.name!r}: input.size: expected multiples of 32, the coarsest stride; got {list(card.input.size)}")
        shapes = [o.shape for o in self._ordered(self.session.probe(card.name, card.input.size))]
        output, first = card.output, shapes[0]
        if isinstance(output, DetsOutput):
            fits, expected = len(shapes) >= 2 and len(first) == 3 and first[2] == 5 and shapes[1] == first[:2], "dets (B, K, 5) and labels (B, K)"
        elif isinstance(output, YoloOutput) and output.head == "end2end":
            fits, expected = len(first) == 3 and first[2] == 6, "(B, K, 6)"
        else:
            person = output.person if isinstance(output, YoloOutput) else 0
            fits, expected = len(first) == 3 and first[1] > 4 + person, f"(B, 4 + classes, anchors) with a class {person}"
        if not fits:
            raise CardError(f"card {card.name!r} says a {output.kind} head, so {expected}; the network gives {shapes}")

    def matrices(self, images: Sequence[Pixels], size: geometry.Size) -> geometry.Float:
        """(B,2,3) from each image onto its letterbox of `size` (w, h)."""
        return np.stack([geometry.letterbox_matrix((i.shape[1], i.shape[0]), size, self.card.input.centre) for i in images])

    def prepare(self, images: Sequence[Pixels], size: geometry.Size) -> tuple[Single, geometry.Float]:
        """The letterboxed batch (B,3,h,w), and the matrices (B,2,3) that made it."""
        matrices = self.matrices(images, size)
        canvas = np.empty((len(images), size[1], size[0], 3), np.uint8)
        crop_into(canvas, images, range(len(images)), matrices, self.card.input.border)
        return normalise(canvas, self.card.input), matrices

    def _batch(self, images: Sequence[Pixels], indices: list[int], size: geometry.Size) -> list[geometry.Float]:
        part = [images[i] for i in indices]
        if self.chain:
            assert isinstance(images, Frames)
            matrices = self.matrices(part, size)
            with self.chain.lock:
                candidates = self._on_device(self.chain, images, indices, matrices, size)
        else:
            blob, matrices = self.prepare(part, size)
            outputs = self._ordered(self.session.run(blob))
            candidates = [self._candidates([o[i] for o in outputs]) for i in range(len(part))]
        return [self._finish(*c, image, matrix) for c, image, matrix in zip(candidates, part, matrices, strict=True)]

    def _on_device(
        self, chain: Chain, frames: Frames, indices: list[int], matrices: geometry.Float, size: geometry.Size
    ) -> list[tuple[geometry.Float, geometry.Float]]:
        """Boxes in letterbox pixels and scores of each image. Of a raw head only the boxes that are kept come down."""
        bucket = chain.bucket(len(indices), self.batches.size)
        outputs = chain.run(chain.cut(frames, np.array(indices), matrices, size, bucket), size)
        if not _needs_nms(self.card):
            arrays = self._ordered([o.numpy() for o in outputs])
            return [read_head([a[i] for a in arrays], self._head, self.threshold) for i in range(len(indices))]
        assert isinstance(self._head, YoloOutput)
        feeds: Feeds = {
            "predictions": outputs[0],
            "person": np.array([self._head.person]),
            "most": np.array([_MOST]),
            "overlap": np.array([self.nms_iou], np.float32),
            "threshold": np.array([self.threshold], np.float32),
        }
        found = chain.graphs.get("boxes").bound(feeds, {"boxes": None, "scores": None, "image": None})
        boxes, scores, image = (found[k].numpy() for k in ("boxes", "scores", "image"))
        return [(boxes[image == i].astype(np.float64), scores[image == i].astype(np.float64)) for i in range(len(indices))]

    def _ordered(self, outputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """`dets` before `labels`, however the file lists them."""
        named = dict(zip(self.session.outputs, outputs, strict=True))
        return [named["dets"], named["labels"]] if {"dets", "labels"} <= set(named) else outputs

    @property
    def _head(self) -> YoloOutput | DetsOutput:
        return self.card.output  # type: ignore[return-value]  # a detect card has no other

    def _candidates(self, outputs: list[NDArray[Any]]) -> tuple[geometry.Float, geometry.Float]:
        """One image's outputs -> its persons in letterbox pixels, the lesser of two that overlap gone."""
        boxes, scores = read_head(outputs, self._head, self.threshold)
        if _needs_nms(self.card):
            keep = nms(boxes, scores, self.nms_iou, _MOST)
            boxes, scores = boxes[keep], scores[keep]
        return boxes, scores

    def _finish(self, boxes: geometry.Float, scores: geometry.Float, image: Pixels, matrix: geometry.Float) -> geometry.Float:
        """Letterbox pixels -> image pixels, best first, clipped to the image."""
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise ModelError(f"detector {self.card.name!r} gave boxes that are not finite numbers")
        order = np.argsort(-scores, kind="stable")
        boxes, scores = boxes[order], scores[order]
        height, width = image.shape[:2]
        boxes = geometry.transform_boxes(boxes, geometry.invert(matrix)).clip(0, [width, height, width, height])
        real = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return np.column_stack([boxes, scores])[real]


def read_head(outputs: list[NDArray[Any]], output: YoloOutput | DetsOutput, threshold: float) -> tuple[geometry.Float, geometry.Float]:
    """One image's network outputs -> the persons above `threshold`: boxes (K,4) xyxy in letterbox pixels, scores (K,)."""
    if isinstance(output, DetsOutput):
        dets, labels = outputs[0], outputs[1]
        keep = (labels == output.person) & (dets[:, 4] > threshold)
        return dets[keep, :4].astype(np.float64), dets[keep, 4].astype(np.float64)
    if output.head == "end2end":
        rows = outputs[0]
        keep = (rows[:, 4] > threshold) & (rows[:, 5].round() == output.person)
        return rows[keep, :4].astype(np.float64), rows[keep, 4].astype(np.float64)
    rows = outputs[0]  # (4 + classes, anchors)
    scores = rows[4 + output.person]
    # a box belongs to its best class; one that is rather a dog is not a person
    keep = (scores > threshold) & (scores >= rows[4:].max(0)) if len(rows) > 5 else scores > threshold
    centre, half = rows[:2, keep].T.astype(np.float64), rows[2:4, keep].T.astype(np.float64) / 2
    return np.concatenate([centre - half, centre + half], 1), scores[keep].astype(np.float64)


def _needs_nms(card: ModelCard) -> bool:
    return isinstance(card.output, YoloOutput) and card.output.head == "raw"


def card_from_metadata(path: Path, session: Session) -> ModelCard:
    """The card of an Ultralytics export, which describes itself: `names`, `imgsz`, and the head by the shape of its output."""
    meta = session.metadata
    card = f"a card {path.with_suffix('.json').name!r} beside it"
    if not {"names", "imgsz"} <= set(meta):
        raise CardError(f"{str(path)!r}: expected {card}, or an Ultralytics export with names and imgsz in its metadata")
    try:
        names = ast.literal_eval(meta["names"])
        imgsz = json.loads(meta["imgsz"])
        h, w = (imgsz, imgsz) if isinstance(imgsz, int) else imgsz
    except (ValueError, SyntaxError, TypeError) as e:
        raise CardError(f"{str(path)!r}: expected {card}, or metadata that can be read: {e}") from None
    h, w = session.shape[2] or h, session.shape[3] or w
    if meta.get("task", "detect") != "detect":
        raise CardError(f"{str(path)!r}: expected a detection network, its metadata says task {meta['task']!r}")
    try:
        return ModelCard(
            **{
                "name": path.stem,
                "task": "detect",
                "file": str(path.absolute()),
                "license": meta.get("license", "unknown"),
                "origin": meta.get("description", ""),
                "input": {"size": (w, h), "mean": (0, 0, 0), "std": (255, 255, 255), "border": 114},
                "output": _describe_output(path, session, names, (w, h)),
            }
        )
    except CardError as e:
        raise CardError(f"{str(path)!r}: {e}") from None


def _describe_output(path: Path, session: Session, names: Any, size: geometry.Size) -> dict[str, Any]:
    outputs = session.probe(path.name, size)
    shape = outputs[0].shape
    if len(outputs) != 1 or len(shape) != 3:
        got = [o.shape for o in outputs]
        raise CardError(f"{str(path)!r}: expected a YOLO output (B, 4+classes, anchors) or (B, K, 6), or a card that says otherwise; got {got}")
    classes = {int(k): str(v) for k, v in (names.items() if isinstance(names, dict) else enumerate(names))}
    person = [k for k, v in classes.items() if v.lower() == "person"] or list(classes)
    if len(classes) > 1 and classes[person[0]].lower() != "person":
        raise CardError(f"{str(path)!r}: expected a class named 'person', got {list(classes.values())[:12]}")
    end2end = shape[2] == 6 and shape[1] != 4 + len(classes)
    return {"kind": "yolo", "head": "end2end" if end2end else "raw", "person": person[0]}
