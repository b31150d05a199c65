"""Draws where a pose network fails: photographs of one person, made hard on purpose, the person's box given.

python models/recipes/failures.py person.jpg other.png --out failures.jpg
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import augment
import cv2
import numpy as np

from toppose import Estimator, TopposeError
from toppose.images import read_image

PANEL = (192, 256)  # w, h
KINDS = ("as it is", "lying", "upside down", "20 px high", "blurred", "half hidden", "head cut off", "one in front")


def hard(photo: np.ndarray, box: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The photograph (H,W,3) made hard, and the person's box (4,) xyxy on it."""
    h, w = photo.shape[:2]
    x1, y1, x2, y2 = box
    left, top, right, bottom = np.clip(np.rint(box), 0, [w, h, w, h]).astype(int)
    photo = photo.copy()
    if kind == "lying":
        return cv2.rotate(photo, cv2.ROTATE_90_CLOCKWISE), np.array([h - y2, x1, h - y1, x2])
    if kind == "upside down":
        return cv2.rotate(photo, cv2.ROTATE_180), np.array([w - x2, h - y2, w - x1, h - y1])
    if kind == "20 px high":
        scale = 20 / (y2 - y1)
        return cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), box * scale
    if kind == "blurred":
        return augment.motion_blur(photo, int((y2 - y1) / 10), 0.5), box
    if kind == "half hidden":
        photo[top:bottom, left : (left + right) // 2] = 128
    if kind == "head cut off":
        cut = int(y1 + 0.3 * (y2 - y1))
        return photo[cut:], np.array([x1, 0, x2, y2 - cut])
    if kind == "one in front":
        start = left + (right - left) * 45 // 100
        front = photo[top:bottom, left:right][:, ::-1].copy()
        seen = min(right - left, w - start)
        photo[top:bottom, start : start + seen] = front[:, :seen]
    return photo, box


def panel(estimator: Estimator, photo: np.ndarray, box: np.ndarray, title: str) -> np.ndarray:
    """The person with a skeleton, filling a panel."""
    matrix = augment.crop_matrix(*augment.crop_region(box, PANEL[0] / PANEL[1], 1.25), 0.0, PANEL, False)
    poses = estimator.predict(photo, boxes=box[None])
    corners = box.reshape(2, 2) @ matrix[:, :2].T + matrix[:, 2]
    moved = replace(poses, keypoints=poses.keypoints @ matrix[:, :2].T + matrix[:, 2], boxes=corners.reshape(1, 4))
    shown = moved.draw(cv2.warpAffine(photo, matrix, PANEL, flags=cv2.INTER_LINEAR))
    shown[:20] = 0
    cv2.putText(shown, title, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return shown


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("photos", type=Path, nargs="+", help="of one person each, which person-n finds")
    p.add_argument("--pose", default="pose-n", help="shipped name, or .onnx with its card beside it")
    p.add_argument("--out", type=Path, required=True, help="the picture")
    a = p.parse_args()
    try:
        estimator = Estimator(pose=a.pose)
        photos = [read_image(path) for path in a.photos]
    except TopposeError as e:
        p.error(str(e))
    rows = []
    for path, photo in zip(a.photos, photos, strict=True):
        found = estimator.predict(photo)
        if not len(found):
            p.error(f"{path}: nobody found")
        panels = [panel(estimator, *hard(photo, found.boxes[0].astype(float), kind), kind) for kind in KINDS]
        rows.append(np.hstack(panels))
    a.out.write_bytes(cv2.imencode(".jpg", np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())


if __name__ == "__main__":
    main()
