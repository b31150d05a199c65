"""Where person boxes come from: the protocol, what may stand for a detector, and a check of what any of them returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from toppose.boxes import check_boxes
from toppose.errors import BoxError, DetectorError, TopposeError
from toppose.geometry import Float
from toppose.images import Pixels
from toppose.yolo import YoloDetector

# images (list of (H,W,3) uint8 BGR) -> for each one (N,4) xyxy, or (N,5) with a score, in its pixels
Detector: TypeAlias = Callable[[Sequence[Pixels]], Sequence[Any]]


def detect(detector: Detector, images: Sequence[Pixels], max_people: int | None) -> list[tuple[Float, np.ndarray[Any, Any]]]:
    """Boxes (N,4) and scores (N,) of every image, best first, at most `max_people`. What are not boxes is a DetectorError."""
    name = getattr(detector, "__name__", type(detector).__name__)
    try:
        # ours finds what is on its device already; others' get views that they cannot write on
        found = detector(images if isinstance(detector, YoloDetector) else [_read_only(image) for image in images])
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
