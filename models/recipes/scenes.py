"""What the detector is shown: photographs side by side, larger and smaller, before others' backgrounds, with people pasted now and then.

A canvas is made of photographs of one kind, so that what lies between the boxes means the same everywhere on it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import augment
import cv2
import numpy as np
from crowds import Crowds
from data import NETWORKS, NOBODY, PEOPLE, People
from doubts import SURE

UNUSED, TIGHT, LOOSE, DOUBTFUL, CROWD = range(5)  # rows: none; a person, with a box to learn from or not; perhaps a person; many
MOST = 128  # people of one training image
SHARES = {PEOPLE: 0.34, "people and networks": 0.1, NETWORKS: 0.43, NOBODY: 0.13}  # of the canvases, by who labelled the photographs
TILES = {PEOPLE: (0.55, 0.3, 0.1, 0.05), NOBODY: (0.5, 0.4, 0.05, 0.05)}  # chances of 1, 4, 9 or 16 photographs
LARGE = (0.4, 0.3, 0.15, 0.15)  # the same for photographs that show people large
SIZES = {320: 0.2, 352: 0.2, 384: 0.2, 416: 0.2, 448: 0.1, 512: 0.06, 640: 0.04}  # sides of training canvases and how often each


class Photos:
    """Letterboxed or augmented photographs: uint8 RGB (3,S,S), boxes (MOST,4) xyxy, kinds of rows (MOST,), and whether all else is background ().

    For training every `batch` samples share a size; from sample `settle` on few people are pasted: at the end it learns what photographs are
    like, as without mosaics in YOLOX (Ge et al. 2021)."""

    def __init__(
        self, people: People, images: np.ndarray, size: int, train: bool, first: int = 0, count: int | None = None, settle: float = np.inf,
        batch: int = 1, shares: dict[str, float] | None = None,
    ) -> None:  # fmt: skip
        self.people, self.images, self.size, self.train, self.first, self.settle = people, images, size, train, first, settle
        self.batch, self.count = batch, len(images) if count is None else count
        self.crowds = Crowds(people, images) if train else None
        self.labels, self.shares, self.groups = grouped(people.photos.labels, images, {**SHARES, **(shares or {})})
        self.clear = images[people.photos.complete[images]]
        order = np.argsort(people.image, kind="stable")
        bounds = np.searchsorted(people.image[order], np.arange(len(people.sizes) + 1))
        self.rows = [order[a:b] for a, b in itertools.pairwise(bounds)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        cv2.setNumThreads(0)
        made = self.canvas(self.first + index) if self.train else self.letterboxed(int(self.images[index]))
        canvas, boxes, kinds, complete = made
        rows, filled = np.zeros((MOST, 4), np.float32), np.zeros(MOST, np.int64)
        rows[: len(boxes)], filled[: len(boxes)] = boxes[:MOST], kinds[:MOST]
        pixels = np.ascontiguousarray(canvas[:, :, ::-1].transpose(2, 0, 1))
        return pixels, rows, filled, complete

    def letterboxed(self, image: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        canvas = np.full((self.size, self.size, 3), 114, np.uint8)
        boxes, kinds = self.place(canvas, image, (0, 0, self.size, self.size), None)
        return canvas, boxes, kinds, bool(self.people.photos.complete[image])

    def canvas(self, sample: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        """Sample number `sample` of a training: pixels (S,S,3), boxes (K,4), kinds (K,), and whether all else is background."""
        size = int(np.random.default_rng((sample // self.batch, 1)).choice(list(SIZES), p=list(SIZES.values())))
        rng = np.random.default_rng(sample)
        group = int(rng.choice(len(self.groups), p=self.shares))
        images, label = self.groups[group], self.labels[group]
        canvas = np.full((size, size, 3), 114, np.uint8)
        nobody = self.empty_part(rng) if rng.random() < 0.4 else None
        if nobody is not None:  # a place to stand in instead of grey
            canvas = cv2.resize(nobody, (size, size), interpolation=cv2.INTER_LINEAR)
        tiles = tiled(size, TILES.get(label, LARGE), rng)
        if rng.random() < 0.04:
            canvas, tiles = augment.scribble(size, rng), []
        chosen = [int(rng.choice(images)) for _ in tiles]
        found = [self.place(canvas, image, where, rng) for image, where in zip(chosen, tiles, strict=True)]
        boxes = np.concatenate([np.zeros((0, 4)), *(b for b, _ in found)])
        kinds = np.concatenate([np.zeros(0, np.int64), *(k for _, k in found)])
        if rng.random() < (0.2 if sample < self.settle else 0.05):
            boxes, sure = self.crowds.add(canvas, boxes, kinds <= LOOSE, rng)
            pasted = np.full(len(boxes) - len(kinds), TIGHT)
            kinds = np.where(sure, np.concatenate([kinds, pasted]), DOUBTFUL)
        complete = bool(self.people.photos.complete[chosen].all())
        return augment.degrade(augment.recolour(canvas, rng), rng), boxes, kinds, complete

    def empty_part(self, rng: np.random.Generator) -> np.ndarray | None:
        """A square of a photograph that touches nobody's box, not even a doubtful one: what must not be taken for a person."""
        for _ in range(10 if len(self.clear) else 0):
            image = int(rng.choice(self.clear))
            photo, boxes = self.people.photo(image), self.people.boxes[self.rows[image]]
            side = int(rng.uniform(0.25, 0.8) * min(photo.shape[:2]))
            y, x = (int(rng.integers(s - side)) for s in photo.shape[:2])
            apart = (boxes[:, 0] >= x + side) | (boxes[:, 2] <= x) | (boxes[:, 1] >= y + side) | (boxes[:, 3] <= y)
            if apart.all():
                return photo[y : y + side, x : x + side]
        return None

    def place(
        self, canvas: np.ndarray, image: int, where: tuple[int, int, int, int], rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Warps one photograph into a rectangle of the canvas, in place -> boxes (K,4) on the canvas, and their kinds (K,)."""
        people, rows = self.people, self.rows[image]
        photo = people.photo(image)
        (h, w), (x1, y1, x2, y2) = photo.shape[:2], where
        tw, th = x2 - x1, y2 - y1
        matrix = placed((w, h), (tw, th), (tw, th) == canvas.shape[1::-1], rng)
        shrink = 0.5 * (np.abs(matrix[[0, 1], [0, 1]]) - 1)  # pixel centres lie half a pixel behind the edges that boxes name
        pixel = matrix.copy()
        pixel[:, 2] += np.where(matrix[[0, 1], [0, 1]] < 0, -1 - shrink, shrink)
        canvas[y1:y2, x1:x2] = cv2.warpAffine(
            photo, pixel, (tw, th), canvas[y1:y2, x1:x2].copy(), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
        )
        corners = people.boxes[rows].reshape(-1, 2, 2) @ matrix[:, :2].T + matrix[:, 2]
        full = np.concatenate([corners.min(1), corners.max(1)], 1)
        boxes = np.clip(full, 0, [tw, th, tw, th])
        left = (boxes[:, 2:] - boxes[:, :2]).prod(1) / np.maximum((full[:, 2:] - full[:, :2]).prod(1), 1e-6)
        seen, sure = (left > 0.05) & ((boxes[:, 2:] - boxes[:, :2]).min(1) > 2), (left > 0.25) & (people.box_scores[rows] >= SURE)
        if rng is not None:  # too small to be learned from, though not to be measured by
            sure &= boxes[:, 3] - boxes[:, 1] >= 10
        kinds = np.where(people.crowd[rows], CROWD, np.where(sure, np.where(people.tight[rows], TIGHT, LOOSE), DOUBTFUL))
        return (boxes + np.array([x1, y1, x1, y1]))[seen], kinds[seen]


def grouped(labels: np.ndarray, images: np.ndarray, shares: dict[str, float]) -> tuple[list[str], np.ndarray, list[np.ndarray]]:
    """The kinds of labels among `images`, the share of each (sum 1), and its photographs."""
    kinds = sorted(set(labels[images].tolist()))
    share = np.array([shares[kind] for kind in kinds])
    return kinds, share / share.sum(), [images[labels[images] == kind] for kind in kinds]


def tiled(size: int, chances: Sequence[float], rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """The canvas as 1, 4, 9 or 16 rectangles: photographs of actions show people large, and only so do they get small."""
    n = int(rng.choice(4, p=chances)) + 1
    inner = (np.arange(1, n) + rng.uniform(-0.2, 0.2, (2, n - 1))) / n
    x, y = (np.rint(np.concatenate([[0], line, [1]]) * size).astype(int).tolist() for line in inner)
    return [(x[i], y[j], x[i + 1], y[j + 1]) for j in range(n) for i in range(n)]


def placed(photo: tuple[int, int], room: tuple[int, int], alone: bool, rng: np.random.Generator | None) -> np.ndarray:
    """(2, 3): a photograph (w, h) into a rectangle (w, h) of the canvas; as it is without `rng`, else larger or smaller, shifted, mirrored."""
    (w, h), (tw, th) = photo, room
    fit = min(tw / w, th / h)
    if rng is None:
        return np.array([[fit, 0, (tw - w * fit) / 2], [0, fit, (th - h * fit) / 2]])
    fit *= np.exp(rng.uniform(*np.log((0.5, 2.0) if alone else (0.7, 2.0))))
    stretch = np.exp(rng.normal(0, 0.08))
    sx, sy = fit * stretch, fit / stretch
    cx, cy = rng.uniform(0.3, 0.7) * w, rng.uniform(0.3, 0.7) * h
    matrix = np.array([[sx, 0, tw / 2 - sx * cx], [0, sy, th / 2 - sy * cy]])
    if rng.random() < 0.5:
        matrix[0] = -matrix[0]
        matrix[0, 2] += tw
    return matrix
