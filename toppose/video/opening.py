"""Whatever a user calls a source -> a `Source`. Knows names and kinds; not how pictures are read."""

from __future__ import annotations

import glob
import logging
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from toppose.errors import OptionError, SourceError
from toppose.images import MAX_PIXELS, Color
from toppose.video.live import LiveSource
from toppose.video.photographs import SUFFIXES, find
from toppose.video.sources import PictureSource, Reader, Source, Span, VideoSource

log = logging.getLogger("toppose")
STILL = SUFFIXES - {".gif", ".apng"}  # suffixes of single pictures
VIDEOS = {
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv",
    ".ts", ".vob", ".webm", ".wmv", ".y4m",
}  # fmt: skip
_LIVE = ("rtsp://", "rtsps://", "rtmp://", "rtmps://", "udp://", "rtp://", "srt://", "mms://")
EXPECTED = "a video, a webcam's number, an address, a folder, a pattern, a list or an iterator of images or of (time, image)"


def open_source(
    source: Any,
    color: Color = "bgr",
    max_pixels: int = MAX_PIXELS,
    *,
    every: int = 1,
    start: float = 0.0,
    end: float = math.inf,
    live: bool | None = None,
    rate: float = 30.0,
    reader: Reader = "auto",
) -> Source:
    """Opens what a user calls a source. SourceError where it cannot be, OptionError for what is none.

    every: take each so many-th frame. start, end: seconds of it. live: take the newest frame only and drop what came meanwhile (webcams and RTSP
    do; an HTTP address does when it is said). rate: frames a second of pictures that have no times of their own. color: order of array images.
    max_pixels: what an encoded image may claim. reader: "pyav" (extra `video`) or "opencv" for files and addresses; "auto" takes PyAV where it is
    installed."""
    _check(every, start, end, rate, reader)
    chosen = Span(every, start, end)
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool):
        return LiveSource(int(source), f"webcam {source}", every)
    if isinstance(source, (str, os.PathLike)):
        text = os.fspath(source)
        if not isinstance(text, str) or not text:
            raise OptionError(f"source: expected {EXPECTED}; got {source!r}")
        if text.isdecimal() and not os.path.lexists(text):
            return LiveSource(int(text), f"webcam {text}", every)
        if _is_address(text):
            if live or (live is None and text.lower().startswith(_LIVE)):
                return LiveSource(text, f"address {hidden(text)!r}", every)
            return VideoSource(text, f"address {hidden(text)!r}", chosen, reader)
        if is_video(text):
            return VideoSource(text, repr(text), chosen, reader)
        return PictureSource(_files(text), color, rate, chosen, max_pixels)
    if isinstance(source, (bytes, bytearray, memoryview, dict, set)) or not isinstance(source, Iterable):
        raise OptionError(f"source: expected {EXPECTED}; got {type(source).__name__}")
    return PictureSource(source, color, rate, chosen, max_pixels)


def is_stream(source: str) -> bool:
    """Whether what is named so has frames that follow each other by itself: a webcam, an address or a video."""
    there = os.path.lexists(source)
    if not there and (source.isdecimal() or _is_address(source)):
        return True
    return Path(source).suffix.lower() in VIDEOS and not os.path.isdir(source)


def _is_address(text: str) -> bool:
    return re.match(r"^[a-zA-Z][\w+.-]+://", text) is not None


def is_video(path: str) -> bool:
    """Whether a path is to be read as a video: a file, or what is not there, that has no single picture's suffix."""
    if os.path.isdir(path) or (glob.has_magic(path) and not os.path.lexists(path)):
        return False
    return Path(path).suffix.lower() not in STILL


def hidden(address: str) -> str:
    """An address as it may be shown: without its password."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", address)


def _files(text: str) -> list[str]:
    """The photographs of a folder or pattern, or one photograph."""
    found = find([text])
    if found.errors:
        raise SourceError(found.errors[0]["error"])
    for line in found.notes():
        log.warning("%s", line)
    return [str(p.path) for p in found.photographs]


def _check(every: int, start: float, end: float, rate: float, reader: str) -> None:
    if not isinstance(every, (int, np.integer)) or isinstance(every, bool) or every < 1:
        raise OptionError(f"every: expected a whole number from 1, got {every!r}")
    for name, value in (("start", start), ("end", end), ("rate", rate)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not value >= 0 or (name != "end" and value == math.inf):
            raise OptionError(f"{name}: expected a number of {'frames a second' if name == 'rate' else 'seconds'} from 0, got {value!r}")
    if not rate:
        raise OptionError(f"rate: expected more than 0, got {rate}")
    if end <= start:
        raise OptionError(f"end: expected more than start, {start:g} s, got {end:g}")
    if reader not in ("auto", "opencv", "pyav"):
        raise OptionError(f"reader: expected 'auto', 'opencv' or 'pyav', got {reader!r}")
