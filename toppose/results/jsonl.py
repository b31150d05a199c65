"""JSON Lines: the first line says whose joints they are, every other one is a frame. Holds all that a frame has but its picture."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from toppose.errors import OptionError, ResultError
from toppose.results.files import Growing, check_file
from toppose.results.record import Record, from_plain, layout, to_plain
from toppose.results.writer import Writer
from toppose.skeleton import COCO17, Skeleton
from toppose.video.frame import Frame

log = logging.getLogger(__name__)
FORMAT = "toppose-frames"


class JsonLines(Writer):
    """The header: format, version, skeleton, joints (of a skeleton that does not ship also edges, flip, sigmas), fps, width and height where known.
    A frame: index, time (s, to the microsecond), path, width, height, people; a person: id where there is one, box (x1, y1, x2, y2), box_score,
    keypoints (x, y of each joint, 1/100 px), scores (4 digits). A line that ends is whole, so a file that was cut short lacks its last frame only."""

    def __init__(self, target: str | os.PathLike[str], skeleton: Skeleton = COCO17, *, fps: float | None = None, resume: bool = False) -> None:
        self.fps = fps
        super().__init__(target, skeleton, resume=resume)

    def _place(self) -> None:
        check_file(self.target)

    def _resume(self) -> int:
        end = _whole(self.target)
        if not end:
            return -1
        with self.target.open("rb") as file:
            head = _head(file.readline(), str(self.target))
            check_layout(head, self.skeleton, self.target)
            last = _last(file, end, str(self.target))
        self._file, self._began = Growing(self.target, end=end), True
        return last

    def _begin(self, record: Record | None) -> None:
        head: dict[str, Any] = {"format": FORMAT, "version": 1, **layout(self.skeleton)}
        if self.fps:
            head["fps"] = self.fps
        if record and record.size:
            head["width"], head["height"] = record.size
        self._file = Growing(self.target)
        self._file.add(_line(head))

    def _put(self, record: Record, frame: Frame | Record) -> None:
        self._file.add(_line(to_plain(record)))

    def _finish(self) -> None:
        self._file.close()


def read_jsonl(path: Path, fps: float | None = None, skeleton: Skeleton | None = None) -> Iterator[Record]:
    """The frames; a last line that does not end is left aside. `fps` and `skeleton` are in the file."""
    with path.open("rb") as file:
        head = _head(file.readline(), str(path))
        for number, line in enumerate(file, 2):
            if not line.endswith(b"\n"):
                log.warning("%s: its last line does not end and is left aside: the run that wrote it was cut short", path)
                return
            yield from_plain(parse(line, where := f"{path}, line {number}"), head, where)


def check_layout(head: dict[str, Any], skeleton: Skeleton, path: Path) -> None:
    """To go on, a file must have the joints that are to come."""
    if any(head.get(key) != value for key, value in layout(skeleton).items()):
        raise OptionError(f"resume: expected {str(path)!r} to hold the skeleton {skeleton.name!r}, it holds {head.get('skeleton')!r}")


def parse(text: bytes | str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as e:
        raise ResultError(f"{where}: expected JSON ({e})") from None


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _head(line: bytes, where: str) -> dict[str, Any]:
    head = parse(line, f"{where}, line 1")
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ResultError(f"{where}, line 1: expected a header with the format {FORMAT!r}, got {line[:80]!r}")
    if head.get("version") != 1:
        raise ResultError(f"{where}, line 1: expected version 1, got {head.get('version')!r}, of a newer toppose")
    return head


def _whole(path: Path) -> int:
    """Bytes up to the end of the last line that ends; 0 where there is no file, or none."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            if (at := file.read(end - start).rfind(b"\n")) >= 0:
                return start + at + 1
            end = start
    return 0


def _last(file: BinaryIO, end: int, where: str) -> int:
    """The index of the line that ends at `end`; -1 where that is the header."""
    text, start = b"", end
    while start and text.count(b"\n") < 2:
        start = max(0, start - 65536)
        file.seek(start)
        text = file.read(end - start)
    line = text.splitlines()[-1]
    plain = parse(line, f"{where}, its last line")
    if plain.get("format") == FORMAT:
        return -1
    if not isinstance(index := plain.get("index"), int):
        raise ResultError(f"{where}, its last line: expected a frame with its index, got {line[:80]!r}")
    return index
