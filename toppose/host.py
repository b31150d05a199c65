"""The engine on the processor: crops with OpenCV, decodes with NumPy, the network in between."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toppose import geometry
from toppose.crop import crop_into, normalise
from toppose.engine import Engine, Single, Stages, average
from toppose.images import Pixels


class HostEngine(Engine):
    """Safe to share between threads."""

    name = "host"

    def _runs(self, runs: int | None) -> int:
        cores = self.session.threads or os.cpu_count() or 1
        return runs or (max(1, cores // 2) if self.session.on_cpu else 1)

    def _batch(self, images: Sequence[Pixels], index: NDArray[np.intp], boxes: geometry.Float, stages: Stages) -> tuple[Single, Single]:
        spec = self.card.input
        with stages.timed("crop"):
            matrices = geometry.crop_matrices(boxes, spec.size, spec.padding, spec.warp)
            crops = np.empty((len(boxes), spec.size[1], spec.size[0], 3), np.uint8)
            crop_into(crops, images, index, matrices, spec.border)
            blob = normalise(crops, spec)
        with stages.timed("network"):
            outputs = self.session.run(blob)
            mirrored = self.session.run(np.ascontiguousarray(blob[..., ::-1])) if self.flip_test else None
        with stages.timed("decode"):
            if mirrored is not None:
                outputs = average(self.card, outputs, mirrored, self._shift)
            points, scores = self._decode(outputs)
            self._check_finite(scores)
            return geometry.transform(points, geometry.invert(matrices)).astype(np.float32), scores
