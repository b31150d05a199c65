"""How poses are drawn, for pictures and video alike."""

from __future__ import annotations

from dataclasses import dataclass

from toppose.draw import WIDEST, check_number
from toppose.errors import ResultError
from toppose.images import Pixels
from toppose.results.record import Record
from toppose.video.frame import Frame


@dataclass(frozen=True)
class Style:
    """Joints that score at least `threshold`, the boxes too, lines that wide (px; None: as suits each person)."""

    threshold: float = 0.3
    boxes: bool = False
    line_width: float | None = None

    def __post_init__(self) -> None:
        check_number("threshold", self.threshold, 0, 1)
        if self.line_width is not None:
            check_number("line_width", self.line_width, 1, WIDEST)

    def draw(self, frame: Frame | Record) -> Pixels:
        if isinstance(frame, Record):
            raise ResultError(f"frame {frame.index}: expected a picture to draw on, got poses alone")
        return frame.poses.draw(frame.image, self.threshold, self.boxes, line_width=self.line_width)
