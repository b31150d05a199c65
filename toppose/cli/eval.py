"""`toppose eval`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from toppose.cli.options import add_estimator, make_estimator, path, text
from toppose.cli.progress import Progress
from toppose.errors import OptionError


def add(commands: Any) -> None:
    p = commands.add_parser(
        "eval",
        help="COCO AP on annotated photographs",
        description="COCO keypoint AP and AR (object keypoint similarity) on any COCO-format set of annotated people; with boxes of a detector also "
        "their AP. Needs pip install 'toppose[eval]'. With --tracking instead HOTA, MOTA and IDF1 against a MOTChallenge truth (extra tracking).",
    )
    p.add_argument("data", type=path, help="annotations (.json), or a .zip that holds them and the photographs; with --tracking a MOT truth (.txt)")
    p.add_argument("--images", type=path, metavar="DIR", help="folder of the photographs (default: images, beside the annotations)")
    p.add_argument("--boxes", default="gt", help="gt (annotated boxes, the default), own (the detector's), or a COCO results file of boxes")
    p.add_argument("--hard", action="store_true", help="also by what makes pose hard: hidden joints, crowds, small, cut off, unusual, blur")
    p.add_argument(
        "--tracking",
        type=text,
        metavar="FOUND",
        help="measure ids: of a MOT file (.txt), of poses with ids (.jsonl ...), or of a video or folder, which is tracked",
    )
    p.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_estimator(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from toppose.evaluation import describe, evaluate, read_coco

    if args.tracking:
        return _tracking(args)
    for name in ("detector", "detection_threshold", "max_people"):
        if args.boxes != "own" and getattr(args, name) is not None:
            raise OptionError(f"--{name.replace('_', '-')}: only with --boxes own; given boxes are taken as they are")
    data = read_coco(args.data, args.images)
    if args.boxes == "own" and args.detection_threshold is None:
        args.detection_threshold = 0.02  # AP looks at the whole curve
    report = evaluate(make_estimator(args, args.boxes == "own"), data, args.boxes, args.hard, _Bar())
    print(json.dumps(report, indent=1) if args.json else describe(report))
    return 0


def _tracking(args: argparse.Namespace) -> int:
    from toppose.evaluation.tracking import Tracks, evaluate_tracking, read_mot
    from toppose.results import read
    from toppose.results.targets import SUFFIXES
    from toppose.video.opening import is_stream

    found = Path(args.tracking)
    if found.suffix.lower() == ".txt":
        tracks = read_mot(found)
    elif is_stream(args.tracking) or found.is_dir() or found.suffix.lower() not in SUFFIXES:
        with make_estimator(args).stream(args.tracking, track=True) as frames, Progress(frames.source.total, "frames") as progress:
            poses = []
            for frame in frames:
                poses.append(frame.poses)
                progress.step(people=len(frame.poses))
        tracks = Tracks.from_poses(poses)
    else:
        tracks = Tracks.from_poses([record.poses for record in read(found)])
    figures = evaluate_tracking(args.data, tracks)
    print(json.dumps(figures, indent=1) if args.json else _table(figures))
    return 0


def _table(figures: dict[str, float]) -> str:
    """Shares with three digits, counts with none."""
    counts = {"IDSW", "Frag", "FP", "FN", "people", "frames"}
    return "\n".join(f"{name:8}{value:8.0f}" if name in counts else f"{name:8}{value:8.3f}" for name, value in figures.items())


class _Bar:
    """Shows how far `evaluate` is, which calls it with how many photographs are done, and of how many."""

    def __init__(self) -> None:
        self.progress: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        self.progress = self.progress or Progress(total, "photographs")
        self.progress.step()
        if done == total:
            self.progress.close()
