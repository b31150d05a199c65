"""`toppose predict`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from toppose.cli.options import add_estimator, make_estimator, path, positive, seconds, text, unit


def add(commands: Any) -> None:
    p = commands.add_parser(
        "predict",
        help="find poses in photographs, videos and webcams; draw them, write them in many formats",
        description="Finds the people in photographs and their joints. Draws pictures into --out, writes coordinates into --json, and prints "
        "how many people each photograph has. Of folders and patterns the photographs are taken, by their suffix; what is left out is said, drawings "
        "of an earlier run among it. Videos, webcams (by number) and addresses (rtsp://, http://) are looked at frame by frame, as are photographs "
        "when an option below 'frames' is given: --out then draws a video (of photographs: pictures), and --save writes the poses.",
        epilog="exit codes: 0 done; 1 a photograph or the network failed (the others are still written; messages on stderr); 2 bad usage; "
        "130, 143, 129 stopped by Ctrl-C, SIGTERM, SIGHUP (--json has what was done, and names the rest); 141 nobody reads standard output",
    )
    p.add_argument("sources", nargs="+", type=text, metavar="SOURCE", help="photographs, folders of them, patterns like 'a/**/*.png'; - is stdin")
    p.add_argument("-r", "--recursive", action="store_true", help="also the folders in the folders")
    p.add_argument("--out", type=path, metavar="DIR", help="draw the poses into DIR/NAME_poses.jpg")
    p.add_argument("--json", type=path, metavar="FILE", help="write keypoints, scores and boxes, and what failed; - is standard output")
    p.add_argument("--joint-threshold", type=unit, default=0.3, metavar="S", help="draw joints that score at least S (default 0.3)")
    p.add_argument("--draw-boxes", action="store_true", help="draw the people's boxes too")
    _add_frames(p.add_argument_group("frames", "of videos, webcams, addresses, or photographs that follow each other"))
    add_estimator(p)
    p.set_defaults(run=run)


def _add_frames(p: Any) -> None:
    p.add_argument(
        "--save",
        action="append",
        type=text,
        metavar="[FORMAT=]PATH",
        help="write the poses, by suffix (.jsonl .csv .parquet .mp4 ...) or FORMAT (jsonl json coco coco-dataset sleap dlc openpose parquet video "
        "pictures); may be given several times",
    )
    p.add_argument("--track", action="store_true", help="give people ids that stay with them")
    p.add_argument("--smooth", action="store_true", help="less jitter (One-Euro filter; needs --track)")
    p.add_argument("--show", action="store_true", help="a window; q or Escape ends it")
    p.add_argument("--every", type=positive, default=1, metavar="N", help="each N-th frame")
    p.add_argument("--from", dest="start", type=seconds, default=0.0, metavar="S", help="from second S on")
    p.add_argument("--to", dest="end", type=seconds, metavar="S", help="to second S")
    p.add_argument("--live", action="store_true", help="look at the newest frame only, dropping what came meanwhile (webcams and RTSP do anyway)")
    p.add_argument("--rate", type=seconds, metavar="R", help="frames a second of photographs (default 30)")
    p.add_argument("--detect-every", type=positive, default=1, metavar="K", help="let the detector look at each K-th frame")
    p.add_argument("--batch-frames", type=positive, metavar="B", help="frames whose people share batches (default 4; live 1)")
    p.add_argument("--resume", action="store_true", help="go on with what a run that was killed left (with --track from the first frame on)")
    p.add_argument("--reader", choices=("auto", "opencv", "pyav"), default="auto", help="what decodes videos (auto: PyAV where it is installed)")


def run(args: argparse.Namespace) -> int:
    from toppose.cli import stream

    if stream.wanted(args):
        return stream.run(args)
    from toppose.cli.photographs import Run, check_targets
    from toppose.video.photographs import find

    found = find(args.sources, args.recursive, args.json)
    check_targets(args.out, args.json, found.photographs)
    run = Run(found, args.out, args.json, args.joint_threshold, args.draw_boxes, args.stops)
    with run.told():
        estimator = make_estimator(args)
    for line in (*(e["error"] for e in found.errors), *found.notes()):
        print(f"toppose: {line}", file=sys.stderr)
    return run(estimator)
