"""How well people keep their ids: HOTA, MOTA and IDF1 of tracks on truth in MOTChallenge's format.

The figures are TrackEval's own (extra `tracking`): HOTA (Luiten et al. 2021), CLEAR MOT (Bernardin and Stiefelhagen 2008), IDF1 (Ristani et al.
2016); a box is found where it overlaps by an IoU of 0.5."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose.detection.boxes import iou
from toppose.errors import EvaluationError, MissingDependency
from toppose.poses import Poses
from toppose.video.assignment import assign

Float = NDArray[np.float64]
Int = NDArray[np.int64]
PERSON = 1
DISTRACTORS = (2, 7, 8, 12)  # of MOT16 to MOT20: on a vehicle, a static person, a distractor, a reflection
_COLUMNS = "frame, id, x, y, w, h and then conf, class, visibility or conf, world x, y, z"


@dataclass(frozen=True, eq=False)
class Tracks:
    """K boxes with ids: frames (K,) from 1, ids (K,), boxes (K,4) xyxy, confidences (K,), classes (K,), -1 where the file has none."""

    frames: Int
    ids: Int
    boxes: Float
    confidences: Float
    classes: Int

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, rows: NDArray[Any]) -> Tracks:
        return Tracks(self.frames[rows], self.ids[rows], self.boxes[rows], self.confidences[rows], self.classes[rows])

    @classmethod
    def from_poses(cls, poses: Iterable[Poses]) -> Tracks:
        """The boxes of people with ids, one `Poses` a frame."""
        given = list(poses)
        for i, p in enumerate(given):
            if len(p) and p.ids is None:
                raise EvaluationError(f"poses[{i}]: expected people with ids, as a tracker gives them; got {len(p)} without")
        frames = np.repeat(np.arange(1, len(given) + 1), [len(p) for p in given])
        ids = np.concatenate([np.zeros(0, np.int64), *(p.ids for p in given if p.ids is not None)])
        boxes = np.concatenate([np.zeros((0, 4)), *(p.boxes for p in given)])
        scores = np.concatenate([np.zeros(0), *(p.box_scores for p in given)])
        return cls(frames, ids, boxes, scores, np.full(len(frames), -1))


def read_mot(path: str | os.PathLike[str]) -> Tracks:
    """A MOTChallenge file: a line a box, of frame (from 1), id, left, top, width, height and, where there are more, confidence, then class and
    visibility (9 columns) or a place in the world (10 columns). EvaluationError says what is wrong in which line."""
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise EvaluationError(f"tracks: expected a MOT file in {os.fspath(path)!r}: {type(e).__name__} {e}") from None
    rows: list[tuple[float, ...]] = []
    first: dict[tuple[float, ...], int] = {}
    for n, line in enumerate(lines, 1):
        if line.strip():
            where = f"tracks: line {n} of {os.fspath(path)!r}"
            row = _read_line(line, where)
            if (before := first.setdefault(row[:2], n)) != n:
                raise EvaluationError(f"{where}: id {row[1]:g} is in frame {row[0]:g} already, in line {before}")
            rows.append(row)
    table = np.array(rows, np.float64).reshape(-1, 8)
    boxes = table[:, 2:6].copy()
    boxes[:, 2:] += boxes[:, :2]
    frames, ids, classes = table[:, [0, 1, 7]].T.astype(np.int64)
    return Tracks(frames, ids, boxes, table[:, 6], classes)


def _read_line(line: str, where: str) -> tuple[float, ...]:
    """frame, id, x, y, w, h, conf, class."""
    fields = [field.strip() for field in line.rstrip().rstrip(",").split(",")]
    if not 6 <= len(fields) <= 10:
        raise EvaluationError(f"{where}: expected 6 to 10 numbers ({_COLUMNS}), got {len(fields)}: {line.strip()[:80]!r}")
    try:
        numbers = [float(field) for field in fields]
    except ValueError as e:
        raise EvaluationError(f"{where}: expected numbers between commas, {e}") from None
    frame, person, *box = numbers[:6]
    kind = numbers[7] if len(numbers) in (8, 9) else -1.0
    for right, what in (
        (all(map(math.isfinite, numbers)), "finite numbers"),
        (frame >= 1 and frame % 1 == 0, "a whole frame number from 1 first"),
        (person >= 0 and person % 1 == 0, "a whole id from 0 second (-1 is a detection, which no tracker has seen)"),
        (box[2] > 0 and box[3] > 0, "width and height above 0"),
        (kind % 1 == 0, "a whole class eighth"),
    ):
        if not right:
            raise EvaluationError(f"{where}: expected {what}, got {line.strip()[:80]!r}")
    return frame, person, *box, numbers[6] if len(numbers) > 6 else 1.0, kind


def evaluate_tracking(truth: Tracks | str | os.PathLike[str], found: Tracks | str | os.PathLike[str]) -> dict[str, float]:
    """HOTA, DetA, AssA, MOTA, MOTP, IDF1, IDP, IDR from 0 to 1 (MOTA also below), and the counts IDSW, Frag, FP, FN, people, frames.

    truth and found are MOT files, or `Tracks`. Of the truth, rows of confidence 0 and of other classes than the person count neither way, nor
    does what is found where there are distractors, as in MOTChallenge."""
    true, mine = (t if isinstance(t, Tracks) else read_mot(t) for t in (truth, found))
    if not _counting(true).any():
        raise EvaluationError(f"truth: expected people to be found, got none that count among {len(true)} rows")
    try:
        from trackeval.metrics import CLEAR, HOTA, Identity
    except ImportError as e:
        raise MissingDependency(f"evaluate_tracking needs the trackeval package ({e}). Cure: pip install 'toppose[tracking]'") from None
    data = _sequence(true, mine)
    quiet = {"PRINT_CONFIG": False}
    results: dict[str, Any] = {}
    for metric in (HOTA(), CLEAR(quiet), Identity(quiet)):
        results |= metric.eval_sequence(data)
    names = {"HOTA": "HOTA", "DetA": "DetA", "AssA": "AssA", "MOTA": "MOTA", "MOTP": "MOTP", "IDF1": "IDF1", "IDP": "IDP", "IDR": "IDR"}
    counts = {"IDSW": "IDSW", "Frag": "Frag", "FP": "CLR_FP", "FN": "CLR_FN"}
    figures = {name: float(np.mean(results.get(key, 0.0))) for name, key in (names | counts).items()}  # HOTA's are means over its thresholds
    return figures | {"people": float(data["num_gt_ids"]), "frames": float(data["num_timesteps"])}


def _counting(truth: Tracks) -> NDArray[np.bool_]:
    counting: NDArray[np.bool_] = (truth.confidences != 0) & np.isin(truth.classes, (PERSON, -1))
    return counting


def _sequence(truth: Tracks, found: Tracks) -> dict[str, Any]:
    """What TrackEval's metrics take: a list entry a frame, ids counted from 0 without holes."""
    found = found[_apart_from_distractors(truth, found)]
    truth = truth[_counting(truth)]
    (true_ids, true_numbers), (ids, numbers) = (np.unique(t.ids, return_inverse=True) for t in (truth, found))
    frames = int(max(truth.frames.max(initial=0), found.frames.max(initial=0)))
    there, here = (_by_frame(t, frames) for t in (truth, found))
    return {
        "gt_ids": [true_numbers[rows] for rows in there],
        "tracker_ids": [numbers[rows] for rows in here],
        "similarity_scores": [iou(truth.boxes[i], found.boxes[j]) for i, j in zip(there, here, strict=True)],
        "num_gt_dets": len(truth),
        "num_tracker_dets": len(found),
        "num_gt_ids": len(true_ids),
        "num_tracker_ids": len(ids),
        "num_timesteps": frames,
    }


def _by_frame(tracks: Tracks, frames: int) -> list[NDArray[np.intp]]:
    """The rows of each frame from 1 to `frames`."""
    order = np.argsort(tracks.frames, kind="stable")
    return np.split(order, np.searchsorted(tracks.frames[order], np.arange(2, frames + 1)))


def _apart_from_distractors(truth: Tracks, found: Tracks) -> NDArray[np.bool_]:
    """False for what is found where the truth has a distractor rather than anybody else."""
    keep = np.ones(len(found), bool)
    for frame in np.unique(truth.frames[np.isin(truth.classes, DISTRACTORS)]):
        there, here = np.flatnonzero(truth.frames == frame), np.flatnonzero(found.frames == frame)
        i, j = assign(1 - iou(truth.boxes[there], found.boxes[here]), 0.5 + 1e-9)
        keep[here[j]] &= ~np.isin(truth.classes[there[i]], DISTRACTORS)
    return keep
