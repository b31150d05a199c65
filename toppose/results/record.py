"""What a file knows of a frame: all but its picture; and as plain Python, the way every text format here has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose.errors import PoseError, ResultError
from toppose.poses import Poses
from toppose.skeleton import SKELETONS, Skeleton
from toppose.video.frame import Frame

PIXELS, SCORES, SECONDS = 2, 4, 6  # digits behind the point that are written


@dataclass(frozen=True)
class Record:
    """A `Frame` without its image: index; time in seconds; path, "" where there is none; size, width and height in pixels, None where the file
    does not say; poses. Two are equal when all of that is."""

    index: int
    time: float
    path: str
    size: tuple[int, int] | None
    poses: Poses

    @classmethod
    def of(cls, frame: Frame | Record) -> Record:
        if isinstance(frame, Record):
            return frame
        height, width = frame.image.shape[:2]
        return cls(int(frame.index), float(frame.time), str(frame.path), (int(width), int(height)), frame.poses)


def layout(skeleton: Skeleton) -> dict[str, Any]:
    """skeleton and joints; of one that does not ship also edges, flip and sigmas."""
    return {key: value for key, value in Poses.empty(skeleton).to_dict().items() if key != "people"}


def named(joints: tuple[str, ...], name: str, edges: tuple[tuple[int, int], ...] = ()) -> Skeleton:
    """The shipped skeleton of these joints, else one of that name."""
    return next((s for s in SKELETONS.values() if s.joints == joints), None) or Skeleton(name, joints, edges)


def digits(values: Any, places: int) -> Any:
    """Lists of rounded numbers; float32 would print as 0.30000001192092896, and nobody wants to read -0.0."""
    return (np.round(np.asarray(values, np.float64), places) + 0.0).tolist()


def to_plain(record: Record) -> dict[str, Any]:
    """index, time, path, width, height, people; each with id (where there are ids), box, box_score, keypoints, scores."""
    width, height = record.size or (None, None)
    head = {"index": record.index, "time": digits(record.time, SECONDS), "path": record.path, "width": width, "height": height}
    return {**head, "people": people(record.poses)}


def people(poses: Poses) -> list[dict[str, Any]]:
    ids: list[dict[str, Any]] = [{}] * len(poses) if poses.ids is None else [{"id": int(i)} for i in poses.ids]
    columns = [digits(poses.boxes, PIXELS), digits(poses.box_scores, SCORES), digits(poses.keypoints, PIXELS), digits(poses.scores, SCORES)]
    rows = zip(ids, *columns, strict=True)
    return [{**i, "box": b, "box_score": s, "keypoints": k, "scores": c} for i, b, s, k, c in rows]


def from_plain(plain: Any, head: Mapping[str, Any], where: str) -> Record:
    """What `to_plain` gave; `head` has the skeleton's layout; `where` is what an error calls the place."""
    try:
        width, height = plain["width"], plain["height"]
        size = None if width is None or height is None else (int(width), int(height))
        poses = Poses.from_dict({**head, "people": plain["people"]})
        return Record(int(plain["index"]), float(plain["time"]), str(plain["path"]), size, poses)
    except (KeyError, TypeError, ValueError) as e:
        reason = str(e) if isinstance(e, PoseError) else f"{type(e).__name__}: {e}"
        raise ResultError(f"{where}: expected a frame with index, time, path, width, height and people ({reason})") from None


def from_joints(keypoints: Any, scores: Any, skeleton: Skeleton, ids: Any, box_scores: Any = None) -> Poses:
    """People of a format that has no boxes: each has the smallest round its joints that score above 0 (round all where none does)."""
    if not len(keypoints):
        return Poses.empty(skeleton)
    points, sure = np.asarray(keypoints, np.float64), np.asarray(scores) > 0
    boxes = np.array([_round(p[s] if s.any() else p) for p, s in zip(points, sure, strict=True)])
    given = np.ones(len(points)) if box_scores is None else box_scores
    return Poses(points, scores, boxes, given, skeleton, ids)  # type: ignore[arg-type]  # made float32 at birth


def _round(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([points.min(0), points.max(0)])


def time_at(index: int, fps: float | None) -> float:
    """Of a format that has no times."""
    return index / fps if fps else 0.0
