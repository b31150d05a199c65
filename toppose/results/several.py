"""One frame into many files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from toppose.results.record import Record
from toppose.results.writer import Writer
from toppose.skeleton import COCO17, Skeleton
from toppose.video.frame import Frame


class Several(Writer):
    """Writes each frame with all of them, and closes all of them. One that fails does not keep the others from the frame; then the first error is
    raised. `done` is the least of theirs; one that has a frame already leaves it aside."""

    def __init__(self, writers: Sequence[Writer], skeleton: Skeleton = COCO17) -> None:
        self.writers = list(writers)
        super().__init__(Path(), skeleton)
        self.done = self._skip = min(writer.done for writer in self.writers)

    @property
    def needs_ids(self) -> bool:  # type: ignore[override]  # of these writers, not of all
        return any(writer.needs_ids for writer in self.writers)

    @property
    def needs_image(self) -> bool:  # type: ignore[override]
        return any(writer.needs_image for writer in self.writers)

    def _place(self) -> None:
        pass

    def _resume(self) -> int:
        return -1

    def _begin(self, record: Record | None) -> None:
        pass

    def _put(self, record: Record, frame: Frame | Record) -> None:
        self._each(lambda writer: writer.write(frame))

    def _finish(self) -> None:
        self._each(lambda writer: writer.close())

    def _each(self, do: Callable[[Writer], None]) -> None:
        errors = []
        for writer in self.writers:
            try:
                do(writer)
            except Exception as e:
                errors.append(e)
        if errors:
            raise errors[0]
