"""Draws the learning curves of trainings: loss, learning rate and what validation measured, over the samples seen.

    python models/recipes/curve.py runs/pose/log.jsonl --out curve.png

A training that went on from an earlier point, in one log or several, is drawn as it went on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

NAMES = {
    "loss": "loss",
    "score": "score loss",
    "error": "held out: median error, px",
    "pck": "held out: joints within 5 %",
    "oks": "held out: people right by OKS",
    "ap50": "held out: AP50",
    "tall50": "held out: AP50 of the tall",
}


def read(logs: list[Path]) -> list[dict[str, float]]:
    entries: list[dict[str, float]] = []
    for line in "".join(log.read_text() for log in logs).splitlines():
        entry = json.loads(line)
        while entries and entries[-1]["done"] >= entry["done"]:
            entries.pop()
        entries.append(entry)
    return entries


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("logs", type=Path, nargs="+", help="log.jsonl of a run")
    p.add_argument("--out", type=Path, required=True, help="the picture")
    a = p.parse_args()
    entries = read(a.logs)
    shown = [k for k in (*NAMES, "lr") if k in entries[0]]
    figure, axes = plt.subplots(1, len(shown), figsize=(3.2 * len(shown), 2.6), layout="constrained")
    for ax, key in zip(axes, shown, strict=True):
        ax.plot([e["done"] / 1000 for e in entries], [e[key] for e in entries], linewidth=1)
        ax.set_title(NAMES.get(key, "learning rate"), fontsize=9)
        ax.tick_params(which="both", labelsize=8)
        ax.grid(alpha=0.3)
        if key in ("loss", "error"):
            ax.set_yscale("log")
    figure.supxlabel("thousand samples", fontsize=9)
    figure.savefig(a.out, dpi=90)


if __name__ == "__main__":
    main()
