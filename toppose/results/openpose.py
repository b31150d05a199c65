"""OpenPose's folder: one JSON file a frame, which Pose2Sim and OpenSim take."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose.errors import PoseError, ResultError
from toppose.poses import Poses
from toppose.results.files import make_folder, name_of, sweep, whole
from toppose.results.jsonl import parse
from toppose.results.record import PIXELS, SCORES, Record, digits, from_joints, time_at
from toppose.results.writer import Writer
from toppose.skeleton import COCO17, Skeleton
from toppose.video.frame import Frame

ENDING = "_keypoints.json"
# OpenPose's COCO-18: nose, neck, right and left arm, right and left leg, eyes, ears; the neck is the middle of the shoulders
COCO18 = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_BACK = [COCO18.index(j) for j in range(len(COCO17))]
_OTHERS = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "pose_keypoints_3d", "face_keypoints_3d")
_EMPTY: dict[str, Any] = {key: [] for key in (*_OTHERS, "hand_left_keypoints_3d", "hand_right_keypoints_3d")}


class OpenPose(Writer):
    """NAME_000000000012_keypoints.json: version 1.3 and people with person_id ([-1] without ids) and pose_keypoints_2d (x, y, score). The 17
    joints of COCO become OpenPose's 18 (the neck is the middle of the shoulders, its score the lesser of theirs); those of other skeletons stay as
    they are. A key of our own, `toppose`, has what OpenPose has no place for: index, time, path, width, height, skeleton, joints. Boxes are not kept.

    Each file is written whole or not at all. To go on, the files that are there tell the last frame."""

    def __init__(self, target: str | os.PathLike[str], skeleton: Skeleton = COCO17, *, fps: float | None = None, resume: bool = False) -> None:
        super().__init__(target, skeleton, resume=resume)

    def _place(self) -> None:
        make_folder(self.target)

    def _resume(self) -> int:
        sweep(self.target)
        return max((i for i, _ in _files(self.target)), default=-1)

    def _begin(self, record: Record | None) -> None:
        for _, file in _files(self.target):
            if b'"toppose": {' in file.read_bytes():  # an earlier run's, which would be taken for frames of this one
                file.unlink()

    def _put(self, record: Record, frame: Frame | Record) -> None:
        with whole(self.target / f"{name_of(record.path, record.index, numbered=True)}{ENDING}") as part:
            part.write_text(json.dumps(_document(record, self._layout)) + "\n", encoding="ascii")

    def _finish(self) -> None:
        pass  # every file is whole


def read_openpose(path: Path, fps: float | None = None, skeleton: Skeleton | None = None) -> Iterator[Record]:
    """The files of a folder in the order of the numbers in their names, of OpenPose itself too: 18 joints become COCO's 17; for others give
    `skeleton`. Boxes are the smallest round the joints, their score 1."""
    if not (files := sorted(_files(path))):
        raise ResultError(f"{path}: expected files like NAME_000000000000{ENDING}, found none")
    for index, file in files:
        document = parse(file.read_bytes(), str(file))
        ours = document.get("toppose", {}) if isinstance(document, dict) else {}
        found = document.get("people") if isinstance(document, dict) else None
        if not isinstance(found, list) or not isinstance(ours, dict):
            raise ResultError(f"{file}: expected a JSON object with a list of people")
        try:
            layout_ = skeleton or (Poses.empty() if "joints" not in ours else Poses.from_dict({**ours, "people": []})).skeleton
            size = (int(ours["width"]), int(ours["height"])) if ours.get("width") else None
            yield Record(index, float(ours.get("time", time_at(index, fps))), str(ours.get("path", "")), size, _people(found, layout_))
        except (KeyError, TypeError, ValueError) as e:
            raise ResultError(f"{file}: expected people with pose_keypoints_2d of one skeleton ({e})") from None


def _document(record: Record, plain_layout: dict[str, Any]) -> dict[str, Any]:
    poses = record.poses
    width, height = record.size or (None, None)
    triples = np.concatenate([_rounded(poses.keypoints, PIXELS), _rounded(poses.scores, SCORES)[..., None]], -1)
    if poses.skeleton == COCO17:
        triples = _to_coco18(triples)
    ids = [-1] * len(poses) if poses.ids is None else poses.ids.tolist()
    people = [{"person_id": [i], "pose_keypoints_2d": row.ravel().tolist(), **_EMPTY} for i, row in zip(ids, triples, strict=True)]
    ours = {"index": record.index, "time": digits(record.time, 6), "path": record.path, "width": width, "height": height, **plain_layout}
    return {"version": 1.3, "people": people, "toppose": ours}


def _rounded(values: Any, places: int) -> NDArray[np.float64]:
    return np.asarray(np.round(np.asarray(values, np.float64), places) + 0.0, np.float64)


def _to_coco18(triples: NDArray[np.float64]) -> NDArray[np.float64]:
    shoulders = triples[:, 5:7]  # (N, 2, 3)
    neck = np.concatenate([_rounded(shoulders[..., :2].mean(1), PIXELS), shoulders[..., 2].min(1)[:, None]], -1)
    return np.stack([neck if j is None else triples[:, j] for j in COCO18], 1)  # (N, 18, 3)


def _people(found: list[Any], skeleton: Skeleton) -> Poses:
    rows = [np.asarray(person["pose_keypoints_2d"], np.float64).reshape(-1, 3) for person in found]
    if skeleton == COCO17:
        rows = [row[_BACK] if len(row) == len(COCO18) else row for row in rows]
    if wrong := next((len(row) for row in rows if len(row) != len(skeleton)), None):
        raise PoseError(f"skeleton: expected {len(skeleton)} joints, as {skeleton.name!r} has, got {wrong}; say which with skeleton=")
    given = [person.get("person_id", [-1]) for person in found]
    ids = [int(i[0]) if isinstance(i, list) and i else -1 for i in given]
    joints = np.array(rows).reshape(-1, len(skeleton), 3)
    return from_joints(joints[..., :2], joints[..., 2], skeleton, ids if ids and min(ids) >= 0 else None)


def _files(folder: Path) -> Iterator[tuple[int, Path]]:
    """Index and path of each frame's file."""
    for path in folder.iterdir():
        if found := re.search(r"(\d+)" + re.escape(ENDING) + "$", path.name):
            yield int(found[1]), path
