"""Formats that can be written only when all frames are known: until then the frames lie in a journal, JSON Lines beside the target."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

from toppose.results.files import check_file, sweep, whole
from toppose.results.jsonl import JsonLines, read_jsonl
from toppose.results.record import Record
from toppose.results.writer import Writer
from toppose.skeleton import COCO17, Skeleton
from toppose.video.frame import Frame


def journal_of(target: Path) -> Path:
    return target.parent / f"{target.name}.part.jsonl"


class Folded(Writer):
    """While frames come, TARGET.part.jsonl has them, valid after every record; `close` makes the target of it, whole or not at all, and removes it.

    After a kill the journal is left: `read(target)` reads it where there is no target, `resume` goes on with it. A target that was closed is taken
    apart into a journal again to go on."""

    def __init__(self, target: str | os.PathLike[str], skeleton: Skeleton = COCO17, *, fps: float | None = None, resume: bool = False) -> None:
        check_file(Path(target))
        self._journal, self._fps = JsonLines(journal_of(Path(target)), skeleton, fps=fps), fps
        super().__init__(target, skeleton, resume=resume)

    def _place(self) -> None:
        pass  # done above, before the journal is looked for

    def _resume(self) -> int:
        journal = self._journal.target
        for left in (self.target, journal):
            sweep(left.resolve().parent, left.resolve().name)
        if not journal.exists() and self.target.exists():
            with whole(journal) as part, JsonLines(part, self.skeleton, fps=self._fps) as again:
                for record in self._unfold():
                    again.write(record)
        self._journal = JsonLines(journal, self.skeleton, fps=self._fps, resume=True)
        return self._journal.done

    def _begin(self, record: Record | None) -> None:
        pass  # the journal begins by itself

    def _put(self, record: Record, frame: Frame | Record) -> None:
        self._journal.write(record)

    def _finish(self) -> None:
        self._journal.close()
        with whole(self.target) as part:
            self._fold(part)
        self._journal.target.unlink()

    def _records(self) -> Iterator[Record]:
        """What the journal has, from the first frame on, as often as it is asked for."""
        return read_jsonl(self._journal.target)

    @abstractmethod
    def _fold(self, part: Path) -> None:
        """Writes the whole file to `part`."""

    @abstractmethod
    def _unfold(self) -> Iterator[Record]:
        """Reads the target that is there."""
