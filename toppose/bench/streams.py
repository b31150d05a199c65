"""What `toppose bench --stream` measures: frames a second of a stream against a plain loop of reading and `predict`, over the same frames."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from toppose.estimator import Estimator
from toppose.video.opencv import OpenCvReader, open_capture

EVERY = 5  # frames between two looks of the detector


def measure_stream(estimator: Estimator, path: Path, frames: int = 100, repeat: int = 3) -> dict[str, Any]:
    """Frames a second, medians of rounds in which the cases take turns, and their ratios. `people` is how many a frame the plain loop saw."""
    source = str(path)
    estimator.warmup()
    cases: dict[str, Callable[[], tuple[int, int]]] = {
        "plain": lambda: _plain(estimator, source, frames),
        "stream": lambda: _streamed(estimator, source, frames),
        "tracked": lambda: _streamed(estimator, source, frames, track=True, smooth=True),
        "between": lambda: _streamed(estimator, source, frames, detect_every=EVERY),
    }
    rates: dict[str, list[float]] = {name: [] for name in cases}
    seen = {}
    for _ in range(repeat):
        for name, run in cases.items():
            start = perf_counter()
            seen[name] = run()
            rates[name].append(seen[name][0] / (perf_counter() - start))
    rate = {name: float(np.median(r)) for name, r in rates.items()}
    count, people = seen["plain"]
    return {
        "file": source,
        "frames": count,
        "people": people / max(count, 1),
        "people_between": seen["between"][1] / max(count, 1),
        "frames_per_second": rate,
        "stream_to_plain": rate["stream"] / rate["plain"],
        "between_to_stream": rate["between"] / rate["stream"],
        "networks": repr(estimator),
    }


def describe_stream(figures: dict[str, Any]) -> str:
    """The figures as a table."""
    f, rate = figures, figures["frames_per_second"]
    rows = [
        ("a loop of read and predict", rate["plain"], ""),
        ("stream", rate["stream"], f"{f['stream_to_plain']:.2f} times the loop"),
        ("stream, tracked and smoothed", rate["tracked"], f"{rate['tracked'] / rate['plain']:.2f} times the loop"),
        (f"stream, detect_every={EVERY}", rate["between"], f"{f['between_to_stream']:.2f} times the stream"),
    ]
    head = [
        f"{f['frames']} frames of {f['file']}, {f['people']:.1f} people each ({f['people_between']:.1f} with detect_every={EVERY})",
        f["networks"],
        "",
    ]
    return "\n".join([*head, *(f"  {name:32}{fps:8.1f} frames/s   {note}".rstrip() for name, fps, note in rows)])


def _plain(estimator: Estimator, source: str, frames: int) -> tuple[int, int]:
    """Frames and people of a loop as anyone would write it."""
    reader, count, people = OpenCvReader(open_capture(source), source), 0, 0
    for _, decode in islice(reader.grabbed(), frames):
        image = decode()
        assert image is not None
        people += len(estimator.predict(image))
        count += 1
    reader.close()
    return count, people


def _streamed(estimator: Estimator, source: str, frames: int, **options: Any) -> tuple[int, int]:
    count = people = 0
    with estimator.stream(source, reader="opencv", **options) as stream:
        for frame in islice(stream, frames):
            count += 1
            people += len(frame.poses)
    return count, people
