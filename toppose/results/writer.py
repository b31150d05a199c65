"""What every writer shares: two methods, the checks of a frame, and where a run that was killed goes on."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import ClassVar, TypeVar

from toppose.errors import OptionError, ResultError
from toppose.results.record import Record, layout
from toppose.skeleton import COCO17, Skeleton
from toppose.video.frame import Frame

Self = TypeVar("Self", bound="Writer")


class Writer(ABC):
    """`write` frames in the order of their index, then `close`; or use it in a `with`.

    target: where it goes; skeleton: the layout of all its people. `resume`: goes on with what a run that was killed left there, `done` is then the
    index of its last whole frame, and frames up to it are left aside when they come again. Without it, and before the first frame, `done` is -1,
    and what was there is written over with the first frame. A file that frames come from is never written over."""

    needs_ids: ClassVar[bool] = False  # people must come with ids
    needs_image: ClassVar[bool] = False  # frames must come with pictures

    def __init__(self, target: str | os.PathLike[str], skeleton: Skeleton = COCO17, *, resume: bool = False) -> None:
        if not isinstance(skeleton, Skeleton):
            raise OptionError(f"skeleton: expected a Skeleton, got {skeleton!r}")
        self.target, self.skeleton, self.done = Path(target), skeleton, -1
        self._layout, self._began, self._closed, self._source = layout(skeleton), False, False, ""
        self._place()
        if resume:
            self.done = self._resume()
            self._began = self.done >= 0 or self._began
        self._skip = self.done

    def write(self, frame: Frame | Record) -> None:
        """Adds one frame. When this returns it is on its way to the disk and outlives a kill; an OSError names the file, and leaves it as it was."""
        record = self._check(frame)
        if record.index <= self._skip:
            return
        if record.index <= self.done:
            raise ResultError(f"frame: expected an index above {self.done}, as that was the last one, got {record.index}")
        if not self._began:
            self._begin(record)
            self._began = True
        self._put(record, frame)
        self.done = record.index

    def close(self) -> None:
        """Finishes the file; one that no frame came for holds nobody. Twice is as good as once."""
        if self._closed:
            return
        if not self._began:
            self._begin(None)
            self._began = True
        self._finish()
        self._closed = True

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _check(self, frame: Frame | Record) -> Record:
        if self._closed:
            raise ResultError(f"frame: expected before close(), {str(self.target)!r} is closed")
        if not isinstance(frame, (Frame, Record)):
            raise ResultError(f"frame: expected a Frame or a Record, got {type(frame).__name__}")
        record = Record.of(frame)
        if record.index < 0 or not isfinite(record.time):
            raise ResultError(f"frame: expected an index from 0 and a time in seconds, got {record.index} and {record.time}")
        skeleton, who = record.poses.skeleton, f"frame {record.index}"
        if skeleton is not self.skeleton and layout(skeleton) != self._layout:
            raise ResultError(
                f"{who}: expected the skeleton {self.skeleton.name!r} ({len(self.skeleton)} joints), got {skeleton.name!r} ({len(skeleton)} joints)"
            )
        if self.needs_ids and record.poses.ids is None and len(record.poses):
            raise ResultError(f"{who}: expected people with ids, as a row belongs to one person through all frames, got none; track them first")
        if self.needs_image and isinstance(frame, Record):
            raise ResultError(f"{who}: expected a picture to draw on, got poses alone")
        if record.path and record.path != self._source:
            self._refuse(Path(record.path))
            self._source = record.path
        return record

    def _refuse(self, source: Path) -> None:
        """A file that frames come from."""
        if same(source, self.target):
            raise OptionError(f"target: expected another file than {str(source)!r}, which the frames come from and which would be written over")

    @abstractmethod
    def _place(self) -> None:
        """Checks that the target can be written to, and changes nothing."""

    @abstractmethod
    def _resume(self) -> int:
        """Opens what is there, and returns the index of its last whole frame, -1 where there is none."""

    @abstractmethod
    def _begin(self, record: Record | None) -> None:
        """Opens the target anew; `record` is the first frame, None when there is none."""

    @abstractmethod
    def _put(self, record: Record, frame: Frame | Record) -> None:
        """Writes one frame."""

    @abstractmethod
    def _finish(self) -> None:
        """Closes the target."""


def same(a: Path, b: Path) -> bool:
    """Whether two names are one file."""
    try:
        return a.samefile(b)
    except OSError:
        return a.absolute() == b.absolute()
