"""Images to crops: pixels through matrices with OpenCV, and crops to what a network takes. People and letterboxes alike."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from toppose import geometry
from toppose.card import Input
from toppose.images import Pixels

Single = NDArray[np.float32]
_OPENCV_LIMIT = 32_000  # warpAffine addresses sources with 16 bits


def crop_into(out: Pixels, images: Sequence[Pixels], index: ArrayLike, matrices: geometry.Float, border: int = 0) -> None:
    """Fills `out` (N,h,w,3): person n is cut from images[index[n]] by matrices[n] (2,3), bilinear, `border` grey outside."""
    h, w = out.shape[1:3]
    for n, (i, matrix) in enumerate(zip(np.asarray(index), matrices, strict=True)):
        source, matrix = _window(images[int(i)], matrix, (w, h))
        if source.size == 0:
            out[n] = border
        else:
            cv2.warpAffine(source, matrix, (w, h), dst=out[n], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(border,) * 3)


def _window(image: Pixels, matrix: geometry.Float, size: geometry.Size) -> tuple[Pixels, geometry.Float]:
    """The part of an image that the crop touches (empty when it is all outside), and the matrix from there."""
    corners = np.array([[[0.0, 0.0], [size[0] - 1.0, 0.0], [0.0, size[1] - 1.0], [size[0] - 1.0, size[1] - 1.0]]])
    seen = geometry.transform(corners, geometry.invert(matrix))[0]
    height, width = image.shape[:2]
    low = np.maximum(np.floor(seen.min(0)) - 1, 0).astype(int)
    high = np.minimum(np.ceil(seen.max(0)) + 2, [width, height]).astype(int)
    if (high <= low).any():
        return image[:0], matrix
    if max(width, height) <= _OPENCV_LIMIT:
        return image, matrix
    part = image[low[1] : high[1], low[0] : high[0]]
    step = -(-max(part.shape[:2]) // _OPENCV_LIMIT)
    back = geometry.compose(matrix, geometry.scale_shift(np.full(2, float(step)), low.astype(float)))
    return np.ascontiguousarray(part[::step, ::step]), back


def normalise(crops: Pixels, spec: Input) -> Single:
    """uint8 BGR (N,h,w,3) -> float32 (N,3,h,w) in the network's colour order, (x - mean) / std."""
    N, h, w, _ = crops.shape
    scale = 1 / np.asarray(spec.std, np.float32)
    planes = (crops[..., ::-1] if spec.color == "rgb" else crops).transpose(0, 3, 1, 2)
    blob = np.empty((N, 3, h, w), np.float32)
    np.multiply(planes, scale[:, None, None], out=blob, dtype=np.float32, casting="unsafe")
    blob -= (np.asarray(spec.mean, np.float32) * scale)[:, None, None]
    return blob
