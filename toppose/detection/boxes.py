"""Person boxes as users and detectors give them: checked, and thinned by non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from toppose.errors import BoxError

Single = NDArray[np.float32]
Float = NDArray[np.float64]


def check_boxes(boxes: ArrayLike, name: str = "boxes") -> tuple[Float, Single]:
    """(N,4) xyxy, or (N,5) with a score -> float64 boxes (N,4) and float32 scores (N,), 1 where none were given. Empty input means no person."""
    try:
        given = np.asarray(boxes)
        if given.dtype.kind not in "iuf":
            raise TypeError(f"of dtype {given.dtype}")
        b = given.astype(np.float64)
    except Exception as e:  # whatever a foreign array raises when it is turned into ours
        raise BoxError(f"{name}: expected numbers of shape (N, 4) or (N, 5); got {type(boxes).__name__} ({e})") from None
    if b.size == 0 and b.ndim <= 2 and b.shape[-1] in (0, 4, 5):
        b = b.reshape(0, 4)
    if b.ndim != 2 or b.shape[1] not in (4, 5):
        raise BoxError(f"{name}: expected shape (N, 4) as x1, y1, x2, y2 or (N, 5) with a score; got {b.shape}")
    limit = 1e7  # beyond it float32 keypoints are a pixel off
    for wrong, what in (
        (~np.isfinite(b).all(1), "finite numbers"),
        (np.abs(b).max(1, initial=0) > limit, f"coordinates within ±{limit:g}"),
        ((b[:, 2] <= b[:, 0]) | (b[:, 3] <= b[:, 1]), "x1 < x2 and y1 < y2"),
    ):
        if wrong.any():
            i = int(wrong.argmax())
            raise BoxError(f"{name}[{i}]: expected {what}; got {b[i].tolist()}")
    scores = b[:, 4] if b.shape[1] == 5 else np.ones(len(b))
    return b[:, :4], scores.astype(np.float32)


def check_box_list(boxes: Any, count: int, name: str = "boxes") -> list[tuple[Float, Single]]:
    """One array of boxes for each of `count` images."""
    if not isinstance(boxes, Sequence) and not (isinstance(boxes, np.ndarray) and boxes.ndim >= 1):
        raise BoxError(f"{name}: expected a list of {count} arrays, one an image; got {type(boxes).__name__}")
    if len(boxes) != count:
        raise BoxError(f"{name}: expected {count} arrays, one an image; got {len(boxes)}")
    return [check_boxes(b, f"{name}[{i}]") for i, b in enumerate(boxes)]


def iou(boxes: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of every pair: (N,4), (M,4) -> (N,M)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = (high - low).clip(0).prod(2)
    area, other = ((b[:, 2:] - b[:, :2]).prod(1) for b in (boxes, others))
    union = area[:, None] + other[None] - common
    overlap: NDArray[Any] = np.divide(common, union, out=np.zeros(common.shape), where=union > 0)
    return overlap


def nms(boxes: NDArray[Any], scores: NDArray[Any], threshold: float, most: int | None = None) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: indices to keep, best first, at most `most`.

    A box goes when it overlaps a better one by more than `threshold`."""
    order = np.argsort(-scores, kind="stable")
    keep: list[np.intp] = []
    while len(order) and (most is None or len(keep) < most):
        best, order = order[0], order[1:]
        keep.append(best)
        order = order[iou(boxes[best : best + 1], boxes[order])[0] <= threshold]
    return np.array(keep, np.intp)
