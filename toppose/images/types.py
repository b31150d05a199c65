"""The words that this room and its callers share."""

from __future__ import annotations

import logging
import os
from typing import Any, BinaryIO, Literal, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Color = Literal["bgr", "rgb"]
# a path, encoded bytes, an open binary file, a PIL image, or an array
ImageLike: TypeAlias = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, BinaryIO, NDArray[Any], Any]

MAX_PIXELS = 2**28  # 16,384 x 16,384; 768 MiB once decoded
EXPECTED = "a path, encoded bytes, an open binary file, a PIL image, or a uint8 or uint16 array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
log = logging.getLogger("toppose")


def words(error: Exception) -> str:
    """What another library's exception says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
