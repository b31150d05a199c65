"""Says how well checkpoints do on held-out people; of several the mean of their weights, as export.py takes it.

    python models/recipes/measure.py detector runs/detector/last.pt --data human.zip --cache runs
    python models/recipes/measure.py pose runs/pose/first.pt runs/pose/last.pt --data human.zip --cache runs

Held out are the photographs that the trainings hold out: a fixed part of those that people labelled, where there are some.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import train_pose
from data import People, held_out, load
from export import load as mean_of
from networks import DetectNet, HeatmapNet
from precision import TALL, average_precision, found, operating_point
from scenes import Photos
from torch import Tensor
from training import existing

THRESHOLDS = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5)


def prepared(pixels: Tensor) -> Tensor:
    """A detector's input in 0...1."""
    return (pixels.float() / 255).contiguous(memory_format=torch.channels_last)


def detector(checkpoints: list[Path], people: People, size: int) -> None:
    net = mean_of(DetectNet(), checkpoints)[0].to(memory_format=torch.channels_last)
    rows = list(found(net, Photos(people, held_out(people.photos), size, train=False), prepared))
    for name, taller in (("all", 0), (f"taller than {TALL} px", TALL)):
        print(f"{name}: AP {{:.4f}}, AP50 {{:.4f}}".format(*average_precision(rows, taller)))
        points = (operating_point(rows, t, taller) for t in THRESHOLDS)
        print("; ".join(f"{t}: precision {p:.3f}, recall {r:.3f}" for t, (p, r) in zip(THRESHOLDS, points, strict=True)))


def pose(checkpoints: list[Path], people: People) -> None:
    net = mean_of(HeatmapNet(), checkpoints)[0].to(memory_format=torch.channels_last)
    _, held = train_pose.to_learn_from(people)
    print(train_pose.validate(net, held, lambda x: ((x.float() - train_pose.MEAN) / train_pose.STD).contiguous(memory_format=torch.channels_last)))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("task", choices=("pose", "detector"))
    p.add_argument("checkpoints", type=existing, nargs="+")
    p.add_argument("--data", type=existing, nargs="+", required=True, help="zips of photographs with COCO person annotations")
    p.add_argument("--cache", type=Path, required=True, help="folder with the decoded photographs, as beside a training's --run")
    p.add_argument("--size", type=int, default=416, help="the detector's size")
    a = p.parse_args()
    torch.set_num_threads(1)
    people = load(a.data, a.cache)
    if a.task == "pose":
        pose(a.checkpoints, people)
    else:
        detector(a.checkpoints, people, a.size)


if __name__ == "__main__":
    main()
