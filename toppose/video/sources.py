"""Pictures in a row, with their times: of a video, or of photographs and arrays."""

from __future__ import annotations

import logging
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

from toppose.errors import ImageError, SourceError
from toppose.images import MAX_PIXELS, Color, Pixels, read_image
from toppose.video import pyav
from toppose.video.opencv import Grabbed, OpenCvReader, open_capture

log = logging.getLogger("toppose")
Reader = Literal["auto", "opencv", "pyav"]


@dataclass(frozen=True, eq=False)
class Picture:
    """index: number in its source, from 0; time: seconds; image (H,W,3) uint8 BGR; path: the file it came from, "" where there is none."""

    index: int
    time: float
    image: Pixels
    path: str


class Source(ABC):
    """Iterated once. rate: frames a second where known; total: how many pictures are expected where known; live: it does not wait for whoever
    looks; lost: pictures that could not be read so far; dropped: live ones that nobody had time for."""

    live = False
    rate: float | None = None
    total: int | None = None
    lost = 0
    dropped = 0
    first = 0

    @abstractmethod
    def __iter__(self) -> Iterator[Picture]: ...

    def skip(self, first: int) -> None:
        """Leaves out frames before index `first`, where it has not begun yet."""
        self.first = max(self.first, first)

    def stop(self) -> None:  # noqa: B027  # most end by themselves
        """Asks whoever iterates in another thread to end soon."""

    def close(self) -> None:  # noqa: B027  # most have nothing to close
        """Lets go of the file or device; nobody iterates any more. May be called twice."""


@dataclass(frozen=True)
class Span:
    """Which frames of a source are taken."""

    every: int = 1
    start: float = 0.0
    end: float = math.inf

    def has(self, index: int, time: float) -> bool:
        return index % self.every == 0 and time >= self.start

    def count(self, total: int | None, rate: float | None) -> int | None:
        """How many of `total` frames that is, as far as a constant rate tells."""
        if total is None or (rate is None and (self.start or self.end < math.inf)):
            return None
        seconds = total / rate if rate else math.inf
        share = max(0.0, min(self.end, seconds) - self.start) / seconds if rate else 1.0
        return math.ceil(total * share / self.every)


class VideoSource(Source):
    """A file, or an address that is read like one."""

    def __init__(self, source: str, shown: str, span: Span, reader: Reader) -> None:
        self._path, self._shown, self._span = source, shown, span
        self._reader = self._open(source, shown, reader)
        self.rate, self.total = self._reader.rate, span.count(self._reader.count, self._reader.rate)

    @property
    def lost(self) -> int:  # type: ignore[override]
        return self._reader.lost

    def __iter__(self) -> Iterator[Picture]:
        for index, (time, decode) in enumerate(rising(self._reader.grabbed(), self.rate, self._shown)):
            if time > self._span.end:
                return
            if index >= self.first and self._span.has(index, time):
                image = decode()
                if image is None:
                    self._reader.lost += 1
                else:
                    yield Picture(index, time, image, self._path)

    def close(self) -> None:
        self._reader.close()

    def _open(self, source: str, shown: str, reader: Reader) -> OpenCvReader | pyav.PyAvReader:
        if "://" not in source:
            check_file(source)
        if reader == "pyav" or (reader == "auto" and pyav.is_installed()):
            return pyav.PyAvReader(source, shown)
        if (capture := open_capture(source)) is None:
            raise SourceError(f"source: expected a video, {shown} cannot be opened: {describe(source)}")
        return OpenCvReader(capture, source)


def rising(frames: Iterable[Grabbed], rate: float | None, shown: str) -> Iterator[tuple[float, Callable[[], Pixels | None]]]:
    """Times that are missing, or do not rise, are one frame after the one before; the log says so once."""
    last, told = -math.inf, False
    for time, decode in frames:
        if time is None or not math.isfinite(time) or time <= last:
            if not told:
                log.warning("%s: its frames' times are missing or do not rise; counted on by its rate", shown)
            told, time = True, max(last, 0.0) + 1 / (rate or 25) if last > -math.inf else 0.0
        last = time
        yield time, decode


class PictureSource(Source):
    """Photographs, arrays, or pairs of time and image; those without times come `rate` times a second. What cannot be read is counted and logged."""

    def __init__(self, images: Iterable[Any], color: Color, rate: float, span: Span, max_pixels: int = MAX_PIXELS) -> None:
        self._images, self._color, self._span, self.rate, self._max_pixels = images, color, span, rate, max_pixels
        if isinstance(images, Sized):
            self.total = span.count(len(images), rate)
        self.errors: list[str] = []

    def __iter__(self) -> Iterator[Picture]:
        last = -math.inf
        for index, item in enumerate(self._images):
            time, image = self._timed(index, item, last)
            last = time
            if time > self._span.end:
                return
            if index < self.first or not self._span.has(index, time):
                continue
            path = os.fspath(image) if isinstance(image, (str, os.PathLike)) else ""
            try:
                pixels = read_image(image, self._color, f"source[{index}]", self._max_pixels)
            except ImageError as e:
                self.lost += 1
                self.errors.append(str(e))
                log.warning("%s", e)
                continue
            yield Picture(index, time, pixels, str(path))

    def _timed(self, index: int, item: Any, last: float) -> tuple[float, Any]:
        assert self.rate
        if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Real)):
            return index / self.rate, item
        time = float(item[0])
        if not math.isfinite(time) or time <= last:
            raise SourceError(f"source[{index}]: expected a time after {last:g} s, got {item[0]}")
        return time, item[1]


def check_file(path: str) -> None:
    """Raises SourceError for what is no file that can be read, before a decoder says it in its own words."""
    try:
        with open(path, "rb") as file:
            if not file.read(1):
                raise SourceError(f"source: expected a video, {path!r} is empty")
    except IsADirectoryError:
        raise SourceError(f"source: expected a video, {path!r} is a folder") from None
    except (OSError, ValueError) as e:
        reason = "no such file" if isinstance(e, FileNotFoundError) else str(getattr(e, "strerror", None) or e)
        raise SourceError(f"source: cannot read {path!r}: {reason}") from None


def describe(path: str) -> str:
    """What a file that is no video seems to be."""
    if "://" in path:
        return f"nobody answers there with a video within {10} s"
    with open(path, "rb") as file:
        head = file.read(64)
    if head[4:8] == b"ftyp":
        return "an MP4 that is damaged or cut short"
    text = not set(head) & set(range(9))
    return "it holds text" if text else f"it begins with {head[:12]!r}"
