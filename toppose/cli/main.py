"""The command line: `toppose predict`, `toppose info`, `toppose bench`, `toppose eval`. Exit codes: 0 done, 1 something failed, 2 bad usage."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import toppose
from toppose.cli.photographs import check_targets, expand, predict_files
from toppose.errors import OptionError, TopposeError
from toppose.estimator import DETECTOR, POSE, Estimator
from toppose.images import read_image
from toppose.networks.card import DecoderName
from toppose.runtime.providers import Precision


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    args = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file name that the terminal cannot show
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, format="%(name)s: %(message)s")
    try:
        code: int = args.command(args)
        sys.stdout.flush()
        return code
    except OptionError as e:
        return _fail(str(e)) + 1
    except TopposeError as e:
        return _fail(str(e))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the exit does not try to flush again
        return 1
    except OSError as e:
        return _fail(f"{e.filename or 'standard output'}: {e.strerror or e}")
    except MemoryError as e:
        return _fail(f"not enough memory: {e}")
    except KeyboardInterrupt:
        return _fail("interrupted")


def _fail(message: str) -> int:
    print(f"toppose: {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="toppose", description="Every person in an image and the pixel coordinates of their joints.")
    p.add_argument("--version", action="version", version=f"toppose {toppose.__version__}")
    commands = p.add_subparsers(required=True, metavar="COMMAND")

    predict = commands.add_parser(
        "predict",
        help="find poses in photographs; draw them, write JSON",
        description="Finds the people in photographs and their joints. Draws pictures into --out, writes coordinates into --json, and prints "
        "how many people each photograph has.",
        epilog="exit codes: 0 done; 1 a photograph or the network failed (the others are still written; messages on stderr); 2 bad usage",
    )
    predict.add_argument("sources", nargs="+", type=_path, metavar="SOURCE", help="photographs, or folders of them")
    predict.add_argument("--out", type=_path, metavar="DIR", help="draw the poses into DIR/NAME_poses.jpg")
    predict.add_argument("--json", type=_path, metavar="FILE", help="write keypoints, scores and boxes, and what failed; - is standard output")
    predict.add_argument("--joint-threshold", type=_unit, default=0.3, metavar="S", help="draw joints that score at least S (default 0.3)")
    predict.add_argument("--draw-boxes", action="store_true", help="draw the people's boxes too")
    _add_estimator(predict)
    predict.set_defaults(command=_predict)

    info = commands.add_parser(
        "info",
        help="what runs on this machine, and why the rest does not",
        description="Says which ONNX Runtime is installed, which of its providers really start and why others do not, which CUDA libraries "
        "are found, and which networks ship. With --verbose also where every node of the shipped networks and graphs runs: those that fell back to "
        "the CPU by name.",
    )
    info.add_argument("--json", action="store_true", help="print JSON instead of a text")
    info.set_defaults(command=_info)

    bench = commands.add_parser(
        "bench",
        help="time every stage against the bare networks",
        description="Times every stage of a call with N given people, the bare networks on the same batches, and their ratio, all in one run; "
        "the other engine on the same people; and the persons per second of every batch size and number of runs side by side.",
    )
    bench.add_argument("source", nargs="?", help="a photograph (default: the shipped networks on a made-up 1920x1080 picture)")
    bench.add_argument("--people", type=_positive, default=8, metavar="N", help="given people (default 8)")
    bench.add_argument("--repeat", type=_positive, default=9, metavar="R", help="rounds; medians are shown (default 9)")
    bench.add_argument("--json", action="store_true", help="print JSON instead of tables")
    _add_estimator(bench)
    bench.set_defaults(command=_bench)
    evaluate = commands.add_parser(
        "eval",
        help="COCO AP on annotated photographs",
        description="COCO keypoint AP and AR (object keypoint similarity) on any COCO-format set of annotated people; with boxes of a detector also "
        "their AP. Needs pip install 'toppose[eval]'.",
    )
    evaluate.add_argument("data", type=_path, help="annotations (.json), or a .zip that holds them and the photographs")
    evaluate.add_argument("--images", type=_path, metavar="DIR", help="folder of the photographs (default: images, beside the annotations)")
    evaluate.add_argument("--boxes", default="gt", help="gt (annotated boxes, the default), own (the detector's), or a COCO results file of boxes")
    evaluate.add_argument("--hard", action="store_true", help="also by what makes pose hard: hidden joints, crowds, small, cut off, unusual, blur")
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    _add_estimator(evaluate)
    evaluate.set_defaults(command=_eval)
    for command in (predict, info, bench, evaluate):
        said = "say where every node of the networks runs" if command is info else "say what is chosen, on stderr"
        command.add_argument("-v", "--verbose", action="store_true", help=said)
    return p


def _add_estimator(p: argparse.ArgumentParser) -> None:
    p.add_argument("--device", default="auto", help="auto (CUDA where it really runs, else the CPU), cpu, cuda, cuda:1, tensorrt")
    p.add_argument("--detector", help=f"shipped name, .onnx or Ultralytics .pt (default {DETECTOR})")
    p.add_argument("--pose", default=POSE, help=f"shipped name, or .onnx with its card beside it (default {POSE})")
    p.add_argument("--detection-threshold", type=_unit, metavar="S", help="least score of a person's box (default: the detector's own)")
    p.add_argument("--max-people", type=_positive, metavar="N", help="at most N people an image, best first")
    p.add_argument("--batch-size", type=_positive, metavar="N", help="people a network call (default: by measurement)")
    p.add_argument("--runs", type=_positive, metavar="N", help="network calls side by side (default: by measurement)")
    p.add_argument("--threads", type=_positive, metavar="N", help="threads of ONNX Runtime and OpenCV (default: theirs)")
    p.add_argument("--decoder", choices=get_args(DecoderName), help="another heatmap decoder than the network's own")
    p.add_argument("--flip-test", action="store_true", help="look at the mirror image too, for twice the time")
    p.add_argument(
        "--engine",
        choices=("auto", "host", "device"),
        default="auto",
        help="where crops are cut and maps decoded (auto, the default: on the device where that is a GPU)",
    )
    p.add_argument("--precision", choices=get_args(Precision), default="fp32", help="TensorRT's (default fp32)")


def _path(text: str) -> Path:
    if not text:  # a variable of the shell that is not set; Path("") is the folder one is in
        raise argparse.ArgumentTypeError("expected a path, got ''")
    return Path(text)


def _unit(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text}")
    return value


_unit.__name__ = "number from 0 to 1"  # argparse names the type in its message


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text}")
    return value


_positive.__name__ = "whole number from 1"


def make_estimator(args: argparse.Namespace, detect: bool = True) -> Estimator:
    """The estimator that the options ask for; `detect`: with a detector."""
    names = ("detection_threshold", "max_people", "batch_size", "runs", "threads", "decoder", "flip_test", "engine", "precision")
    detector = DETECTOR if args.detector is None else args.detector
    return Estimator(detector if detect else None, args.pose, args.device, **{n: getattr(args, n) for n in names})


def _predict(args: argparse.Namespace) -> int:
    paths = list(expand(args.sources))
    check_targets(args.out, args.json, paths)
    return predict_files(make_estimator(args), paths, args.out, args.json, args.joint_threshold, args.draw_boxes)


def _info(args: argparse.Namespace) -> int:
    from toppose.info import collect, describe

    facts = collect(args.verbose)
    print(json.dumps(facts, indent=1) if args.json else describe(facts))
    return 0


def _bench(args: argparse.Namespace) -> int:
    from toppose.bench import describe, measure

    figures = measure(make_estimator(args), args.source and read_image(args.source), args.people, args.repeat)
    print(json.dumps(figures, indent=1) if args.json else describe(figures))
    return 0


def _eval(args: argparse.Namespace) -> int:
    from toppose.evaluation import describe, evaluate, read_coco

    for name in ("detector", "detection_threshold", "max_people"):
        if args.boxes != "own" and getattr(args, name) is not None:
            raise OptionError(f"--{name.replace('_', '-')}: only with --boxes own; given boxes are taken as they are")
    data = read_coco(args.data, args.images)
    if args.boxes == "own" and args.detection_threshold is None:
        args.detection_threshold = 0.02  # AP looks at the whole curve
    report = evaluate(make_estimator(args, args.boxes == "own"), data, args.boxes, args.hard, _bar)
    print(json.dumps(report, indent=1) if args.json else describe(report))
    return 0


def _bar(done: int, total: int) -> None:
    """A progress bar on a terminal; nothing elsewhere."""
    if sys.stderr.isatty():
        filled = 40 * done // total
        print(f"\r[{'#' * filled}{' ' * (40 - filled)}] {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
