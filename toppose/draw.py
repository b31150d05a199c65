"""Skeletons on a picture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from toppose.errors import OptionError
from toppose.images import Pixels
from toppose.skeleton import Skeleton

Single = NDArray[np.float32]
# BGR: the person's left, the middle, the person's right
COLORS = {-1: (235, 150, 40), 0: (60, 220, 250), 1: (70, 70, 245)}
WIDEST = 1000
_SHIFT = 4  # OpenCV draws at 1/16 of a pixel


def check_number(name: str, value: Any, low: float, high: float) -> float:
    """Python's or NumPy's integer or float within `low`...`high`; a bool, NaN or anything else is an OptionError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)) or not low <= value <= high:
        raise OptionError(f"{name}: expected a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def draw_poses(
    image: Pixels,
    keypoints: Single,
    scores: Single,
    boxes: Single,
    skeleton: Skeleton,
    threshold: float = 0.3,
    draw_boxes: bool = False,
    line_width: float | None = None,
    ids: NDArray[np.int64] | None = None,
) -> Pixels:
    """A copy of `image` (H,W,3) uint8 BGR with every limb whose two joints score at least `threshold`, and the joints.

    Lines are `line_width` px wide, by default as suits the person: 1/80 of the box's longer side, at least 1 px. `ids` (N,) are written above
    the boxes."""
    threshold = check_number("threshold", threshold, 0, 1)
    given = None if line_width is None else round(check_number("line_width", line_width, 1, WIDEST))
    canvas = np.array(image, copy=True)
    for n, (points, score, box) in enumerate(zip(keypoints, scores, boxes, strict=True)):
        width = given or max(1, round(float(min(max(box[2] - box[0], box[3] - box[1]), max(canvas.shape))) / 80))
        seen = (score >= threshold) & (np.abs(points) < 1e6).all(-1)
        color = COLORS[0] if ids is None else id_color(int(ids[n]))
        if draw_boxes:
            x1, y1, x2, y2 = np.round(np.clip(box, -1e6, 1e6) * (1 << _SHIFT)).astype(int).tolist()
            cv2.rectangle(canvas, (x1, y1), (x2, y2), color, max(1, width // 2), cv2.LINE_AA, _SHIFT)
        if ids is not None:
            _write_id(canvas, str(ids[n]), box, color, width)
        _draw_person(canvas, points, seen, skeleton, width)
    return canvas


def id_color(number: int) -> tuple[int, int, int]:
    """BGR of a person's id: neighbours in number are far apart in hue (steps of the golden ratio)."""
    hue = int(number * 0.618034 % 1 * 180)
    blue, green, red = cv2.cvtColor(np.array([[[hue, 200, 255]]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return blue, green, red


def _write_id(canvas: Pixels, text: str, box: Single, color: tuple[int, int, int], width: int) -> None:
    """Above the box's upper left corner, or inside where the picture ends there."""
    scale = max(0.4, width / 5)
    (_, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x, y = (int(v) for v in np.clip(box[:2], 0, [max(canvas.shape[1] - 1, 0), max(canvas.shape[0] - 1, 0)]))
    place = (x, y - 3 if y > height + 3 else y + height + 3)
    for ink, thickness in (((0, 0, 0), 3 * max(1, width // 2)), (color, max(1, width // 2))):
        cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA)


def _draw_person(canvas: Pixels, points: Single, seen: NDArray[np.bool_], skeleton: Skeleton, width: int) -> None:
    """Limbs and joints of those of `points` (J,2) that are `seen` (J,)."""
    fixed = np.round(np.where(seen[:, None], points, 0) * (1 << _SHIFT)).astype(int).tolist()
    sides = skeleton.sides()
    for a, b in skeleton.edges:
        if seen[a] and seen[b]:
            side = int(sides[a]) if sides[a] == sides[b] else 0
            cv2.line(canvas, fixed[a], fixed[b], COLORS[side], width, cv2.LINE_AA, _SHIFT)
    for j in np.flatnonzero(seen):
        cv2.circle(canvas, fixed[j], (width + 1) << _SHIFT, (255, 255, 255), -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, fixed[j], width << _SHIFT, COLORS[int(sides[j])], -1, cv2.LINE_AA, _SHIFT)
