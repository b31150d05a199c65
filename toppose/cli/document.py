"""The JSON of `toppose predict`: one person a line, coordinates to 1/100 px, scores to 4 digits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from toppose.images import Pixels
from toppose.poses import Poses
from toppose.skeleton import Skeleton


def photograph(name: str, image: Pixels, poses: Poses) -> str:
    """One photograph as text."""
    height, width = image.shape[:2]
    people = [
        {"box": _round(box, 2), "box_score": _round(box_score, 4), "keypoints": _round(keypoints, 2), "scores": _round(scores, 4)}
        for box, box_score, keypoints, scores in zip(poses.boxes, poses.box_scores, poses.keypoints, poses.scores, strict=True)
    ]
    return json.dumps({"file": name, "width": width, "height": height})[:-1] + f', "people": {_lines(map(json.dumps, people))}}}'


def document(skeleton: Skeleton, photographs: list[str], errors: list[dict[str, str]]) -> str:
    """The whole file."""
    head = {key: value for key, value in Poses.empty(skeleton).to_dict().items() if key != "people"}
    return f'{json.dumps(head)[:-1]},\n"images": {_lines(photographs)},\n"errors": {_lines(map(json.dumps, errors))}}}\n'


def _lines(items: Any) -> str:
    rows = ",\n".join(items)
    return f"[\n{rows}\n]" if rows else "[]"


def _round(values: Any, digits: int) -> Any:
    return np.round(np.asarray(values, np.float64), digits).tolist()  # float32 would print as 0.30000001192092896
