"""The whole top-down way: images -> boxes -> joints. Comes in: images; go out: `Poses`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose.detection import Detector, NetworkDetector, detect
from toppose.errors import OptionError
from toppose.images import Pixels
from toppose.poses import Poses
from toppose.topdown.estimate import TopDown

People = list[tuple[NDArray[Any], NDArray[Any]]]  # boxes (N,4) and scores (N,) of each image


@dataclass(frozen=True)
class Pipeline:
    """A detector (None where boxes are always given), and the network that finds joints in its boxes."""

    detector: Detector | None
    joints: TopDown
    max_people: int | None = None

    def __call__(self, images: Sequence[Pixels]) -> list[Poses]:
        """The people of every image; all share batches, and images go to their device once for both networks."""
        images = self.joints.backend.frames(images)
        return self.estimate(images, self.detect(images))

    def detect(self, images: Sequence[Pixels]) -> People:
        """Boxes and scores of every image, best first."""
        if self.detector is None:
            raise OptionError("boxes: this Estimator has detector=None, so predict needs boxes; got None")
        return detect(self.detector, images, self.max_people) if images else []

    def estimate(self, images: Sequence[Pixels], people: People) -> list[Poses]:
        """Joints in these boxes."""
        keypoints, scores = self.joints(self.joints.backend.frames(images), [b for b, _ in people])
        poses, first = [], 0
        for boxes, box_scores in people:
            rows = slice(first, first + len(boxes))
            poses.append(Poses(keypoints[rows], scores[rows], boxes.astype(np.float32), box_scores, self.joints.skeleton))
            first += len(boxes)
        return poses

    def warmup(self) -> None:
        """Runs both networks once at every batch size that they will use."""
        self.joints.backend.warmup()
        if isinstance(self.detector, NetworkDetector):
            self.detector.backend.warmup()
