"""What several commands take: types of arguments, and the options of an estimator."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from toppose.estimator import DETECTOR, POSE, Estimator
from toppose.images import MAX_PIXELS
from toppose.networks.card import DecoderName
from toppose.runtime.providers import Precision


def text(given: str) -> str:
    """Anything but nothing: a variable of the shell that is not set."""
    if not given:
        raise argparse.ArgumentTypeError("expected a path, got ''")
    return given


def path(given: str) -> Path:
    return Path(text(given))  # Path("") would be the folder one is in


def unit(given: str) -> float:
    value = float(given)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {given}")
    return value


unit.__name__ = "number from 0 to 1"  # argparse names the type in its message


def positive(given: str) -> int:
    value = int(given)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {given}")
    return value


positive.__name__ = "whole number from 1"


def seconds(given: str) -> float:
    value = float(given)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number from 0, got {given}")
    return value


seconds.__name__ = "number from 0"


def add_verbose(p: argparse.ArgumentParser, what: str = "say what is chosen, on stderr") -> None:
    p.add_argument("-v", "--verbose", action="store_true", help=what)


def add_estimator(p: argparse.ArgumentParser) -> None:
    p.add_argument("--device", default="auto", help="auto (CUDA where it really runs, else the CPU), cpu, cuda, cuda:1, tensorrt")
    p.add_argument("--detector", help=f"shipped name, .onnx or Ultralytics .pt (default {DETECTOR})")
    p.add_argument("--pose", default=POSE, help=f"shipped name, or .onnx with its card beside it (default {POSE})")
    p.add_argument("--detection-threshold", type=unit, metavar="S", help="least score of a person's box (default: the detector's own)")
    p.add_argument("--max-people", type=positive, metavar="N", help="at most N people an image, best first")
    p.add_argument("--batch-size", type=positive, metavar="N", help="people a network call (default: by measurement)")
    p.add_argument("--max-pixels", type=positive, default=MAX_PIXELS, metavar="N", help="refuse photographs that claim more (default 2^28)")
    p.add_argument("--runs", type=positive, metavar="N", help="network calls side by side (default: by measurement)")
    p.add_argument("--threads", type=positive, metavar="N", help="threads of ONNX Runtime and OpenCV (default: theirs)")
    p.add_argument("--decoder", choices=get_args(DecoderName), help="another heatmap decoder than the network's own")
    p.add_argument("--flip-test", action="store_true", help="look at the mirror image too, for twice the time")
    p.add_argument(
        "--engine",
        choices=("auto", "host", "device"),
        default="auto",
        help="where crops are cut and maps decoded (auto, the default: on the device where that is a GPU)",
    )
    p.add_argument("--precision", choices=get_args(Precision), default="fp32", help="TensorRT's (default fp32)")
    add_verbose(p)


def make_estimator(args: argparse.Namespace, detect: bool = True) -> Estimator:
    """The estimator that the options ask for; `detect`: with a detector."""
    names = ("detection_threshold", "max_people", "max_pixels", "batch_size", "runs", "threads", "decoder", "flip_test", "engine", "precision")
    detector = DETECTOR if args.detector is None else args.detector
    return Estimator(detector if detect else None, args.pose, args.device, **{n: getattr(args, n) for n in names})
