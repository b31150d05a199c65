"""`toppose info`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from toppose.cli.options import add_verbose


def add(commands: Any) -> None:
    p = commands.add_parser(
        "info",
        help="what runs on this machine, and why the rest does not",
        description="Says which ONNX Runtime is installed, which of its providers really start and why others do not, which CUDA libraries "
        "are found, and which networks ship. With --verbose also where every node of the shipped networks and graphs runs: those that fell back to "
        "the CPU by name.",
    )
    p.add_argument("--json", action="store_true", help="print JSON instead of a text")
    add_verbose(p, "say where every node of the networks runs")
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from toppose.info import collect, describe

    facts = collect(args.verbose)
    print(json.dumps(facts, indent=1) if args.json else describe(facts))
    return 0
