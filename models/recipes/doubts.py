"""People whom the labels doubt or miss: the first are believed where their joints are seen, the second looked for closer.

Both are mostly small, hidden or far away: left as they are, the first would not be taught at all and the second as background."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from data import People

from toppose import Estimator, ModelCard
from toppose.boxes import iou

SIZE = 640  # the photographs are smaller, and the detector is trained on them at half of that
LEAST = 0.1  # detector score from where a box is worth a look
JOINT, FEW, BODY = 0.35, 3, 5  # score from where a joint is seen; so many may be a person; so many are one
PART = 0.7  # with more of its area inside another box, a box may be a part of the other
LARGE = 100  # pixels high, of 400: nobody so large is missing in the labels
SURE = 0.45  # box score from where a label is taught without a second opinion


def closer(detector: Path, pose: Path) -> Estimator:
    """The two networks, the detector at twice the size it is trained at."""
    card = ModelCard.load(detector.with_suffix(".json"))
    card = card.model_copy(update={"input": card.input.model_copy(update={"size": (SIZE, SIZE)})})
    return Estimator(card, pose, device="cpu", detection_threshold=LEAST, nms_iou=0.5, threads=1)


def unlabelled(networks: Estimator, photo: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Rows (N, 6) of box, box score and how many joints are seen in it, for boxes that none of `labelled` (M,4) overlaps by half."""
    boxes = networks.detector([photo])[0]
    if len(labelled):
        boxes = boxes[(iou(boxes[:, :4], labelled) < 0.5).all(1)]
    poses = networks.predict(photo, boxes)
    return np.column_stack([poses.boxes, poses.box_scores, (poses.scores >= JOINT).sum(1)])


def with_unlabelled(people: People, detector: Path, pose: Path, cache: Path) -> People:
    """The same people and those whom only the detector finds, as doubtful ones. Found once, kept in `cache`.

    Nothing large, no part of a labelled person and nothing without joints: those are horses, halves and chairs, which stay background."""
    path = cache / f"{detector.stem}-closer.npy"
    if not path.exists():
        networks, found = closer(detector, pose), []
        for image in range(len(people.sizes)):
            rows = unlabelled(networks, people.photo(image), people.boxes[people.image == image])
            found.append(np.column_stack([np.full(len(rows), image), rows]))
        part = path.with_suffix(".part.npy")
        np.save(part, np.concatenate(found))
        os.replace(part, path)
    rows = np.load(path)
    apart = [not (common(r[1:5], people.boxes[people.image == r[0]]) > PART * area(r[1:5])).any() for r in rows]
    rows = rows[(rows[:, 6] >= FEW) & (rows[:, 4] - rows[:, 2] <= LARGE) & np.array(apart)]
    n = len(rows)
    return replace(
        people,
        image=np.concatenate([people.image, rows[:, 0].astype(people.image.dtype)]),
        boxes=np.concatenate([people.boxes, rows[:, 1:5].astype(np.float32)]),
        box_scores=np.concatenate([people.box_scores, np.zeros(n, np.float32)]),
        keypoints=np.concatenate([people.keypoints, np.zeros((n, 17, 2), np.float32)]),
        scores=np.concatenate([people.scores, np.zeros((n, 17), np.float32)]),
    )


def second_opinion(people: People) -> People:
    """Judges doubtful boxes by their joints and neighbours: believed ones get the score SURE, doubles of surer ones go, the rest stays."""
    scores, keep = people.box_scores.copy(), np.ones(len(people.boxes), bool)
    bodies = (people.scores >= JOINT).sum(1) >= BODY
    for p in np.flatnonzero(scores < SURE):
        box = people.boxes[p]
        surer = people.boxes[(people.image == people.image[p]) & (people.box_scores > people.box_scores[p])]
        shared = common(box, surer)
        several = (shared > PART * area(surer)).sum() > 1
        keep[p] = not several and not (iou(box[None], surer) > 0.6).any()
        if bodies[p] and not (shared > PART * area(box)).any():
            scores[p] = SURE
    return replace(people, box_scores=scores).subset(keep)


def common(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Pixels (N,) that a box (4,) shares with each of `boxes` (N,4)."""
    return (np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])).clip(min=0).prod(1)


def area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)
