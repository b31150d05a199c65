"""Files that are whole at all times: those that grow record by record, and those that appear at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

import cv2

from toppose.errors import OptionError

_MOVING = {".gif", ".apng"}  # OpenCV writes them, but each holds many frames
_LONGEST = 200  # bytes of a name; file systems take 255


class Growing:
    """A file that ends in `tail` after every record: the next one is written over the tail and brings it along.

    What cannot be written (a full disk, Ctrl-C) is taken back to the last whole record. A pipe or a device gets the tail when it is closed."""

    def __init__(self, path: Path, tail: bytes = b"", end: int | None = None) -> None:
        """A new file; with `end` one that is there, which goes on behind that many bytes."""
        self.path, self.tail, self.end = path, tail, end or 0
        self._file = open(path, "wb" if end is None else "r+b", buffering=0)  # noqa: SIM115  # as long as the writer
        self._regular = path.is_file()
        if end is not None:
            self._restore()

    def add(self, data: bytes) -> None:
        try:
            if self._regular:
                self._file.seek(self.end)
                self._write(data + self.tail)
            else:
                self._write(data)
        except BaseException as e:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                self._restore()
            if isinstance(e, OSError):
                e.filename = e.filename or str(self.path)  # write() itself does not say it
            raise
        self.end += len(data)

    def close(self) -> None:
        if not self._file.closed and not self._regular:
            self._write(self.tail)
        self._file.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # a disk that is almost full takes a part
            rest = rest[self._file.write(rest) :]

    def _restore(self) -> None:
        if self._regular:
            self._file.truncate(self.end + len(self.tail))
            self._file.seek(self.end)
            self._write(self.tail)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place to write to that becomes `path` when all went well, else is gone. A device is written to as it is."""
    target = Path(os.path.realpath(path))  # of a link that leads to itself, itself
    part = part_of(target)
    if target.exists() and not target.is_file():
        part = target
    try:
        yield part
        if part != target:
            os.replace(part, target)
    except OSError as e:
        e.filename = str(target) if e.filename in (None, str(part)) else e.filename
        raise
    finally:
        if part != target:
            part.unlink(missing_ok=True)


def part_of(target: Path) -> Path:
    """Where a file is written before it is whole. Of a long name the beginning: with more added, one that is allowed might not be."""
    return target.with_name(f".{_beginning(target.name)}.{os.getpid()}.part")


def _beginning(name: str) -> str:
    return os.fsencode(name)[:_LONGEST].decode(errors="ignore")


def sweep(folder: Path, name: str | None = None) -> None:
    """Removes what `whole` could not remove because it was killed: of the file of that name, or of all in a folder."""
    for part in folder.glob(f".{escape(_beginning(name)) if name else '*'}.*.part"):
        if part.name.split(".")[-2].isdigit():
            part.unlink()


def check_file(path: Path) -> None:
    """Before any work is done: what cannot be written to is an OptionError."""
    if path.is_dir() or not path.parent.is_dir():
        raise OptionError(f"target: expected a file in a folder that is there, got {str(path)!r}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OptionError(f"target: cannot write {str(path)!r} (permission denied)")


def make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OptionError(f"target: expected a folder, or a place for a new one; got {str(path)!r} ({e.strerror})") from None
    if not os.access(path, os.W_OK):
        raise OptionError(f"target: cannot write into {str(path)!r} (permission denied)")


def is_still(path: str) -> bool:
    """A file with one picture, by its suffix."""
    suffix = Path(path).suffix.lower()
    return bool(suffix) and suffix not in _MOVING and (suffix == ".jfif" or bool(cv2.haveImageWriter(suffix)))


def name_of(path: str, index: int, numbered: bool = False) -> str:
    """What a frame is called: a photograph by its stem, others (or all, when `numbered`) with their index in 12 digits."""
    stem = Path(path).stem or "frame"
    return stem if is_still(path) and not numbered else f"{stem}_{index:012d}"
