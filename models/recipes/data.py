"""Photographs and their people, decoded once and kept as one memory map that all worker processes share."""

from __future__ import annotations

import gzip
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

FLIP = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])


@dataclass(frozen=True)
class People:
    """P people on B photographs. Boxes are xyxy pixels; keypoints (P, 17, 2); joint scores (P, 17); box scores (P,)."""

    pixels: np.memmap  # all photographs, one after the other, uint8 BGR
    offsets: np.ndarray  # (B,)
    sizes: np.ndarray  # (B, 2) height, width
    image: np.ndarray  # (P,) which photograph
    boxes: np.ndarray
    box_scores: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray

    def photo(self, index: int) -> np.ndarray:
        height, width = self.sizes[index]
        start = self.offsets[index]
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)

    def subset(self, keep: np.ndarray) -> People:
        """The same photographs with the people of `keep` (mask or indices) alone."""
        rows = {k: getattr(self, k)[keep] for k in ("image", "boxes", "box_scores", "keypoints", "scores")}
        return People(self.pixels, self.offsets, self.sizes, **rows)

    def split(self, every: int = 50) -> tuple[People, People]:
        """People to train on, and those of every 50th photograph to hold out."""
        held = self.image % every == 0
        return self.subset(~held), self.subset(held)


def load_people(archive: Path, cache: Path) -> People:
    """Reads a zip of photographs and COCO annotations. The decoded photographs go to `cache`, once."""
    with zipfile.ZipFile(archive) as files:
        names = {Path(n).name: n for n in files.namelist()}
        index = next(n for n in names.values() if n.endswith((".json", ".json.gz")))
        raw = files.read(index)
        coco = json.loads(gzip.decompress(raw) if index.endswith(".gz") else raw)
        images = coco["images"]
        sizes = np.array([(i["height"], i["width"]) for i in images])
        lengths = sizes.prod(1) * 3
        offsets = np.concatenate([[0], lengths.cumsum()[:-1]])
        path = cache / f"{archive.stem}.u8"
        if not path.exists() or path.stat().st_size != lengths.sum():
            cache.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            with part.open("wb") as out:
                for i in images:
                    encoded = np.frombuffer(files.read(names[i["file_name"]]), np.uint8)
                    photo = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
                    if photo.shape[:2] != (i["height"], i["width"]):
                        raise ValueError(f"{i['file_name']} is {photo.shape[:2]}, annotated {i['height'], i['width']}")
                    out.write(photo.tobytes())
            part.rename(path)
    row = {i["id"]: k for k, i in enumerate(images)}
    people = [a for a in coco["annotations"] if not a.get("iscrowd")]
    joints = np.array([a["keypoints"] for a in people], np.float32).reshape(-1, 17, 3)
    given = np.array([a.get("keypoint_scores", [1.0] * 17) for a in people], np.float32)
    boxes = np.array([a["bbox"] for a in people], np.float32)
    boxes[:, 2:] += boxes[:, :2]
    return People(
        np.memmap(path, np.uint8, "r"),
        offsets,
        sizes,
        np.array([row[a["image_id"]] for a in people]),
        boxes,
        np.array([a.get("score", 1.0) for a in people], np.float32),
        joints[:, :, :2].copy(),
        np.where(joints[:, :, 2] > 0, given, 0) if "keypoint_scores" not in people[0] else given,
    )
