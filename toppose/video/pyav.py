"""Video files and addresses by PyAV (extra `video`): a damaged packet is skipped and counted, and the frames behind it are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from toppose.errors import SourceError
from toppose.images import Pixels
from toppose.video.opencv import Grabbed

_OPTIONS = {"rtsp_transport": "tcp"}
_TIMEOUT = (10.0, 10.0)  # seconds to open an address, and to wait for its next packet


def is_installed() -> bool:
    """Whether PyAV can be imported."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


class PyAvReader:
    """One file or address; the same attributes as OpenCV's reader."""

    def __init__(self, source: str, shown: str) -> None:
        import av

        address = "://" in source
        try:
            self._container: Any = av.open(source, options=_OPTIONS if source.startswith("rtsp") else {}, timeout=_TIMEOUT if address else None)
        except (av.FFmpegError, OSError, ValueError) as e:
            raise SourceError(f"source: expected a video, {shown} cannot be opened: {_words(e)}") from None
        if not self._container.streams.video:
            self._container.close()
            raise SourceError(f"source: expected a video, {shown} has no pictures, only {[s.type for s in self._container.streams]}")
        self._stream, self.lost = self._container.streams.video[0], 0
        self._stream.thread_type = "AUTO"
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.rate = float(rate) if rate else None
        self.count = int(self._stream.frames) or self._estimate()

    def grabbed(self) -> Iterator[Grabbed]:
        """Every frame that can be read, in the order of their times; one that FFmpeg calls damaged is one that is lost."""
        first: float | None = None
        for frame in self._frames():
            if first is None:
                first = self._start(frame)
            yield None if frame.time is None else frame.time - first, lambda frame=frame: _upright(frame)  # type: ignore[misc]

    def close(self) -> None:
        self._container.close()

    def _frames(self) -> Iterator[Any]:
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as e:
                raise SourceError(f"source: the video cannot be read any further: {_words(e)}") from None
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self.lost += 1

    def _start(self, frame: Any) -> float:
        """Seconds that the container counts from: 0, or where its pictures begin."""
        begin = self._stream.start_time
        return float(begin * self._stream.time_base) if begin is not None and self._stream.time_base else float(frame.time or 0.0)

    def _estimate(self) -> int | None:
        seconds = self._container.duration and self._container.duration / 1e6
        return round(seconds * self.rate) if seconds and self.rate else None


def _upright(frame: Any) -> Pixels:
    pixels: Pixels = frame.to_ndarray(format="bgr24")
    return np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90)) if frame.rotation else pixels


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0]
