"""`toppose convert`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from toppose.cli.options import add_verbose, text

NAMES = "jsonl, json, coco, coco-dataset, sleap, dlc, openpose, parquet"


def add(commands: Any) -> None:
    p = commands.add_parser(
        "convert",
        help="turn a file of poses into another format",
        description=f"Turns a file of poses into another format: {NAMES}. Formats are told by suffix and content: .jsonl, .json, .csv (written in "
        "SLEAP's layout), .parquet, a folder ending in json (OpenPose's); others by --to, or as FORMAT=PATH. B is written whole or not at all (of a "
        "folder each file). A file that a kill cut short gives the frames before that.",
        epilog="exit codes: 0 done; 1 a file cannot be read or written; 2 bad usage; 130, 143, 129 stopped by Ctrl-C, SIGTERM, SIGHUP",
    )
    p.add_argument("source", type=text, metavar="A", help="file or folder of poses")
    p.add_argument("target", type=text, metavar="B", help="where the other goes")
    p.add_argument("--from", dest="source_format", metavar="FORMAT", help="A's format")
    p.add_argument("--to", metavar="FORMAT", help="B's format")
    p.add_argument("--fps", type=_rate, metavar="N", help="frames per second, for formats that have no times")
    add_verbose(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from toppose.results.convert import convert

    frames, people = convert(args.source, args.target, args.source_format, args.to, args.fps)
    print(f"{args.target}: {frames} {'frame' if frames == 1 else 'frames'}, {people} {'person' if people == 1 else 'people'}", file=sys.stdout)
    return 0


def _rate(given: str) -> float:
    value = float(given)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f"expected a number above 0, up to 1000, got {given}")
    return value


_rate.__name__ = "number above 0"
