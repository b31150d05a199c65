"""An annotated video: H.264 or AV1 through PyAV (extra `video`), which browsers play; without it MPEG-4 through OpenCV, which they do not."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from toppose.errors import OptionError
from toppose.images import Pixels
from toppose.results.drawing import Style
from toppose.results.encode import Encoder, OpenCvEncoder, PyAvEncoder, has_pyav
from toppose.results.files import check_file
from toppose.results.record import Record
from toppose.results.writer import Writer
from toppose.skeleton import COCO17, Skeleton
from toppose.video.frame import Frame

log = logging.getLogger(__name__)
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
Codec = Literal["h264", "av1"]
FPS = 30.0


class Video(Writer):
    """Has the first frame's size, made even by repeating the last row or column; frames of another size are fitted in, with black beside them.
    A frame is shown at its own time, counted from the first one, so a variable rate survives; one whose time does not rise comes 1 / fps after the
    one before it (fps: 30 unless given), and how many did is said at the end. codec: "h264", or "av1" (what .webm always has).

    While frames come the video is in NAME.part.mp4, in fragments of at most two seconds, each of which survives a kill and can be played; `close`
    makes the target of it, with the index in front, so that it plays while it loads. Without PyAV the rate is constant, and a kill leaves nothing.
    A video cannot be gone on with: with `resume` it begins again (`done` is -1). Without a frame there is none."""

    needs_image = True

    def __init__(
        self,
        target: str | os.PathLike[str],
        skeleton: Skeleton = COCO17,
        *,
        fps: float | None = None,
        codec: Codec | None = None,
        threshold: float = 0.3,
        boxes: bool = False,
        line_width: float | None = None,
        resume: bool = False,
    ) -> None:
        self._style, self.fps = Style(threshold, boxes, line_width), _rate(fps)
        suffix = Path(target).suffix.lower()
        if suffix not in SUFFIXES:
            raise OptionError(f"target: expected a video ({', '.join(SUFFIXES)}), got {os.fspath(target)!r}")
        self.codec: Codec = codec or ("av1" if suffix == ".webm" else "h264")
        if self.codec not in ("h264", "av1") or (suffix == ".webm" and self.codec == "h264"):
            raise OptionError(f"codec: expected 'h264' or 'av1', and 'av1' in .webm, got {codec!r}")
        self._encoder: Encoder | None = None
        self._first, self._last, self._mended = 0.0, -1.0, 0
        super().__init__(target, skeleton, resume=resume)
        self._pyav = has_pyav()
        if not self._pyav:
            OpenCvEncoder.check(suffix, codec)
            log.warning("%s: browsers will not play it, as it is MPEG-4; for H.264 pip install 'toppose[video]'", self.target)

    def _place(self) -> None:
        check_file(self.target)

    def _resume(self) -> int:
        return -1

    def _begin(self, record: Record | None) -> None:
        if record is None or record.size is None:
            return
        self._size = (record.size[0] + record.size[0] % 2, record.size[1] + record.size[1] % 2)
        self._first = record.time
        part = self.target.resolve().with_suffix(f".part{self.target.suffix}")
        kind = PyAvEncoder if self._pyav else OpenCvEncoder
        self._encoder = kind(part, self._size, self.fps, self.codec)

    def _put(self, record: Record, frame: Frame | Record) -> None:
        assert self._encoder is not None  # begun with this frame or one before it
        time = record.time - self._first
        if time <= self._last:
            time = self._last + 1 / self.fps
            self._mended += 1
        self._encoder.add(fit(self._style.draw(frame), self._size), time)
        self._last = time

    def _finish(self) -> None:
        if self._encoder is None:
            return
        if self._mended:
            log.warning(
                "%s: %d frames came with a time that did not rise; each was put 1/%g s after the one before it", self.target, self._mended, self.fps
            )
        self._encoder.finish(self.target.resolve())


def fit(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """(height, width, 3) of `size` (width, height), both even: a missing row or column is repeated, all else is scaled and centred on black."""
    (height, width), (W, H) = picture.shape[:2], size
    if 0 <= W - width <= 1 and 0 <= H - height <= 1:
        return np.asarray(cv2.copyMakeBorder(picture, 0, H - height, 0, W - width, cv2.BORDER_REPLICATE), np.uint8)
    scale = min(W / width, H / height)
    w, h = min(W, max(1, round(width * scale))), min(H, max(1, round(height * scale)))
    canvas = np.zeros((H, W, 3), np.uint8)
    x, y = (W - w) // 2, (H - h) // 2
    canvas[y : y + h, x : x + w] = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return canvas


def _rate(fps: float | None) -> float:
    if fps is None:
        return FPS
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 0 < fps <= 1000:
        raise OptionError(f"fps: expected frames per second above 0, up to 1000, got {fps!r}")
    return float(fps)
