"""Pictures with times -> a video file. Knows nothing of poses."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2

from toppose.errors import MissingDependency, OptionError
from toppose.images import Pixels
from toppose.results.files import part_of

TICKS = 90_000  # a second; what 24, 25, 30 and 60 frames divide
FRAGMENT = 2.0  # seconds that a kill may cost
# without B-frames, whose order would shift all times in a fragmented file
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "veryfast", "crf": "20", "bf": "0"}),
    "av1": ("libsvtav1", {"preset": "10", "crf": "35", "svtav1-params": "pred-struct=1"}),
}
_FRAGMENTED = {".mp4", ".m4v", ".mov"}
_CURE = "Cure: pip install 'toppose[video]'"


class Encoder(Protocol):
    def __init__(self, part: Path, size: tuple[int, int], fps: float, codec: str) -> None: ...

    def add(self, picture: Pixels, time: float) -> None: ...

    def finish(self, target: Path) -> None:
        """Makes `target` of what is in `part`."""
        ...


def has_pyav() -> bool:
    return importlib.util.find_spec("av") is not None


class PyAvEncoder:
    def __init__(self, part: Path, size: tuple[int, int], fps: float, codec: str) -> None:
        import av

        self._av, self._part, self._step = av, part, max(1, round(TICKS / fps))
        name, options = CODECS[codec]
        if name not in av.codecs_available:
            raise OptionError(f"codec: expected one that this PyAV has, got {codec!r} ({name})")
        os.environ.setdefault("SVT_LOG", "1")  # errors only: AV1's encoder tells its settings on stderr
        flags = {"flush_packets": "1"}  # a kill would cost what waits in a buffer
        if part.suffix.lower() in _FRAGMENTED:
            flags["movflags"] = "frag_keyframe+empty_moov+default_base_moof"
        with naming(part):
            self._container = av.open(str(part), "w", options=flags)
        stream: Any = self._container.add_stream(name, rate=Fraction(fps).limit_denominator(1001), options=options)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        self._stream, context = stream, stream.codec_context
        context.time_base, context.gop_size, context.thread_count = Fraction(1, TICKS), max(1, round(FRAGMENT * fps)), 0
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709, which players take for granted
        context.color_range = 1
        self._held: Any = None
        self._tick = -1

    def add(self, picture: Pixels, time: float) -> None:
        """A frame is encoded when the next one tells how long it is shown."""
        frame = self._av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = max(self._tick + 1, round(time * TICKS)), Fraction(1, TICKS)
        if self._held is not None:
            self._step = frame.pts - self._tick
            self._encode(self._held)
        self._held, self._tick = frame, frame.pts

    def finish(self, target: Path) -> None:
        with naming(self._part):
            if self._held is not None:
                self._encode(self._held)
                self._mux(self._stream.encode(None))
            self._container.close()
        if self._part.suffix.lower() in _FRAGMENTED:
            self._put_index_in_front(target)
        else:
            os.replace(self._part, target)

    def _encode(self, frame: Any) -> None:
        with contextlib.suppress(AttributeError):  # older PyAV have no duration to set
            frame.duration = self._step
        with naming(self._part):
            self._mux(self._stream.encode(frame))

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            if not packet.duration:
                packet.duration = self._step
            self._container.mux(packet)

    def _put_index_in_front(self, target: Path) -> None:
        """Copies the packets; a disk that is full leaves the fragments, which can be played."""
        whole = part_of(target)
        kind = "mov" if target.suffix.lower() == ".mov" else "mp4"
        try:
            with (
                naming(target),
                self._av.open(str(self._part)) as source,
                self._av.open(str(whole), "w", format=kind, options={"movflags": "+faststart"}) as out,
            ):
                stream = out.add_stream_from_template(source.streams.video[0], opaque=True)  # no encoder is called as AV1's decoder
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        packet.stream = stream
                        out.mux(packet)
            os.replace(whole, target)
            self._part.unlink()
        finally:
            whole.unlink(missing_ok=True)


class OpenCvEncoder:
    """MPEG-4 at a constant rate."""

    def __init__(self, part: Path, size: tuple[int, int], fps: float, codec: str) -> None:
        self._part, self._count = part, 0
        self._writer = cv2.VideoWriter(str(part), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
        if not self._writer.isOpened():
            raise OSError(errno.EIO, "OpenCV cannot write this video", str(part))

    @staticmethod
    def check(suffix: str, codec: str | None) -> None:
        if suffix == ".webm" or codec:
            what = "a .webm" if suffix == ".webm" else f"codec {codec!r}"
            raise MissingDependency(f"{what} needs PyAV, which is not installed. {_CURE}")

    def add(self, picture: Pixels, time: float) -> None:
        self._writer.write(picture)
        self._count += 1

    def finish(self, target: Path) -> None:
        self._writer.release()
        written = int(cv2.VideoCapture(str(self._part)).get(cv2.CAP_PROP_FRAME_COUNT))
        if written != self._count:  # OpenCV does not say that a disk is full
            raise OSError(errno.EIO, f"OpenCV wrote {written} of {self._count} frames, as on a full disk", str(self._part))
        os.replace(self._part, target)


@contextlib.contextmanager
def naming(path: Path) -> Any:
    """What FFmpeg cannot write is an OSError that names the file."""
    try:
        yield
    except OSError as e:
        raise OSError(e.errno or errno.EIO, e.strerror or str(e), str(path)) from e
