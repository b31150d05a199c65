"""People whom the labels doubt or miss: the first are believed where their joints are seen, the second looked for closer.

Both are mostly small, hidden or far away: left as they are, the first would not be taught at all and the second as background."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from data import JOINT, People

from toppose import Estimator, ModelCard
from toppose.detection.boxes import iou

SIZE = 640  # twice what the detector is trained at
LEAST = 0.1  # detector score from where a box is worth a look
FEW, BODY = 3, 5  # so many joints seen may be a person; so many are one
PART = 0.7  # with more of its area inside another box, a box may be a part of the other
LARGE = 0.25  # of a photograph's longer side: nobody so high is missing in the labels
SURE = 0.45  # box score from where a label is taught without a second opinion
EVERY = 250  # photographs between two savings of a search


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


def search(people: People, detector: Path, pose: Path, cache: Path) -> np.ndarray:
    """Rows (N, 7): photograph and what `unlabelled` says, for all photographs. Done once, kept in `cache`; stopped, it goes on."""
    path = cache / f"{detector.stem}-{people.fingerprint(detector, pose)}.closer.npz"
    state = dict(np.load(path)) if path.exists() else {"done": 0, "rows": np.zeros((0, 7))}
    total = len(people.sizes)
    networks = closer(detector, pose) if state["done"] < total else None
    while networks and state["done"] < total:
        print(f"looking closer: {state['done']} of {total} photographs", flush=True)
        some = range(int(state["done"]), min(int(state["done"]) + EVERY, total))
        found = [unlabelled(networks, people.photo(i), people.boxes[people.image == i]) for i in some]
        new = [np.column_stack([np.full(len(rows), i), rows]) for i, rows in zip(some, found, strict=True)]
        state = {"done": some.stop, "rows": np.concatenate([state["rows"], *new])}
        part = path.with_suffix(".part.npz")
        np.savez(part, **state)
        os.replace(part, path)
    return state["rows"]


def with_unlabelled(people: People, rows: np.ndarray) -> People:
    """The same people and those of `rows` (what `search` found) who may be some, as doubtful ones.

    Nothing large, no part of a labelled person and nothing without joints: those are horses, halves and chairs, which stay background."""
    apart = [not (common(r[1:5], people.boxes[people.image == r[0]]) > PART * area(r[1:5])).any() for r in rows]
    small = rows[:, 4] - rows[:, 2] <= LARGE * people.sizes.max(1)[rows[:, 0].astype(int)]
    rows = rows[(rows[:, 6] >= FEW) & small & np.array(apart, bool)]
    n = len(rows)
    return replace(
        people,
        image=np.concatenate([people.image, rows[:, 0].astype(people.image.dtype)]),
        boxes=np.concatenate([people.boxes, rows[:, 1:5].astype(np.float32)]),
        box_scores=np.concatenate([people.box_scores, np.zeros(n, np.float32)]),
        keypoints=np.concatenate([people.keypoints, np.zeros((n, 17, 2), np.float32)]),
        scores=np.concatenate([people.scores, np.zeros((n, 17), np.float32)]),
        **{k: np.concatenate([getattr(people, k), np.zeros(n, bool)]) for k in ("human", "tight", "crowd")},
    )


def second_opinion(people: People) -> People:
    """Judges doubtful boxes by their joints and neighbours: believed ones get the score SURE, doubles of surer ones go, the rest stays."""
    scores, keep = people.box_scores.copy(), np.ones(len(people.boxes), bool)
    bodies = (people.scores >= JOINT).sum(1) >= BODY
    for p in np.flatnonzero((scores < SURE) & people.tight):  # loose boxes have been judged by who made them
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
