"""What `toppose bench` measures: every stage against the bare networks, in one run, as medians of interleaved rounds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from importlib import import_module
from importlib.metadata import version
from time import perf_counter, sleep
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from toppose.detection import NetworkDetector
from toppose.estimator import Estimator
from toppose.geometry import Float
from toppose.images import Pixels
from toppose.runtime import Backend, Runtime, Stages
from toppose.runtime.backend import normalise
from toppose.runtime.host import crop_into
from toppose.topdown import TopDown

BATCHES = (1, 2, 4, 8, 16, 32)
_STEPS: dict[str, Literal["cut", "run", "read"]] = {"crop": "cut", "network": "run", "decode": "read"}


def measure(estimator: Estimator, image: Pixels | None, people: int, repeat: int) -> dict[str, Any]:
    """Medians in ms. `whole` is `predict` with given boxes; `bare` is `session.run` alone on the same batches."""
    image = made_up_image() if image is None else image
    boxes = spread_boxes(image, people)
    pose, backend = estimator.pose, estimator.pose.backend
    w, h = pose.card.input.size
    blob = np.random.default_rng(0).standard_normal((people, 3, h, w)).astype(np.float32)
    sizes = sorted({b for b in (*BATCHES, backend.batches.size) if b <= max(people, backend.batches.size)})
    counts = sorted({1, backend.batches.runs, *((2,) if (os.cpu_count() or 1) > 1 and (estimator.options.threads or 2) > 1 else ())})
    measured: list[Stages] = []

    def staged() -> None:
        measured.append(Stages())
        pose([image], [boxes], measured[-1])

    cases: dict[Any, Callable[[], Any]] = {
        "whole": lambda: estimator.predict(image, boxes=boxes),
        "staged": staged,
        "yardstick": _yardstick(),
        **{(size, runs): _bare(backend, blob, size, runs) for size in sizes for runs in counts},
    }
    other = _other_engine(estimator)
    cases["other"] = lambda: other([image], [boxes])
    if rtmlib := _rtmlib(pose, image, boxes):
        cases["rtmlib"] = rtmlib
    detector = estimator.detector
    if isinstance(detector, NetworkDetector):
        looked_at = detector.backend
        prepared = _letterboxed(detector, image)
        cases |= {"detect": lambda: detector([image]), "bare detector": lambda: looked_at.session.run(prepared, looked_at.outputs)}
    times = _interleaved(cases, repeat)
    stages = {name: float(np.median([getattr(s, step) for s in measured[1:]])) * 1e3 for name, step in _STEPS.items()}
    bare = {key: value for key, value in times.items() if isinstance(key, tuple)}
    best = min(bare, key=lambda key: bare[key])
    return {
        "image": [image.shape[1], image.shape[0]],
        "people": people,
        "networks": {"pose": pose.card.name, "detector": detector.card.name if isinstance(detector, NetworkDetector) else None},
        "provider": backend.session.providers[0],
        "threads": estimator.options.threads,
        "cores": os.cpu_count(),
        "engine": backend.name,
        "other_engine": {"engine": other.backend.name, "ms": times["other"], "ratio": times["other"] / times["whole"]},
        "rtmlib": {"version": version("rtmlib"), "ms": times["rtmlib"], "ratio": times["rtmlib"] / times["whole"]} if rtmlib else None,
        "chosen": {"batch": backend.batches.size, "runs": backend.batches.runs},
        "whole": times["whole"],
        "stages": stages,
        "bare": [{"batch": b, "runs": r, "ms": ms, "persons_per_second": people / ms * 1e3} for (b, r), ms in bare.items()],
        "best": {"batch": best[0], "runs": best[1], "ms": bare[best]},
        "ratio": times["whole"] / bare[best],
        "persons_per_second": people / times["whole"] * 1e3,
        "detector": {"whole": times["detect"], "bare": times["bare detector"]} if "detect" in times else None,
        "yardstick": times["yardstick"],
    }


def describe(figures: dict[str, Any]) -> str:
    """The figures as tables."""
    f, s, n = figures, figures["stages"], figures["people"]
    machine = f"{f['provider']}, threads {f['threads'] or 'default'}, {f['cores']} cores"
    chosen = f"batches of {f['chosen']['batch']}, {f['chosen']['runs']} side by side"
    other = f["other_engine"]
    lines = [
        f"{n} people given, {f['image'][0]}x{f['image'][1]}, {f['networks']['pose']} on {machine}; medians in ms",
        "",
        f"  {'crop':24}{s['crop']:9.2f}",
        f"  {'network':24}{s['network']:9.2f}",
        f"  {'decode':24}{s['decode']:9.2f}",
        f"  {'whole call':24}{f['whole']:9.2f}   {f['persons_per_second']:.1f} persons/s, {chosen}",
        f"  {'engine ' + repr(other['engine']):24}{other['ms']:9.2f}   {other['ratio']:.2f} times {f['engine']!r}",
        f"  {'bare network, best':24}{f['best']['ms']:9.2f}   batches of {f['best']['batch']}, {f['best']['runs']} side by side",
        f"  {'ratio whole / bare':24}{f['ratio']:9.2f}",
    ]
    if r := f["rtmlib"]:
        own = f"{n / r['ms'] * 1e3:.1f} persons/s, its own threads; {r['ratio']:.2f} times the whole call"
        lines.append(f"  {'rtmlib ' + r['version']:24}{r['ms']:9.2f}   {own}")
    if d := f["detector"]:
        lines += [
            f"  {'detector, one image':24}{d['whole']:9.2f}   {f['networks']['detector']}",
            f"  {'bare detector':24}{d['bare']:9.2f}   ratio {d['whole'] / d['bare']:.2f}",
        ]
    lines.append(f"  {'yardstick 1024^3 matmul':24}{f['yardstick']:9.2f}   NumPy, float32")
    lines += ["", "  batch   runs   ms a person   persons/s (bare network)"]
    lines += [f"  {b['batch']:5} {b['runs']:6} {b['ms'] / n:13.2f} {b['persons_per_second']:11.1f}" for b in f["bare"]]
    return "\n".join(lines)


def made_up_image() -> Pixels:
    """Coloured noise, 1920x1080: what is on it makes no difference to the time."""
    return np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)


def spread_boxes(image: Pixels, people: int) -> Float:
    """`people` standing boxes side by side, half as high as the image."""
    height, width = image.shape[:2]
    x = (np.arange(people) + 0.5) * width / people
    half = height / 10
    return np.stack([x - half, np.full(people, height * 0.25), x + half, np.full(people, height * 0.75)], 1)


def _other_engine(estimator: Estimator) -> TopDown:
    """The same on the same session by the engine that the estimator does not use."""
    mine, o = estimator.pose, estimator.options
    other = Runtime(engine="device" if mine.backend.name == "host" else "host")
    return TopDown(other, mine.backend.session, mine.card, o.decoder, o.flip_test, mine.backend.batches.size)


def _letterboxed(detector: NetworkDetector, image: Pixels) -> NDArray[Any]:
    size, look = detector.shape_of(image), detector.card.input.look
    canvas = np.empty((1, size[1], size[0], 3), np.uint8)
    crop_into(canvas, [image], [0], detector.matrices([image], size), look.border)
    return normalise(canvas, look, detector.backend.session.dtype)


def _rtmlib(pose: TopDown, image: Pixels, boxes: Float) -> Callable[[], Any] | None:
    """The same file, people and device by rtmlib, where it is installed and has a class for such a network."""
    try:
        rtmlib = import_module("rtmlib")
    except ImportError:
        return None
    solution = {"simcc": "RTMPose", "heatmap": "ViTPose"}.get(pose.card.output.kind)
    if not hasattr(rtmlib, str(solution)):
        return None
    spec, session = pose.card.input, pose.backend.session
    kind, index = session.place
    with redirect_stdout(sys.stderr):  # it says what it loads
        theirs = getattr(rtmlib, str(solution))(
            str(session.path), spec.size, spec.mean, spec.std, backend="onnxruntime", device="cpu" if kind == "cpu" else f"cuda:{index}"
        )
    return lambda: theirs(image, boxes.tolist())


def _bare(backend: Backend[Any], blob: NDArray[np.float32], size: int, runs: int) -> Callable[[], Any]:
    parts = [blob[i : i + size] for i in range(0, len(blob), size)]
    run = partial(backend.session.run, names=backend.outputs)
    if runs == 1:
        return lambda: [run(part) for part in parts]
    pool = ThreadPoolExecutor(runs)
    return lambda: list(pool.map(run, parts))


def _yardstick() -> Callable[[], Any]:
    a = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    return lambda: a @ a


def _interleaved(cases: dict[Any, Callable[[], Any]], repeat: int) -> dict[Any, float]:
    """Median ms of each case. The cases take turns, so that a machine that slows down slows all of them."""
    seconds: dict[Any, list[float]] = {name: [] for name in cases}
    for turn in range(repeat + 1):
        for name, run in cases.items():
            start = perf_counter()
            run()
            if turn:  # the first round warms up
                seconds[name].append(perf_counter() - start)
            if name == "rtmlib":
                sleep(0.2)  # its threads go on spinning for a while, and would take cores from whatever comes next
    return {name: float(np.median(s)) * 1e3 for name, s in seconds.items()}
