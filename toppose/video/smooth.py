"""Less jitter: people with ids come in, the same people with steadier joints go out. Live, or better for a whole recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose.draw import check_number
from toppose.errors import OptionError, PoseError
from toppose.poses import Poses, Single
from toppose.skeleton import Skeleton
from toppose.video.frame import Frame
from toppose.video.similarity import Bool, Float, areas
from toppose.video.track import FOREVER, ROUNDING, check_call

FILLED = 0.1  # the box score of a person who is filled in


class OneEuro:
    """Steadies the joints of people with ids, as they come: still joints much, fast ones hardly, so that they do not lag.

    The One-Euro filter (Casiez et al. 2012) for each person and joint: a low-pass whose cut-off is `min_cutoff` + `beta`·speed, in hertz, where
    speed is in person's sizes (the root of the box's area) a second, itself low-passed at `speed_cutoff` hertz. Steps of time are the real
    ones. Joints that score below `joint_threshold` come out as they are and are not fed in; after `gap` seconds unseen a joint starts anew.
    Boxes and scores stay. People without ids are a PoseError, a time that stands still or goes back an OptionError.

    >>> smoother = OneEuro()
    >>> len(smoother(Poses.empty(), time=0.04))
    0
    """

    def __init__(
        self, min_cutoff: float = 1.0, beta: float = 15.0, speed_cutoff: float = 1.0, gap: float = 0.5, joint_threshold: float = 0.3
    ) -> None:
        self.min_cutoff = check_number("min_cutoff", min_cutoff, 1e-6, FOREVER)
        self.beta = check_number("beta", beta, 0, FOREVER)
        self.speed_cutoff = check_number("speed_cutoff", speed_cutoff, 1e-6, FOREVER)
        self.gap = check_number("gap", gap, 0, FOREVER)
        self.joint_threshold = check_number("joint_threshold", joint_threshold, 0, 1)
        self.reset()

    def __repr__(self) -> str:
        options = ("min_cutoff", "beta", "speed_cutoff", "gap", "joint_threshold")
        return f"OneEuro({', '.join(f'{name}={getattr(self, name):g}' for name in options)})"

    def reset(self) -> None:
        """Forgets everybody, the time and the skeleton, for another recording."""
        self._people: dict[int, tuple[Float, Float]] = {}  # (J,6) as given, smoothed, speed, each x and y; (J,) seconds of it
        self._skeleton: Skeleton | None = None
        self._time: float | None = None

    def __call__(self, poses: Poses, time: float) -> Poses:
        """The same people with smoothed `keypoints`. time: seconds, later than in the call before."""
        now = check_call(poses, time, self._time, self._skeleton, "for another recording call reset() first")
        ids = _ids(poses, "poses")
        self._skeleton, self._time = poses.skeleton, now
        N, J = poses.scores.shape
        nobody = np.zeros((J, 6)), np.full(J, -np.inf)
        before = [self._people.get(i, nobody) for i in ids]
        states, times = (np.stack([b[k] for b in before]) if N else np.zeros((0, *nobody[k].shape)) for k in (0, 1))
        sure = poses.scores >= self.joint_threshold
        states = np.where(sure[..., None], self._step(states, now - times, poses), states)
        times = np.where(sure, now, times)
        self._people |= zip(ids, zip(states, times, strict=True), strict=True)
        self._people = {i: p for i, p in self._people.items() if now - p[1].max() <= self.gap + ROUNDING}
        return poses.replace(keypoints=np.where(sure[..., None], states[..., 2:4], poses.keypoints))

    def _step(self, states: Float, dt: Float, poses: Poses) -> Float:
        """States (N,J,6) and what came `dt` (N,J) seconds later -> states then. The speed is that of what was given, not of what came out."""
        given, smooth, speed = np.split(states, 3, -1)  # (N, J, 2) each
        raw = poses.keypoints.astype(np.float64)
        anew = (dt > self.gap + ROUNDING)[..., None]
        dt = np.where(anew, 1.0, dt[..., None])  # (N, J, 1)
        speed = speed + _weight(dt, self.speed_cutoff) * ((raw - given) / dt - speed)
        sizes = np.sqrt(areas(poses.boxes))[:, None, None]
        cutoff = self.min_cutoff + self.beta * np.linalg.norm(speed, axis=-1, keepdims=True) / sizes
        smooth = smooth + _weight(dt, cutoff) * (raw - smooth)
        return np.concatenate([raw, np.where(anew, raw, smooth), np.where(anew, 0, speed)], -1)


def _weight(dt: Float, cutoff: float | Float) -> Float:
    """Of the newest value, in an exponential low-pass of `cutoff` hertz: 1 / (1 + 1 / (2π·cutoff·dt))."""
    weight: Float = 1 / (1 + 1 / (2 * np.pi * cutoff * dt))
    return weight


def _ids(poses: Poses, name: str) -> list[int]:
    """One id a person, none twice."""
    if poses.ids is None:
        if len(poses):
            raise PoseError(f"{name}: expected people with ids, as a Tracker gives them; got {len(poses)} without")
        return []
    ids: list[int] = poses.ids.tolist()
    if len(set(ids)) < len(ids):
        raise PoseError(f"{name}: expected each id once, got {ids}")
    return ids


def smooth_recording(
    recording: Sequence[Poses] | Sequence[Frame],
    times: Sequence[float] | NDArray[np.floating] | None = None,
    window: float = 0.3,
    order: int = 2,
    gap: float = 0.3,
    joint_threshold: float = 0.3,
) -> list[Poses]:
    """The people of a recording with ids, filled in and smoothed with what comes before and after: no lag.

    recording: one `Poses` a picture with its `times` in seconds, or `Frame`s, which have theirs. Where a person or a joint is not seen (scores
    below `joint_threshold`) between two pictures up to `gap` seconds apart, it is filled in along the straight line, and scores as the lower of
    the two; people who are filled in come last, with a box score of 0.1. Then every joint goes to the polynomial of `order` that fits best what is
    seen within `window` / 2 seconds before and after (Savitzky and Golay 1964, on the real times). Unsure joints that are not filled in, boxes
    and box scores of people who were seen stay as they are."""
    poses, seconds = _check(recording, times)
    window, gap = check_number("window", window, 0, FOREVER), check_number("gap", gap, 0, FOREVER)
    least = check_number("joint_threshold", joint_threshold, 0, 1)
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)) or not 0 <= order <= 5:
        raise OptionError(f"order: expected a whole number from 0 to 5, got {order!r}")
    keypoints, scores = [p.keypoints.copy() for p in poses], [p.scores.copy() for p in poses]
    new: list[list[Poses]] = [[] for _ in poses]
    for person, places in sorted(_places(poses).items()):
        track = Poses.concatenate([poses[f][i] for f, i in places])
        frames = np.array([f for f, _ in places])
        whole, there = _filled(track, frames, seconds, gap, least)
        at = seconds[there]
        smooth = _savitzky_golay(whole.keypoints.astype(np.float64), whole.scores >= least, at, window / 2, int(order), gap)
        rows = dict(places)
        for k, f in enumerate(there):
            if f in rows:
                keypoints[f][rows[f]], scores[f][rows[f]] = smooth[k], whole.scores[k]
            else:
                new[f].append(whole[k].replace(keypoints=smooth[k : k + 1], ids=np.array([person])))
    changed = [p.replace(keypoints=k, scores=s) for p, k, s in zip(poses, keypoints, scores, strict=True)]
    return [Poses.concatenate([c, *more]) if len(c) else Poses.concatenate(more or [c]) for c, more in zip(changed, new, strict=True)]


def _check(recording: Any, times: Any) -> tuple[list[Poses], Float]:
    """One `Poses` and one time a picture, the times finite and rising."""
    given = list(recording)
    if given and all(isinstance(f, Frame) for f in given):
        if times is not None:
            raise OptionError("times: expected none beside Frames, which have theirs")
        given, times = [f.poses for f in given], [f.time for f in given]
    if times is None or np.ndim(times) != 1 or len(times) != len(given):
        got = "none" if times is None else f"shape {np.shape(times)}"
        raise OptionError(f"times: expected one a picture, {len(given)}, in seconds, got {got}")
    before, skeleton = None, None
    for f, (poses, time) in enumerate(zip(given, times, strict=True)):
        before = check_call(poses, time, before, skeleton, f"in picture {f}")
        skeleton = poses.skeleton
        _ids(poses, f"recording[{f}]")
    return given, np.asarray(times, np.float64)


def _places(poses: list[Poses]) -> dict[int, list[tuple[int, int]]]:
    """Of every id, the pictures it is in, with its row there."""
    places: dict[int, list[tuple[int, int]]] = {}
    for f, p in enumerate(poses):
        for row, person in enumerate(_ids(p, "poses")):
            places.setdefault(person, []).append((f, row))
    return places


def _filled(track: Poses, frames: NDArray[np.intp], seconds: Float, gap: float, least: float) -> tuple[Poses, NDArray[np.intp]]:
    """One person's poses in `frames` -> the same with short gaps filled, and the frames of these."""
    short = np.diff(seconds[frames]) <= gap + ROUNDING
    there = np.concatenate([np.arange(a, b if close else a + 1) for a, b, close in zip(frames[:-1], frames[1:], short, strict=True)] + [frames[-1:]])
    known = np.searchsorted(frames, there, "right") - 1  # of each frame, the last one before that has the person
    seen = np.isin(there, frames)
    at, was = seconds[there], seconds[frames]
    boxes = np.stack([np.interp(at, was, side) for side in track.boxes.T], 1)
    keypoints, scores = track.keypoints[known].copy(), np.where(seen[:, None], track.scores[known], 0).astype(np.float32)
    for j in range(len(track.skeleton)):
        _fill_joint(keypoints[:, j], scores[:, j], at, was, track.scores[:, j] >= least, track.keypoints[:, j], track.scores[:, j], gap, seen)
    box_scores = np.where(seen, track.box_scores[known], FILLED)
    return Poses(keypoints, scores, boxes, box_scores, track.skeleton), there


def _fill_joint(
    points: Single, scores: Single, at: Float, was: Float, sure: Bool, given: Single, given_scores: Single, gap: float, seen: Bool
) -> None:
    """Writes over `points` (K,2) and `scores` (K,) at seconds `at` (K,) where a joint that was `sure` at some of the seconds `was` (F,) is not."""
    times = was[sure]
    if not len(times):
        return
    after = np.searchsorted(times, at).clip(0, len(times) - 1)
    before = (np.searchsorted(times, at, "right") - 1).clip(0)
    inside = (times[before] < at) & (at < times[after])
    fill = inside & (times[after] - times[before] <= gap + ROUNDING)
    line = np.stack([np.interp(at, times, axis) for axis in given[sure].T], 1)
    points[fill] = line[fill]
    scores[fill] = np.minimum(given_scores[sure][before], given_scores[sure][after])[fill]
    points[~fill & ~seen] = line[~fill & ~seen]  # of somebody filled in, an unsure joint too must be somewhere


def _savitzky_golay(points: Float, sure: Bool, times: Float, reach: float, order: int, gap: float) -> Float:
    """Points (K,J,2) at `times` (K,) -> the same where the best polynomial over the `sure` ones within `reach` seconds has them.

    A window ends where a joint is unsure for more than `gap` seconds. Where it holds no more points than the polynomial has numbers, that one
    would go through the points, which therefore stay."""
    first, last = np.searchsorted(times, times - reach - ROUNDING), np.searchsorted(times, times + reach + ROUNDING)
    offsets = np.arange((last - first).max(initial=0))
    near = first[:, None] + offsets  # (K, W)
    inside = near < last[:, None]
    near = np.minimum(near, len(times) - 1)
    part = np.stack([_parts(times, s, gap) for s in sure.T], 1)  # (K, J)
    weight = (inside[..., None] & sure[near] & (part[near] == part[:, None])).astype(np.float64)  # (K, W, J)
    powers = ((times[near] - times[:, None]) / max(reach, ROUNDING))[..., None] ** np.arange(order + 1)  # (K, W, P)
    fits = sure & (weight.sum(1) > order + 1)  # (K, J)
    moments = np.einsum("kwj,kwp,kwq->kjpq", weight, powers, powers, optimize=True)[fits]
    sums = np.einsum("kwj,kwp,kwjx->kjpx", weight, powers, points[near], optimize=True)[fits]
    smooth: Float = points.copy()
    smooth[fits] = np.linalg.solve(moments, sums)[:, 0]
    return smooth


def _parts(times: Float, sure: Bool, gap: float) -> NDArray[np.intp]:
    """(K,) a number that grows wherever more than `gap` seconds pass from one `sure` time to the next."""
    part = np.zeros(len(times), np.intp)
    part[sure] = np.cumsum(np.diff(times[sure], prepend=times[:1]) > gap + ROUNDING)
    return part
