"""Person boxes as users and detectors give them: checked, and thinned by non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from toppose.errors import BoxError, OptionError
from toppose.poses import Poses, is_masked

Single = NDArray[np.float32]
Float = NDArray[np.float64]
BoxFormat = Literal["xyxy", "xywh"]
LIMIT = 1e7  # px; beyond it float32 keypoints are a pixel off
NOISE = 1e-3  # how far float noise may carry a score beyond 0...1


def check_boxes(boxes: ArrayLike | Poses, name: str = "boxes", box_format: BoxFormat = "xyxy") -> tuple[Float, Single]:
    """(N,4), or (N,5) with a score, or a `Poses` -> float64 boxes (N,4) xyxy and float32 scores (N,), 1 where none were given.

    `box_format` "xywh" is left, top, width, height; a `Poses` has its own. Empty input means no person."""
    if isinstance(boxes, Poses):
        boxes, box_format = np.column_stack([boxes.boxes, boxes.box_scores]), "xyxy"
    given = _rows(boxes, name, "x1, y1, x2, y2" if box_format == "xyxy" else "x, y, w, h")
    b = given[:, :4].copy()
    with np.errstate(over="ignore", invalid="ignore"):
        if box_format == "xywh":
            b[:, 2:] += b[:, :2]
    scores = given[:, 4] if given.shape[1] == 5 else np.ones(len(b))
    for wrong, what in (
        (~np.isfinite(given).all(1), "finite numbers"),
        (np.abs(b).max(1, initial=0) > LIMIT, f"coordinates within ±{LIMIT:g}"),
        ((b[:, 2] <= b[:, 0]) | (b[:, 3] <= b[:, 1]), "x1 < x2 and y1 < y2" if box_format == "xyxy" else "w > 0 and h > 0"),
        ((scores < -NOISE) | (scores > 1 + NOISE), "a score from 0 to 1"),
    ):
        if wrong.any():
            i = int(wrong.argmax())
            raise BoxError(f"{name}[{i}]: expected {what}; got {given[i].tolist()}")
    if len(b) and b.min() >= 0 and b.max() <= 1 and (b % 1).any():
        raise BoxError(f"{name}: expected pixels, got shares of the picture, {given[0, :4].tolist()}; multiply them by its width and height")
    return b, scores.clip(0, 1).astype(np.float32)


def _rows(boxes: Any, name: str, order: str) -> Float:
    """Float64 (N,4) or (N,5)."""
    if is_masked(boxes):
        raise BoxError(f"{name}: expected boxes without a mask, got a masked array; leave out the rows that are masked")
    if isinstance(boxes, (list, tuple)) and any(isinstance(b, Poses) for b in boxes):
        raise BoxError(f"{name}: expected the boxes of one image; got a list of Poses (Poses.concatenate makes one of them)")
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
        raise BoxError(f"{name}: expected shape (N, 4) as {order} or (N, 5) with a score; got {b.shape}")
    return b


def check_box_list(boxes: Any, count: int, name: str = "boxes", box_format: BoxFormat = "xyxy") -> list[tuple[Float, Single]]:
    """One array of boxes, or `Poses`, for each of `count` images."""
    if not isinstance(boxes, Sequence) and not (isinstance(boxes, np.ndarray) and boxes.ndim >= 1):
        raise BoxError(f"{name}: expected a list of {count} arrays or Poses, one an image; got {type(boxes).__name__}")
    if len(boxes) != count:
        raise BoxError(f"{name}: expected {count} arrays, one an image; got {len(boxes)}")
    return [check_boxes(b, f"{name}[{i}]", box_format) for i, b in enumerate(boxes)]


def check_format(box_format: Any) -> None:
    """Raises OptionError for anything but "xyxy" and "xywh"."""
    if not isinstance(box_format, str) or box_format not in ("xyxy", "xywh"):
        raise OptionError(f"box_format: expected 'xyxy' or 'xywh', got {box_format!r}")


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
