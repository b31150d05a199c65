"""Where person boxes come from: the protocol, what may stand for a detector, and a check of what any of them returns."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from toppose.detection.boxes import check_boxes
from toppose.detection.network import NetworkDetector
from toppose.errors import BoxError, DetectorError, TopposeError
from toppose.geometry import Float
from toppose.images import Pixels
from toppose.networks import ModelCard, zoo
from toppose.networks.recognise import recognise_detector
from toppose.runtime import Runtime

# images (list of (H,W,3) uint8 BGR) -> for each one (N,4) xyxy, or (N,5) with a score, in its pixels
Detector: TypeAlias = Callable[[Sequence[Pixels]], Sequence[Any]]


def make_detector(detector: Any, runtime: Runtime, threshold: float | None, nms_iou: float, batch_size: int | None) -> Detector | None:
    """Whatever may stand for a detector -> a callable from images to boxes, or None.

    threshold: the user's, else the card's own, else Ultralytics' 0.25."""
    if detector is None or (callable(detector) and not isinstance(detector, (type, ModelCard))):
        return detector
    if isinstance(detector, (str, os.PathLike)) and Path(detector).suffix in (".pt", ".pth", ".yaml"):
        from toppose.detection.ultralytics import UltralyticsDetector

        return UltralyticsDetector(Path(detector), 0.25 if threshold is None else threshold, nms_iou, runtime.device, batch_size)
    path, card = zoo.find(detector, "detect", "detector")
    session = runtime.load(path, "detector")
    card = card or recognise_detector(path, session)
    least = next(t for t in (threshold, card.threshold, 0.25) if t is not None)
    return NetworkDetector(runtime, session, card, least, nms_iou, batch_size)


def detect(detector: Detector, images: Sequence[Pixels], max_people: int | None) -> list[tuple[Float, np.ndarray[Any, Any]]]:
    """Boxes (N,4) and scores (N,) of every image, best first, at most `max_people`. What are not boxes is a DetectorError."""
    name = getattr(detector, "__name__", type(detector).__name__)
    try:
        # ours finds what is on its device already; others' get views that they cannot write on
        found = detector(images if isinstance(detector, NetworkDetector) else [_read_only(image) for image in images])
    except TopposeError:
        raise
    except Exception as e:
        raise DetectorError(f"detector {name!r} raised {type(e).__name__}: {e}") from e
    if not isinstance(found, (list, tuple)) or len(found) != len(images):
        got = f"{len(found)} items" if isinstance(found, (list, tuple)) else type(found).__name__
        raise DetectorError(f"detector {name!r}: expected a list of {len(images)} arrays of boxes, one an image; got {got}")
    checked = []
    for i, boxes in enumerate(found):
        try:
            b, scores = check_boxes(boxes, f"boxes[{i}]")
        except BoxError as e:
            raise DetectorError(f"detector {name!r}: {e}") from None
        order = np.argsort(-scores, kind="stable")[:max_people]
        checked.append((b[order], scores[order]))
    return checked


def _read_only(image: Pixels) -> Pixels:
    view: Pixels = image.view()
    view.setflags(write=False)
    return view
