"""`toppose smooth`."""

from __future__ import annotations

import argparse
from typing import Any

from toppose.cli.options import add_verbose, seconds, text, unit


def add(commands: Any) -> None:
    p = commands.add_parser(
        "smooth",
        help="steady the joints of a recording, and fill short gaps",
        description="Reads the poses of a recording that was tracked (predict --track --save), fills gaps up to --gap seconds, and smooths each "
        "joint with what comes before and after it (Savitzky-Golay), without lag. Live, predict --smooth does what can be done.",
    )
    p.add_argument("source", type=text, metavar="FILE", help="poses with ids: JSON Lines, Parquet, CSV, COCO data set, ...")
    p.add_argument("target", type=text, metavar="TARGET", help="where they go, by suffix or as FORMAT=PATH; another file than FILE")
    p.add_argument("--window", type=seconds, default=0.3, metavar="S", help="seconds that a joint is smoothed over (default 0.3)")
    p.add_argument("--gap", type=seconds, default=0.3, metavar="S", help="longest gap that is filled, in seconds (default 0.3)")
    p.add_argument("--joint-threshold", type=unit, default=0.3, metavar="S", help="leave out joints that score less (default 0.3)")
    p.add_argument("--fps", type=seconds, metavar="R", help="frames a second, for formats that have no times")
    add_verbose(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from toppose.errors import OptionError, ResultError
    from toppose.results import open_writer, parse_target, read
    from toppose.results.writer import same
    from toppose.video import smooth_recording

    format_, source = parse_target(args.source)
    if same(source, parse_target(args.target)[1]):
        raise OptionError(f"TARGET: expected another file than FILE, got {args.target!r} twice")
    records = list(read(source, format_, fps=args.fps))
    if not records:
        raise ResultError(f"{args.source}: expected frames, it has none")
    times = [r.time for r in records]
    smooth = smooth_recording([r.poses for r in records], times, args.window, gap=args.gap, joint_threshold=args.joint_threshold)
    filled = sum(len(s) - len(r.poses) for s, r in zip(smooth, records, strict=True))
    with open_writer(args.target, skeleton=records[0].poses.skeleton, fps=args.fps) as writer:
        for record, poses in zip(records, smooth, strict=True):
            writer.write(replace(record, poses=poses))
    print(f"{args.source}: {len(records)} frames, {filled} people filled in -> {args.target}")
    return 0
