"""What makes pose hard, as conditions on an annotated person, and motion blur."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from toppose.detection.boxes import iou
from toppose.evaluation.coco import Annotation, CocoSet, corners
from toppose.images import Pixels

BLURS = (5, 9, 15)


def motion_blur(image: Pixels, length: int) -> Pixels:
    """The picture as a camera takes it that moves `length` pixels to the right while the shutter is open."""
    return np.asarray(cv2.blur(image, (length, 1)), np.uint8) if length > 1 else image


def hard_cases(data: CocoSet) -> dict[str, Callable[[Annotation], bool]]:
    """What makes pose hard, as conditions on an annotated person."""
    overlaps: dict[int, float] = {}
    for image in data.ids:
        people = data.people(image)
        boxes = corners(people)
        between = iou(boxes, boxes) - np.eye(len(boxes))
        overlaps |= {a["id"]: float(o.max(initial=0)) for a, o in zip(people, between, strict=True)}

    def cut_off(a: Annotation) -> bool:
        x, y, w, h = a["bbox"]
        width, height = data.size(a["image_id"])
        return bool(min(x, y) <= 2 or x + w >= width - 2 or y + h >= height - 2)

    return {
        "hidden joints (a third or more)": lambda a: _hidden(a) >= 1 / 3,
        "crowded (IoU 0.2 or more)": lambda a: overlaps[a["id"]] >= 0.2,
        "small (up to 96 px high)": lambda a: bool(a["bbox"][3] <= 96),
        "cut off by the frame": cut_off,
        "unusual (torso turned by 45 degrees or more)": lambda a: torso_angle(a) >= 45,
    }


def torso_angle(person: Annotation) -> float:
    """Degrees between the line from the hips' middle to the shoulders' middle and upright; 0 where one is not labelled."""
    joints = np.array(person["keypoints"], np.float64).reshape(-1, 3)
    if len(joints) < 13 or (joints[[5, 6, 11, 12], 2] == 0).any():
        return 0.0
    x, y = joints[5:7, :2].mean(0) - joints[11:13, :2].mean(0)
    return float(abs(np.degrees(np.arctan2(x, -y))))


def labelled(person: Annotation) -> int:
    """How many of the joints are labelled."""
    return sum(v > 0 for v in person["keypoints"][2::3])


def _hidden(person: Annotation) -> float:
    hidden: int = sum(v == 1 for v in person["keypoints"][2::3])
    return hidden / max(labelled(person), 1)
