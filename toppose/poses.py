"""What comes out: the people of one image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose.draw import draw_poses
from toppose.errors import PoseError
from toppose.images import Color, ImageLike, Pixels, read_image
from toppose.skeleton import COCO17, Skeleton

Single = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Poses:
    """N people with J joints each, best box first as the detector gave them. The arrays are read-only.

    keypoints (N,J,2) float32 x, y in image pixels, low-scoring joints included; scores (N,J) float32, the height of the joint's peak,
    usually 0...1; boxes (N,4) float32 x1, y1, x2, y2; box_scores (N,) float32; skeleton names the J joints.

    >>> len(Poses.empty())
    0
    """

    keypoints: Single
    scores: Single
    boxes: Single
    box_scores: Single
    skeleton: Skeleton = COCO17

    def __post_init__(self) -> None:
        if not isinstance(self.skeleton, Skeleton):
            raise PoseError(f"skeleton: expected a Skeleton, got {self.skeleton!r}")
        N, J = len(np.atleast_1d(self.keypoints)), len(self.skeleton)
        for name, shape in (("keypoints", (N, J, 2)), ("scores", (N, J)), ("boxes", (N, 4)), ("box_scores", (N,))):
            try:
                array = np.array(getattr(self, name), np.float32)
            except (TypeError, ValueError) as e:
                raise PoseError(f"{name}: expected numbers of shape {shape}, got {type(getattr(self, name)).__name__} ({e})") from None
            if array.shape != shape:
                raise PoseError(f"{name}: expected shape {shape} for {N} people and {J} joints, got {array.shape}")
            if not np.isfinite(array).all():
                raise PoseError(f"{name}: expected finite numbers, got NaN or infinity")
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def empty(cls, skeleton: Skeleton = COCO17) -> Poses:
        """Nobody."""
        J = len(skeleton)
        return cls(np.zeros((0, J, 2)), np.zeros((0, J)), np.zeros((0, 4)), np.zeros(0), skeleton)  # type: ignore[arg-type]  # made float32 at birth

    def __reduce__(self) -> tuple[Any, ...]:
        return Poses, (self.keypoints, self.scores, self.boxes, self.box_scores, self.skeleton)

    def __len__(self) -> int:
        return len(self.keypoints)

    def __iter__(self) -> Iterator[Poses]:
        """One `Poses` of length 1 a person."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: int | slice | NDArray[Any] | list[int] | list[bool]) -> Poses:
        """People by int (a `Poses` of length 1), slice, index array or mask (N,)."""
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            if not -len(self) <= key < len(self):
                raise IndexError(f"person {key} of {len(self)}")
            key = slice(int(key) % len(self), int(key) % len(self) + 1)
        elif not isinstance(key, slice):
            key = np.asarray(key)
            if key.size == 0 and key.dtype != bool:
                key = key.astype(int)
            if key.ndim != 1 or key.dtype.kind not in "biu":
                raise IndexError(f"expected an int, a slice, a mask or indices of one axis, got {key.dtype} {key.shape}")
        return Poses(self.keypoints[key], self.scores[key], self.boxes[key], self.box_scores[key], self.skeleton)

    def __repr__(self) -> str:
        return f"Poses({len(self)} people, {self.skeleton.name})"

    def pose_scores(self, threshold: float = 0.2) -> Single:
        """(N,) box score times the mean of the joint scores above `threshold`, 0 where there are none: what COCO's AP ranks by."""
        sure = self.scores > threshold
        total = (self.scores * sure).sum(1)
        return np.asarray(self.box_scores * total / np.maximum(sure.sum(1), 1), np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for `json.dumps`."""
        people = [
            {"box": box.tolist(), "box_score": float(box_score), "keypoints": keypoints.tolist(), "scores": scores.tolist()}
            for box, box_score, keypoints, scores in zip(self.boxes, self.box_scores, self.keypoints, self.scores, strict=True)
        ]
        return {"skeleton": self.skeleton.name, "joints": list(self.skeleton.joints), "people": people}

    def to_coco(self, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
        """COCO keypoint results, one a person: `keypoints` as x, y, score for each joint, `score` as `pose_scores`."""
        if not isinstance(image_id, (int, np.integer)):
            raise PoseError(f"image_id: expected an int, got {image_id!r}")
        triples = np.concatenate([self.keypoints, self.scores[..., None]], -1).reshape(len(self), 3 * len(self.skeleton))
        return [
            {"image_id": int(image_id), "category_id": category_id, "keypoints": row.tolist(), "score": float(score)}
            for row, score in zip(triples, self.pose_scores(), strict=True)
        ]

    def draw(self, image: ImageLike, threshold: float = 0.3, boxes: bool = False, color: Color = "bgr") -> Pixels:
        """A copy of the image (whatever `Estimator` takes) with the skeletons on it, (H,W,3) uint8 BGR.

        The person's left is blue, the right red, the middle yellow; joints below `threshold` are left out."""
        return draw_poses(read_image(image, color), self.keypoints, self.scores, self.boxes, self.skeleton, threshold, boxes)
