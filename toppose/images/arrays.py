"""What is pixels already: arrays, what turns into them, and PIL images."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose.errors import ImageError
from toppose.images.headers import check_size
from toppose.images.types import EXPECTED, Color, Pixels, log, words

_told = threading.Event()  # that 16-bit values look like fewer bits: once a process


def from_array(array: NDArray[Any], color: Color, name: str) -> Pixels:
    """(H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16, in any memory layout -> (H, W, 3) uint8 BGR."""
    if isinstance(array, np.ma.MaskedArray):
        raise ImageError(f"{name}: expected an image without a mask; got a masked array: pass x.filled(0), or x.data for all pixels")
    array = np.asarray(array)  # a matrix is one too
    if 0 in array.shape and array.ndim in (2, 3):
        raise ImageError(f"{name}: expected at least one pixel; got shape {array.shape}")
    if array.dtype.kind != "u" or array.dtype.itemsize > 2 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(f"{name}: expected {EXPECTED}; got {array.dtype} {array.shape}{_cure(array)}")
    if array.dtype.itemsize == 2:
        warn_if_dark(int(array.max()), name)
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 2 or array.shape[2] == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)  # (H, W, 3)
    if color == "rgb":
        array = array[:, :, 2::-1]
    return np.ascontiguousarray(array[:, :, :3])


def array_of(image: Any, name: str) -> NDArray[Any]:
    """The array behind a tensor or whatever else has `__array__`."""
    try:
        return np.asarray(image)
    except Exception as e:  # what another library raises is its own; tensors on a GPU, of bfloat16, ...
        cure = ": pass image.cpu()" if hasattr(image, "cpu") else ": pass image.get()" if hasattr(image, "get") else ""
        raise ImageError(f"{name}: expected {EXPECTED}; got {type(image).__name__}, which NumPy cannot read ({words(e)}){cure}") from None


def batch_of(images: Any, name: str) -> NDArray[Any]:
    """(B, H, W, C) of whatever has `__array__` and four dimensions."""
    array = images if isinstance(images, np.ndarray) else array_of(images, name)
    if array.ndim == 4 and array.shape[1] in (1, 3, 4) and array.shape[3] not in (1, 3, 4):
        cure = (_to_uint8(array) or "x") + ".transpose(0, 2, 3, 1)"
        raise ImageError(f"{name}: expected (B, H, W, 3) uint8; got {array.dtype} {array.shape}, whose channels come first: pass {cure}")
    return array


def warn_if_dark(brightest: int, name: str) -> None:
    """Once a process: 16-bit values of which only the lower 12 bits, or fewer, are in use become almost black."""
    if 0 < brightest < 4096 and not _told.is_set():
        _told.set()
        cure = 'x.astype("uint8")' if brightest < 256 else f'(x >> {brightest.bit_length() - 8}).astype("uint8")'
        log.warning(
            "%s: its 16-bit values stay below 4,096, and their upper 8 bits are almost black; if it has fewer bits, pass %s (said once)", name, cure
        )


def _cure(array: NDArray[Any]) -> str:
    """What to pass instead, with what leads there from the shape; "" where nothing does."""
    if array.dtype.kind in "OV":
        return ": pass list(x), a list of images" if array.dtype.kind == "O" else ": its fields have names; pass one of them"
    if array.ndim == 1 and array.dtype == np.uint8:
        return ": if it is a file as it was read, pass x.tobytes()"
    if array.ndim not in (2, 3):
        return ": pass list(x), a list of images" if array.ndim == 4 else ""
    x = _to_uint8(array)
    normalised = ", once its normalisation is undone" if array.dtype.kind == "f" and np.min(array) < 0 else ""
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        return f", whose channels come first: pass {x or 'x'}.transpose(1, 2, 0){normalised}"
    if array.ndim == 3 and array.shape[2] == 2:
        return f": pass its grey channel, {x or 'x'}[:, :, 0]{normalised}"
    return f": pass {x}{normalised}" if x else ""


def _to_uint8(array: NDArray[Any]) -> str:
    """The expression that makes uint8 (or uint16) of an array `x` of another type, by its values; "" where none does, or none needs to."""
    kind = array.dtype.kind
    if kind == "b":
        return '(x * 255).astype("uint8")'
    if kind not in "iuf" or array.size == 0 or (kind == "u" and array.dtype.itemsize <= 2):
        return ""
    least, most = float(np.min(array)), float(np.max(array))
    if not np.isfinite((least, most)).all():
        return 'numpy.nan_to_num(x).clip(0, 255).astype("uint8")'
    if least < 0:
        return 'x.clip(0, 255).astype("uint8")'
    if kind == "f" and most <= 1.003:  # resized pictures swing over 1, and 1.003 * 255 is still 255
        return '(x * 255).astype("uint8")'
    return 'x.astype("uint8")' if most < 256 else 'x.astype("uint16")' if most < 65536 else f'(x / {most:g} * 255).astype("uint8")'


def from_pil(image: Any, name: str, max_pixels: int) -> Pixels:
    """A PIL image of any mode with a fixed range -> (H, W, 3) uint8 BGR."""
    try:
        width, height = image.size
        check_size(width, height, name, max_pixels)
        mode = str(image.mode)
        if mode.startswith("I;16"):
            return from_array(np.asarray(image).astype(np.uint16), "bgr", name)
        if mode in ("I", "F"):
            raise ValueError(f"its mode {mode!r} has no fixed range; convert it to 'L', 'RGB' or 'I;16'")
        if mode == "La":
            image = image.convert("LA")  # PIL has no way from La to RGB
        elif mode == "P" and "transparency" in image.info:
            image = image.copy()
            del image.info["transparency"]  # of which PIL would warn
        pixels = np.asarray(image.convert("RGB"))
    except ImageError:
        raise
    except Exception as e:  # PIL raises OSError, SyntaxError and more for broken files, which it reads only now
        raise ImageError(f"{name}: the PIL image cannot be read: {words(e)}") from None
    return from_array(pixels, "rgb", name)
