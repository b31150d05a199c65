"""COCO: keypoint results (a list of people), and a data set with `track_id` that annotation tools import."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from toppose.errors import CardError, PoseError, ResultError
from toppose.poses import Poses
from toppose.results.document import entries, whole_lines
from toppose.results.files import Growing, check_file, is_still
from toppose.results.folded import Folded
from toppose.results.jsonl import parse
from toppose.results.record import PIXELS, SCORES, Record, digits, layout, named, people, time_at
from toppose.results.writer import Writer
from toppose.skeleton import COCO17, Skeleton
from toppose.video.frame import Frame

TAIL = b"\n]\n"
SURE = 0.3  # joints that score less are "labelled, but not visible"


class CocoResults(Writer):
    """COCO's results format, one person a line: image_id (the frame's index), category_id 1, keypoints (x, y, score), bbox (x, y, w, h), score (box
    score times the mean of the sure joints'), and beyond COCO box_score and track_id. Frames with nobody leave no trace, times and paths neither.

    The closing bracket is written anew with each frame. To go on, the last frame that is there is done again: it may lack people."""

    def __init__(self, target: str | os.PathLike[str], skeleton: Skeleton = COCO17, *, fps: float | None = None, resume: bool = False) -> None:
        super().__init__(target, skeleton, resume=resume)

    def _place(self) -> None:
        check_file(self.target)

    def _resume(self) -> int:
        lines = whole_lines(self.target, "keypoints")
        if not lines:
            return -1
        if lines[0] != b"[":
            raise ResultError(f"{self.target}: expected COCO results of toppose to go on with, got {lines[0][:80]!r}")
        index = [int(parse(line, str(self.target))["image_id"]) for line in lines[1:]]
        kept = [line for line, i in zip(lines[1:], index, strict=True) if i != index[-1]]
        self._file, self._began, self._empty = Growing(self.target, TAIL, 1 + len(b",\n".join(kept)) + bool(kept)), True, not kept
        return index[len(kept) - 1] if kept else -1

    def _begin(self, record: Record | None) -> None:
        self._file, self._empty = Growing(self.target, TAIL), True
        self._file.add(b"[")

    def _put(self, record: Record, frame: Frame | Record) -> None:
        if rows := [json.dumps({"image_id": record.index, **person}) for person in _results(record.poses)]:
            self._file.add((b"\n" if self._empty else b",\n") + ",\n".join(rows).encode())
            self._empty = False

    def _finish(self) -> None:
        self._file.close()


class CocoDataset(Folded):
    """images (id: index + 1, file_name: the photograph's path or frame_000012.jpg, width, height where known, and index, time, path), annotations
    (keypoints with visibility 2, or 1 for joints that score below 0.3; num_keypoints, bbox, area of the box, iscrowd 0, track_id, also among
    the attributes, where CVAT looks; and score, box_score, scores, which data sets have not and others ignore), one category with the skeleton."""

    def _fold(self, part: Path) -> None:
        with part.open("w", encoding="ascii") as file:
            info = {"description": "poses by toppose", **layout(self.skeleton)}
            file.write(f'{{"info": {json.dumps(info)},\n"categories": [{json.dumps(_category(self.skeleton))}],\n"images": [')
            _list(file, map(_image, self._records()))
            file.write('],\n"annotations": [')
            _list(file, _annotations(self._records()))
            file.write("]}\n")

    def _unfold(self) -> Iterator[Record]:
        return read_dataset(self.target)


def read_results(path: Path, fps: float | None = None, skeleton: Skeleton | None = None) -> Iterator[Record]:
    """Frames with people, by image_id; of a file that was cut short the people before that. `skeleton` where it is not COCO's 17 joints."""
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        lines = whole_lines(path, "keypoints")
        if lines[:1] != [b"["]:
            raise ResultError(f"{path}: expected JSON, a list of COCO results") from None
        found = [parse(line, str(path)) for line in lines[1:]]
    if not isinstance(found, list) or not all(isinstance(p, dict) and isinstance(p.get("image_id"), int) for p in found):
        raise ResultError(f"{path}: expected a list of COCO results, each with image_id, a whole number")
    for index, group in groupby(sorted(found, key=lambda p: int(p["image_id"])), lambda p: int(p["image_id"])):
        yield Record(index, time_at(index, fps), "", None, _people(list(group), skeleton or COCO17, f"{path}, image {index}"))


def read_dataset(path: Path, fps: float | None = None, skeleton: Skeleton | None = None) -> Iterator[Record]:
    """One frame an image, in the order of the images; of data sets that are not ours too: they are counted, visibility 2, 1, 0 becomes 1, 0.5, 0."""
    document = parse(path.read_bytes(), str(path))
    images, annotations = (entries(document, key, str(path)) for key in ("images", "annotations"))
    if not all(isinstance(i, dict) and "id" in i for i in images) or not all(isinstance(a, dict) and "image_id" in a for a in annotations):
        raise ResultError(f"{path}: expected images with id and annotations with image_id")
    skeleton = skeleton or _skeleton(document, str(path))
    by_image: dict[Any, list[Any]] = {}
    for annotation in annotations:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    for i, image in enumerate(images):
        index = image.get("index", i)
        size = (int(image["width"]), int(image["height"])) if image.get("width") and image.get("height") else None
        poses = _people(by_image.get(image["id"], []), skeleton, f"{path}, image {image['id']!r}")
        yield Record(index, float(image.get("time", time_at(index, fps))), str(image.get("path", image.get("file_name", ""))), size, poses)


def _results(poses: Poses) -> Iterator[dict[str, Any]]:
    for person, score in zip(people(poses), digits(poses.pose_scores(), SCORES), strict=True):
        triples = [v for point, s in zip(person["keypoints"], person["scores"], strict=True) for v in (*point, s)]
        row = {"category_id": 1, "keypoints": triples, "bbox": _bbox(person["box"]), "score": score, "box_score": person["box_score"]}
        yield {**row, "track_id": person["id"]} if "id" in person else row


def _annotations(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    number = 0
    for record in records:
        for person, score in zip(people(record.poses), digits(record.poses.pose_scores(), SCORES), strict=True):
            number += 1
            pairs = zip(person["keypoints"], person["scores"], strict=True)
            triples = [v for point, s in pairs for v in (*point, 2 if s >= SURE else 1)]
            x, y, w, h = _bbox(person["box"])
            row = {"id": number, "image_id": record.index + 1, "category_id": 1, "keypoints": triples, "num_keypoints": len(person["scores"])}
            row |= {"bbox": [x, y, w, h], "area": digits(w * h, PIXELS), "iscrowd": 0}
            if "id" in person:
                row |= {"track_id": person["id"], "attributes": {"track_id": person["id"]}}
            yield {**row, "score": score, "box_score": person["box_score"], "scores": person["scores"]}


def _image(record: Record) -> dict[str, Any]:
    name = record.path.replace(os.sep, "/") if is_still(record.path) else f"frame_{record.index:06d}.jpg"  # as CVAT calls a video's frames
    size = dict(zip(("width", "height"), record.size, strict=True)) if record.size else {}
    return {"id": record.index + 1, "file_name": name, **size, "index": record.index, "time": record.time, "path": record.path}


def _category(skeleton: Skeleton) -> dict[str, Any]:
    edges = [[a + 1, b + 1] for a, b in skeleton.edges]  # COCO counts joints from 1
    return {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(skeleton.joints), "skeleton": edges}


def _skeleton(document: Any, where: str) -> Skeleton:
    """Of our own data sets as `info` has it, of others as the category with keypoints has it."""
    info = document.get("info")
    try:
        if isinstance(info, dict) and "joints" in info:
            return Poses.from_dict({**info, "people": []}).skeleton
        category = next(c for c in document["categories"] if c.get("keypoints"))
        edges = tuple((int(a) - 1, int(b) - 1) for a, b in category.get("skeleton") or ())
        return named(tuple(category["keypoints"]), str(category["name"]), edges)
    except (PoseError, CardError, KeyError, TypeError, ValueError, StopIteration, AttributeError) as e:
        raise ResultError(f"{where}: expected a category with keypoints, found none that makes a skeleton ({type(e).__name__}: {e})") from None


def _people(found: list[Any], skeleton: Skeleton, where: str) -> Poses:
    found = [p for p in found if not p.get("iscrowd")]
    plain = [{k: v for k, v in p.items() if k != "image_id"} for p in found]
    for p in plain:
        if "scores" in p and isinstance(p["scores"], list) and isinstance(p.get("keypoints"), list):  # ours
            p["keypoints"] = [v for x, y, s in zip(p["keypoints"][::3], p["keypoints"][1::3], p["scores"], strict=False) for v in (x, y, s)]
        p["score"] = p.get("box_score", p.get("score"))
        if p["score"] is None:
            del p["score"]
    try:
        poses = Poses.from_coco(plain, skeleton)
        ids = [i for p in found if (i := p.get("track_id", (p.get("attributes") or {}).get("track_id"))) is not None]
        return poses.replace(ids=np.array(ids)) if ids and len(ids) == len(poses) else poses
    except PoseError as e:
        raise ResultError(f"{where}: {e}") from None


def _bbox(box: list[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, *digits([x2 - x1, y2 - y1], PIXELS)]


def _list(file: Any, rows: Iterable[dict[str, Any]]) -> None:
    """One a line."""
    for i, row in enumerate(rows):
        file.write((",\n" if i else "\n") + json.dumps(row))
