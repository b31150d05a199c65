"""Poses of pictures that follow each other: the detector on each of them, or on every k-th with boxes from the poses in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from toppose.images import Pixels
from toppose.poses import Poses
from toppose.video.sources import Picture
from toppose.video.track import Tracker

People = list[tuple[NDArray[Any], NDArray[Any]]]  # boxes (N,4) and scores (N,) of each image
Look = Callable[[Sequence[Pixels]], list[Poses]]
Detect = Callable[[Sequence[Pixels]], People]
Estimate = Callable[[Sequence[Pixels], People], list[Poses]]

_SURE = 0.3  # score of a joint that says where a person is
_FALL = 0.6  # share of its score at the last detection below which a person may be lost
_CHANGED, _LEVELS = 0.1, 25  # share of the picture that differs by so many grey levels from the one that the detector saw
_THUMBNAIL = (64, 36)


class EveryFrame:
    """The people of all pictures share batches."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def __call__(self, pictures: Sequence[Picture]) -> list[Poses]:
        return self._look([p.image for p in pictures])


class BetweenDetections:
    """The detector looks at every `every`-th picture. In between a person's box is where the tracker expects it, and is then fitted to the joints
    found. A person whose scores fall, or a tenth of the picture that changed, brings the detector back at once."""

    def __init__(self, detect: Detect, estimate: Estimate, every: int) -> None:
        self._detect, self._estimate, self._every, self._tracker = detect, estimate, every, Tracker(confirm=0, sure=0, unsure=0)
        self._since = every  # pictures since the last detection
        self._seen: NDArray[np.int16] | None = None
        self._margins: dict[int, NDArray[np.float32]] = {}
        self._heights: dict[int, float] = {}

    def __call__(self, pictures: Sequence[Picture]) -> list[Poses]:
        return [self._one(p) for p in pictures]

    def _one(self, picture: Picture) -> Poses:
        thumbnail = _thumbnail(picture.image)
        if self._since < self._every and not self._is_changed(thumbnail):
            self._since += 1
            if (poses := self._follow(picture)) is not None:
                return poses
        self._since, self._seen = 1, thumbnail
        (poses,) = self._estimate([picture.image], self._detect([picture.image]))
        tracked = self._tracker(poses, picture.time)
        assert tracked.ids is not None
        self._margins = {int(i): m for i, m in zip(tracked.ids, margins(tracked), strict=True)}
        self._heights = {int(i): h for i, h in zip(tracked.ids, _mean_scores(tracked), strict=True)}
        return poses

    def _follow(self, picture: Picture) -> Poses | None:
        """Poses in the boxes where people are expected; None where the detector had better look."""
        expected = self._tracker.predict(picture.time)
        assert expected.ids is not None
        expected = expected[np.array([int(i) in self._margins for i in expected.ids], bool)]
        assert expected.ids is not None
        (poses,) = self._estimate([picture.image], [(expected.boxes.astype(np.float64), expected.box_scores)])
        before = np.array([self._heights[int(i)] for i in expected.ids], np.float32)
        if (_mean_scores(poses) < _FALL * before).any():
            return None
        margin = np.array([self._margins[int(i)] for i in expected.ids], np.float32).reshape(-1, 4)
        fitted = poses.replace(boxes=fit(poses, margin))
        self._tracker(fitted, picture.time)
        return fitted

    def _is_changed(self, thumbnail: NDArray[np.int16]) -> bool:
        return self._seen is None or bool((np.abs(thumbnail - self._seen) > _LEVELS).mean() > _CHANGED)


def margins(poses: Poses) -> NDArray[np.float32]:
    """(N,4): how far each side of a box lies outside of the sure joints, in shares of their height; NaN where fewer than three are sure."""
    extent = _extents(poses)
    height = np.maximum(extent[:, 3:] - extent[:, 1:2], 1)
    return np.asarray((poses.boxes - extent) / height, np.float32)


def fit(poses: Poses, margin: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes (N,4) with these margins round the sure joints; the old ones where too few are sure."""
    extent = _extents(poses)
    height = np.maximum(extent[:, 3:] - extent[:, 1:2], 1)
    boxes = extent + margin * height
    usable = np.isfinite(boxes).all(1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return np.asarray(np.where(usable[:, None], boxes, poses.boxes), np.float32)


def _extents(poses: Poses) -> NDArray[np.float64]:
    """(N,4) xyxy of the sure joints; NaN where fewer than three are sure."""
    sure = poses.scores >= _SURE
    low = np.where(sure[..., None], poses.keypoints, np.inf).min(1, initial=np.inf)
    high = np.where(sure[..., None], poses.keypoints, -np.inf).max(1, initial=-np.inf)
    extent = np.concatenate([low, high], 1).astype(np.float64)
    extent[sure.sum(1) < 3] = np.nan
    return extent


def _mean_scores(poses: Poses) -> NDArray[np.float32]:
    return np.asarray(poses.scores.mean(1), np.float32) if len(poses) else np.zeros(0, np.float32)


def _thumbnail(image: Pixels) -> NDArray[np.int16]:
    small = cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.int16)
