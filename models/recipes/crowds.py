"""Crowds made on purpose: people cut out along their joints and pasted in rows, half in front of each other.

Photographs of actions show one or two people, clear of each other. Copy-paste needs no blending (Ghiasi et al. 2021); here the
masks come from the joints: limbs as thick lines, in shares of the torso's length."""

from __future__ import annotations

import cv2
import numpy as np
from data import JOINT, People
from numpy.random import Generator

LIMBS = ((5, 7, 0.26), (7, 9, 0.22), (6, 8, 0.26), (8, 10, 0.22), (11, 13, 0.38), (13, 15, 0.28), (12, 14, 0.38), (14, 16, 0.28))
LEAST_SEEN = 0.25  # of a person's area; with less left in sight, a label is doubtful


def whole(seen: np.ndarray) -> np.ndarray:
    """Whether of joints (..., 17) enough are seen to draw a silhouette: all but the face, and some of that."""
    return seen[..., 5:].all(-1) & seen[..., :5].any(-1)


def silhouette(joints: np.ndarray, seen: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mask uint8 (h, w) of a `whole` body with joints (17,2); limbs go on beyond wrists and ankles for hands and feet."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    shoulders, hips = joints[5:7].mean(0), joints[11:13].mean(0)
    torso = max(float(np.linalg.norm(shoulders - hips)), float(np.linalg.norm(joints[5] - joints[6])), 4.0)

    def line(a: np.ndarray, b: np.ndarray, share: float) -> None:
        cv2.line(mask, np.rint(a).astype(int).tolist(), np.rint(b).astype(int).tolist(), 1, max(1, round(share * torso)))

    for a, b, share in LIMBS:
        end = joints[b]
        if b in (9, 10, 15, 16):
            way = joints[b] - joints[a]
            end = end + 0.22 * torso * way / max(float(np.linalg.norm(way)), 1e-3)
        line(joints[a], end, share)
    for a, b in ((5, 6), (11, 12), (5, 11), (6, 12)):
        line(joints[a], joints[b], 0.3)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(joints[[5, 6, 12, 11]]).astype(np.int32)), 1)
    head = joints[:5][seen[:5]].mean(0)
    line(shoulders, head, 0.3)
    up = (head - shoulders) / max(float(np.linalg.norm(head - shoulders)), 1e-3)
    line(head, head + 0.12 * torso * up, 0.5)
    return mask


class Crowds:
    """Whole, clear people of the photographs, to be pasted."""

    def __init__(self, people: People, photographs: np.ndarray) -> None:
        clear = whole(people.scores > JOINT) & (people.box_scores > 0.6)
        tall = people.boxes[:, 3] - people.boxes[:, 1] >= 64
        self.people, self.rows = people, np.flatnonzero(clear & tall & np.isin(people.image, photographs))

    def cut(self, height: float, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
        """Somebody, `height` pixels high: pixels (h,w,3) and mask bool (h,w)."""
        people, p = self.people, int(rng.choice(self.rows))
        photo, box = people.photo(people.image[p]), people.boxes[p]
        low = np.maximum(np.floor(box[:2]), 0).astype(int)
        high = np.minimum(np.ceil(box[2:]), [photo.shape[1], photo.shape[0]]).astype(int)
        scale = height / (high - low)[1]
        size = tuple(np.maximum(np.rint((high - low) * scale), 2).astype(int).tolist())
        pixels = cv2.resize(photo[low[1] : high[1], low[0] : high[0]], size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        mask = silhouette((people.keypoints[p] - low + 0.5) * scale - 0.5, people.scores[p] > JOINT, size).astype(bool)
        return (pixels[:, ::-1], mask[:, ::-1]) if rng.random() < 0.5 else (pixels, mask)

    def add(self, canvas: np.ndarray, boxes: np.ndarray, sure: np.ndarray, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
        """Pastes a row of one to six people, beside and over somebody of `boxes` (K,4) where there is one -> boxes and `sure` (K,), as seen now."""
        if not len(self.rows):
            return boxes, sure
        x, foot, height = place(canvas.shape[:2], boxes, rng)
        covered, side = np.zeros(canvas.shape[:2], bool), rng.choice([-1, 1])
        masks: list[tuple[np.ndarray, int]] = []  # where each is seen by now, and how many pixels of them there are
        for _ in range(rng.integers(1, 7)):
            tall = float(np.clip(height * np.exp(rng.normal(0, 0.15)), 16, 1.2 * len(canvas)))
            x += side * rng.uniform(0.15, 0.5) * tall
            pixels, mask = self.cut(tall, rng)
            corner = round(x - mask.shape[1] / 2), round(foot + rng.normal(0, 0.06) * tall - mask.shape[0])
            behind = covered if rng.random() < 0.5 else None  # those pasted before; the photograph is always behind
            here = paste(canvas, pixels, mask, corner, behind)
            if behind is None:
                masks = [(m & ~here, n) for m, n in masks]
            covered |= here
            masks.append((here, int(mask.sum())))
        boxes, share = seen_boxes(boxes, covered)
        masks = [(m, n) for m, n in masks if m.any()]
        rows = np.array([bounds(m) for m, _ in masks]).reshape(-1, 4)
        clear = np.array([m.sum() / n >= LEAST_SEEN for m, n in masks], bool) & (rows[:, 3] - rows[:, 1] >= 10)
        return np.concatenate([boxes, rows]), np.concatenate([sure & (share >= LEAST_SEEN), clear])

    def beside(self, crop: np.ndarray, joints: np.ndarray, seen: np.ndarray, rng: Generator) -> None:
        """Pastes somebody to the left or right of whom the crop shows, in place: in front of them or, where they are seen whole, behind."""
        if not len(self.rows):
            return
        h, w = crop.shape[:2]
        pixels, mask = self.cut(h * rng.uniform(0.5, 1.15), rng)
        x = w * (0.5 + rng.choice([-1, 1]) * rng.uniform(0.25, 0.6))
        corner = round(x - mask.shape[1] / 2), round(h * (0.5 + rng.normal(0, 0.15)) - mask.shape[0] / 2)
        front = whole(seen) and rng.random() < 0.5
        paste(crop, pixels, mask, corner, silhouette(joints, seen, (w, h)).astype(bool) if front else None)


def place(size: tuple[int, int], boxes: np.ndarray, rng: Generator) -> tuple[float, float, float]:
    """Where a row begins on a canvas of `size` (h, w): x, y of the feet, and a height; mostly those of one of `boxes` (K,4)."""
    able = [b for b in boxes if b[3] - b[1] >= 24]
    if able and rng.random() < 0.7:
        box = able[int(rng.integers(len(able)))]
        return (box[0] + box[2]) / 2, box[3], box[3] - box[1]
    height = float(np.exp(rng.uniform(np.log(28), np.log(0.7 * size[0]))))
    return rng.uniform(0.1, 0.9) * size[1], rng.uniform(height, size[0]), height


def paste(canvas: np.ndarray, pixels: np.ndarray, mask: np.ndarray, corner: tuple[int, int], behind: np.ndarray | None) -> np.ndarray:
    """Puts the masked pixels with their corner at x, y of the canvas, in place, and nothing over `behind` (H,W) -> where they went (H,W)."""
    (x, y), (h, w), (H, W) = corner, mask.shape, canvas.shape[:2]
    here = np.zeros((H, W), bool)
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + w, W), min(y + h, H)
    if x2 > x1 and y2 > y1:
        here[y1:y2, x1:x2] = mask[y1 - y : y2 - y, x1 - x : x2 - x]
        if behind is not None:
            here &= ~behind
        np.copyto(canvas[y1:y2, x1:x2], pixels[y1 - y : y2 - y, x1 - x : x2 - x], where=here[y1:y2, x1:x2, None])
    return here


def bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of what is set."""
    x, y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return x[0], y[0], x[-1] + 1, y[-1] + 1


def seen_boxes(boxes: np.ndarray, covered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (K,4) less the rows and columns at their sides that are covered all but a tenth, and the share (K,) of each that is left in sight."""
    boxes, share = boxes.astype(np.float64), np.ones(len(boxes))
    for k, (x1, y1, x2, y2) in enumerate(boxes):
        a, b, c, d = int(x1), int(y1), max(int(np.ceil(x2)), int(x1) + 1), max(int(np.ceil(y2)), int(y1) + 1)
        hidden = covered[b:d, a:c]
        share[k] = 1 - hidden.mean() if hidden.size else 0.0
        columns, rows = np.flatnonzero(hidden.mean(0) < 0.9), np.flatnonzero(hidden.mean(1) < 0.9)
        if len(columns) and len(rows) and hidden.any():
            boxes[k] = max(x1, a + columns[0]), max(y1, b + rows[0]), min(x2, a + columns[-1] + 1), min(y2, b + rows[-1] + 1)
    return boxes, share
