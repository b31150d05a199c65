"""People whom nobody labelled, as a trained detector sees them when it looks closer: doubtful, so that they are not taught as background."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from boxes import overlap
from data import People

SIZE = 640  # the photographs are smaller, and the detector is trained on them at half of that
SCORES = (0.2, 0.3)  # from where a box is a doubt; what score its label gets


def look_closer(session, photo: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Boxes (N,4) that the detector finds in `photo` and that none of `labelled` (M,4) overlaps by half."""
    scale = SIZE / max(photo.shape[:2])
    canvas = np.full((SIZE, SIZE, 3), 114, np.uint8)
    large = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)[:SIZE, :SIZE]
    canvas[: large.shape[0], : large.shape[1]] = large
    rows = session.run(None, {"images": canvas[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255})[0][0].T
    rows = rows[rows[:, 4] > SCORES[0]]
    corners = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], 1)
    kept = cv2.dnn.NMSBoxes(np.concatenate([corners[:, :2], rows[:, 2:4]], 1).tolist(), rows[:, 4].tolist(), SCORES[0], 0.5)
    boxes = corners[np.array(kept, int)] / scale
    between = overlap(torch.from_numpy(boxes)[:, None], torch.from_numpy(labelled)[None])
    return boxes[(between < 0.5).all(1).numpy()]


def with_doubts(people: People, network: Path, cache: Path) -> People:
    """The same people and, with a low box score and no joints, those whom only the detector `network` finds. Found once, kept in `cache`."""
    path = cache / f"{network.stem}-doubts.npy"
    if not path.exists():
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session, found = onnxruntime.InferenceSession(network, options), []
        for image in range(len(people.sizes)):
            boxes = look_closer(session, people.photo(image), people.boxes[people.image == image])
            found.append(np.column_stack([np.full(len(boxes), image), boxes]))
        part = path.with_suffix(".part.npy")
        np.save(part, np.concatenate(found))
        os.replace(part, path)
    rows = np.load(path)
    n = len(rows)
    return replace(
        people,
        image=np.concatenate([people.image, rows[:, 0].astype(people.image.dtype)]),
        boxes=np.concatenate([people.boxes, rows[:, 1:].astype(np.float32)]),
        box_scores=np.concatenate([people.box_scores, np.full(n, SCORES[1], np.float32)]),
        keypoints=np.concatenate([people.keypoints, np.zeros((n, 17, 2), np.float32)]),
        scores=np.concatenate([people.scores, np.zeros((n, 17), np.float32)]),
    )
