"""Whatever a user calls an image -> (H, W, 3) uint8 BGR, or an ImageError that says what came instead."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, Union

import cv2
import numpy as np
from numpy.typing import NDArray

from toppose.errors import ImageError, OptionError

Pixels = NDArray[np.uint8]
Color = Literal["bgr", "rgb"]
# a path, encoded bytes, a PIL image, or an array
ImageLike: TypeAlias = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, NDArray[Any], Any]

EXPECTED = "a path, encoded bytes, a PIL image, or a uint8 or uint16 array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"


def read_image(image: ImageLike, color: Color = "bgr", name: str = "image") -> Pixels:
    """One image as (H, W, 3) uint8 BGR; arrays that already are that are not copied.

    `color` is the order of three- and four-channel arrays; files and PIL images know their own. Alpha is dropped, 16 bits become
    the upper 8, the EXIF orientation of files and encoded bytes is applied, that of PIL images is not: coordinates are those of the pixels as PIL
    has them. Of an animation, the first frame. `name` is what the error calls the argument."""
    if color not in ("bgr", "rgb"):
        raise OptionError(f"color: expected 'bgr' or 'rgb', got {color!r}")
    if isinstance(image, (str, os.PathLike)):
        return _read_file(image, name)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _decode(bytes(image), name)
    if isinstance(image, np.ndarray):
        return _from_array(image, color, name)
    if hasattr(image, "convert") and hasattr(image, "getbands"):
        return _from_pil(image, name)
    raise ImageError(f"{name}: expected {EXPECTED}; got {type(image).__name__}")


def read_images(images: Sequence[ImageLike], color: Color = "bgr", name: str = "image") -> list[Pixels]:
    """A list of images; an error names the index."""
    return [read_image(image, color, f"{name}[{i}]") for i, image in enumerate(images)]


def _read_file(path: str | os.PathLike[str], name: str) -> Pixels:
    shown = repr(os.fspath(path))
    try:
        file = Path(path)
        data = None if file.is_char_device() or file.is_block_device() else file.read_bytes()  # /dev/zero never ends
    except IsADirectoryError:
        raise ImageError(f"{name}: expected an image file, got the folder {shown}") from None
    except (OSError, ValueError) as e:
        reason = "no such file" if isinstance(e, FileNotFoundError) else str(e)
        raise ImageError(f"{name}: cannot read {shown}: {reason}") from None
    if data is None:
        raise ImageError(f"{name}: expected an image file, got the device {shown}")
    return _decode(data, f"{name} {shown}")


def _decode(data: bytes, name: str) -> Pixels:
    if not data:
        raise ImageError(f"{name}: expected an encoded image, got 0 bytes")
    if reason := _truncated(data):
        raise ImageError(f"{name}: {reason}; the file is cut short ({len(data)} bytes)")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as e:
        raise ImageError(f"{name}: cannot be decoded: {e.err if hasattr(e, 'err') else e}") from None
    if image is None or image.size == 0:
        raise ImageError(f"{name}: expected an image that OpenCV decodes, got {len(data)} bytes beginning with {data[:12]!r}")
    return np.asarray(image, np.uint8)


def _truncated(data: bytes) -> str:
    """Why a JPEG or PNG is incomplete, or "". OpenCV returns such files with grey where the rest is missing."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "" if b"IEND" in data[-4096:] or b"IEND\xaeB`\x82" in data else "a PNG without its end chunk"
    if data[:2] != b"\xff\xd8":
        return ""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:  # step over the segments (a thumbnail may lie in one) to the scan
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0xDA:
            return "" if data.find(b"\xff\xd9", at) >= 0 else "a JPEG without its end marker"
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return "a JPEG without picture data"


def _from_array(array: NDArray[Any], color: Color, name: str) -> Pixels:
    array = np.asarray(array)  # a matrix or a masked array is one too
    got = f"{name}: expected {EXPECTED}; got {array.dtype} {array.shape}"
    if array.dtype.kind != "u" or array.dtype.itemsize > 2 or array.ndim not in (2, 3):
        raise ImageError(got)
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4):
        raise ImageError(got)
    if 0 in array.shape:
        raise ImageError(f"{name}: expected at least one pixel; got shape {array.shape}")
    if array.dtype.itemsize == 2:
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 2 or array.shape[2] == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    if color == "rgb":
        array = array[:, :, 2::-1]
    return np.ascontiguousarray(array[:, :, :3])


def _from_pil(image: Any, name: str) -> Pixels:
    try:
        if str(image.mode).startswith("I;16"):
            return _from_array(np.asarray(image).astype(np.uint16), "bgr", name)
        if image.mode in ("I", "F"):
            raise ValueError(f"its mode {image.mode!r} has no fixed range; convert it to 'L', 'RGB' or 'I;16'")
        pixels = np.asarray(image.convert("RGB"))
    except Exception as e:  # PIL raises OSError, SyntaxError and more for broken files, which it reads only now
        raise ImageError(f"{name}: the PIL image cannot be read: {e}") from None
    return _from_array(pixels, "rgb", name)
