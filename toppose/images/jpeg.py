"""JPEG -> pixels, with what the decoder has to complain of.

libjpeg decodes whatever it gets: what is lost becomes grey or is shifted, and it says so on stderr alone. TurboJPEG, through simplejpeg, gives what
it said to its caller, makes the same pixels as OpenCV's libjpeg, and is faster than it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import cv2
import numpy as np
import simplejpeg

from toppose.errors import ImageError
from toppose.images.headers import is_frame, jpeg_segments
from toppose.images.types import Pixels, log

END = b"\xff\xd9"
HARMLESS = re.compile("JFIF|Adobe|ICC|SOS parameters")  # complaints of what is said about the picture, not of the picture
AFTER_ALL = re.compile("Premature end of JPEG file|extraneous bytes before marker 0xd9")  # and every pixel may be there all the same
ZEROS = bytes(32)
STANDARD = {0x10: 1, 0x11: 0}  # the first symbols of the tables that a file without any means
AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def decode_jpeg(data: bytes, name: str) -> Pixels:
    """(H, W, 3) uint8 BGR, not turned. ImageError for damage; a warning where a complaint costs no pixel."""
    channels = next(data[first + 5] for marker, first, _ in jpeg_segments(data) if is_frame(marker))
    try:
        pixels = _decode(data, channels)
    except ValueError as e:
        data, pixels = _saved(data, channels, str(e), name)
    _check_zeros(data, name)
    # OpenCV has its own way from CMYK to BGR, and its libjpeg nothing more to complain of
    return pixels if channels != 4 else np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION))


def _decode(data: bytes, channels: int) -> Pixels:
    pixels: Pixels = simplejpeg.decode_jpeg(data, "CMYK" if channels == 4 else "BGR", strict=True)
    return pixels


def _saved(data: bytes, channels: int, complaint: str, name: str) -> tuple[bytes, Pixels]:
    """The file as it can be decoded, and its pixels, where the complaint costs none; ImageError where it does."""
    whole = _plain(data) if HARMLESS.search(complaint) else _completed(data) if AFTER_ALL.search(complaint) else b""
    try:
        pixels = _decode(whole, channels)
    except ValueError:
        cut = f": the file is cut short ({len(data)} bytes)" if "Premature" in complaint else ""
        rare = ", or one of a rare kind" if "Unsupported" in complaint else ""
        raise ImageError(f"{name}: expected a whole picture, got a damaged JPEG{rare}{cut}; its decoder says {complaint!r}") from None
    log.warning("%s: its JPEG decoder says %r; every pixel is there all the same", name, complaint)
    return data if HARMLESS.search(complaint) else whole, pixels


def _plain(data: bytes) -> bytes:
    """Without what applications say of it, and with the only parameters that a scan of a sequential JPEG may have."""
    parts, sequential = [data[:2]], False
    for marker, first, end in jpeg_segments(data):
        sequential |= marker in (0xC0, 0xC1)
        if marker == 0xDA:
            parts.append(data[first - 4 : end - 3] + (b"\0\x3f\0" if sequential else data[end - 3 : end]) + data[end:])
        elif not 0xE0 <= marker <= 0xEF:
            parts.append(data[first - 4 : end])
    return b"".join(parts)


def _completed(data: bytes) -> bytes:
    """Without padding before the marker of its end, and with that marker."""
    scan = max(end for _, _, end in jpeg_segments(data))
    end = data.find(END, scan)
    return data[: end if end >= 0 else len(data)].rstrip(b"\0") + END


def _check_zeros(data: bytes, name: str) -> None:
    """ImageError for zeros in a scan that no encoder writes, a warning for those that hardly any writes.

    To the decoder they are a row of whatever its table calls by a code of zeros. Where that is "the rest is 0" they may be true (a white page);
    where it is a coefficient, no picture has blocks full of it, and yet nothing is noticed if their number happens to be right."""
    if ZEROS not in data:
        return
    for symbols, full, first, end in _scans(data):
        at = data.find(ZEROS, first, end)
        if at < 0 or not any(symbol & 0xF for symbol in symbols):
            continue
        if full:
            raise ImageError(f"{name}: expected a whole picture, got a damaged JPEG: zeros from byte {at} on where its picture should be")
        log.warning("%s: a JPEG with zeros from byte %d on where its picture should be; parts of it may be damaged", name, at)
        return


def _scans(data: bytes) -> Iterator[tuple[list[int], bool, int, int]]:
    """(what codes of zeros mean in its tables, whether it has the whole of each block, first byte, end) of each scan that is coded by Huffman."""
    symbols, sequential, after = dict(STANDARD), True, 2
    with contextlib.suppress(ValueError, IndexError):  # nothing but an end after the last scan, or not even that
        while data[after : after + 2] != END:
            for marker, first, end in jpeg_segments(data, after):
                if marker == 0xC4:
                    symbols.update(_first_symbols(data[first:end]))
                elif is_frame(marker):
                    sequential = marker in (0xC0, 0xC1)
            match = AFTER_SCAN.search(data, end)
            after = match.start() if match else len(data)
            lowest, highest, refined = data[end - 3 : end]
            # a progressive JPEG's scan of a few coefficients may have the same in every block, and one that refines has bits without codes
            full = sequential or (highest - lowest >= 32 and refined >> 4 == 0)
            yield [symbols.get(table, 0) for table in _tables(data[first : end - 3], means=not sequential and lowest == 0)], full, end, after


def _tables(scan: bytes, means: bool) -> list[int]:
    """(class and number) of the tables that a scan of means, or of coefficients, uses."""
    return [both >> 4 if means else 0x10 | both & 0xF for both in scan[2::2]]


def _first_symbols(segment: bytes) -> dict[int, int]:
    """By class and number of each Huffman table in a segment the symbol whose code is all zeros."""
    found, at = {}, 0
    while at + 17 < len(segment):
        found[segment[at]] = segment[at + 17]
        at += 17 + sum(segment[at + 1 : at + 17])
    return found
