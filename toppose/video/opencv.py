"""Video files and addresses by OpenCV: frames with the container's own times, turned as the container says. Goes on behind damage where it can."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

from toppose.images import Pixels

Grabbed = tuple[float | None, Callable[[], Pixels | None]]  # seconds, and what decodes the picture before the next one is grabbed
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # its decoder's words; what matters is said here
_TIMEOUT = 10_000  # ms to open an address, and to wait for the next of its frames
_FIRST_STEP, _LONGEST_STEP = 0.5, 8.0  # seconds by which damage is leapt over, twice as many each time


def open_capture(source: str | int) -> Any:
    """A capture that is open, or None. Addresses go over TCP, which FFmpeg is told by OpenCV itself."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        if isinstance(source, int):
            capture = cv2.VideoCapture(source)
        else:
            times = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT] if "://" in source else []
            capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, times) if times else cv2.VideoCapture(source)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if capture.isOpened():
        return capture
    capture.release()
    return None


class OpenCvReader:
    """One file or address. `rate` frames a second and `count` frames as its header says, both None where it does not; `lost` frames so far."""

    def __init__(self, capture: Any, source: str) -> None:
        self._capture, self._source, self.lost = capture, source, 0
        rate, count = (float(capture.get(p)) for p in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.rate = rate if math.isfinite(rate) and 0 < rate <= 1000 else None
        self.count = int(count) if math.isfinite(count) and 0 < count < 1e9 else None

    def grabbed(self) -> Iterator[Grabbed]:
        """Every frame that can be read. After damage the file is opened anew and searched for the next one."""
        done, last = 0, 0.0
        while True:
            while self._capture.grab():
                last = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1e3
                done += 1
                yield last, self._retrieve
            if self._is_whole(done, last) or (found := self._search(last)) is None:
                break
            gap = max(1, round((found - last) * (self.rate or 25)))
            self.lost += gap - 1
            done += gap
            last = found
            yield found, self._retrieve
        if self.count and not self._is_whole(done, last):
            self.lost += self.count - done

    def close(self) -> None:
        self._capture.release()

    def _retrieve(self) -> Pixels | None:
        ok, image = self._capture.retrieve()
        return np.asarray(image, np.uint8) if ok and image is not None else None

    def _is_whole(self, done: int, last: float) -> bool:
        """Whether as much was read as the header promises, to two frames; headers of some formats only estimate."""
        return self.count is None or self.rate is None or done >= self.count or last + 2 / self.rate >= self.count / self.rate

    def _search(self, last: float) -> float | None:
        """The time of the next frame that can be read behind `last`, already grabbed; None where there is none."""
        assert self.count
        assert self.rate
        step, end = _FIRST_STEP, self.count / self.rate
        at = last + step
        while at < end:
            self._capture.release()
            capture = open_capture(self._source)
            if capture is None:
                return None
            self._capture = capture
            self._capture.set(cv2.CAP_PROP_POS_MSEC, at * 1e3)
            if self._capture.grab() and (found := float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1e3) > last:
                return found
            step = min(2 * step, _LONGEST_STEP)
            at += step
        return None
