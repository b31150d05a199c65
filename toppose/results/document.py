"""One JSON document, as `toppose predict --json` has it, with index and time: a list of images, each with its people."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toppose.errors import ResultError
from toppose.results.files import Growing, check_file
from toppose.results.jsonl import check_layout, parse
from toppose.results.record import Record, from_plain, layout, time_at, to_plain
from toppose.results.writer import Writer
from toppose.skeleton import COCO17, Skeleton
from toppose.video.frame import Frame

TAIL = b'\n],\n"errors": []}\n'


class Document(Writer):
    """skeleton, joints, images: file, index, time, width, height, people; one image a line. The brackets behind the last one are written anew with
    each, so the document is whole after every frame; a kill in the middle of a write costs that frame, `read` has those before it."""

    def __init__(self, target: str | os.PathLike[str], skeleton: Skeleton = COCO17, *, fps: float | None = None, resume: bool = False) -> None:
        super().__init__(target, skeleton, resume=resume)

    def _place(self) -> None:
        check_file(self.target)

    def _resume(self) -> int:
        lines = whole_lines(self.target, "people")
        if not lines:
            return -1
        head = _head(lines[0], str(self.target))
        check_layout(head, self.skeleton, self.target)
        self._file, self._began, self._empty = Growing(self.target, TAIL, _length(lines)), True, len(lines) == 1
        return -1 if self._empty else int(parse(lines[-1], str(self.target))["index"])

    def _begin(self, record: Record | None) -> None:
        self._file, self._empty = Growing(self.target, TAIL), True
        self._file.add(json.dumps(layout(self.skeleton))[:-1].encode() + b', "images": [')

    def _put(self, record: Record, frame: Frame | Record) -> None:
        plain = to_plain(record)
        entry = {"file": plain.pop("path"), **plain}
        self._file.add((b"\n" if self._empty else b",\n") + json.dumps(entry).encode())
        self._empty = False

    def _finish(self) -> None:
        self._file.close()


def read_document(path: Path, fps: float | None = None, skeleton: Skeleton | None = None) -> Iterator[Record]:
    """The frames, of a document of `toppose predict --json` too: its images are counted; without a time that is index / fps, or 0."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError:  # a run that was killed while it wrote, or no JSON at all
        lines = whole_lines(path, "people")
        document = {**_head(lines[0] if lines else b"", str(path)), "images": [parse(line, str(path)) for line in lines[1:]]}
    for i, entry in enumerate(entries(document, "images", str(path))):
        where = f"{path}, image {i}"
        if not isinstance(entry, dict):
            raise ResultError(f"{where}: expected an object, got {entry!r}")
        index = entry.get("index", i)
        plain = {"index": index, "time": time_at(index, fps), "path": entry.get("file", ""), "width": None, "height": None, **entry}
        yield from_plain(plain, document, where)


def entries(document: Any, key: str, where: str) -> list[Any]:
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise ResultError(f"{where}: expected a JSON object with a list of {key}, found none")
    return found


def whole_lines(path: Path, key: str) -> list[bytes]:
    """The lines of a document of one record a line: the first, which opens it, and those after it that are whole records, as they stand there
    without what parts them; each has that key. Nothing where the first line does not end."""
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    found = lines[:1] if len(lines) > 1 else []
    for line in lines[1:]:
        text = line.decode("ascii", "replace")
        try:
            record, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            break
        if not isinstance(record, dict) or key not in record:  # the head of one and the end of the old tail may make an object together
            break
        found.append(line[:end])  # what follows parts it from the next, or was about to
    return found


def _length(lines: list[bytes]) -> int:
    """Bytes up to the end of the last of these records: two for ",\\n" between records, one for the line's end behind the first."""
    return sum(map(len, lines)) + max(0, 2 * (len(lines) - 1) - 1)


def _head(line: bytes, where: str) -> dict[str, Any]:
    if not line.endswith(b"["):
        raise ResultError(f"{where}: expected a JSON document of poses, got {line[:80]!r}")
    head: dict[str, Any] = parse(line + b"]}", where)
    return head
