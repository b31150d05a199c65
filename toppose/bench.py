"""What `toppose bench` measures: every stage against the bare networks, in one run, as medians of interleaved rounds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from importlib import import_module
from importlib.metadata import version
from time import perf_counter, sleep
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose.device import DeviceEngine
from toppose.engine import Engine, Stages
from toppose.estimator import Estimator
from toppose.geometry import Float
from toppose.host import HostEngine
from toppose.images import Pixels
from toppose.yolo import YoloDetector

BATCHES = (1, 2, 4, 8, 16, 32)


def measure(estimator: Estimator, image: Pixels | None, people: int, repeat: int) -> dict[str, Any]:
    """Medians in ms. `whole` is `predict` with given boxes; `bare` is `session.run` alone on the same batches."""
    image = made_up_image() if image is None else image
    boxes = spread_boxes(image, people)
    engine = estimator.engine
    h, w = engine.card.input.size[::-1]
    blob = np.random.default_rng(0).standard_normal((people, 3, h, w)).astype(np.float32)
    sizes = sorted({b for b in (*BATCHES, engine.batches.size) if b <= max(people, engine.batches.size)})
    counts = sorted({1, engine.batches.runs, *((2,) if (os.cpu_count() or 1) > 1 and (estimator.options.threads or 2) > 1 else ())})
    stages = {"crop": 0.0, "network": 0.0, "decode": 0.0}
    measured: list[Stages] = []

    def staged() -> None:
        measured.append(Stages())
        engine([image], [boxes], measured[-1])

    cases: dict[Any, Callable[[], Any]] = {
        "whole": lambda: estimator.predict(image, boxes=boxes),
        "staged": staged,
        "yardstick": _yardstick(),
        **{(size, runs): _bare(engine, blob, size, runs) for size in sizes for runs in counts},
    }
    other = _other_engine(estimator)
    cases["other"] = lambda: other([image], [boxes])
    if rtmlib := _rtmlib(engine, image, boxes):
        cases["rtmlib"] = rtmlib
    detector = estimator.detector
    if isinstance(detector, YoloDetector):
        prepared, _ = detector.prepare([image], detector.shape_of(image))
        cases |= {"detect": lambda: detector([image]), "bare detector": lambda: detector.session.run(prepared)}
    times = _interleaved(cases, repeat)
    for name in stages:
        stages[name] = float(np.median([getattr(s, name) for s in measured[1:]])) * 1e3
    bare = {key: value for key, value in times.items() if isinstance(key, tuple)}
    best = min(bare, key=lambda key: bare[key])
    return {
        "image": [image.shape[1], image.shape[0]],
        "people": people,
        "networks": {"pose": engine.card.name, "detector": detector.card.name if isinstance(detector, YoloDetector) else None},
        "provider": engine.session.providers[0],
        "threads": estimator.options.threads,
        "cores": os.cpu_count(),
        "engine": engine.name,
        "other_engine": {"engine": other.name, "ms": times["other"], "ratio": times["other"] / times["whole"]},
        "rtmlib": {"version": version("rtmlib"), "ms": times["rtmlib"], "ratio": times["rtmlib"] / times["whole"]} if rtmlib else None,
        "chosen": {"batch": engine.batches.size, "runs": engine.batches.runs},
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


def _other_engine(estimator: Estimator) -> Engine:
    """The engine that the estimator does not use, on the same session."""
    mine, o = estimator.engine, estimator.options
    other = DeviceEngine if isinstance(mine, HostEngine) else HostEngine
    return other(mine.session, mine.card, o.decoder, o.flip_test, mine.batches.size)


def _rtmlib(engine: Engine, image: Pixels, boxes: Float) -> Callable[[], Any] | None:
    """The same file, people and device by rtmlib, where it is installed and has a class for such a network."""
    try:
        rtmlib = import_module("rtmlib")
    except ImportError:
        return None
    solution = {"simcc": "RTMPose", "heatmap": "ViTPose"}.get(engine.card.output.kind)
    if not hasattr(rtmlib, str(solution)):
        return None
    spec, (kind, index) = engine.card.input, engine.session.place
    with redirect_stdout(sys.stderr):  # it says what it loads
        pose = getattr(rtmlib, str(solution))(
            str(engine.session.path), spec.size, spec.mean, spec.std, backend="onnxruntime", device="cpu" if kind == "cpu" else f"cuda:{index}"
        )
    return lambda: pose(image, boxes.tolist())


def _bare(engine: Engine, blob: NDArray[np.float32], size: int, runs: int) -> Callable[[], Any]:
    parts = [blob[i : i + size] for i in range(0, len(blob), size)]
    if runs == 1:
        return lambda: [engine.session.run(part) for part in parts]
    pool = ThreadPoolExecutor(runs)
    return lambda: list(pool.map(engine.session.run, parts))


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
