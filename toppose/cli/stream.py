"""What `toppose predict` does with videos, webcams, addresses, and with photographs that follow each other: frames in, files out, as they come."""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from toppose.cli.options import make_estimator
from toppose.cli.progress import Progress
from toppose.errors import OptionError
from toppose.estimator import Estimator
from toppose.results import Writer, open_writer
from toppose.video import Frame, Stream
from toppose.video.opening import is_stream

# options that say that the sources are looked at as frames, with what they are when they say nothing
FRAMES: dict[str, Any] = {
    "track": False, "smooth": False, "save": None, "show": False, "every": 1, "start": 0.0, "end": None, "live": False, "resume": False,
    "detect_every": 1, "batch_frames": None, "rate": None, "reader": "auto",
}  # fmt: skip
WINDOW = "toppose"
_LEAVE = (27, ord("q"))


def wanted(args: argparse.Namespace) -> bool:
    """Whether the sources are frames that follow each other: they are, or an option says so."""
    return any(getattr(args, name) != default for name, default in FRAMES.items()) or any(map(is_stream, args.sources))


def run(args: argparse.Namespace) -> int:
    """Returns 1 where frames could not be read, else 0."""
    if args.json:
        raise OptionError("--json: expected photographs, which it is for; of frames that follow each other say --save poses.jsonl")
    if "-" in args.sources:
        raise OptionError("source: expected no - (standard input) among frames that follow each other")
    if args.save and len(args.sources) > 1:
        raise OptionError(f"--save: expected one source, as each would be written over the one before, got {len(args.sources)}")
    estimator = make_estimator(args)
    return max(_one(args, estimator, source) for source in args.sources)


@dataclass
class Count:
    frames: int = 0
    people: int = 0


def _one(args: argparse.Namespace, estimator: Estimator, source: str) -> int:
    follow = args.track or args.smooth
    given = {"detect_every": args.detect_every, "batch_frames": args.batch_frames, "every": args.every, "start": args.start, "reader": args.reader}
    if args.end is not None:
        given["end"] = args.end
    if args.rate is not None:
        given["rate"] = args.rate
    targets = [*(args.save or []), *([_drawn(args.out, source)] if args.out else [])]
    count = Count()
    with contextlib.ExitStack() as stack:
        writer = None
        stream = estimator.stream(source, track=args.track, smooth=args.smooth, live=args.live or None, **given)
        stack.callback(stream.close)
        if targets:
            writer = _open(args, estimator, targets, stream, source)
            stack.callback(writer.close)
            if args.resume and writer.done >= 0 and not follow:
                stream.source.skip(writer.done + 1)
        with args.stops.work(), Progress(stream.source.total, "frames") as progress:
            _frames(stream, writer, args, count, progress)
    args.stops.check()
    _report(source, stream, count, targets)
    return int(stream.source.lost > 0 and not stream.source.live)


def _frames(stream: Stream, writer: Writer | None, args: argparse.Namespace, count: Count, progress: Progress) -> None:
    for frame in stream:
        args.stops.check()
        if writer:
            writer.write(frame)
        count.frames += 1
        count.people += len(frame.poses)
        progress.step(people=len(frame.poses), **({"dropped": stream.source.dropped} if stream.source.live else {}))
        if args.show and not _show(frame, args):
            return


def _open(args: argparse.Namespace, estimator: Estimator, targets: list[str], stream: Stream, source: str) -> Writer:
    rate = stream.source.rate
    files = [source] if Path(source).is_file() else []
    return open_writer(
        targets,
        skeleton=estimator.skeleton,
        fps=rate / args.every if rate else None,
        threshold=args.joint_threshold,
        boxes=args.draw_boxes,
        resume=args.resume,
        sources=files,
    )


def _drawn(out: Path, source: str) -> str:
    """Where drawings of a source go: a video for a video, pictures for pictures."""
    out.mkdir(parents=True, exist_ok=True)
    if not is_stream(source):
        return f"pictures={out}"
    stem = Path(source).stem if Path(source).exists() else "webcam" + source if source.isdecimal() else "stream"
    return f"video={out / (stem + '_poses.mp4')}"


def _show(frame: Frame, args: argparse.Namespace) -> bool:
    """False when the user has had enough: q, Escape, or the window is closed."""
    try:
        cv2.imshow(WINDOW, frame.poses.draw(frame.image, args.joint_threshold, args.draw_boxes))
        key = cv2.waitKey(1) & 0xFF
        return key not in _LEAVE and cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) >= 1
    except cv2.error as e:
        raise OptionError(f"--show: expected a screen and an OpenCV with windows (not opencv-python-headless): {e.err}") from None


def _report(source: str, stream: Stream, count: Count, targets: list[str]) -> None:
    origin = stream.source
    parts = [f"{count.frames} {'frame' if count.frames == 1 else 'frames'}", f"{count.people} people in all"]
    parts += [f"{origin.lost} could not be read"] * (origin.lost > 0) + [f"{origin.dropped} dropped"] * (origin.dropped > 0)
    where = f" -> {', '.join(targets)}" if targets else ""
    print(f"{source}: {', '.join(parts)}{where}", file=sys.stderr if origin.lost else sys.stdout)
