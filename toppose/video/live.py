"""Webcams and live addresses: a thread reads without end and keeps the newest frame alone; what nobody had time for is dropped and counted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import numpy as np

from toppose.errors import SourceError
from toppose.images import Pixels
from toppose.video.opencv import open_capture
from toppose.video.sources import Picture, Source

log = logging.getLogger("toppose")
_WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before each try to connect again; the last for ever


class LiveSource(Source):
    """Times are seconds since it was opened, as frames arrive. An address that falls silent is connected to again, waiting longer each time,
    for `patience` seconds at most; a webcam that is gone ends it."""

    live = True

    def __init__(self, source: str | int, shown: str, every: int = 1, patience: float = 300.0) -> None:
        self._source, self._shown, self._every, self._patience = source, shown, every, patience
        self._capture = open_capture(source)
        if self._capture is None:
            expected = "a webcam" if isinstance(source, int) else "a stream"
            why = "there is none of that number, or another program has it" if isinstance(source, int) else "nobody answers there"
            raise SourceError(f"source: expected {expected}, {shown} cannot be opened: {why}")
        self.reconnected = 0
        self._begin, self._stopped = monotonic(), threading.Event()
        self._new = threading.Condition()
        self._slot: tuple[int, float, Pixels] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="toppose live", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Picture]:
        path = self._source if isinstance(self._source, str) else ""
        while True:
            with self._new:
                while self._slot is None and self._error is None and not self._stopped.is_set():
                    self._new.wait(0.5)
                slot, self._slot = self._slot, None
            if self._stopped.is_set():
                return
            if slot is not None:
                index, time, image = slot
                yield Picture(index, time, image, path)
            elif self._error is not None:
                raise self._error

    def stop(self) -> None:
        self._stopped.set()
        with self._new:
            self._new.notify_all()

    def close(self) -> None:
        self.stop()
        self._thread.join(timeout=15)

    def _read(self) -> None:
        index = 0
        try:
            while not self._stopped.is_set():
                ok, image = self._capture.read()
                if not ok or image is None:
                    self._connect_again()
                    continue
                if index % self._every == 0:
                    self._put(index, image)
                index += 1
        except BaseException as e:
            self._error = e
        finally:
            self._release()
            with self._new:
                self._new.notify_all()

    def _put(self, index: int, image: Any) -> None:
        with self._new:
            self.dropped += self._slot is not None
            self._slot = index, monotonic() - self._begin, np.asarray(image, np.uint8)
            self._new.notify_all()

    def _connect_again(self) -> None:
        """Returns with a capture that is open, or when it is to stop."""
        if isinstance(self._source, int):
            raise SourceError(f"source: {self._shown} gives no more pictures: was it unplugged?")
        log.warning("%s fell silent; connecting again", self._shown)
        self._release()
        since = monotonic()
        for attempt in range(1 << 30):
            if self._stopped.wait(_WAITS[min(attempt, len(_WAITS) - 1)]):
                return
            self._capture = open_capture(self._source)
            if self._capture is not None:
                self.reconnected += 1
                log.warning("%s is back after %.0f s", self._shown, monotonic() - since)
                return
            if monotonic() - since > self._patience:
                raise SourceError(f"source: {self._shown} fell silent, and did not answer for {self._patience:.0f} s")

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
