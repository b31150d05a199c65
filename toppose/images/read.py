"""The way in: by the type of what came, to the one who can read it."""

from __future__ import annotations

import array
import ctypes
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from toppose.errors import ImageError, OptionError
from toppose.images.arrays import array_of, batch_of, from_array, from_pil
from toppose.images.decode import decode
from toppose.images.files import read_path, read_stream
from toppose.images.types import EXPECTED, MAX_PIXELS, Color, ImageLike, Pixels


def read_image(image: ImageLike, color: Color = "bgr", name: str = "image", max_pixels: int = MAX_PIXELS) -> Pixels:
    """One image as (H, W, 3) uint8 BGR; arrays that already are that are not copied.

    `color` is the order of three- and four-channel arrays; files and PIL images know their own. Alpha is dropped, never blended: the colours are
    those stored, also where they are transparent or premultiplied. 16 bits become the upper 8. The orientation of files and encoded bytes (EXIF;
    rotation and mirror of AVIF) is applied once, that of PIL images is not: coordinates are those of the pixels as PIL has them. Of an animation,
    the first frame. An open file is read from where it stands to its end, and stays open. A JPEG that its decoder complains of is an error, or,
    where every pixel is there all the same, a warning of the logger "toppose".

    name: what errors call the argument. max_pixels: a picture that claims more is refused before it is decoded, as is a file of more than
    8 bytes for each; arrays may have any size.
    Raises ImageError (what came, in one sentence, and what would do instead) and OptionError (color, max_pixels)."""
    if color not in ("bgr", "rgb"):
        raise OptionError(f"color: expected 'bgr' or 'rgb', got {color!r}")
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, (int, np.integer)) or max_pixels < 1:
        raise OptionError(f"max_pixels: expected an int from 1 on, got {max_pixels!r}")
    try:
        return _read(image, color, name, int(max_pixels))
    except MemoryError as e:
        raise ImageError(f"{name}: expected an image that fits into memory: {e or 'there is not enough for this one'}") from None


def read_images(images: Sequence[ImageLike] | Any, color: Color = "bgr", name: str = "image", max_pixels: int = MAX_PIXELS) -> list[Pixels]:
    """A sequence of images, or one array (B, H, W, 3), as a list; an error names the index."""
    if _is_batch(images):
        images = batch_of(images, name)
    elif isinstance(images, (str, bytes, bytearray, memoryview)) or not isinstance(images, Sequence):
        raise ImageError(f"{name}: expected a list of images, or one array (B, H, W, 3); got {_described(images, name)}")
    return [read_image(image, color, f"{name}[{i}]", max_pixels) for i, image in enumerate(images)]


def is_several(image: Any) -> bool:
    """Whether an argument is several images, for `read_images`: a list, a tuple or an array of four dimensions."""
    return isinstance(image, (list, tuple)) or _is_batch(image)


def _is_batch(image: Any) -> bool:
    return hasattr(image, "__array__") and getattr(image, "ndim", None) == 4


def _read(image: Any, color: Color, name: str, max_pixels: int) -> Pixels:
    if isinstance(image, (str, os.PathLike)):
        return read_path(image, name, max_pixels)
    if isinstance(image, (bytes, bytearray)) or (isinstance(image, memoryview) and image.ndim == 1):
        return decode(bytes(image), name, max_pixels)
    if isinstance(image, np.ndarray):
        return from_array(image, color, name)
    if hasattr(image, "convert") and hasattr(image, "getbands"):
        return from_pil(image, name, max_pixels)
    if isinstance(image, memoryview) or (hasattr(image, "__array__") and not isinstance(image, type)):
        return from_array(array_of(image, name), color, name)
    if callable(getattr(image, "read", None)) and not isinstance(image, (type, cv2.VideoCapture)):
        return read_stream(image, name, max_pixels)
    raise ImageError(f"{name}: expected {EXPECTED}; got {_described(image, name)}")


def _described(image: Any, name: str) -> str:
    """What came and, where it is known, what would do instead."""
    kind = type(image).__name__
    if image is None:
        return "NoneType: cv2.imread gives it for a file that it cannot read; pass the path itself"
    if isinstance(image, bool):
        return "bool: cv2.VideoCapture.read() gives (whether, frame); pass the frame"
    if isinstance(image, cv2.VideoCapture):
        return "VideoCapture: read its frames, and pass them"
    if isinstance(image, (array.array, ctypes.Array)):
        return f"{kind}: if it is a file as it was read, pass bytes({name})"
    if isinstance(image, dict):
        return "dict: pass the value that holds the picture"
    if isinstance(image, (list, tuple)):
        return f"{kind}: for several images pass the list to predict, for the rows of one numpy.array({name}, 'uint8')"
    if isinstance(image, Iterator) or (isinstance(image, Iterable) and not isinstance(image, (str, bytes, bytearray, memoryview, type))):
        return f"{kind}: pass list({name})"
    return kind
