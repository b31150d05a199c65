"""Encoded bytes -> (H, W, 3) uint8 BGR: recognised, checked, decoded, turned."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable

import cv2
import numpy as np

from toppose.errors import ImageError
from toppose.images import tiff
from toppose.images.arrays import warn_if_dark
from toppose.images.headers import png_chunks, pnm_fields, read_header, webp_chunks
from toppose.images.jpeg import decode_jpeg
from toppose.images.signatures import FLOATS, HEAD, RAW, recognise
from toppose.images.types import Pixels

FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION  # versions of OpenCV differ in whose orientation they know
NEEDED = (b"IHDR", b"PLTE", b"IDAT", b"IEND")  # of a PNG's chunks; of others libpng complains, and tRNS and fdAT are alpha and animation


def decode(data: bytes, name: str, max_pixels: int) -> Pixels:
    """The picture in an encoded file; ImageError for what is none, is damaged or claims more than max_pixels."""
    kind = recognise(data[:HEAD], name)
    if kind == "TIFF":
        _check_tiff(data, name)
    header = read_header(kind, data, name, max_pixels)
    pixels = DECODERS.get(kind, _any)(data, name)
    if 8 < header.bits < 32 and kind != "PNM":
        warn_if_dark((int(pixels.max()) << 8) - (kind == "TIFF"), name)  # libtiff rounds, others cut off
    return _turned(pixels, header.orientation)


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """Upright, by an EXIF orientation."""
    if orientation in (5, 7):
        pixels = np.asarray(cv2.transpose(pixels), np.uint8)
    if orientation in (2, 4, 7):
        return np.asarray(cv2.flip(pixels, {2: 1, 4: 0, 7: -1}[orientation]), np.uint8)
    if orientation in (3, 6, 8):
        turns = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
        return np.asarray(cv2.rotate(pixels, turns[orientation]), np.uint8)
    return pixels


def _any(data: bytes | bytearray, name: str) -> Pixels:
    reason = f"is damaged or cut short ({len(data)} bytes), or of a kind that OpenCV {cv2.__version__} does not decode"
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), FLAGS)
    except cv2.error as e:
        image = None
        if "MAX_IMAGE" in str(e) or "validateInputImageSize" in str(e):
            reason = "has more pixels than OpenCV decodes: set the environment variable OPENCV_IO_MAX_IMAGE_PIXELS before it is imported"
        elif e.code == cv2.Error.StsNoMem:
            raise MemoryError("OpenCV has not enough for this one") from None
    if image is None or image.size == 0:
        raise ImageError(f"{name}: expected a whole picture, got a {recognise(bytes(data[:HEAD]), name)} that {reason}")
    return np.asarray(image, np.uint8)


def _png(data: bytes, name: str) -> Pixels:
    """Without the chunks that are not needed, and only if the others are as they were written."""
    view, last, spare = memoryview(data), b"", False
    kept: list[bytes | memoryview] = [data[:8]]
    for last, first, end in png_chunks(data):
        if last in NEEDED:
            if zlib.crc32(view[first - 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
                raise ImageError(f"{name}: expected a whole picture, got a damaged PNG: the checksum of its {last.decode()} chunk does not fit")
            kept.append(view[first - 8 : end + 4])
        else:
            spare = True
    if last != b"IEND":
        raise ImageError(f"{name}: expected a whole picture, got a PNG without its end chunk: the file is cut short ({len(data)} bytes)")
    return _any(b"".join(kept) if spare else data, name)


def _webp(data: bytes, name: str) -> Pixels:
    """Of an animation the colours of the first frame; OpenCV would blend them with black, and looks at all frames."""
    frame, stop = next(((first, end) for kind, first, end in webp_chunks(data) if kind == b"ANMF"), (0, 0))
    if not frame:
        return _any(data, name)
    still = next((data[first - 8 : end + end % 2] for kind, first, end in webp_chunks(data, frame + 16, stop) if kind in (b"VP8 ", b"VP8L")), b"")
    pixels = _any(b"RIFF" + struct.pack("<I", len(still) + 4) + b"WEBP" + still, name)
    x, y = (2 * int.from_bytes(data[frame + i : frame + i + 3], "little") for i in (0, 3))
    header = read_header("WebP", data, name, sys.maxsize)
    whole = np.zeros((header.height, header.width, 3), np.uint8)
    if y + pixels.shape[0] > header.height or x + pixels.shape[1] > header.width:
        raise ImageError(f"{name}: expected a whole picture, got a damaged WebP: its first frame lies outside of it")
    whole[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return whole


def _check_tiff(data: bytes, name: str) -> None:
    """Refuses what OpenCV makes black, or takes the thumbnail of."""
    try:
        tags = tiff.read_directory(data)
    except struct.error:
        return  # read_header says it
    raw = tags.get(tiff.PHOTOMETRIC, 2) in (32803, 34892) or tiff.DNG_VERSION in tags.tags
    if raw or (tags.get(tiff.SUBFILE, 0) & 1 and tiff.SUBIFDS in tags.tags):
        raise ImageError(f"{name}: expected an encoded picture, got a RAW photograph: {RAW}")
    if tags.get(tiff.SAMPLE_FORMAT, 1) not in (1, 4) or tags.get(tiff.BITS, 1) > 16:
        bits, form = tags.get(tiff.BITS, 1), {2: "signed", 3: "floating-point"}.get(tags.get(tiff.SAMPLE_FORMAT, 1), "unsigned")
        raise ImageError(f"{name}: expected a TIFF of unsigned values of at most 16 bits, got {form} ones of {bits}: {FLOATS}")


def _tiff(data: bytes, name: str) -> Pixels:
    return _any(tiff.plain(data), name)


def _pnm(data: bytes, name: str) -> Pixels:
    """PGM, PPM and PAM by their largest value, which OpenCV takes for 255 or 65,535; bitmaps and those in ASCII by OpenCV."""
    if data[:2] not in (b"P5", b"P6", b"P7"):
        return _any(data, name)
    width, height, channels, most, first = pnm_fields(data)
    if not 1 <= most <= 65535 or not 1 <= channels <= 4:
        raise ImageError(f"{name}: expected a PNM of 1 to 4 channels with values up to 65535, got {channels} channels with values up to {most}")
    wide, count = ">u2" if most > 255 else "u1", width * height * channels
    if len(data) - first < count * np.dtype(wide).itemsize:
        raise ImageError(f"{name}: expected a whole picture, got a PNM that is cut short ({len(data)} bytes)")
    values = np.frombuffer(data, wide, count, first).reshape(height, width, channels)[:, :, : 3 if channels > 2 else 1]
    if most == 65535:
        values = values >> 8
    elif most != 255:
        values = np.minimum(values.astype(np.uint32) * 255 // most, 255)
    pixels = values.astype(np.uint8)
    if channels < 3:
        return np.repeat(pixels, 3, axis=2)  # (H, W, 3)
    bgr = data[:2] == b"P7" and b"TUPLTYPE" not in data[:first]  # as OpenCV writes them
    return pixels if bgr else np.ascontiguousarray(pixels[:, :, ::-1])


DECODERS: dict[str, Callable[[bytes, str], Pixels]] = {"JPEG": decode_jpeg, "PNG": _png, "WebP": _webp, "TIFF": _tiff, "PNM": _pnm}
