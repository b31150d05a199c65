"""Skeletons on a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from toppose.errors import OptionError
from toppose.images import Pixels
from toppose.skeleton import Skeleton

Single = NDArray[np.float32]
# BGR: the person's left, the middle, the person's right
COLORS = {-1: (235, 150, 40), 0: (60, 220, 250), 1: (70, 70, 245)}
_SHIFT = 4  # OpenCV draws at 1/16 of a pixel


def draw_poses(
    image: Pixels, keypoints: Single, scores: Single, boxes: Single, skeleton: Skeleton, threshold: float = 0.3, draw_boxes: bool = False
) -> Pixels:
    """A copy of `image` (H,W,3) uint8 BGR with every limb whose two joints score at least `threshold`, and the joints.

    Lines are as wide as suits the person: 1/80 of the box's longer side, at least 1 px."""
    if not isinstance(threshold, (int, float, np.number)) or not 0 <= threshold <= 1:
        raise OptionError(f"threshold: expected a number from 0 to 1, got {threshold!r}")
    canvas = np.array(image, copy=True)
    sides = skeleton.sides()
    for points, score, box in zip(keypoints, scores, boxes, strict=True):
        width = max(1, round(float(min(max(box[2] - box[0], box[3] - box[1]), max(canvas.shape))) / 80))
        seen = (score >= threshold) & (np.abs(points) < 1e6).all(-1)
        fixed = np.round(np.where(seen[:, None], points, 0) * (1 << _SHIFT)).astype(int).tolist()
        if draw_boxes:
            x1, y1, x2, y2 = np.round(np.clip(box, -1e6, 1e6) * (1 << _SHIFT)).astype(int).tolist()
            cv2.rectangle(canvas, (x1, y1), (x2, y2), COLORS[0], max(1, width // 2), cv2.LINE_AA, _SHIFT)
        for a, b in skeleton.edges:
            if seen[a] and seen[b]:
                side = int(sides[a]) if sides[a] == sides[b] else 0
                cv2.line(canvas, fixed[a], fixed[b], COLORS[side], width, cv2.LINE_AA, _SHIFT)
        for j in np.flatnonzero(seen):
            cv2.circle(canvas, fixed[j], (width + 1) << _SHIFT, (255, 255, 255), -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(canvas, fixed[j], width << _SHIFT, COLORS[int(sides[j])], -1, cv2.LINE_AA, _SHIFT)
    return canvas
