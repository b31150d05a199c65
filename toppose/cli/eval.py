"""`toppose eval`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from toppose.cli.options import add_estimator, make_estimator, path
from toppose.cli.progress import Progress
from toppose.errors import OptionError


def add(commands: Any) -> None:
    p = commands.add_parser(
        "eval",
        help="COCO AP on annotated photographs",
        description="COCO keypoint AP and AR (object keypoint similarity) on any COCO-format set of annotated people; with boxes of a detector also "
        "their AP. Needs pip install 'toppose[eval]'.",
    )
    p.add_argument("data", type=path, help="annotations (.json), or a .zip that holds them and the photographs")
    p.add_argument("--images", type=path, metavar="DIR", help="folder of the photographs (default: images, beside the annotations)")
    p.add_argument("--boxes", default="gt", help="gt (annotated boxes, the default), own (the detector's), or a COCO results file of boxes")
    p.add_argument("--hard", action="store_true", help="also by what makes pose hard: hidden joints, crowds, small, cut off, unusual, blur")
    p.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_estimator(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from toppose.evaluation import describe, evaluate, read_coco

    for name in ("detector", "detection_threshold", "max_people"):
        if args.boxes != "own" and getattr(args, name) is not None:
            raise OptionError(f"--{name.replace('_', '-')}: only with --boxes own; given boxes are taken as they are")
    data = read_coco(args.data, args.images)
    if args.boxes == "own" and args.detection_threshold is None:
        args.detection_threshold = 0.02  # AP looks at the whole curve
    report = evaluate(make_estimator(args, args.boxes == "own"), data, args.boxes, args.hard, _Bar())
    print(json.dumps(report, indent=1) if args.json else describe(report))
    return 0


class _Bar:
    """Shows how far `evaluate` is, which calls it with how many photographs are done, and of how many."""

    def __init__(self) -> None:
        self.progress: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        self.progress = self.progress or Progress(total, "photographs")
        self.progress.step()
        if done == total:
            self.progress.close()
