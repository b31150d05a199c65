"""People who keep their identity from picture to picture. Comes in: the people of one picture and its time; go out: the same with ids."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose.detection.boxes import iou
from toppose.draw import check_number
from toppose.errors import OptionError, PoseError
from toppose.poses import Poses, Single
from toppose.skeleton import Skeleton
from toppose.video.assignment import Index, assign
from toppose.video.similarity import Bool, Float, blend, joint_sigmas, oks_of_pairs

FOREVER = 1e6  # seconds
ROUNDING = 1e-6  # seconds: by so much 0.4 may differ from 0.4
AGAIN = 0.4  # likeness from which an unsure person is one who was there a moment ago: an unsure box is often nobody
DOUBLE = 0.7  # likeness from which two of one picture are the same person
MEMORY = 0.2  # seconds over which a speed is averaged; Kalman filters, of the box or of every joint, lost more people


@dataclass
class _Tracks:
    """T people who are followed, each as last seen. P points: the box's middle, its width and height, the J joints."""

    ids: NDArray[np.int64]  # (T,) -1 until confirmed
    points: Float  # (T,P,2)
    speeds: Float  # (T,2) of the middle, pixels a second
    scores: NDArray[np.float32]  # (T,J)
    box_scores: NDArray[np.float32]  # (T,)
    first: Float  # (T,) seconds
    last: Float  # (T,)

    def __getitem__(self, rows: NDArray[Any]) -> _Tracks:
        return _Tracks(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def __setitem__(self, rows: Index, other: _Tracks) -> None:
        for f in fields(self):
            getattr(self, f.name)[rows] = getattr(other, f.name)

    def __add__(self, other: _Tracks) -> _Tracks:
        return _Tracks(**{f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)})

    def __len__(self) -> int:
        return len(self.ids)

    def moved(self, time: float) -> Float:
        """The points (T,P,2) at `time`, had all kept their speeds. The joints go with the middle and the size stays: a wrist's own speed leads
        it astray within a few pictures."""
        points: Float = self.points.copy()
        points[:, [0, *range(2, points.shape[1])]] += (self.speeds * (time - self.last)[:, None])[:, None]
        return points


def check_call(poses: Any, time: Any, before: float | None, skeleton: Skeleton | None, reset: str) -> float:
    """The time as a float: finite and later than `before`, of people with the `skeleton` that came before."""
    if not isinstance(poses, Poses):
        raise PoseError(f"poses: expected a Poses, got {type(poses).__name__}")
    if skeleton is not None and poses.skeleton != skeleton:
        got = f"{poses.skeleton.name!r} ({len(poses.skeleton)} joints)"
        raise PoseError(f"poses: expected the skeleton {skeleton.name!r} ({len(skeleton)} joints) of the calls before, got {got}; {reset}")
    now = check_number("time", time, -FOREVER * FOREVER, FOREVER * FOREVER)
    if before is not None and now <= before:
        raise OptionError(f"time: expected seconds later than {before:.10g}, the call before, got {now:.10g}; {reset}")
    return now


def _born(poses: Poses, time: float) -> _Tracks:
    N = len(poses)
    points, times = _points(poses), np.full(N, time)
    return _Tracks(np.full(N, -1), points, np.zeros((N, 2)), poses.scores.copy(), poses.box_scores.copy(), times, times.copy())


def _points(poses: Poses) -> Float:
    """(N,P,2)"""
    corners = poses.boxes.astype(np.float64).reshape(-1, 2, 2)
    return np.concatenate([corners.mean(1, keepdims=True), np.diff(corners, axis=1), poses.keypoints], 1)


def _boxes(points: Float) -> Float:
    """(T,P,2) -> (T,4) xyxy."""
    half = np.maximum(points[:, 1], 1e-3) / 2
    return np.concatenate([points[:, 0] - half, points[:, 0] + half], 1)


def _update(tracks: _Tracks, poses: Poses, time: float) -> _Tracks:
    """Tracks and whom they were found to be, row by row. Speeds are low-passed over MEMORY seconds, whatever the step of time; the first counts
    in full."""
    points, dt = _points(poses), time - tracks.last
    weight = np.where(tracks.first == tracks.last, 1, 1 - np.exp(-dt / MEMORY))
    surprise = points[:, 0] - tracks.moved(time)[:, 0]  # (T, 2)
    speeds = tracks.speeds + (weight / dt)[:, None] * surprise
    times = np.full(len(tracks), time)
    return _Tracks(tracks.ids, points, speeds, poses.scores.copy(), poses.box_scores.copy(), tracks.first, times)


class Tracker:
    """Gives people ids that stay with them: call it with the `Poses` of one picture after another and their times in seconds.

    The people that come back are those of the call, in their order, whose identity is sure; the others are left out: a new person until seen
    for `confirm` seconds (those of the first call are at home at once; with 0 everybody is), unsure people who are nobody known, doubles. Ids
    count from 0 and are never used twice, after `reset` neither.

    Likeness is `weight`·OKS + (1 - `weight`)·IoU with where people should be by now, OKS over joints that both see (scores from
    `joint_threshold`) with the skeleton's sigmas (where it has none, COCO's by name and 0.067 for other joints); IoU alone where they share no joint.
    People go together as makes the total likeness greatest, from `similarity` on; first those whose box scores reach `sure`, then, with people
    who were there in the call before, those who reach `unsure` (Zhang et al. 2022, ByteTrack). Everybody moves on at their own speed. Who is
    not found is lost, and comes back as the same person within `keep` seconds, else is gone: `keep` must be longer than the step between
    calls, and twice as long for people to survive being missed once. A time that stands still or goes back is an OptionError, another
    skeleton a PoseError. For one thread at a time; may be pickled.

    >>> tracker = Tracker()
    >>> tracker(Poses.empty(), time=0.04).ids
    array([], dtype=int64)
    """

    def __init__(
        self,
        weight: float = 0.5,
        sure: float = 0.5,
        unsure: float = 0.1,
        similarity: float = 0.2,
        confirm: float = 0.03,
        keep: float = 1.0,
        joint_threshold: float = 0.3,
    ) -> None:
        self.weight = check_number("weight", weight, 0, 1)
        self.sure = check_number("sure", sure, 0, 1)
        self.unsure = check_number("unsure", unsure, 0, self.sure)
        self.similarity = check_number("similarity", similarity, 0, 1)
        self.confirm = check_number("confirm", confirm, 0, FOREVER)
        self.keep = check_number("keep", keep, 0, FOREVER)
        self.joint_threshold = check_number("joint_threshold", joint_threshold, 0, 1)
        self._next = 0
        self.reset()

    def __repr__(self) -> str:
        options = ("weight", "sure", "unsure", "similarity", "confirm", "keep", "joint_threshold")
        return f"Tracker({', '.join(f'{name}={getattr(self, name):g}' for name in options)})"

    def reset(self) -> None:
        """Forgets everybody, the time and the skeleton, for another recording. Ids go on."""
        self._tracks: _Tracks | None = None
        self._skeleton: Skeleton | None = None
        self._time: float | None = None

    def __call__(self, poses: Poses, time: float) -> Poses:
        """The people of `poses` whose identity is sure, with `ids`. time: seconds, later than in the call before."""
        now = check_call(poses, time, self._time, self._skeleton, "for another recording call reset() first")
        first = self._tracks is None
        known = _born(Poses.empty(poses.skeleton), now) if self._tracks is None else self._tracks
        if first:
            self._sigmas = joint_sigmas(poses.skeleton)
        known = known[now - known.last <= self.keep + ROUNDING]
        sure = poses.box_scores >= self.sure
        track_of = self._match(known, poses, sure, now)
        found = np.flatnonzero(track_of >= 0)
        if len(found):
            rows = track_of[found]
            known[rows] = _update(known[rows], poses[found], now)
        new = self._new(poses, sure, track_of)
        track_of[new] = len(known) + np.arange(len(new))
        known = known + _born(poses[new], now)
        self._confirm(known, track_of, now, first)
        self._tracks = known[(known.ids >= 0) | (known.last == now) | (now - known.last <= self.confirm + ROUNDING)]
        self._skeleton, self._time = poses.skeleton, now
        ids = np.append(known.ids, -1)[track_of]  # of nobody, -1
        shown = ids >= 0
        return poses[shown].replace(ids=ids[shown])

    def predict(self, time: float) -> Poses:
        """Where those who were there in the last call should be at `time`, that call's or a later one: boxes, joints, ids; scores as last seen.
        Changes nothing."""
        if self._tracks is None or self._time is None or self._skeleton is None:
            return Poses.empty().replace(ids=np.zeros(0, np.int64))
        now = check_number("time", time, self._time, FOREVER * FOREVER)
        there = self._tracks[(self._tracks.ids >= 0) & (self._tracks.last == self._time)]
        points = there.moved(now)
        return Poses(points[:, 2:], there.scores, _boxes(points), there.box_scores, self._skeleton, there.ids)  # type: ignore[arg-type]  # made float32

    def _match(self, known: _Tracks, poses: Poses, sure: Bool, now: float) -> Index:
        """(N,) the row of `known` that each person is, -1 for who is none of them."""
        alike = self._likeness(known.moved(now), known.scores, _points(poses), poses.scores)  # (T, N)
        track_of, free = np.full(len(poses), -1), np.ones(len(known), bool)
        confirmed, unsure = known.ids >= 0, ~sure & (poses.box_scores >= self.unsure)
        for whom, people, least in (
            (confirmed, sure, self.similarity),
            (confirmed & (known.last == self._time), unsure, max(self.similarity, AGAIN)),
            (~confirmed, sure, self.similarity),
        ):
            rows, columns = np.flatnonzero(whom & free), np.flatnonzero(people & (track_of < 0))
            i, j = assign(1 - alike[np.ix_(rows, columns)], 1 - least)
            track_of[columns[j]], free[rows[i]] = rows[i], False
        return self._apart_from_doubles(alike, track_of, poses)

    def _apart_from_doubles(self, alike: Float, track_of: Index, poses: Poses) -> Index:
        """Of two that are the same person, the one that is more like the other's track than like its own has none: else a double would
        stand in for whoever is hidden behind."""
        found = np.flatnonzero(track_of >= 0)
        if len(found) < 2:
            return track_of
        rows = track_of[found]
        to_tracks = alike[np.ix_(rows, found)].T  # (found, their tracks)
        astray = to_tracks > np.diag(to_tracks)[:, None]
        if astray.any():
            points, scores = _points(poses)[found], poses.scores[found]
            astray &= self._likeness(points, scores, points, scores) >= DOUBLE
            track_of[found[astray.any(1)]] = -1
        return track_of

    def _new(self, poses: Poses, sure: Bool, track_of: Index) -> Index:
        """Who of the `sure` (N,) people has no track and is not another one's double, in their order."""
        candidates = np.flatnonzero(sure & (track_of < 0))
        if not len(candidates):
            return candidates
        points = _points(poses)
        alike = self._likeness(points[candidates], poses.scores[candidates], points, poses.scores)  # (candidates, N)
        there = track_of >= 0
        for k in np.argsort(-poses.box_scores[candidates], kind="stable"):
            there[candidates[k]] = not (alike[k, there] >= DOUBLE).any()
        return candidates[there[candidates]]

    def _confirm(self, known: _Tracks, track_of: Index, now: float, first: bool) -> None:
        """Gives the next ids to those who are there for long enough, in the order of the people."""
        long_enough = (now - known.first >= self.confirm - ROUNDING) & ((known.first < now) | (self.confirm == 0))
        due = (known.ids < 0) & (long_enough | first)
        rows = track_of[track_of >= 0]
        rows = rows[due[rows]]
        known.ids[rows] = self._next + np.arange(len(rows))
        self._next += len(rows)

    def _likeness(self, points: Float, scores: Single, others: Float, other_scores: Single) -> Float:
        """Of every pair, by points (T,P,2), (N,P,2) and joint scores (T,J), (N,J): (T,N)."""
        boxes, other_boxes = _boxes(points), _boxes(others)
        by_boxes = iou(boxes, other_boxes)
        if self.weight == 0:
            return by_boxes
        seen, other_seen = scores >= self.joint_threshold, other_scores >= self.joint_threshold
        by_joints = oks_of_pairs(points[:, 2:], seen, boxes, others[:, 2:], other_seen, other_boxes, self._sigmas)
        return blend(by_joints, by_boxes, self.weight)
