"""What `toppose predict` is to look at: files, folders, patterns and standard input -> photographs, what cannot be found, and what is left out."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from toppose.errors import ImageError, OptionError
from toppose.images import Pixels, read_image

# the suffixes that OpenCV documents; of these, those that this OpenCV has (it reads what it writes). .jfif is what browsers call a JPEG
_DOCUMENTED = (
    ".apng", ".avif", ".bmp", ".dib", ".exr", ".gif", ".hdr", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".pam", ".pbm", ".pgm", ".pic",
    ".png", ".pnm", ".ppm", ".ras", ".sr", ".tif", ".tiff", ".webp",
)  # fmt: skip
SUFFIXES = {".jfif", *filter(cv2.haveImageWriter, _DOCUMENTED)}
SHOWN = 5  # names of files that are left out

DRAWING = "_poses.jpg"
_MARK = b"\xff\xfe\x00\x12drawn by toppose"  # a comment of a JPEG; its length counts itself
_HEAD = 64  # bytes within which it stands


def mark(jpeg: bytes) -> bytes:
    """The same picture, known as a drawing of ours."""
    at = 4 + int.from_bytes(jpeg[4:6], "big") if jpeg[2:4] == b"\xff\xe0" else 2  # JFIF wants its header first
    return jpeg[:at] + _MARK + jpeg[at:]


def is_drawing(path: Path) -> bool:
    """A picture that `mark` has marked, not one that only has such a name."""
    try:
        if not path.name.endswith(DRAWING) or not path.is_file():  # opening a pipe would wait for its writer
            return False
        with path.open("rb") as file:
            return _MARK in file.read(_HEAD)
    except OSError:
        return False


@dataclass(frozen=True)
class Photograph:
    """`name` is what the user sees; without a path it is on standard input."""

    name: str
    path: Path | None

    @property
    def stem(self) -> str:
        return self.path.stem if self.path else self.name

    def read(self, max_pixels: int) -> Pixels:
        """Its pixels; of standard input no more is read than such a picture may have."""
        if self.path:
            return read_image(self.path, max_pixels=max_pixels)
        if sys.stdin is None or sys.stdin.closed:
            raise ImageError("stdin: expected an encoded image on standard input, which cannot be read (it is closed)")
        return read_image(sys.stdin.buffer, name="stdin", max_pixels=max_pixels)


@dataclass
class Found:
    """Photographs in order; errors, as the JSON has them; and files that are left out, by what they are."""

    photographs: list[Photograph] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    drawings: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)

    def notes(self) -> list[str]:
        """What was left out, one line a kind."""
        lists = (
            (self.others, "file is no photograph", "files are no photographs"),
            (self.drawings, "drawing of toppose was left out", "drawings of toppose were left out"),
            (self.hidden, "hidden file was left out", "hidden files were left out"),
            (self.folders, "folder was left out (--recursive takes it)", "folders were left out (--recursive takes them)"),
        )
        kinds = ((list(dict.fromkeys(paths)), one, many) for paths, one, many in lists)  # a folder may be named twice
        return [f"{len(paths)} {one if len(paths) == 1 else many}: {_names(paths)}" for paths, one, many in kinds if paths]

    def fail(self, name: str, error: str) -> None:
        self.errors.append({"file": name, "error": error})


def find(sources: Sequence[str], recursive: bool = False, written: Path | None = None) -> Found:
    """Files as they are; of folders, and of patterns that the shell has not expanded, the photographs, sorted; "-" is standard input.
    Drawings of ours are left out wherever they come from.

    `recursive`: also those of the folders in the folders. `written`: a file that is ours and need not be mentioned."""
    if list(sources).count("-") > 1:
        raise OptionError("source: expected - (standard input) once, got it more often")
    found, written = Found(), written and written.absolute()
    for source in sources:
        if source == "-":
            found.photographs.append(Photograph("stdin", None))
        elif os.path.isdir(source) or (glob.has_magic(source) and not os.path.lexists(source)):
            _look(found, source, recursive, written)
        elif is_drawing(Path(source)):
            found.drawings.append(Path(source))
        else:
            found.photographs.append(Photograph(str(Path(source)), Path(source)))
    if not found.photographs and not found.errors:
        found.fail(sources[0], f"source: expected photographs, got only drawings of toppose: {_names(found.drawings)}")
    return found


def _look(found: Found, source: str, recursive: bool, written: Path | None) -> None:
    """Into a folder, or for what a pattern matches. Where there is nothing, that is an error of its own."""
    before, folder = len(found.photographs) + len(found.errors), os.path.isdir(source)
    for path in (_inside if folder else _matching)(found, source, recursive):
        _sort(found, path, written)
    if len(found.photographs) + len(found.errors) == before:
        where = f"in the folder {source!r}, found none" if folder else f"that match {source!r}, found none"
        found.fail(source, f"source: expected photographs ({', '.join(sorted(SUFFIXES))}) {where}")


def _inside(found: Found, folder: str, recursive: bool) -> list[Path]:
    """All files in a folder; what cannot be looked into is an error of its own."""

    def failed(e: OSError) -> None:
        found.fail(str(e.filename), f"source: cannot look into the folder {str(e.filename)!r}: {e.strerror}")

    files: list[Path] = []
    seen = {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, onerror=failed, followlinks=True):
        files += (Path(place, name) for name in names)
        inner = {real: f for f in sorted(folders) if not f.startswith(".") and (real := os.path.realpath(os.path.join(place, f))) not in seen}
        seen |= inner.keys()  # links may lead in a circle
        if not recursive:
            found.folders += (Path(place, name) for name in inner.values())
        folders[:] = inner.values() if recursive else []
    return sorted(files)


def _matching(found: Found, pattern: str, recursive: bool) -> list[Path]:
    """All files that a pattern matches, and those in the folders that it matches."""
    files: dict[Path, None] = {}
    for match in sorted(glob.glob(pattern, recursive=True)):
        if not os.path.isdir(match):
            files[Path(match)] = None
        elif "**" not in pattern:  # which goes through the folders itself
            files |= dict.fromkeys(_inside(found, match, recursive))
    return list(files)


def _sort(found: Found, path: Path, written: Path | None) -> None:
    """A photograph, or left out as what."""
    if path.suffix.lower() not in SUFFIXES or (path.exists() and not path.is_file()):  # a pipe would be waited for
        if not path.name.startswith(".") and path.absolute() != written:
            found.others.append(path)
    elif path.name.startswith("."):
        found.hidden.append(path)
    elif is_drawing(path):
        found.drawings.append(path)
    else:
        found.photographs.append(Photograph(str(path), path))


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(repr(p.name)[1:-1] for p in paths[:SHOWN]) + (", ..." if len(paths) > SHOWN else "")
