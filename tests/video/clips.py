"""Made-up clips of people whose ids and joints are known: walking stick figures as a network would see them, and pictures of a moving photograph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from toppose import COCO17, Poses

FPS = 25.0
# x and y of COCO's 17 joints, in heights, from the ground between the feet, of a person who stands and faces the camera
STANDING = np.array([
    [0, -0.93], [0.015, -0.945], [-0.015, -0.945], [0.035, -0.935], [-0.035, -0.935], [0.11, -0.82], [-0.11, -0.82], [0.14, -0.65], [-0.14, -0.65],
    [0.15, -0.49], [-0.15, -0.49], [0.07, -0.52], [-0.07, -0.52], [0.07, -0.28], [-0.07, -0.28], [0.07, -0.04], [-0.07, -0.04],
])  # fmt: skip
SWING = np.zeros(17)  # how far each joint swings to and fro along the walk, in heights; left and right in turn
SWING[[7, 8, 9, 10, 13, 14, 15, 16]] = [-0.04, 0.04, -0.12, 0.12, 0.06, -0.06, 0.16, -0.16]


@dataclass(frozen=True)
class Walker:
    """Who is at `x` at second 0 and walks at `speed` pixels a second (0: stands still); seen from `enters` to `leaves`, but for `hidden`."""

    x: float
    ground: float
    height: float
    speed: float = 0.0
    enters: float = 0.0
    leaves: float = 1e9
    hidden: tuple[float, float] = (1e9, 1e9)
    steps: float = 1.0  # double steps a second

    def joints(self, time: float) -> np.ndarray:
        """(17,2) pixels."""
        swing = SWING * np.sin(2 * np.pi * self.steps * time + self.x) * (self.speed != 0)
        return np.array([self.x + self.speed * time, self.ground]) + self.height * (STANDING + np.stack([swing, 0 * swing], 1))

    def seen(self, time: float) -> bool:
        return self.enters <= time < self.leaves and not self.hidden[0] <= time < self.hidden[1]


CROSSING = (
    Walker(100, 400, 260, 110),  # crosses the next one at second 2.27
    Walker(600, 410, 270, -110),
    Walker(450, 330, 160),  # stands still behind them
    Walker(60, 250, 140, 70, hidden=(3.0, 3.4)),  # behind a pillar for ten pictures
    Walker(700, 240, 130, -60, enters=1.5, leaves=5.0),
)


def box_of(joints: np.ndarray) -> np.ndarray:
    """(4,) with the margin that a detector's boxes have round the joints."""
    low, high = joints.min(0), joints.max(0)
    margin = 0.06 * (high[1] - low[1])
    return np.concatenate([low - margin, high + margin])


@dataclass(frozen=True)
class Clip:
    """times (F,); seen: what a network found, F `Poses`; who: whom each row of them shows; true: the same people without noise, with ids."""

    times: np.ndarray
    seen: list[Poses]
    who: list[np.ndarray]
    true: list[Poses]


def stick_figures(
    people: tuple[Walker, ...] = CROSSING, seconds: float = 6.0, fps: float = FPS, noise: float = 0.008, missed: float = 0.03, doubles: float = 0.05,
    seed: int = 0,
) -> Clip:  # fmt: skip
    """noise: of joints, in heights, of boxes half as much again. missed, doubles: how often a person is not found, or found twice."""
    random = np.random.default_rng(seed)
    times = np.arange(round(seconds * fps)) / fps
    clip = Clip(times, [], [], [])
    for time in times:
        here = [i for i, p in enumerate(people) if p.seen(time)]
        joints = [people[i].joints(time) for i in here]
        boxes = [box_of(j) for j in joints]
        clip.true.append(_poses(joints, boxes, np.ones(len(here))).replace(ids=np.array(here, int)))
        rows = [k for k in range(len(here)) for _ in range((random.random() >= missed) + (random.random() < doubles))]
        rows = [rows[k] for k in random.permutation(len(rows))]
        scores = np.where([k in rows[:n] for n, k in enumerate(rows)], 0.55, random.uniform(0.6, 0.95, len(rows)))  # the second time less sure
        heights = np.array([people[here[k]].height for k in rows])
        shaken = [joints[k] + random.normal(0, noise * h, (17, 2)) for k, h in zip(rows, heights, strict=True)]
        moved = [boxes[k] + random.normal(0, 1.5 * noise * h, 4) for k, h in zip(rows, heights, strict=True)]
        clip.seen.append(_poses(shaken, moved, scores))
        clip.who.append(np.array([here[k] for k in rows], int))
    return clip


def _poses(joints: list[np.ndarray], boxes: list[np.ndarray], scores: np.ndarray) -> Poses:
    N = len(joints)
    return Poses(np.reshape(joints, (N, 17, 2)), np.full((N, 17), 0.9), np.reshape(boxes, (N, 4)), scores[:N], COCO17)


def rows_of(given: Poses, whole: Poses) -> np.ndarray:
    """Which rows of `whole` those of `given` are."""
    return np.array([np.flatnonzero((whole.keypoints == k).all((1, 2)))[0] for k in given.keypoints], int)


def moving_photographs(photo: Path, frames: int = 40, fps: float = FPS) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Time, picture (240,640,3) and true boxes (2,4): two copies of the woman of `photo`, of two sizes, who pass each other; from picture 26 on
    ten pictures lack the second one, who is behind a grey wall then."""
    woman = cv2.imread(str(photo))[0:512, 60:420]
    small, tall = (cv2.resize(woman, (round(h * 360 / 512), h), interpolation=cv2.INTER_AREA) for h in (150, 200))
    for f in range(frames):
        picture = np.full((240, 640, 3), 127, np.uint8)
        places = ((20 + 8 * f, 60, small), (480 - 10 * f, 30, tall))
        boxes = [(x, y, x + p.shape[1], y + p.shape[0]) for x, y, p in places]
        for (x, y, person), shown in zip(places, (True, not 26 <= f < 36), strict=True):
            if shown:
                picture[y : y + person.shape[0], max(x, 0) : x + person.shape[1]] = person[:, max(-x, 0) :][:, : 640 - max(x, 0)]
        yield f / fps, picture, np.array(boxes, float)
