"""One picture of many, with its people."""

from __future__ import annotations

from dataclasses import dataclass

from toppose.images import Pixels
from toppose.poses import Poses


@dataclass(frozen=True, eq=False)
class Frame:
    """index: number in its source, from 0; time: seconds from the source's beginning; image (H,W,3) uint8 BGR; path: the file it came from,
    "" where there is none; poses: its people."""

    index: int
    time: float
    image: Pixels
    path: str
    poses: Poses
