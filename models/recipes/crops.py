"""What the pose network is shown: crops of people, turned, cut off, hidden and degraded, about boxes as the detector draws them."""

from __future__ import annotations

import augment
import cv2
import numpy as np
from crowds import Crowds
from data import FLIP, JOINT, NETWORKS, PEOPLE, People
from teacher import Teacher

SIZE = (192, 256)  # w, h
STRIDE = 4
PADDING = 1.0  # of the box: the card's, and what the crops scatter about
SHARES = {PEOPLE: 0.22, "people and networks": 0.14, NETWORKS: 0.64}  # of the crops, by who labelled the person and the photograph
HUMAN = 2.0  # weight of a joint that people labelled; a network's score and its heatmap together make as much

Sample = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Crops:
    """Crops: uint8 RGB (3,h,w), keypoints (17,2) in crop pixels, their weights (17,), and a teacher's heatmaps uint8 (17,h/4,w/4) or (0,)
    with the weights (17,) of these."""

    def __init__(
        self, people: People, train: bool, first: int = 0, count: int | None = None, teacher: Teacher | None = None,
        shares: dict[str, float] | None = None,
    ) -> None:  # fmt: skip
        self.people, self.train, self.first, self.teacher = people, train, first, teacher
        self.images = np.unique(people.image)
        self.shares, self.crowds = drawn(people, {**SHARES, **(shares or {})}).cumsum(), Crowds(people, self.images)
        self.count = len(people.image) if count is None else count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        cv2.setNumThreads(0)
        rng = np.random.default_rng(self.first + index)
        person = int(np.searchsorted(self.shares, rng.random() * self.shares[-1])) if self.train else index
        crop, keypoints, weights, maps, taught = self.cut(person, rng) if self.train else self.plain(person)
        pixels = np.ascontiguousarray(crop[:, :, ::-1].transpose(2, 0, 1))
        return pixels, keypoints.astype(np.float32), weights.astype(np.float32), maps, taught.astype(np.float32)

    def plain(self, person: int) -> Sample:
        people = self.people
        region = augment.crop_region(people.boxes[person], SIZE[0] / SIZE[1], PADDING)
        matrix = augment.crop_matrix(*region, 0.0, SIZE, False)
        crop = cv2.warpAffine(people.photo(people.image[person]), matrix, SIZE, flags=cv2.INTER_LINEAR)
        keypoints = people.keypoints[person] @ matrix[:, :2].T + matrix[:, 2]
        return crop, keypoints, people.scores[person] > JOINT, np.zeros(0, np.uint8), np.zeros(0)

    def cut(self, person: int, rng: np.random.Generator) -> Sample:
        people = self.people
        keypoints, scores = people.keypoints[person], people.scores[person]
        weights, taught = labelled(scores, bool(people.human[person]))
        photo, box = people.photo(people.image[person]), people.boxes[person]
        edges = np.array([0, 0, photo.shape[1], photo.shape[0]])
        kind = rng.random()
        if kind < 0.15:
            part = augment.half_body(keypoints, scores > JOINT, rng)
            box = box if part is None else part
        elif kind < 0.35:
            edges = augment.frame(box, np.array(photo.shape[:2]), rng)
            box = np.concatenate([np.maximum(box[:2], edges[:2]), np.minimum(box[2:], edges[2:])])
            x, y = keypoints.T
            weights = weights * ((x >= edges[0]) & (x < edges[2]) & (y >= edges[1]) & (y < edges[3]))
        turn = augment.turn(rng)
        centre, size = augment.crop_region(augment.jittered(augment.turned(box, turn), rng), SIZE[0] / SIZE[1], PADDING)
        flip = bool(rng.random() < 0.5)
        matrix = augment.crop_matrix(centre, size, turn, SIZE, flip)
        crop = augment.seen_through(photo, edges, matrix, SIZE)
        keypoints = keypoints @ matrix[:, :2].T + matrix[:, 2]
        seen = (scores > JOINT) & (weights > 0)
        taught = np.where((weights > 0) & ((keypoints >= 0) & (keypoints < SIZE)).all(1), taught, 1)  # the teacher says that it is not there
        if flip:
            keypoints, weights, taught, seen = keypoints[FLIP], weights[FLIP], taught[FLIP], seen[FLIP]
        maps = np.zeros(0, np.uint8)
        if self.teacher:
            cells = (SIZE[0] // STRIDE, SIZE[1] // STRIDE)
            maps = self.teacher.targets(person, people.boxes[person], matrix, FLIP if flip else None, cells, STRIDE)
            maps = augment.blank_outside(maps, edges, matrix, STRIDE)
        for _ in range(rng.integers(1, 3) if rng.random() < 0.35 else 0):
            self.crowds.beside(crop, keypoints, seen, rng)
        crop = augment.recolour(crop, rng)
        for _ in range(rng.integers(3) if rng.random() < 0.5 else 0):
            augment.occlude(crop, people.photo(int(rng.choice(self.images))), rng)
        return augment.degrade(crop, rng), keypoints, weights, maps, taught


def labelled(scores: np.ndarray, human: bool) -> tuple[np.ndarray, np.ndarray]:
    """Joint scores (17,) -> weights (17,) of the labels and of a teacher's maps. Where people labelled a joint, nobody else is asked."""
    weights = np.clip((scores - 0.15) / 0.35, 0, 1)
    by_people = human & np.isin(scores, np.float32([0.8, 1.0]))
    return np.where(by_people, HUMAN, weights), np.where(by_people, 0.0, 1.0)


def drawn(people: People, shares: dict[str, float]) -> np.ndarray:
    """How often each person is drawn (P,), sum 1: each kind of labels its share, and within it the rare more often."""
    kinds = np.where(people.human, people.photos.labels[people.image], NETWORKS)
    share = rarity(people)
    for kind in set(kinds.tolist()):
        share[kinds == kind] *= shares[kind] / share[kinds == kind].sum()
    return share / share.sum()


def rarity(people: People) -> np.ndarray:
    """Photographs of actions show few legs, few backs, and few who lie or bend: how much more often each person (P,) is drawn."""
    seen = people.scores > JOINT
    torso = people.keypoints[:, 11:13].sum(1) - people.keypoints[:, 5:7].sum(1)
    turned = seen[:, [5, 6, 11, 12]].all(1) & (np.abs(np.arctan2(torso[:, 0], torso[:, 1])) >= np.pi / 4)
    back = seen[:, 5:7].all(1) & (seen[:, :5].sum(1) <= 2)
    return 1 + 0.5 * seen[:, 13:15].any(1) + 1.5 * seen[:, 15:].any(1) + 5 * back + 4 * turned
