"""Trains the heatmap network, or with --head coordinates its rival, on annotated people.

    python models/recipes/train_pose.py --data people.zip --run runs/pose --crops 1000000

--teacher NETWORK.onnx adds the heatmaps of a stronger network to the targets. Stop it whenever you like: the same command goes on where
the last checkpoint stands.
"""

from __future__ import annotations

import augment
import cv2
import numpy as np
import torch
from crowds import Crowds
from data import FLIP, JOINT, People, load_people
from networks import CoordinateNet, HeatmapNet
from teacher import Teacher
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from training import Average, Run, arguments, learning_rate, network, optimisers, step

SIZE = (192, 256)  # w, h
STRIDE = 4
PADDING = 1.0  # of the box: the card's, and what the crops scatter about
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


class Crops(Dataset):
    """Augmented crops: uint8 RGB (3,h,w), keypoints (17,2) in crop pixels, weights (17,), and a teacher's heatmaps uint8 (17,h/4,w/4) or (0,)."""

    def __init__(self, people: People, train: bool, first: int = 0, count: int | None = None, teacher: Teacher | None = None) -> None:
        self.people, self.train, self.first, self.teacher = people, train, first, teacher
        self.images = np.unique(people.image)
        self.shares, self.crowds = rarity(people).cumsum(), Crowds(people, self.images)
        self.count = len(people.image) if count is None else count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        cv2.setNumThreads(0)
        rng = np.random.default_rng(self.first + index)
        person = int(np.searchsorted(self.shares, rng.random())) if self.train else index
        crop, keypoints, weights, maps = self.cut(person, rng) if self.train else self.plain(person)
        pixels = torch.from_numpy(np.ascontiguousarray(crop[:, :, ::-1].transpose(2, 0, 1)))
        return pixels, torch.from_numpy(keypoints.astype(np.float32)), torch.from_numpy(weights.astype(np.float32)), torch.from_numpy(maps)

    def plain(self, person: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        people = self.people
        region = augment.crop_region(people.boxes[person], SIZE[0] / SIZE[1], PADDING)
        matrix = augment.crop_matrix(*region, 0.0, SIZE, False)
        crop = cv2.warpAffine(people.photo(people.image[person]), matrix, SIZE, flags=cv2.INTER_LINEAR)
        keypoints = people.keypoints[person] @ matrix[:, :2].T + matrix[:, 2]
        return crop, keypoints, (people.scores[person] > JOINT).astype(np.float32), np.zeros(0, np.uint8)

    def cut(self, person: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        people = self.people
        keypoints, scores = people.keypoints[person], people.scores[person]
        weights = np.clip((scores - 0.15) / 0.35, 0, 1)
        photo, box = people.photo(people.image[person]), people.boxes[person]
        edges = np.array([0, 0, photo.shape[1], photo.shape[0]])
        kind = rng.random()
        if kind < 0.15:
            part = augment.half_body(keypoints, scores > JOINT, rng)
            box = box if part is None else part
        elif kind < 0.35:
            edges = augment.frame(box, np.array(photo.shape[:2]), rng)
            box = np.concatenate([np.maximum(box[:2], edges[:2]), np.minimum(box[2:], edges[2:])])
            x, y = keypoints.T
            weights = weights * ((x >= edges[0]) & (x < edges[2]) & (y >= edges[1]) & (y < edges[3]))
        centre, size = augment.crop_region(box, SIZE[0] / SIZE[1], PADDING)
        centre = centre + rng.normal(0, 0.04, 2) * size
        size = size * np.clip(np.exp(rng.normal(0.03, 0.17)), 0.7, 1.6)
        turn = np.deg2rad(np.clip(rng.normal(0, 25), -60, 60)) if rng.random() < 0.5 else 0.0
        flip = bool(rng.random() < 0.5)
        matrix = augment.crop_matrix(centre, size, turn, SIZE, flip)
        crop = augment.seen_through(photo, edges, matrix, SIZE)
        keypoints = keypoints @ matrix[:, :2].T + matrix[:, 2]
        seen = (scores > JOINT) & (weights > 0)
        if flip:
            keypoints, weights, seen = keypoints[FLIP], weights[FLIP], seen[FLIP]
        maps = np.zeros(0, np.uint8)
        if self.teacher:
            cells = (SIZE[0] // STRIDE, SIZE[1] // STRIDE)
            maps = self.teacher.targets(person, people.boxes[person], matrix, FLIP if flip else None, cells, STRIDE)
            maps = augment.blank_outside(maps, edges, matrix, STRIDE)
        for _ in range(rng.integers(1, 3) if rng.random() < 0.35 else 0):
            self.crowds.beside(crop, keypoints, seen, rng)
        crop = augment.recolour(crop, rng)
        for _ in range(rng.integers(3) if rng.random() < 0.5 else 0):
            augment.occlude(crop, people.photo(int(rng.choice(self.images))), rng)
        return augment.degrade(crop, rng), keypoints, weights, maps


def rarity(people: People) -> np.ndarray:
    """How often each person is drawn (P,), sum 1: photographs of actions show few legs, few backs, and few who lie or bend."""
    seen = people.scores > JOINT
    torso = people.keypoints[:, 11:13].sum(1) - people.keypoints[:, 5:7].sum(1)
    turned = seen[:, [5, 6, 11, 12]].all(1) & (np.abs(np.arctan2(torso[:, 0], torso[:, 1])) >= np.pi / 4)
    back = seen[:, 5:7].all(1) & (seen[:, :5].sum(1) <= 2)
    share = 1 + 0.5 * seen[:, 13:15].any(1) + 1.5 * seen[:, 15:].any(1) + 5 * back + 4 * turned
    return share / share.sum()


def gaussian_targets(keypoints: Tensor, weights: Tensor, sigma: float = 2.0) -> tuple[Tensor, Tensor]:
    """Keypoints (B,J,2) in crop pixels -> heatmaps (B,J,H,W) of peak 1, and the weights, 0 where the 3-sigma window is outside."""
    W, H = SIZE[0] // STRIDE, SIZE[1] // STRIDE
    centre = keypoints / STRIDE
    dx = torch.arange(W, device=centre.device) - centre[..., :1]  # (B,J,W)
    dy = torch.arange(H, device=centre.device) - centre[..., 1:]  # (B,J,H)
    gx, gy = (torch.exp(-(d**2) / (2 * sigma**2)) * (d.abs() <= 3 * sigma) for d in (dx, dy))
    inside = (gx.sum(-1) > 0) & (gy.sum(-1) > 0)
    return gy.unsqueeze(-1) * gx.unsqueeze(-2), weights * inside


def heatmap_loss(maps: Tensor, keypoints: Tensor, weights: Tensor) -> Tensor:
    """Mean of squared differences; joints of weight 0 take no part."""
    targets, weights = gaussian_targets(keypoints, weights)
    return ((maps - targets) ** 2).mean((2, 3)).mul(weights).sum() / weights.sum().clamp(min=1)


def teacher_loss(maps: Tensor, taught: Tensor) -> Tensor:
    """Mean of squared differences to the teacher's maps (uint8), of every joint: the teacher also says where it sees none."""
    return ((maps - taught.float() / 255) ** 2).mean()


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


@torch.no_grad()
def validate(net: nn.Module, people: People, prepare) -> dict[str, float]:
    """Median error in crop pixels, and the share of joints within 5 % of the crop's height of their label."""
    errors = []
    for pixels, keypoints, weights, _ in DataLoader(Crops(people, train=False), 64):
        distance = (decode(net(prepare(pixels)).float()).cpu() - keypoints).norm(dim=-1)
        errors.append(distance[weights > 0])
    error = torch.cat(errors)
    return {"error": float(error.median()), "pck": float((error < 0.05 * SIZE[1]).float().mean())}


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
    people = load_people(a.data, a.run.parent)
    train, held = people.split()
    train = train.subset(((train.scores > JOINT).sum(1) >= 2) & (np.ptp(train.boxes[:, 1::2], axis=1) >= 24))
    held = held.subset((held.scores > JOINT).sum(1) >= 10)

    teacher = Teacher(a.teacher, train, a.run.parent) if a.teacher else None

    net = HeatmapNet() if a.head == "heatmap" else CoordinateNet()
    loss_of = heatmap_loss if a.head == "heatmap" else coordinate_loss
    net = net.to(device, memory_format=torch.channels_last)
    average = Average(net)
    opts = optimisers(net, a.optimiser, a.lr, a.weight_decay)
    done = run.resume(net, average, opts)
    mean, std = MEAN.to(device), STD.to(device)

    def prepare(pixels: Tensor) -> Tensor:
        return ((pixels.to(device).float() - mean) / std).contiguous(memory_format=torch.channels_last)

    crops = Crops(train, train=True, first=done, count=run.left(done, a.crops, a.batch), teacher=teacher)
    loader = DataLoader(crops, a.batch, num_workers=a.workers, drop_last=True, prefetch_factor=4 if a.workers else None)
    running: list[float] = []
    print(f"{len(train.image)} people to train on, {len(held.image)} held out, {done} crops done")
    for pixels, keypoints, weights, taught in loader:
        factor = learning_rate(done, a.crops, warmup=200 * a.batch, decay=a.decay)
        with torch.autocast(device.type, torch.bfloat16):
            out = net(prepare(pixels))
        loss = loss_of(out.float(), keypoints.to(device), weights.to(device))
        if teacher:
            loss = (loss + teacher_loss(out.float(), taught.to(device))) / 2
        step(loss * 1000, opts, a.lr * factor)
        average.update(net)
        done += len(pixels)
        running.append(float(loss.detach()))
        if len(running) == a.every or done + a.batch > a.crops:
            run.checkpoint(net, average, opts, done, plateau=factor == 1.0)
            run.log(done=done, loss=float(np.mean(running)) * 1000, lr=a.lr * factor, **validate(average.net, held, prepare))
            running = []
            if run.elapsed() > a.minutes * 60:
                break


if __name__ == "__main__":
    main()
