"""`toppose predict`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from toppose.cli.options import add_estimator, make_estimator, path, text, unit


def add(commands: Any) -> None:
    p = commands.add_parser(
        "predict",
        help="find poses in photographs; draw them, write JSON",
        description="Finds the people in photographs and their joints. Draws pictures into --out, writes coordinates into --json, and prints "
        "how many people each photograph has. Of folders and patterns the photographs are taken, by their suffix; what is left out is said, drawings "
        "of an earlier run among it.",
        epilog="exit codes: 0 done; 1 a photograph or the network failed (the others are still written; messages on stderr); 2 bad usage; "
        "130, 143, 129 stopped by Ctrl-C, SIGTERM, SIGHUP (--json has what was done, and names the rest); 141 nobody reads standard output",
    )
    p.add_argument("sources", nargs="+", type=text, metavar="SOURCE", help="photographs, folders of them, patterns like 'a/**/*.png'; - is stdin")
    p.add_argument("-r", "--recursive", action="store_true", help="also the folders in the folders")
    p.add_argument("--out", type=path, metavar="DIR", help="draw the poses into DIR/NAME_poses.jpg")
    p.add_argument("--json", type=path, metavar="FILE", help="write keypoints, scores and boxes, and what failed; - is standard output")
    p.add_argument("--joint-threshold", type=unit, default=0.3, metavar="S", help="draw joints that score at least S (default 0.3)")
    p.add_argument("--draw-boxes", action="store_true", help="draw the people's boxes too")
    add_estimator(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from toppose.cli.photographs import Run, check_targets
    from toppose.cli.sources import find

    found = find(args.sources, args.recursive, args.json)
    check_targets(args.out, args.json, found.photographs)
    estimator = make_estimator(args)
    for line in (*(e["error"] for e in found.errors), *found.notes()):
        print(f"toppose: {line}", file=sys.stderr)
    return Run(found, args.out, args.json, args.joint_threshold, args.draw_boxes, args.stops)(estimator)
