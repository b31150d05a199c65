"""Trains the person detector: anchor-free, one class, task-aligned assignment, CIoU.

    python models/recipes/train_detector.py --data people.zip human.zip --run runs/detector --images 400000 --backbone runs/pose/last.pt

Boxes that people drew teach who is there and where a person ends, those of networks who is there; what is not boxed is background where an
archive says that all are, and else the less so the more it looks like a person. Photographs are drawn by who labelled them (--share).

Stop it whenever you like: the same command goes on where the last checkpoint stands.
"""

from __future__ import annotations

import numpy as np
import torch
from boxes import detection_loss
from data import held_out, load
from doubts import search, second_opinion, with_unlabelled
from networks import DetectNet
from precision import validate
from scenes import Photos
from torch import Tensor
from torch.utils.data import DataLoader
from training import Average, Run, arguments, existing, learning_rate, network, optimisers, step


def main() -> None:
    p = arguments(__doc__, "images", 400_000, batch=16, lr=1e-3)
    p.add_argument("--backbone", type=existing, help="checkpoint of the pose network to begin from")
    p.add_argument("--size", type=int, default=416, help="side at which held-out photographs are looked at")
    p.add_argument("--closer", type=network, help="NAME.onnx of a finished detector with its card, to look for people whom nobody labelled")
    p.add_argument("--teacher", type=network, help="NAME.onnx of a pose network with its card, which says where in what it finds joints are seen")
    p.add_argument("--box-weight", type=float, default=7.5, help="weight of the box loss beside the score loss")
    a = p.parse_args()
    if bool(a.closer) != bool(a.teacher):
        p.error("--closer and --teacher go together: boxes from one, joints from the other")
    if a.size % 32 or a.size <= 0:
        p.error(f"--size: expected a multiple of 32, got {a.size}")
    if a.threads:
        torch.set_num_threads(a.threads)
    run, device = Run(a.run), torch.device(a.device)
    people = load(a.data, a.run.parent)
    photos, images = people.photos, np.flatnonzero(people.photos.without(a.without))
    train = images[~photos.held[images]]
    looked_at = Photos(people, held_out(photos), a.size, train=False)  # measured by the labels as they came
    people = second_opinion(people)
    if a.closer:
        people = with_unlabelled(people, search(people, a.closer, a.teacher, a.run.parent))

    net = DetectNet()
    if a.backbone:
        state = torch.load(a.backbone, map_location="cpu", weights_only=True)["average"]
        net.backbone.load_state_dict({k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")})
    net = net.to(device, memory_format=torch.channels_last)
    average = Average(net)
    opts = optimisers(net, a.optimiser, a.lr, a.weight_decay)
    done = run.resume(net, average, opts, a.start)

    def prepare(pixels: Tensor) -> Tensor:
        return (pixels.to(device).float() / 255).contiguous(memory_format=torch.channels_last)

    rest, settle = run.left(done, a.images, a.batch), a.images * (1 - a.decay)
    scenes = Photos(people, train, a.size, train=True, first=done, count=rest, settle=settle, batch=a.batch, shares=dict(a.share))
    loader = DataLoader(scenes, a.batch, num_workers=a.workers, drop_last=True, prefetch_factor=4 if a.workers else None)
    running: list[tuple[float, float]] = []
    print(f"{len(train)} photographs to train on, {len(looked_at.images)} held out, {done} images done", flush=True)
    for pixels, rows, kinds, complete in loader:
        factor = learning_rate(done, a.images, warmup=300 * a.batch, decay=a.decay)
        with torch.autocast(device.type, torch.bfloat16):
            levels = net(prepare(pixels))
        score_loss, box_loss = detection_loss(levels, DetectNet.strides, rows.to(device), kinds.to(device), complete.to(device))
        step(score_loss + a.box_weight * box_loss, opts, a.lr * factor)
        average.update(net)
        done += len(pixels)
        running.append((float(score_loss.detach()), float(box_loss.detach())))
        look, stop = len(running) == a.every or done + a.batch > a.images, run.elapsed() > a.minutes * 60
        if look or stop or run.due():
            run.checkpoint(net, average, opts, done, plateau=factor == 1.0)
        if look:
            score, box = np.mean(running, 0).tolist()
            run.log(done=done, score=score, box=box, lr=a.lr * factor, **validate(average.net, looked_at, prepare))
            running = []
        if stop:
            break


if __name__ == "__main__":
    main()
