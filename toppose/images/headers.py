"""What the header of a picture claims: its size, how it is turned, how many bits it has. Nothing is decoded."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from toppose.errors import ImageError
from toppose.images import tiff

# EXIF orientations by quarter turns to the left, and by what then changes places: nothing, top and bottom (0), left and right (1)
TURNS: dict[int | None, tuple[int, int, int, int]] = {None: (1, 8, 3, 6), 0: (4, 5, 2, 7), 1: (2, 7, 4, 5)}


@dataclass(frozen=True, slots=True)
class Header:
    width: int
    height: int
    orientation: int = 1  # as EXIF counts
    bits: int = 8  # of a channel


def read_header(kind: str, data: bytes, name: str, max_pixels: int) -> Header:
    """The header of a picture whose format is a name of signatures.PICTURES; ImageError for one that is damaged or claims too much."""
    try:
        header = READERS[kind](data)
    except (struct.error, IndexError, KeyError, ValueError, AttributeError):
        raise ImageError(f"{name}: expected a whole picture, got a {kind} whose header is damaged or cut short ({len(data)} bytes)") from None
    check_size(header.width, header.height, name, max_pixels)
    return header


def check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"{name}: expected at least one pixel; got a picture of {width} x {height}")
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: expected at most max_pixels={max_pixels}, got a picture that claims {width} x {height} = {width * height}: "
            "pass a larger max_pixels if that is right"
        )


def is_frame(marker: int) -> bool:
    """Whether a marker of JPEG begins the segment that has the size."""
    return 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)


def jpeg_segments(data: bytes, at: int = 2) -> Iterator[tuple[int, int, int]]:
    """(marker, first byte, end) of each segment from `at` up to a scan, the last one yielded."""
    while (at := data.index(b"\xff", at)) >= 0:
        while data[at] == 0xFF:
            at += 1
        marker, at = data[at], at + 1
        if marker in (0x00, 0x01, *range(0xD0, 0xD9)):  # these have no length
            continue
        if marker == 0xD9:
            raise ValueError("the end before a scan")
        end = at + int.from_bytes(data[at : at + 2], "big")
        yield marker, at + 2, end
        if marker == 0xDA:
            return
        at = end


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, first byte of the content, its end) of each chunk up to the last one that the bytes hold whole, checksum and all."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if end + 4 > len(data):
            return
        yield kind, at + 8, end
        if kind == b"IEND":
            return
        at = end + 4


def webp_chunks(data: bytes, at: int = 12, stop: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(type, first byte, end) of each chunk."""
    stop = len(data) if stop is None else min(stop, len(data))
    while at + 8 <= stop:
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at + 8, end
        at = end + end % 2


def pnm_fields(data: bytes) -> tuple[int, int, int, int, int]:
    """(width, height, channels, largest value, first byte of the pixels)"""
    if data[:2] == b"P7":
        text, end = data[: data.index(b"ENDHDR\n")], data.index(b"ENDHDR\n") + 7
        fields = dict(re.findall(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d+)", text, re.MULTILINE))
        width, height, channels, most = (int(fields[key]) for key in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
        return width, height, channels, most, end
    gap = rb"(?:\s|#[^\n]*\n)+"
    bitmap = data[:2] in (b"P1", b"P4")
    match = re.match(rb"P[1-6]" + gap + rb"(\d+)" + gap + rb"(\d+)" + (rb"" if bitmap else gap + rb"(\d+)") + rb"\s", data)
    if not match:
        raise ValueError("no header")
    return int(match[1]), int(match[2]), 3 if data[:2] in (b"P3", b"P6") else 1, 1 if bitmap else int(match[3]), match.end()


def _jpeg(data: bytes) -> Header:
    turned, frame = 1, b""
    for marker, first, end in jpeg_segments(data):
        if marker == 0xE1 and turned == 1 and data[first : first + 6] == b"Exif\0\0":
            turned = tiff.orientation(data[first:end])
        elif is_frame(marker):
            frame = frame or data[first:end]
    bits, height, width = struct.unpack_from(">BHH", frame)
    return Header(width, height, turned, bits)


def _png(data: bytes) -> Header:
    width, height, bits = struct.unpack_from(">IIB", data, 16)
    exif = next((data[first:end] for kind, first, end in png_chunks(data) if kind == b"eXIf"), b"")
    return Header(width, height, tiff.orientation(exif), bits)


def _webp(data: bytes) -> Header:
    width = height = 0
    exif = b""
    for kind, first, end in webp_chunks(data):
        if kind == b"VP8X":
            width, height = (int.from_bytes(data[first + i : first + i + 3], "little") + 1 for i in (4, 7))
        elif kind == b"VP8 " and not width:
            width, height = (v & 0x3FFF for v in struct.unpack_from("<HH", data, first + 6))
        elif kind == b"VP8L" and not width:
            (both,) = struct.unpack_from("<I", data, first + 1)
            width, height = (both & 0x3FFF) + 1, (both >> 14 & 0x3FFF) + 1
        elif kind == b"EXIF":
            exif = exif or data[first:end]
    return Header(width, height, tiff.orientation(exif))


def _tiff(data: bytes) -> Header:
    directory = tiff.read_directory(data)
    turned = directory.get(tiff.ORIENTATION, 1)
    return Header(directory.get(tiff.WIDTH, 0), directory.get(tiff.HEIGHT, 0), turned if 1 <= turned <= 8 else 1, directory.get(tiff.BITS, 1))


def _gif(data: bytes) -> Header:
    return Header(*struct.unpack_from("<HH", data, 6))


def _bmp(data: bytes) -> Header:
    width, height = struct.unpack_from("<HH" if data[14] == 12 else "<ii", data, 18)
    return Header(width, abs(height))


def _jpeg_2000(data: bytes) -> Header:
    right, bottom, left, top = struct.unpack_from(">IIII", data, data.index(b"\xff\x4f\xff\x51") + 8)
    return Header(right - left, bottom - top)


def _pnm(data: bytes) -> Header:
    width, height, _, most, _ = pnm_fields(data)
    return Header(width, height, bits=most.bit_length())


def _sun(data: bytes) -> Header:
    return Header(*struct.unpack_from(">II", data, 4))


def _hdr(data: bytes) -> Header:
    match = re.search(rb"\n[-+][XY] (\d+) [-+][XY] (\d+)\n", data[:65536])
    if not match:
        raise ValueError("no size")
    return Header(int(match[2]), int(match[1]))


def _avif(data: bytes) -> Header:
    """By the properties of the primary item; EXIF has no say in the orientation of an AVIF."""
    first, end = _named(data, 0, len(data))[b"meta"]
    inside = _named(data, first + 4, end)
    first, _ = inside[b"pitm"]
    primary = int.from_bytes(data[first + 4 : first + (8 if data[first] else 6)], "big")
    parts = _named(data, *inside[b"iprp"])
    properties = list(_boxes(data, *parts[b"ipco"]))
    width = height = turns = 0
    mirror: int | None = None
    for i in _associated(data, parts[b"ipma"][0], primary):
        kind, first, _ = properties[i - 1]
        if kind == b"ispe":
            width, height = struct.unpack_from(">II", data, first + 4)
        elif kind == b"irot":
            turns = data[first] & 3
        elif kind == b"imir":
            mirror = data[first] & 1
    return Header(width, height, TURNS[mirror][turns])


def _boxes(data: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, first byte, end) of each box of an ISO file."""
    while at + 8 <= stop:
        size, first = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, first = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = stop if size == 0 else at + size
        if end < first or end > stop:
            if data[at + 4 : at + 8] != b"mdat":
                raise ValueError("a box that ends outside of its own")
            return
        yield data[at + 4 : at + 8], first, end
        at = end


def _named(data: bytes, at: int, stop: int) -> dict[bytes, tuple[int, int]]:
    return {kind: (first, end) for kind, first, end in _boxes(data, at, stop)}


def _associated(data: bytes, at: int, item: int) -> list[int]:
    """The numbers, from 1 on, of an item's properties, by the box `ipma` at `at`."""
    ids, wide = (">I" if data[at] else ">H"), data[at + 3] & 1
    (n,), at = struct.unpack_from(">I", data, at + 4), at + 8
    for _ in range(n):
        (this,) = struct.unpack_from(ids, data, at)
        at += struct.calcsize(ids)
        numbers = struct.unpack_from(f">{data[at]}{'H' if wide else 'B'}", data, at + 1)
        at += 1 + len(numbers) * (2 if wide else 1)
        if this == item:
            return [number for v in numbers if (number := v & (0x7FFF if wide else 0x7F))]
    return []


READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WebP": _webp,
    "TIFF": _tiff,
    "GIF": _gif,
    "BMP": _bmp,
    "JPEG 2000": _jpeg_2000,
    "PNM": _pnm,
    "Sun raster": _sun,
    "Radiance HDR": _hdr,
    "AVIF": _avif,
}
