"""Cut, run and read on the processor: OpenCV cuts, ONNX Runtime runs, NumPy reads. Safe to share between threads."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from toppose import geometry
from toppose.images import Pixels
from toppose.runtime.backend import Backend, Stages, normalise
from toppose.runtime.reader import Found

_OPENCV_LIMIT = 32_000  # warpAffine addresses sources with 16 bits


class HostBackend(Backend[Found]):
    """What is said of the device backend must hold against this one."""

    name = "host"

    def _runs(self, runs: int | None) -> int:
        cores = self.session.threads or os.cpu_count() or 1
        return runs or (max(1, cores // 2) if self.session.on_cpu else 1)

    def _batch(self, frames: Sequence[Pixels], index: NDArray[np.intp], matrices: geometry.Float, size: geometry.Size, stages: Stages) -> Found:
        with stages.timed("cut"):
            crops = np.empty((len(index), size[1], size[0], 3), np.uint8)
            crop_into(crops, frames, index, matrices, self.look.border)
            blob = normalise(crops, self.look, self.session.dtype)
        with stages.timed("run"):
            outputs = self.session.run(blob, self.outputs)
            mirrored = self.session.run(np.ascontiguousarray(blob[..., ::-1]), self.outputs) if self.flip_test else None
        with stages.timed("read"):
            self._check_numbers([*outputs, *(mirrored or [])])
            with np.errstate(all="ignore"):  # of absurd numbers; what comes of them is checked
                return self.reader.read(self.reader.mean(outputs, mirrored) if mirrored else outputs, size)


def crop_into(out: Pixels, images: Sequence[Pixels], index: ArrayLike, matrices: geometry.Float, border: int = 0) -> None:
    """Fills `out` (N,h,w,3): row n is cut from images[index[n]] by matrices[n] (2,3), bilinear, `border` grey outside."""
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
