"""What makes pose hard, made on purpose: other scales, turns, half bodies, borders that cut, occluders, blur, compression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

UPPER = np.arange(17) < 11
# How far outwards person-n draws a box's left, top, right and bottom edge, in shares of the box's width or height: quantiles over 4,528
# people of 24 pixels or more in 2,332 photographs it had never seen (score 0.1 or more, IoU 0.5 or more with people's box). The edges err apart
# from each other (correlations below 0.09).
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
EDGES = (
    (-0.303, -0.172, -0.112, -0.037, 0.005, 0.052, 0.138, 0.231, 0.442),
    (-0.183, -0.090, -0.052, -0.022, -0.003, 0.016, 0.060, 0.115, 0.343),
    (-0.298, -0.165, -0.109, -0.039, 0.004, 0.052, 0.137, 0.223, 0.430),
    (-0.257, -0.124, -0.076, -0.029, -0.003, 0.028, 0.120, 0.214, 0.488),
)


def crop_region(box: np.ndarray, aspect: float, padding: float) -> tuple[np.ndarray, np.ndarray]:
    """Box (4,) xyxy -> centre (2,) and size (2,) of the padded region with width/height = aspect."""
    centre, size = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * padding
    width = max(size[0], size[1] * aspect)
    return centre, np.array([width, width / aspect])


def half_body(keypoints: np.ndarray, seen: np.ndarray, rng: Generator) -> np.ndarray | None:
    """A box around the upper or the lower body, where enough joints are known."""
    part = UPPER if rng.random() < 0.6 else ~UPPER
    points = keypoints[part & seen]
    if len(points) < 3:
        return None
    low, high = points.min(0), points.max(0)
    pad = 0.2 * max(high - low)
    return np.concatenate([low - pad, high + pad])


def crop_matrix(centre: np.ndarray, size: np.ndarray, turn: float, out: tuple[int, int], flip: bool) -> np.ndarray:
    """(2, 3) matrix: the region, turned by `turn` radians about its centre, onto a crop of `out` (w, h); classic convention."""
    scale = out[0] / size[0]
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    linear = np.array([[cos, -sin], [sin, cos]])
    shift = np.array(out) / 2 - linear @ centre
    matrix = np.column_stack([linear, shift])
    if flip:
        matrix[0] = -matrix[0]
        matrix[0, 2] += out[0] - 1
    return matrix


def turn(rng: Generator) -> float:
    """Radians: most people stand upright, some lean, and of some crops nobody knows which way is up."""
    kind = rng.random()
    if kind < 0.45:
        return float(np.deg2rad(np.clip(rng.normal(0, 25), -60, 60)))
    return float(rng.uniform(-np.pi, np.pi)) if kind < 0.57 else 0.0


def turned(box: np.ndarray, angle: float) -> np.ndarray:
    """Box (4,) about whom a box (4,) xyxy shows, turned about its centre. Corners hold little of a body, so slanting it is a little tighter."""
    centre, (w, h) = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    cos, sin = abs(np.cos(angle)), abs(np.sin(angle))
    size = np.array([cos * w + sin * h, sin * w + cos * h]) * (1 - 0.3 * cos * sin)
    return np.concatenate([centre - size / 2, centre + size / 2])


def jittered(box: np.ndarray, rng: Generator) -> np.ndarray:
    """A box (4,) as a detector might have drawn it, or anywhere near, so that no crop is taken for granted."""
    size = box[2:] - box[:2]
    if rng.random() < 0.6:
        outwards = [np.interp(rng.random(), QUANTILES, edge) for edge in EDGES]
        return box + outwards * np.array([-1, -1, 1, 1]) * np.tile(size, 2)
    centre = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.04, 2) * size
    half = size / 2 * np.clip(np.exp(rng.normal(0.03, 0.17)), 0.7, 1.6)
    return np.concatenate([centre - half, centre + half])


def scribble(size: int, rng: Generator) -> np.ndarray:
    """Nobody, and no photograph: a canvas (S,S,3) of gradients, spots, strokes and noise, for all that photographs of actions never show."""
    corners = rng.integers(0, 256, (2, 2, 1 if rng.random() < 0.5 else 3)) * rng.uniform(0, 1)
    canvas = cv2.resize(np.broadcast_to(corners, (2, 2, 3)).astype(np.uint8), (size, size), interpolation=cv2.INTER_LINEAR)
    kind, count = rng.integers(4), int(np.exp(rng.uniform(0, np.log(200))))
    for _ in range(count):
        colour = rng.integers(0, 256, 3).tolist() if rng.random() < 0.5 else [int(rng.integers(256))] * 3
        at = rng.integers(0, size, 2).tolist()
        axes = (np.exp(rng.uniform(0, np.log(size / 2), 2)) / count**0.25).astype(int) + 1
        thick = -1 if rng.random() < 0.7 else int(rng.integers(1, 6))
        if kind == 0 or (kind == 3 and rng.random() < 0.5):
            cv2.ellipse(canvas, at, axes.tolist(), float(rng.uniform(0, 180)), 0, 360, colour, thick)
        elif kind == 1:
            cv2.line(canvas, at, rng.integers(0, size, 2).tolist(), colour, int(rng.integers(1, 12)))
        else:
            cv2.rectangle(canvas, at, (np.array(at) + axes).tolist(), colour, thick)
    if rng.random() < 0.6:
        canvas = cv2.GaussianBlur(canvas, (0, 0), float(np.exp(rng.uniform(-0.5, 2.5))))
    if rng.random() < 0.5:
        canvas = np.clip(canvas + rng.normal(0, rng.uniform(2, 40), (size, size, int(rng.choice([1, 3])))), 0, 255).astype(np.uint8)
    return canvas


def occlude(crop: np.ndarray, other: np.ndarray, rng: Generator) -> None:
    """Pastes a rectangle or an ellipse of another photograph, in place."""
    h, w = crop.shape[:2]
    ph, pw = (int(rng.uniform(0.1, 0.45) * s) for s in (h, w))
    if other.shape[0] <= ph or other.shape[1] <= pw:
        return
    sy, sx = rng.integers(other.shape[0] - ph), rng.integers(other.shape[1] - pw)
    y, x = rng.integers(h - ph), rng.integers(w - pw)
    patch = other[sy : sy + ph, sx : sx + pw]
    target = crop[y : y + ph, x : x + pw]
    if rng.random() < 0.5:
        mask = np.zeros((ph, pw), np.uint8)
        cv2.ellipse(mask, (pw // 2, ph // 2), (pw // 2, ph // 2), 0, 0, 360, 1, -1)
        np.copyto(target, patch, where=mask[..., None].astype(bool))
    else:
        target[:] = patch


def frame(box: np.ndarray, size: np.ndarray, rng: Generator) -> np.ndarray:
    """A photograph's border made up through a person: (4,) x1, y1, x2, y2 whole pixels, of a photograph of `size` (height, width).

    Borders cut legs most often, as they do in photographs."""
    edges = np.array([0, 0, size[1], size[0]])
    side = rng.choice(4, p=[0.2, 0.1, 0.2, 0.5])
    lost = rng.uniform(0.1, 0.3 if side == 1 else 0.6) * (box[2:] - box[:2])[side % 2]
    edges[side] = np.clip(box[side] + lost if side < 2 else box[side] - lost, 1, size[1 - side % 2] - 1)
    return edges


def seen_through(photo: np.ndarray, edges: np.ndarray, matrix: np.ndarray, out: tuple[int, int]) -> np.ndarray:
    """The crop of `out` (w, h) that `matrix` (2,3) cuts from what of the photograph lies within `edges`; black elsewhere."""
    x1, y1, x2, y2 = edges
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ edges[:2]
    return cv2.warpAffine(photo[y1:y2, x1:x2], moved, out, flags=cv2.INTER_LINEAR)


def blank_outside(maps: np.ndarray, edges: np.ndarray, matrix: np.ndarray, stride: int) -> np.ndarray:
    """Heatmaps (J,h,w) of the crop of `matrix`, nought where the crop lies beyond `edges`."""
    x1, y1, x2, y2 = edges
    corners = np.array([[x1, y1], [x2 - 1, y1], [x2 - 1, y2 - 1], [x1, y2 - 1]]) @ matrix[:, :2].T + matrix[:, 2]
    inside = np.zeros(maps.shape[1:], np.uint8)
    cv2.fillConvexPoly(inside, np.rint(corners / stride).astype(np.int32), 1)
    return maps * inside


def motion_blur(crop: np.ndarray, length: int, angle: float) -> np.ndarray:
    """Moves the camera over `length` pixels in direction `angle` (radians) while the shutter is open."""
    kernel = np.zeros((length, length), np.float32)
    c, d = (length - 1) / 2, np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    cv2.line(kernel, tuple(np.round(c - d).astype(int).tolist()), tuple(np.round(c + d).astype(int).tolist()), 1.0)
    return cv2.filter2D(crop, -1, kernel / kernel.sum())


def degrade(crop: np.ndarray, rng: Generator) -> np.ndarray:
    """Small, blurred and compressed people: down and up, motion blur, JPEG."""
    h, w = crop.shape[:2]
    if rng.random() < 0.25:
        f = rng.uniform(0.2, 0.7)
        small = cv2.resize(crop, (max(8, int(w * f)), max(8, int(h * f))), interpolation=cv2.INTER_AREA)
        crop = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.15:
        crop = motion_blur(crop, int(rng.integers(3, 14)), rng.uniform(0, np.pi))
    if rng.random() < 0.25:
        crop = cv2.imdecode(cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(12, 60))])[1], cv2.IMREAD_COLOR)
    return crop


def recolour(crop: np.ndarray, rng: Generator) -> np.ndarray:
    """Brightness, contrast, gamma, colour cast, grey: one lookup table a channel."""
    if rng.random() < 0.1:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    ramp = np.arange(256)[:, None] / 255
    gain = rng.uniform(0.7, 1.3) * rng.uniform(0.9, 1.1, 3)
    table = (ramp ** rng.uniform(0.7, 1.4) - 0.5) * gain + 0.5 + rng.uniform(-0.1, 0.1)
    return cv2.LUT(crop, (np.clip(table, 0, 1) * 255).astype(np.uint8)[None])
