"""Tables for people who measure movement: SLEAP's analysis CSV (one row a person) and DeepLabCut's multi-animal CSV (one row a frame)."""

from __future__ import annotations

import csv
import io
import logging
import os
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from toppose.errors import CardError, PoseError, ResultError
from toppose.poses import Poses
from toppose.results.files import Growing, check_file
from toppose.results.folded import Folded
from toppose.results.record import PIXELS, SCORES, Record, digits, from_joints, named, time_at
from toppose.results.writer import Writer
from toppose.skeleton import COCO17, Skeleton
from toppose.video.frame import Frame

log = logging.getLogger(__name__)
SLEAP = ("track", "frame_idx", "instance.score")
DLC = ("scorer", "individuals", "bodyparts", "coords")


class SleapCsv(Writer):
    """track (track_3 for id 3), frame_idx, instance.score (the box's), then x, y and score of each joint. Times, paths and boxes are not in it;
    a frame with nobody has no row, and `read` fills such gaps from frame 0 on. To go on, the last frame that is there is done again."""

    needs_ids = True

    def __init__(self, target: str | os.PathLike[str], skeleton: Skeleton = COCO17, *, fps: float | None = None, resume: bool = False) -> None:
        super().__init__(target, skeleton, resume=resume)

    def _place(self) -> None:
        check_file(self.target)

    def _resume(self) -> int:
        lines = self.target.read_bytes().splitlines(keepends=True) if self.target.is_file() else []
        lines = [line for line in lines if line.endswith(b"\n")]
        if not lines:
            return -1
        if lines[0] != (expected := self._head()):
            raise ResultError(f"{self.target}: expected the header {expected[:60]!r}... to go on, got {lines[0][:60]!r}")
        index = [int(line.split(b",", 2)[1]) for line in lines[1:]]
        kept = [i for i in index if i != index[-1]]
        self._file, self._began = Growing(self.target, end=sum(map(len, lines[: 1 + len(kept)]))), True
        return kept[-1] if kept else -1

    def _begin(self, record: Record | None) -> None:
        self._file = Growing(self.target)
        self._file.add(self._head())

    def _head(self) -> bytes:
        return _rows([[*SLEAP, *(f"{joint}.{part}" for joint in self.skeleton.joints for part in ("x", "y", "score"))]])

    def _put(self, record: Record, frame: Frame | Record) -> None:
        poses = record.poses
        scores = digits(poses.box_scores, SCORES)
        if len(poses):
            self._file.add(_rows([[f"track_{i}", record.index, scores[n], *cells] for n, (i, cells) in enumerate(_cells(poses))]))

    def _finish(self) -> None:
        self._file.close()


class DlcCsv(Folded):
    """Header rows scorer (toppose), individuals (track_3 for id 3), bodyparts, coords; then x, y, likelihood of every joint of every person, one row
    a frame from 0 to the last one, empty where somebody is not there. Times, paths, boxes and their scores are not in it."""

    needs_ids = True

    def _fold(self, part: Path) -> None:
        ids = sorted({i for i, _ in self._people()}) or [0]  # nobody at all: one who is never there, so that the joints are named
        names = [(f"track_{i}", joint, axis) for i in ids for joint in self.skeleton.joints for axis in ("x", "y", "likelihood")]
        blank, following = [""] * (3 * len(self.skeleton)), 0
        with part.open("wb") as file:
            columns = zip(("toppose",) * len(names), *zip(*names, strict=True), strict=True)
            file.write(_rows([[level, *row] for level, row in zip(DLC, zip(*columns, strict=True), strict=True)]))
            for record in self._records():
                file.write(_rows([[index, *blank * len(ids)] for index in range(following, record.index)]))
                seen = dict(_cells(record.poses))
                file.write(_rows([[record.index, *(cell for i in ids for cell in seen.get(i, blank))]]))
                following = record.index + 1

    def _people(self) -> Iterator[tuple[int, list[float]]]:
        return (person for record in self._records() for person in _cells(record.poses))

    def _unfold(self) -> Iterator[Record]:
        return read_dlc(self.target, skeleton=self.skeleton)


def read_sleap(path: Path, fps: float | None = None, skeleton: Skeleton | None = None) -> Iterator[Record]:
    """Frames from 0 to the last that has people. Boxes are the smallest round the joints; time is index / fps, or 0."""
    following = 0
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(_ending(file, path))
        head = next(rows, [])
        if tuple(head[:3]) != SLEAP or (len(head) - 3) % 3 or len(head) < 6:
            raise ResultError(f"{path}, line 1: expected {', '.join(SLEAP)} and x, y, score of each joint, got {','.join(head)[:80]!r}")
        skeleton = skeleton or _skeleton(tuple(name.removesuffix(".x") for name in head[3::3]), path)
        for index, group in groupby(_of_length(rows, len(head), path), lambda row: _number(row[1], int, f"{path}, line {rows.line_num}")):
            yield from (Record(i, time_at(i, fps), "", None, Poses.empty(skeleton)) for i in range(following, index))
            yield Record(index, time_at(index, fps), "", None, _sleap_people(list(group), skeleton, f"{path}, frame {index}"))
            following = index + 1


def _ending(lines: Iterable[str], path: Path) -> Iterator[str]:
    """Those that end: the last line of a run that was killed may be cut within a number."""
    for line in lines:
        if line.endswith(("\n", "\r")):
            yield line
        else:
            log.warning("%s: its last line does not end and is left aside: the run that wrote it was cut short", path)


def _of_length(rows: Any, length: int, path: Path) -> Iterator[list[str]]:
    for row in rows:
        if len(row) != length:
            raise ResultError(f"{path}, line {rows.line_num}: expected {length} cells, got {len(row)}")
        yield row


def _sleap_people(rows: list[list[str]], skeleton: Skeleton, where: str) -> Poses:
    joints, ids = [_joints(row[3:], where) for row in rows], [_id(row[0], where) for row in rows]
    scores = [_number(row[2] or "1", float, where) for row in rows]
    return _poses(np.array(joints), skeleton, None if None in ids else ids, scores, where)


def read_dlc(path: Path, fps: float | None = None, skeleton: Skeleton | None = None) -> Iterator[Record]:
    """One frame a row, of multi- and single-animal files. Boxes are the smallest round the joints, their score 1; time is index / fps, or 0."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        heads = [next(rows, [""]) for _ in range(3)]
        levels = tuple(head[0] for head in heads)
        if levels == (DLC[0], *DLC[2:]):
            names, joints = ["track_0"], heads[1][1::3]
        elif levels == DLC[:3] and next(rows, [""])[0] == DLC[3]:
            names = list(dict.fromkeys(heads[1][1:]))
            joints = heads[2][1 : 1 + (len(heads[2]) - 1) // max(1, len(names)) : 3]
        else:
            raise ResultError(f"{path}: expected header rows {', '.join(DLC)}, got {', '.join(levels)[:80]!r}")
        skeleton, ids = skeleton or _skeleton(tuple(joints), path), [_id(name, str(path)) for name in names]
        ids = list(range(len(names))) if None in ids else ids
        width = 3 * len(joints)
        for row in _of_length(rows, 1 + width * len(names), path):
            where = f"{path}, line {rows.line_num}"
            index = _number(row[0], int, where)
            cells = [row[1 + n * width : 1 + (n + 1) * width] for n in range(len(names))]
            there = [n for n, mine in enumerate(cells) if any(mine)]
            found = np.array([_joints(cells[n], where) for n in there]).reshape(-1, len(joints), 3)
            yield Record(index, time_at(index, fps), "", None, _poses(found, skeleton, [ids[n] for n in there] or None, None, where))


def _cells(poses: Poses) -> Iterator[tuple[int, list[float]]]:
    """Each person's id, and x, y, score of each joint."""
    ids = [] if poses.ids is None else poses.ids.tolist()
    rows = zip(ids, digits(poses.keypoints, PIXELS), digits(poses.scores, SCORES), strict=True)
    return ((i, [cell for point, score in zip(k, s, strict=True) for cell in (*point, score)]) for i, k, s in rows)


def _rows(rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _joints(cells: list[str], where: str) -> list[list[float]]:
    """[x, y, score] of each joint; one without coordinates is at 0, 0 with score 0, one without a score has 1."""
    triples = zip(cells[::3], cells[1::3], cells[2::3], strict=True)
    return [[_number(c, float, where) for c in (x, y, s or "1")] if x and y and "nan" not in (x, y) else [0.0, 0.0, 0.0] for x, y, s in triples]


def _number(text: str, kind: Any, where: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ResultError(f"{where}: expected a number, got {text!r}") from None


def _id(name: str, where: str) -> int | None:
    """The number that a name ends in."""
    found = re.search(r"(\d+)$", name)
    return int(found[1]) if found else None


def _skeleton(joints: tuple[str, ...], path: Path) -> Skeleton:
    try:
        return named(joints, "csv")
    except CardError as e:
        raise ResultError(f"{path}: {e}") from None


def _poses(found: Any, skeleton: Skeleton, ids: Any, box_scores: Any, where: str) -> Poses:
    try:
        return from_joints(found[..., :2], found[..., 2], skeleton, ids, box_scores)
    except PoseError as e:
        raise ResultError(f"{where}: {e}") from None
