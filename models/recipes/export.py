"""Exports checkpoints of train_pose.py or train_detector.py to ONNX (opset 17, dynamic batch) with a card.

Of several checkpoints the mean is taken: what one training was at the ends of two plateaus is better together (Wortsman et al. 2022).

python models/recipes/export.py pose runs/pose/first.pt runs/pose/last.pt models/pose-n.onnx
python models/recipes/export.py detector runs/detector/last.pt models/person-n.onnx
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path

import onnx
import torch
from boxes import decode
from crops import PADDING
from networks import CoordinateNet, DetectNet, HeatmapNet
from torch import Tensor, nn
from training import existing, restore

ORIGIN = "trained by models/recipes from random weights"


class RawHead(nn.Module):
    """The Ultralytics contract: (B,3,H,W) in 0...1 -> (B,5,anchors) with cx, cy, w, h in input pixels and the person's score."""

    def __init__(self, net: DetectNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        boxes, logits, _, _ = decode(self.net(images), DetectNet.strides)
        centre, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
        return torch.cat([centre, size, logits.sigmoid().unsqueeze(-1)], -1).transpose(1, 2)


def load(net: nn.Module, checkpoints: list[Path]) -> tuple[nn.Module, int]:
    """The mean of the checkpoints' averaged weights, and how many samples the longest has seen."""
    states = [torch.load(c, map_location="cpu", weights_only=True) for c in checkpoints]
    for state, checkpoint in zip(states, checkpoints, strict=True):
        restore(net, state["average"], checkpoint)
    weights = {k: torch.stack([s["average"][k] for s in states]) for k in states[0]["average"]}
    net.load_state_dict({k: v.mean(0) if v.is_floating_point() else v.amax(0) for k, v in weights.items()})
    return net.eval(), max(state["done"] for state in states)


def write(net: nn.Module, example: Tensor, path: Path, names: tuple[str, str], free: dict[int, str], meta: dict[str, str]) -> str:
    """Writes the network, whole or not at all; returns its sha256."""
    part = path.with_suffix(".part")
    axes = {names[0]: free, names[1]: {0: "batch", **({2: "anchors"} if len(free) > 1 else {})}}
    torch.onnx.export(net, (example,), str(part), dynamo=False, opset_version=17, input_names=[names[0]], output_names=[names[1]], dynamic_axes=axes)
    model = onnx.load(part)
    onnx.helper.set_model_props(model, meta)
    onnx.checker.check_model(model)
    onnx.save(model, part)
    os.replace(part, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pose(checkpoints: list[Path], path: Path) -> None:
    weights = torch.load(checkpoints[0], map_location="cpu", weights_only=True)["average"]
    coordinates = "reduce.0.weight" in weights  # of CoordinateNet alone
    net, done = load(CoordinateNet() if coordinates else HeatmapNet(), checkpoints)
    output = {"kind": "coordinates", "unit": "relative"} if coordinates else {"kind": "heatmap", "decoder": "dark", "blur": 11}
    names = ("crops", "coordinates" if coordinates else "heatmaps")
    digest = write(net, torch.zeros(2, 3, 256, 192), path, names, {0: "batch"}, {"license": "Apache-2.0"})
    card = {
        "name": path.stem, "task": "pose", "file": path.name, "sha256": digest, "license": "Apache-2.0",
        "origin": f"{ORIGIN}; {done} crops", "skeleton": "coco17",
        "input": {
            "size": [192, 256], "color": "rgb", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375],
            "padding": PADDING, "warp": "classic",
        },
        "output": output,
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def detector(checkpoints: list[Path], path: Path, size: int, threshold: float) -> None:
    net, done = load(DetectNet(), checkpoints)
    meta = {
        "description": "toppose person detector", "author": "toppose", "license": "Apache-2.0", "task": "detect", "stride": "32", "batch": "1",
        "imgsz": str([size, size]), "names": "{0: 'person'}", "end2end": "False",
    }  # fmt: skip
    digest = write(RawHead(net), torch.zeros(2, 3, size, size), path, ("images", "output0"), {0: "batch", 2: "height", 3: "width"}, meta)
    card = {
        "name": path.stem, "task": "detect", "file": path.name, "sha256": digest, "license": "Apache-2.0",
        "origin": f"{ORIGIN}; {done} images",
        "input": {"size": [size, size], "color": "rgb", "mean": [0, 0, 0], "std": [255, 255, 255], "border": 114},
        "output": {"kind": "yolo", "head": "raw", "person": 0}, "threshold": threshold,
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("task", choices=("pose", "detector"))
    p.add_argument("checkpoints", type=existing, nargs="+")
    p.add_argument("out", type=Path, help="NAME.onnx; the card NAME.json is written beside it")
    p.add_argument("--size", type=int, default=416, help="the detector's default size")
    p.add_argument("--threshold", type=float, default=0.55, help="the detector's default threshold")
    a = p.parse_args()
    torch.set_num_threads(1)
    if a.task == "pose":
        pose(a.checkpoints, a.out)
    else:
        detector(a.checkpoints, a.out, a.size, a.threshold)


if __name__ == "__main__":
    main()
