"""Photographs and their people, decoded once and kept as one memory map that all worker processes share."""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

FLIP = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])
JOINT = 0.35  # score from where a labelled joint is seen


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

    def fingerprint(self, *networks: Path) -> str:
        """Names these people and the files of networks that look at them: what one set was told does not fit another."""
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in (self.sizes, self.image, self.boxes)))
        for file in networks:
            digest.update(file.read_bytes())
        return digest.hexdigest()[:12]


def load_people(archive: Path, cache: Path) -> People:
    """Reads a zip of photographs and COCO annotations. The decoded photographs go to `cache`, once.

    ValueError, which names the archive and what it lacks, where it is not such a zip."""
    if not zipfile.is_zipfile(archive):
        raise ValueError(f"{archive}: expected a zip of photographs and a JSON of COCO person annotations")
    with zipfile.ZipFile(archive) as files:
        names = {Path(n).name: n for n in files.namelist()}
        index = next((n for n in names.values() if n.endswith((".json", ".json.gz"))), None)
        if index is None:
            raise ValueError(f"{archive}: no .json or .json.gz with annotations among its {len(names)} files")
        raw = files.read(index)
        coco = json.loads(gzip.decompress(raw) if index.endswith(".gz") else raw)
        images = coco["images"]
        sizes = np.array([(i["height"], i["width"]) for i in images])
        lengths = sizes.prod(1) * 3
        offsets = np.concatenate([[0], lengths.cumsum()[:-1]])
        content = hashlib.sha256(repr(sorted((i.filename, i.CRC) for i in files.infolist())).encode()).hexdigest()[:12]
        path = cache / f"{archive.stem}-{content}.u8"
        if not path.exists() or path.stat().st_size != lengths.sum():
            cache.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            with part.open("wb") as out:
                for i in images:
                    name, annotated = i["file_name"], (i["height"], i["width"])
                    if name not in names:
                        raise ValueError(f"{archive}: {name} is annotated, but not in it")
                    photo = cv2.imdecode(np.frombuffer(files.read(names[name]), np.uint8), cv2.IMREAD_COLOR)
                    if photo is None or photo.shape[:2] != annotated:
                        raise ValueError(f"{archive}: {name} is {'no image' if photo is None else photo.shape[:2]}, annotated {annotated}")
                    out.write(photo.tobytes())
            part.rename(path)
    row = {i["id"]: k for k, i in enumerate(images)}
    people = [a for a in coco["annotations"] if not a.get("iscrowd")]
    if not people or not all("keypoints" in a for a in people):
        raise ValueError(f"{archive}: expected people with keypoints, got {len(people)}, {sum('keypoints' in a for a in people)} with keypoints")
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
