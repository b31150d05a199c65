"""A folder of annotated pictures, one a frame."""

from __future__ import annotations

import os
import re
from pathlib import Path

import cv2

from toppose.errors import ResultError
from toppose.results.drawing import Style
from toppose.results.files import make_folder, name_of, sweep, whole
from toppose.results.record import Record
from toppose.results.writer import Writer, same
from toppose.skeleton import COCO17, Skeleton
from toppose.video.frame import Frame

ENDING = "_poses.jpg"
MARK = b"\xff\xfe\x00\x12drawn by toppose"  # a comment of a JPEG; its length counts itself
WIDEST = 65500  # libjpeg's limit


class Pictures(Writer):
    """NAME_poses.jpg, where NAME is the stem of a photograph's path; of other frames, and where that name is taken by another frame or a file that is
    no drawing of ours, followed by the frame's index in 12 digits. Each is written whole or not at all, and has its index in a comment of the JPEG,
    which tells where to go on."""

    needs_image = True

    def __init__(
        self,
        target: str | os.PathLike[str],
        skeleton: Skeleton = COCO17,
        *,
        threshold: float = 0.3,
        boxes: bool = False,
        line_width: float | None = None,
        resume: bool = False,
    ) -> None:
        self._style, self._taken = Style(threshold, boxes, line_width), set[str]()
        super().__init__(target, skeleton, resume=resume)

    def _place(self) -> None:
        make_folder(self.target)

    def _resume(self) -> int:
        sweep(self.target)
        drawn = {file.name: index for file in self.target.glob(f"*{ENDING}") if (index := index_of(file)) >= 0}
        self._taken = set(drawn)
        return max(drawn.values(), default=-1)

    def _begin(self, record: Record | None) -> None:
        pass  # every file is whole

    def _put(self, record: Record, frame: Frame | Record) -> None:
        picture = self._style.draw(frame)
        if max(picture.shape) > WIDEST:
            height, width = picture.shape[:2]
            raise ResultError(f"frame {record.index}: expected at most {WIDEST} pixels a side, as a JPEG has, got {width}x{height}")
        name = self._free(record)
        with whole(self.target / name) as part:
            part.write_bytes(_mark(cv2.imencode(".jpg", picture)[1].tobytes(), record.index))
        self._taken.add(name)

    def _free(self, record: Record) -> str:
        names = dict.fromkeys(f"{name_of(record.path, record.index, numbered)}{ENDING}" for numbered in (False, True))
        for name in names:
            file = self.target / name
            if name not in self._taken and not same(Path(record.path), file) and (not file.exists() or index_of(file) >= 0):
                return name
        raise ResultError(f"frame {record.index}: expected a free name in {str(self.target)!r}, {' and '.join(names)} are taken by other files")

    def _finish(self) -> None:
        pass


def index_of(file: Path) -> int:
    """The frame that a drawing of ours shows; -1 of other files."""
    with file.open("rb") as opened:
        found = re.search(re.escape(MARK) + rb"\xff\xfe..frame (\d+)", opened.read(128), re.DOTALL)
    return int(found[1]) if found else -1


def _mark(jpeg: bytes, index: int) -> bytes:
    """The same picture, known as a drawing of ours."""
    at = 4 + int.from_bytes(jpeg[4:6], "big") if jpeg[2:4] == b"\xff\xe0" else 2  # JFIF wants its header first
    text = b"frame %d" % index
    return jpeg[:at] + MARK + b"\xff\xfe" + (2 + len(text)).to_bytes(2, "big") + text + jpeg[at:]
