"""The engine on a device: only uint8 images go up, only keypoints and scores come down. Runs on any provider, the CPU's too.

The results are those of `host.py`, to a tenth of a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from toppose import geometry
from toppose.card import CoordinateOutput, HeatmapOutput, SimccOutput
from toppose.chain import Chain, Frames
from toppose.engine import Engine, Single, Stages, average, mirrored_columns
from toppose.errors import OptionError
from toppose.images import Pixels
from toppose.session import Feeds, Value

Decoded = tuple[Single, Single]


class DeviceEngine(Engine):
    """Threads take turns."""

    name = "device"

    def _set_up(self, decoder: str | None) -> None:
        self.chain = Chain(self.session, self.card.input)
        self._decoder = decoder
        self._blur = cache(self._band)

    def frames(self, images: Sequence[Pixels]) -> Frames:
        return images if isinstance(images, Frames) else Frames(images)

    def warmup(self) -> None:
        """Runs every bucket, so that nothing is tuned, allocated or recorded at a later call."""
        for count in self.chain.buckets(self.batches.size):
            for _ in range(3):  # allocates, records, replays
                self._run_blank(count)

    def _runs(self, runs: int | None) -> int:
        if runs not in (None, 1):
            raise OptionError(f"runs: engine 'device' runs one batch at a time; got {runs}")
        return 1

    def _batch(self, images: Frames, index: NDArray[np.intp], boxes: geometry.Float, stages: Stages) -> Decoded:
        with self.chain.lock:
            return self._turn(images, index, boxes, stages)

    def _turn(self, frames: Frames, index: NDArray[np.intp], boxes: geometry.Float, stages: Stages) -> Decoded:
        spec, count = self.card.input, len(boxes)
        size, bucket = spec.size, self.chain.bucket(count, self.batches.size)
        matrices = geometry.crop_matrices(boxes, size, spec.padding, spec.warp)
        with stages.timed("crop"):
            crops = self.chain.cut(frames, index, matrices, size, bucket)
        with stages.timed("network"):
            outputs, mirrored = self.chain.run(crops, size), None
        if self.flip_test:
            with stages.timed("crop"):
                crops = self.chain.cut(frames, index, matrices, size, bucket, mirror=True)
            with stages.timed("network"):
                mirrored = self.chain.run(crops, size, mirror=True)
        with stages.timed("decode"):
            filled = matrices[np.minimum(np.arange(bucket), count - 1)]
            keypoints, scores = (a[:count] for a in self._read(outputs, mirrored, geometry.invert(filled)))
            self._check_finite(scores)
        return keypoints, scores

    def _read(self, outputs: list[Value], mirrored: list[Value] | None, back: geometry.Float) -> Decoded:
        """Outputs of a bucket, with matrices `back` (bucket,2,3) from crop to image pixels -> keypoints and scores, on the host."""
        output, spec = self.card.output, self.card.input
        if isinstance(output, CoordinateOutput):  # as small as what is made of them
            arrays = [v.numpy() for v in outputs]
            arrays = average(self.card, arrays, [v.numpy() for v in mirrored], self._shift) if mirrored else arrays
            points, scores = self._decode(arrays)
            return geometry.transform(points, back).astype(np.float32), scores
        if mirrored:
            outputs = [self._average(a, b, axis) for axis, (a, b) in enumerate(zip(outputs, mirrored, strict=True))]
        if isinstance(output, SimccOutput):
            name = "simcc"
            mean = np.array([output.score == "mean"], np.float32)
            feeds: Feeds = {"x_maps": outputs[0], "y_maps": outputs[1], "split": np.array([output.split]), "mean": mean, "matrices": back}
        else:
            assert isinstance(output, HeatmapOutput)
            name = self._decoder or output.decoder
            H, W = outputs[0].shape[2:]
            cells = geometry.invert(geometry.heatmap_matrix(spec.size, (W, H), spec.warp))
            feeds = {"heatmaps": outputs[0], "size": np.array([W, H], np.float32), "matrices": geometry.compose(back, cells)}
            if "dark" in name:
                feeds |= {"blur_y": self._blur(H, output.blur), "blur_x": self._blur(W, output.blur)}
        found = self.chain.graphs.get(name).bound(feeds, {"keypoints": None, "scores": None})
        return found["keypoints"].numpy(), found["scores"].numpy()

    def _average(self, maps: Value, mirrored: Value, axis: int) -> Value:
        """The flip test's mean; a SimCC network's second output, of rows, is not mirrored."""
        shape = maps.shape if len(maps.shape) == 4 else (*maps.shape[:2], 1, maps.shape[2])
        columns = mirrored_columns(shape[-1], self._shift) if axis == 0 else np.arange(shape[-1])
        feeds: Feeds = {"maps": maps.view(*shape), "mirrored": mirrored.view(*shape), "swap": np.array(self.card.joints.flip), "columns": columns}
        return self.chain.graphs.get("average").bound(feeds, {"mean": None})["mean"].view(*maps.shape)

    def _band(self, size: int, blur: int) -> Value:
        """The matrix (size,size) that blurs along one axis as OpenCV's Gaussian of `blur` does, with zeros outside."""
        kernel = cv2.getGaussianKernel(blur, 0, cv2.CV_32F)[:, 0] if blur > 1 else np.ones(1, np.float32)
        band = np.zeros((size, size + 2 * (len(kernel) // 2)), np.float32)
        for i in range(size):
            band[i, i : i + len(kernel)] = kernel
        return self.chain.up(band[:, len(kernel) // 2 :][:, :size])
