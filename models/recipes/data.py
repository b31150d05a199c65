"""Photographs and their people, decoded once and kept as memory maps, one an archive, that all worker processes share."""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import cv2
import numpy as np

FLIP = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])
JOINT = 0.35  # score from where a labelled joint is seen
HELD = 0x18B00000  # of 2**32: photographs labelled by people whose name's hash lies below are held out
EVERY = 50  # of the others, so many are trained on for one that is held out
PEOPLE, NOBODY, NETWORKS = "people", "nobody there", "networks"  # who labelled a photograph


@dataclass(frozen=True)
class Photographs:
    """B decoded photographs of one or more archives; indexing gives the pixels (h, w, 3) uint8 BGR."""

    pixels: tuple[np.ndarray, ...]  # of each archive: all photographs, one after the other
    archive: np.ndarray  # (B,) which of `pixels`
    offsets: np.ndarray  # (B,)
    sizes: np.ndarray  # (B, 2) height, width
    sets: np.ndarray  # (B,) ARCHIVE/SET, where the archive tells sets apart; else ARCHIVE
    labels: np.ndarray  # (B,) PEOPLE, "people and networks", NETWORKS or NOBODY
    complete: np.ndarray  # (B,) whether everybody is boxed, so that the rest is background
    held: np.ndarray  # (B,) never trained on

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> np.ndarray:
        height, width = self.sizes[index]
        start = self.offsets[index]
        return self.pixels[self.archive[index]][start : start + height * width * 3].reshape(height, width, 3)

    def without(self, names: list[str]) -> np.ndarray:
        """Which photographs (B,) are of none of the sets: ARCHIVE or ARCHIVE/SET, where * stands for anything. ValueError where none is."""
        keep = np.ones(len(self), bool)
        for name in names:
            hit = np.array([fnmatch(s, name) or fnmatch(s.split("/")[0], name) for s in self.sets.tolist()])
            if not hit.any():
                raise ValueError(f"no photographs of {name!r}: expected one of {sorted(set(self.sets.tolist()))}")
            keep &= ~hit
        return keep


@dataclass(frozen=True)
class People:
    """P people on photographs. Boxes are xyxy pixels; keypoints (P, 17, 2); joint scores (P, 17); box scores (P,)."""

    photos: Photographs
    image: np.ndarray  # (P,) which photograph
    boxes: np.ndarray
    box_scores: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    human: np.ndarray  # (P,) labelled by people
    tight: np.ndarray  # (P,) the box ends where the person ends: good enough to learn that from
    crowd: np.ndarray  # (P,) no person but a region with many, of whom nobody knows where each is

    def photo(self, index: int) -> np.ndarray:
        return self.photos[index]

    @property
    def sizes(self) -> np.ndarray:
        return self.photos.sizes

    def subset(self, keep: np.ndarray) -> People:
        """The same photographs with the people of `keep` (mask or indices) alone."""
        return replace(self, **{k: getattr(self, k)[keep] for k in ROWS})

    def split(self) -> tuple[People, People]:
        """People to train on, and those to hold out."""
        held = self.photos.held[self.image]
        return self.subset(~held), self.subset(held)

    def fingerprint(self, *networks: Path) -> str:
        """Names these people and the files of networks that look at them: what one set was told does not fit another."""
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in (self.sizes, self.image, self.boxes)))
        for file in networks:
            digest.update(file.read_bytes())
        return digest.hexdigest()[:12]


ROWS = ("image", "boxes", "box_scores", "keypoints", "scores", "human", "tight", "crowd")


def load(archives: list[Path], cache: Path) -> People:
    """The people of all archives, each with its own decoded photographs in `cache`."""
    parts = [load_people(archive, cache) for archive in archives]
    firsts = np.cumsum([0, *(len(p.photos) for p in parts)])
    photos = Photographs(
        tuple(p.photos.pixels[0] for p in parts),
        np.repeat(np.arange(len(parts)), [len(p.photos) for p in parts]),
        *(np.concatenate([getattr(p.photos, k) for p in parts]) for k in ("offsets", "sizes", "sets", "labels", "complete", "held")),
    )
    moved = [replace(p, image=p.image + first) for p, first in zip(parts, firsts, strict=False)]
    return People(photos, *(np.concatenate([getattr(p, k) for p in moved]) for k in ROWS))


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
        photos = decoded(files, names, coco["images"], archive, cache)
    if not coco["annotations"] or not all("keypoints" in a for a in coco["annotations"]):
        got = f"{len(coco['annotations'])}, {sum('keypoints' in a for a in coco['annotations'])} with keypoints"
        raise ValueError(f"{archive}: expected people with keypoints, got {got}")
    return people_of(coco, photos)


def decoded(files: zipfile.ZipFile, names: dict[str, str], images: list[dict[str, Any]], archive: Path, cache: Path) -> Photographs:
    """The archive's photographs, decoded into `cache` where they are not there yet."""
    sizes = np.array([(i["height"], i["width"]) for i in images])
    lengths = sizes.prod(1) * 3
    content = hashlib.sha256(repr(sorted((i.filename, i.CRC) for i in files.infolist())).encode()).hexdigest()[:12]
    path = cache / f"{archive.stem}-{content}.u8"
    if not path.exists() or path.stat().st_size != lengths.sum():
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as out:
            for i in images:
                out.write(decode(files, names, i, archive).tobytes())
        part.rename(path)
    sets = np.array([f"{archive.stem}/{i['set']}" if "set" in i else archive.stem for i in images])
    labels = np.array([i.get("labels", NETWORKS) for i in images])
    complete = np.array([i.get("complete", False) for i in images], bool)
    hashes = np.array([int(hashlib.sha256(i["file_name"].encode()).hexdigest()[:8], 16) for i in images])
    held = np.where(labels == PEOPLE, hashes < HELD, np.arange(len(images)) % EVERY == 0)
    offsets = np.concatenate([[0], lengths.cumsum()[:-1]])
    return Photographs((np.memmap(path, np.uint8, "r"),), np.zeros(len(images), int), offsets, sizes, sets, labels, complete, held)


def held_out(photos: Photographs) -> np.ndarray:
    """Which photographs to measure with: of those held out the ones that people labelled, where there are some."""
    held = np.flatnonzero(photos.held)
    by_people = held[photos.labels[held] == PEOPLE]
    return by_people if len(by_people) else held


def decode(files: zipfile.ZipFile, names: dict[str, str], image: dict[str, Any], archive: Path) -> np.ndarray:
    """One photograph (h, w, 3). ValueError, which names it, where it is not there or not as annotated."""
    name, annotated = image["file_name"], (image["height"], image["width"])
    if name not in names:
        raise ValueError(f"{archive}: {name} is annotated, but not in it")
    photo = cv2.imdecode(np.frombuffer(files.read(names[name]), np.uint8), cv2.IMREAD_COLOR)
    if photo is None or photo.shape[:2] != annotated:
        raise ValueError(f"{archive}: {name} is {'no image' if photo is None else photo.shape[:2]}, annotated {annotated}")
    return photo


def people_of(coco: dict[str, Any], photos: Photographs) -> People:
    """The rows of the annotations. Boxes count as tight where people drew all of a photograph's, or where nothing is said of who did."""
    people = coco["annotations"]
    row = {i["id"]: k for k, i in enumerate(coco["images"])}
    image = np.array([row[a["image_id"]] for a in people])
    joints = np.array([a["keypoints"] for a in people], np.float32).reshape(-1, 17, 3)
    given = np.array([a.get("keypoint_scores", [1.0] * 17) for a in people], np.float32)
    boxes = np.array([a["bbox"] for a in people], np.float32)
    boxes[:, 2:] += boxes[:, :2]
    silent = np.array(["labels" not in i for i in coco["images"]])
    return People(
        photos,
        image,
        boxes,
        np.array([a.get("score", 1.0) for a in people], np.float32),
        joints[:, :, :2].copy(),
        np.where(joints[:, :, 2] > 0, given, 0) if "keypoint_scores" not in people[0] else given,
        np.array([a.get("by") == PEOPLE for a in people]),
        (photos.labels[image] == PEOPLE) | silent[image],
        np.array([bool(a.get("iscrowd")) for a in people]),
    )
