"""`toppose bench`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from toppose.cli.options import add_estimator, make_estimator, path, positive
from toppose.images import read_image


def add(commands: Any) -> None:
    p = commands.add_parser(
        "bench",
        help="time every stage against the bare networks",
        description="Times every stage of a call with N given people, the bare networks on the same batches, and their ratio, all in one run; "
        "the other engine on the same people; and the persons per second of every batch size and number of runs side by side.",
    )
    p.add_argument("source", nargs="?", help="a photograph (default: the shipped networks on a made-up 1920x1080 picture)")
    p.add_argument("--people", type=positive, default=8, metavar="N", help="given people (default 8)")
    p.add_argument("--repeat", type=positive, default=9, metavar="R", help="rounds; medians are shown (default 9)")
    p.add_argument("--stream", type=path, metavar="VIDEO", help="instead: frames a second of a stream against a plain loop, over the same frames")
    p.add_argument("--frames", type=positive, default=100, metavar="N", help="frames of --stream (default 100)")
    p.add_argument("--json", action="store_true", help="print JSON instead of tables")
    add_estimator(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from toppose.bench import describe, describe_stream, measure, measure_stream

    if args.stream:
        streamed = measure_stream(make_estimator(args), args.stream, args.frames, args.repeat)
        print(json.dumps(streamed, indent=1) if args.json else describe_stream(streamed))
        return 0
    figures = measure(make_estimator(args), args.source and read_image(args.source, max_pixels=args.max_pixels), args.people, args.repeat)
    print(json.dumps(figures, indent=1) if args.json else describe(figures))
    return 0
