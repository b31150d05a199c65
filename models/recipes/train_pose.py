"""Trains the heatmap network, or with --head coordinates its rival, on annotated people.

    python models/recipes/train_pose.py --data people.zip human.zip --run runs/pose --crops 1000000

--teacher NETWORK.onnx adds the heatmaps of a stronger network to the targets, except of joints that people labelled.

Stop it whenever you like: the same command goes on where the last checkpoint stands.
"""

from __future__ import annotations

import augment
import numpy as np
import torch
from crops import PADDING, SIZE, STRIDE, Crops
from data import JOINT, PEOPLE, People, held_out, load
from doubts import SURE, second_opinion
from networks import CoordinateNet, HeatmapNet
from teacher import Teacher
from torch import Tensor, nn
from torch.utils.data import DataLoader
from training import Average, Run, arguments, learning_rate, network, optimisers, step

MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def gaussian_targets(keypoints: Tensor, weights: Tensor, sigma: float = 2.0) -> tuple[Tensor, Tensor]:
    """Keypoints (B,J,2) in crop pixels -> heatmaps (B,J,H,W) of peak 1, and the weights, 0 where the 3-sigma window is outside."""
    W, H = SIZE[0] // STRIDE, SIZE[1] // STRIDE
    centre = keypoints / STRIDE
    dx = torch.arange(W, device=centre.device) - centre[..., :1]  # (B,J,W)
    dy = torch.arange(H, device=centre.device) - centre[..., 1:]  # (B,J,H)
    gx, gy = (torch.exp(-(d**2) / (2 * sigma**2)) * (d.abs() <= 3 * sigma) for d in (dx, dy))
    inside = (gx.sum(-1) > 0) & (gy.sum(-1) > 0)
    return gy.unsqueeze(-1) * gx.unsqueeze(-2), weights * inside


def heatmap_loss(maps: Tensor, keypoints: Tensor, weights: Tensor, taught: Tensor, trust: Tensor) -> Tensor:
    """Mean of squared differences to the labels' Gaussians and to a teacher's maps `taught` (B,J,H,W) uint8, or (B,0) without one.

    Labels count by `weights` (B,J), the teacher, which also says where it sees no joint, by `trust` (B,J)."""
    targets, weights = gaussian_targets(keypoints, weights)
    total, most = ((maps - targets) ** 2).mean((2, 3)).mul(weights).sum(), weights.sum()
    if taught.ndim == 4:
        total = total + ((maps - taught.float() / 255) ** 2).mean((2, 3)).mul(trust).sum()
        most = most + trust.sum()
    return total / most.clamp(min=1)


def coordinate_loss(points: Tensor, keypoints: Tensor, weights: Tensor) -> Tensor:
    """Mean of squared differences of coordinates that run 0...1 across the crop; joints outside of it take no part, as for heatmaps."""
    scaled = keypoints / torch.tensor(SIZE, device=keypoints.device)
    weights = weights * ((scaled >= 0) & (scaled <= 1)).all(2)
    return ((points - scaled) ** 2).mean(2).mul(weights).sum() / weights.sum().clamp(min=1)


def decode(out: Tensor) -> Tensor:
    """Network output -> (B,J,2) crop pixels: argmax with a quarter offset, or the coordinates themselves."""
    if out.ndim == 3:
        return out * torch.tensor(SIZE, device=out.device)
    H, W = out.shape[2:]
    top = out.flatten(2).argmax(2)
    x, y = top % W, top // W
    at = lambda dx, dy: out.flatten(2).gather(2, ((y + dy).clamp(0, H - 1) * W + (x + dx).clamp(0, W - 1)).unsqueeze(2)).squeeze(2)  # noqa: E731
    shift = torch.stack([torch.sign(at(1, 0) - at(-1, 0)), torch.sign(at(0, 1) - at(0, -1))], -1)
    return (torch.stack([x, y], -1) + 0.25 * shift) * STRIDE


SIGMAS = torch.tensor([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000  # COCO's


@torch.no_grad()
def validate(net: nn.Module, people: People, prepare) -> dict[str, float]:
    """Median error in crop pixels, share of joints within 5 % of the crop's height, and share of people with an OKS above 0.50, 0.55 ... 0.95.

    An area is taken as 0.53 of its box, as COCO's people have it on average."""
    errors, marks = [], []
    for pixels, keypoints, weights, _, _ in DataLoader(Crops(people, train=False), 64):
        distance = (decode(net(prepare(pixels)).float()).cpu() - keypoints).norm(dim=-1)
        errors.append(distance[weights > 0])
        marks.append((distance, weights))
    scale = torch.tensor([(SIZE[0] / crop_width(box)) ** 2 * 0.53 * float((box[2:] - box[:2]).prod()) for box in people.boxes])  # area in crop px
    distance, weights = (torch.cat(part) for part in zip(*marks, strict=True))
    oks = (torch.exp(-(distance**2) / (8 * scale[:, None] * SIGMAS**2)) * weights).sum(1) / weights.sum(1)
    error = torch.cat(errors)
    accuracy = (oks[:, None] > torch.arange(0.5, 0.96, 0.05)).float().mean()
    return {"error": float(error.median()), "pck": float((error < 0.05 * SIZE[1]).float().mean()), "oks": float(accuracy)}


def crop_width(box: np.ndarray) -> float:
    """Photograph pixels across the crop of a box (4,)."""
    return float(augment.crop_region(box, SIZE[0] / SIZE[1], PADDING)[1][0])


def to_learn_from(people: People) -> tuple[People, People]:
    """Of photographs to train on: who is surely one, with two joints or more. Of those held out: people's labels where there are some."""
    train, held = people.split()
    surely = (train.box_scores >= SURE) & ~train.crowd
    train = train.subset(surely & ((train.scores > JOINT).sum(1) >= 2) & (np.ptp(train.boxes[:, 1::2], axis=1) >= 24))
    known, most = (held.scores > JOINT).sum(1), np.isin(held.image, held_out(people.photos))
    return train, held.subset(most & (known >= (1 if (people.photos.labels[held.image[most]] == PEOPLE).all() else 10)))


def main() -> None:
    p = arguments(__doc__, "crops", 1_000_000, batch=32, lr=2e-3)
    p.add_argument("--head", choices=("heatmap", "coordinates"), default="heatmap")
    p.add_argument("--teacher", type=network, help="NAME.onnx of a heatmap network with its card NAME.json beside it")
    a = p.parse_args()
    if a.teacher and a.head != "heatmap":
        p.error("--teacher teaches heatmaps: not with --head coordinates")
    if a.threads:
        torch.set_num_threads(a.threads)
    run, device = Run(a.run), torch.device(a.device)
    people = second_opinion(load(a.data, a.run.parent))
    train, held = to_learn_from(people.subset(people.photos.without(a.without)[people.image]))
    teacher = Teacher(a.teacher, train, a.run.parent) if a.teacher else None

    net = HeatmapNet() if a.head == "heatmap" else CoordinateNet()
    net = net.to(device, memory_format=torch.channels_last)
    average = Average(net)
    opts = optimisers(net, a.optimiser, a.lr, a.weight_decay)
    done = run.resume(net, average, opts, a.start)
    mean, std = MEAN.to(device), STD.to(device)

    def prepare(pixels: Tensor) -> Tensor:
        return ((pixels.to(device).float() - mean) / std).contiguous(memory_format=torch.channels_last)

    crops = Crops(train, train=True, first=done, count=run.left(done, a.crops, a.batch), teacher=teacher, shares=dict(a.share))
    loader = DataLoader(crops, a.batch, num_workers=a.workers, drop_last=True, prefetch_factor=4 if a.workers else None)
    running: list[float] = []
    print(f"{len(train.image)} people to train on, {len(held.image)} held out, {done} crops done", flush=True)
    for pixels, keypoints, weights, taught, trust in loader:
        factor = learning_rate(done, a.crops, warmup=200 * a.batch, decay=a.decay)
        with torch.autocast(device.type, torch.bfloat16):
            out = net(prepare(pixels)).float()
        told = keypoints.to(device), weights.to(device)
        loss = heatmap_loss(out, *told, taught.to(device), trust.to(device)) if a.head == "heatmap" else coordinate_loss(out, *told)
        step(loss * 1000, opts, a.lr * factor)
        average.update(net)
        done += len(pixels)
        running.append(float(loss.detach()))
        look = len(running) == a.every or done + a.batch > a.crops
        stop = run.elapsed() > a.minutes * 60
        if look or stop or run.due():
            run.checkpoint(net, average, opts, done, plateau=factor == 1.0)
        if look:
            run.log(done=done, loss=float(np.mean(running)) * 1000, lr=a.lr * factor, **validate(average.net, held, prepare))
            running = []
        if stop:
            break


if __name__ == "__main__":
    main()
