"""Boxes to matrices, points through matrices. Whatever changes coordinates here is a 2x3 matrix, and going back is its inverse.

All arrays are float64 on the way in between; sizes are (width, height); matrices are (N, 2, 3) and map (x, y, 1) to (x', y').
A pixel's coordinate is that of its centre, as OpenCV counts: the first pixel is at 0.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
Warp = Literal["classic", "udp"]
Size = tuple[int, int]


def regions(boxes: ArrayLike, size: Size, padding: float = 1.25) -> tuple[Float, Float]:
    """Boxes (N,4) xyxy -> centres (N,2) and sizes (N,2) of the regions to crop.

    The box grows by `padding`, then one side grows to the aspect ratio of `size` (Xiao et al. 2018, SimpleBaseline)."""
    b = np.asarray(boxes, np.float64).reshape(-1, 4)
    centres = (b[:, :2] + b[:, 2:]) / 2
    sides = (b[:, 2:] - b[:, :2]) * padding  # (N, 2)
    aspect = size[0] / size[1]
    width = np.maximum(sides[:, 0], sides[:, 1] * aspect)
    return centres, np.stack([width, width / aspect], 1)


def crop_matrices(boxes: ArrayLike, size: Size, padding: float = 1.25, warp: Warp = "classic") -> Float:
    """Boxes (N,4) xyxy in image pixels -> (N,2,3) matrices from image to crop pixels.

    classic: x' = (x - left) * w / sw, as SimpleBaseline, HRNet and SimCC networks were trained;
    udp: x' = (x - left) * (w - 1) / sw, corner to corner (Huang et al. 2020, UDP)."""
    centres, sides = regions(boxes, size, padding)
    span = np.asarray(size, np.float64) - (1 if warp == "udp" else 0)
    return scale_shift(span / sides, -(centres - sides / 2) * span / sides)


def heatmap_matrix(size: Size, heatmap: Size, warp: Warp = "classic") -> Float:
    """(2,3) from crop pixels to heatmap cells: X = x*W/w (classic) or x*(W-1)/(w-1) (udp)."""
    less = 1 if warp == "udp" else 0
    scale = (np.asarray(heatmap, np.float64) - less) / (np.asarray(size, np.float64) - less)
    return scale_shift(scale, np.zeros(2))


def letterbox_matrix(image: Size, size: Size, centre: bool = True) -> Float:
    """(2,3) from image to letterbox pixels: one scale for both axes, the picture centred or in the top left corner.

    Pixel areas are mapped (x + 0.5 scales), as `cv2.resize` does and YOLO networks were trained."""
    scale = min(size[0] / image[0], size[1] / image[1])
    free = np.asarray(size, np.float64) - np.round(np.asarray(image) * scale)
    offset = np.floor(free / 2 + 0.4) if centre else np.zeros(2)
    return scale_shift(np.full(2, scale), offset + 0.5 * scale - 0.5)


def scale_shift(scale: Float, shift: Float) -> Float:
    """Scales (...,2) and shifts (...,2) -> matrices (...,2,3)."""
    matrices = np.zeros((*np.shape(scale)[:-1], 2, 3))
    matrices[..., 0, 0], matrices[..., 1, 1] = scale[..., 0], scale[..., 1]
    matrices[..., 2] = shift
    return matrices


def invert(matrices: ArrayLike) -> Float:
    """Matrices (...,2,3) -> their inverses (...,2,3)."""
    m = np.asarray(matrices, np.float64)
    linear = np.linalg.inv(m[..., :2])
    return np.concatenate([linear, -linear @ m[..., 2:]], -1)


def compose(second: ArrayLike, first: ArrayLike) -> Float:
    """The matrices (...,2,3) that apply `first`, then `second`."""
    a, b = np.asarray(second, np.float64), np.asarray(first, np.float64)
    linear = a[..., :2] @ b[..., :2]
    return np.concatenate([linear, a[..., :2] @ b[..., 2:] + a[..., 2:]], -1)


def transform(points: ArrayLike, matrices: ArrayLike) -> Float:
    """Points (N,J,2) through matrices (N,2,3) or one (2,3) -> (N,J,2)."""
    p, m = np.asarray(points, np.float64), np.asarray(matrices, np.float64)
    return p @ np.swapaxes(m[..., :2], -1, -2) + m[..., None, :, 2]


def transform_boxes(boxes: ArrayLike, matrix: ArrayLike) -> Float:
    """Boxes (N,4) xyxy through one (2,3) matrix. A box names edges of pixels, which lie half a pixel before their centres."""
    corners = np.asarray(boxes, np.float64).reshape(-1, 2, 2) - 0.5
    return (transform(corners, matrix) + 0.5).reshape(-1, 4)
