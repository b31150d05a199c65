"""JPEG -> pixels, with what the decoder has to complain of.

libjpeg decodes whatever it gets: what is lost becomes grey or is shifted, and it says so on stderr alone. TurboJPEG, through simplejpeg, gives what
it said to its caller, makes the same pixels as OpenCV's libjpeg, and is faster than it."""

from __future__ import annotations

import re

import cv2
import numpy as np
import simplejpeg

from toppose.errors import ImageError
from toppose.images.headers import jpeg_segments
from toppose.images.types import Pixels, log

END = b"\xff\xd9"
HARMLESS = re.compile("JFIF|Adobe|ICC|SOS parameters")  # complaints of what is said about the picture, not of the picture
AFTER_ALL = re.compile("Premature end of JPEG file|extraneous bytes before marker 0xd9")  # and every pixel may be there all the same
ZEROS = bytes(32)


def decode_jpeg(data: bytes, name: str) -> Pixels:
    """(H, W, 3) uint8 BGR, not turned. ImageError for damage; a warning where a complaint costs no pixel."""
    channels = next(data[first + 5] for marker, first, _ in jpeg_segments(data) if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC))
    try:
        pixels = _decode(data, channels)
    except ValueError as e:
        data, pixels = _saved(data, channels, str(e), name)
    if at := _zeroed(data):
        raise ImageError(f"{name}: expected a whole picture, got a damaged JPEG: zeros from byte {at} on where its picture should be")
    # OpenCV has its own way from CMYK to BGR, and its libjpeg nothing more to complain of
    return pixels if channels != 4 else np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION))


def _decode(data: bytes, channels: int, strict: bool = True) -> Pixels:
    pixels: Pixels = simplejpeg.decode_jpeg(data, "CMYK" if channels == 4 else "BGR", strict=strict)
    return pixels


def _saved(data: bytes, channels: int, complaint: str, name: str) -> tuple[bytes, Pixels]:
    """The file as it can be decoded, and its pixels, where the complaint costs none; ImageError where it does."""
    whole = data
    try:
        if HARMLESS.search(complaint):
            pixels = _decode(data, channels, strict=False)
        elif AFTER_ALL.search(complaint):
            whole = _completed(data)
            pixels = _decode(whole, channels)
        else:
            raise ValueError
    except ValueError:
        cut = f"the file is cut short ({len(data)} bytes)" if "Premature" in complaint else "parts of it are not what was written"
        raise ImageError(f"{name}: expected a whole picture, got a damaged JPEG: {cut}; its decoder says {complaint!r}") from None
    log.warning("%s: its JPEG decoder says %r; every pixel is there all the same", name, complaint)
    return whole, pixels


def _completed(data: bytes) -> bytes:
    """Without padding before the marker of its end, and with that marker."""
    scan = max(end for _, _, end in jpeg_segments(data))
    end = data.find(END, scan)
    return data[: end if end >= 0 else len(data)].rstrip(b"\0") + END


def _zeroed(data: bytes) -> int:
    """Where in the first scan zeros lie that no encoder writes, or 0.

    The decoder takes them for blocks of what its tables call by a code of zeros. Where that is "all the rest is 0" in all tables, they may be true (a
    white page); else no block looks so, and it is not noticed where the number of blocks happens to be right."""
    at = data.find(ZEROS)
    if at < 0:
        return 0
    shortest = {0x10: 1, 0x11: 0}  # (class and number of a table) -> what its code of zeros means; those of files without tables
    sequential, scan = False, 0
    for marker, first, end in jpeg_segments(data):
        if marker == 0xC4:
            shortest.update(_shortest(data[first:end]))
        elif marker in (0xC0, 0xC1):
            sequential = True
        elif marker == 0xDA:
            scan, parts = end, data[first + 1 : end]
    tables = {0x10 | parts[2 * i + 1] & 0xF for i in range(data[scan - len(parts) - 1])} if sequential else set()
    at = data.find(ZEROS, scan)
    inside = at >= 0 and data.find(END, scan, at) < 0 <= data.find(END, at)
    return at if inside and any(shortest.get(table) for table in tables) else 0


def _shortest(segment: bytes) -> dict[int, int]:
    """The first symbol of each Huffman table in a segment, whose code is all zeros."""
    found, at = {}, 0
    while at + 17 < len(segment):
        found[segment[at]] = segment[at + 17]
        at += 17 + sum(segment[at + 1 : at + 17])
    return found
