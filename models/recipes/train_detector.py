"""Trains the person detector: anchor-free, one class, task-aligned assignment, CIoU.

    python models/recipes/train_detector.py --data people.zip --run runs/detector --images 400000 --backbone runs/pose/last.pt

Stop it whenever you like: the same command goes on where the last checkpoint stands.
"""

from __future__ import annotations

import itertools

import augment
import cv2
import numpy as np
import torch
from boxes import decode, detection_loss, overlap
from crowds import Crowds
from data import People, load_people
from doubts import SURE, search, second_opinion, with_unlabelled
from networks import DetectNet
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from training import Average, Run, arguments, existing, learning_rate, network, optimisers, step

MOST = 64  # people of one training image


class Photos(Dataset):
    """Letterboxed or augmented photographs: uint8 RGB (3,S,S), boxes (MOST,4) xyxy, rows in use (MOST,), doubtful rows (MOST,).

    From sample `settle` on few people are pasted: at the end it learns what photographs are like, as without mosaics in YOLOX (Ge et al. 2021)."""

    def __init__(
        self, people: People, images: np.ndarray, size: int, train: bool, first: int = 0, count: int | None = None, settle: float = np.inf
    ) -> None:
        self.people, self.images, self.size, self.train, self.first, self.settle = people, images, size, train, first, settle
        self.crowds = Crowds(people, images) if train else None
        self.count = len(images) if count is None else count
        order = np.argsort(people.image, kind="stable")
        bounds = np.searchsorted(people.image[order], np.arange(len(people.sizes) + 1))
        self.rows = [order[a:b] for a, b in itertools.pairwise(bounds)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        cv2.setNumThreads(0)
        rng = np.random.default_rng(self.first + index)
        size = self.size
        canvas = np.full((size, size, 3), 114, np.uint8)
        if not self.train:
            tiles = [(int(self.images[index]), (0, 0, size, size), None)]
        else:
            tiles = [(int(rng.choice(self.images)), where, rng) for where in self.tiles(rng)]
        nobody = self.empty_part(rng) if self.train and rng.random() < 0.5 else None
        if nobody is not None:  # a place to stand in instead of grey, now and then with nobody in it
            canvas = cv2.resize(nobody, (size, size), interpolation=cv2.INTER_LINEAR)
            tiles = tiles if rng.random() < 0.8 else []
        if self.train and rng.random() < 0.05:
            canvas, tiles = augment.scribble(size, rng), []
        found = [(np.zeros((0, 4)), np.zeros(0, bool)), *(self.place(canvas, *tile) for tile in tiles)]
        boxes, sure = np.concatenate([b for b, _ in found]), np.concatenate([s for _, s in found])
        if self.crowds and rng.random() < (0.5 if self.first + index < self.settle else 0.1):
            boxes, sure = self.crowds.add(canvas, boxes, sure, rng)
        if self.train:
            canvas = augment.degrade(augment.recolour(canvas, rng), rng)
        boxes, sure = boxes[:MOST], sure[:MOST]
        rows, known, doubtful = np.zeros((MOST, 4), np.float32), np.zeros(MOST, bool), np.zeros(MOST, bool)
        rows[: len(boxes)], known[: len(boxes)], doubtful[: len(boxes)] = boxes, True, ~sure
        pixels = np.ascontiguousarray(canvas[:, :, ::-1].transpose(2, 0, 1))
        return tuple(map(torch.from_numpy, (pixels, rows, known, doubtful)))

    def empty_part(self, rng: np.random.Generator) -> np.ndarray | None:
        """A square of a photograph that touches nobody's box, not even a doubtful one: what must not be taken for a person."""
        for _ in range(10):
            image = int(rng.choice(self.images))
            photo, boxes = self.people.photo(image), self.people.boxes[self.rows[image]]
            side = int(rng.uniform(0.25, 0.8) * min(photo.shape[:2]))
            y, x = (int(rng.integers(s - side)) for s in photo.shape[:2])
            apart = (boxes[:, 0] >= x + side) | (boxes[:, 2] <= x) | (boxes[:, 1] >= y + side) | (boxes[:, 3] <= y)
            if apart.all():
                return photo[y : y + side, x : x + side]
        return None

    def tiles(self, rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
        """The canvas as 1, 4, 9 or 16 rectangles: photographs of actions show people large, and only so do they get small."""
        n = int(rng.choice(4, p=(0.4, 0.3, 0.15, 0.15))) + 1
        inner = (np.arange(1, n) + rng.uniform(-0.2, 0.2, (2, n - 1))) / n
        x, y = (np.rint(np.concatenate([[0], line, [1]]) * self.size).astype(int).tolist() for line in inner)
        return [(x[i], y[j], x[i + 1], y[j + 1]) for j in range(n) for i in range(n)]

    def place(
        self, canvas: np.ndarray, image: int, where: tuple[int, int, int, int], rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Warps one photograph into a rectangle of the canvas, in place -> boxes (K,4) on the canvas, and which are sure (K,)."""
        people, rows = self.people, self.rows[image]
        photo = people.photo(image)
        (h, w), (x1, y1, x2, y2) = photo.shape[:2], where
        tw, th = x2 - x1, y2 - y1
        fit = min(tw / w, th / h)
        if rng is None:
            matrix = np.array([[fit, 0, (tw - w * fit) / 2], [0, fit, (th - h * fit) / 2]])
        else:
            alone = (tw, th) == (self.size, self.size)
            fit *= np.exp(rng.uniform(*np.log((0.4, 1.8) if alone else (0.7, 2.0))))
            stretch = np.exp(rng.normal(0, 0.08))
            sx, sy = fit * stretch, fit / stretch
            cx, cy = rng.uniform(0.3, 0.7) * w, rng.uniform(0.3, 0.7) * h
            matrix = np.array([[sx, 0, tw / 2 - sx * cx], [0, sy, th / 2 - sy * cy]])
            if rng.random() < 0.5:
                matrix[0] = -matrix[0]
                matrix[0, 2] += tw
        shrink = 0.5 * (np.abs(matrix[[0, 1], [0, 1]]) - 1)  # pixel centres lie half a pixel behind the edges that boxes name
        pixel = matrix.copy()
        pixel[:, 2] += np.where(matrix[[0, 1], [0, 1]] < 0, -1 - shrink, shrink)
        canvas[y1:y2, x1:x2] = cv2.warpAffine(
            photo, pixel, (tw, th), canvas[y1:y2, x1:x2].copy(), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
        )
        corners = people.boxes[rows].reshape(-1, 2, 2) @ matrix[:, :2].T + matrix[:, 2]
        full = np.concatenate([corners.min(1), corners.max(1)], 1)
        boxes = np.clip(full, 0, [tw, th, tw, th])
        left = (boxes[:, 2:] - boxes[:, :2]).prod(1) / np.maximum((full[:, 2:] - full[:, :2]).prod(1), 1e-6)
        seen = (left > 0.05) & ((boxes[:, 2:] - boxes[:, :2]).min(1) > 2)
        sure = (left > 0.25) & (people.box_scores[rows] >= SURE) & (boxes[:, 3] - boxes[:, 1] >= 10)
        return (boxes + np.array([x1, y1, x1, y1]))[seen], sure[seen]


@torch.no_grad()
def validate(net: nn.Module, photos: Photos, prepare) -> dict[str, float]:
    """Average precision at IoU 0.5 on held-out photographs; doubtful people count neither way."""
    hits: list[tuple[float, bool]] = []
    total = 0
    for pixels, people, known, doubtful in DataLoader(photos, 16):
        boxes, logits, _, _ = decode(net(prepare(pixels)), DetectNet.strides)
        for b in range(len(pixels)):
            rows, unsure = people[b][known[b]], doubtful[b][known[b]]
            total += int((~unsure).sum())
            order = logits[b].sigmoid().topk(min(200, logits.shape[1]))
            candidates, scores = boxes[b][order.indices].cpu(), order.values.cpu()
            free = torch.ones(len(rows), dtype=torch.bool)
            kept = torch.ones(len(candidates), dtype=torch.bool)
            between = overlap(candidates[:, None], candidates[None])
            for i in range(len(candidates)):
                if not kept[i] or scores[i] < 0.01:
                    continue
                kept[i + 1 :] &= between[i, i + 1 :] <= 0.6
                iou = overlap(candidates[i], rows) if len(rows) else torch.zeros(0)
                match = int((iou * free).argmax()) if len(rows) else -1
                if match >= 0 and iou[match] >= 0.5 and free[match]:
                    free[match] = False
                    if not unsure[match]:
                        hits.append((float(scores[i]), True))
                elif not ((iou >= 0.5) & unsure).any():
                    hits.append((float(scores[i]), False))
    hits.sort(reverse=True)
    good = np.array([h for _, h in hits], bool)
    precision, recall = good.cumsum() / np.arange(1, len(good) + 1), good.cumsum() / max(total, 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return {"ap50": float(np.sum(np.diff(recall, prepend=0) * precision))}


def main() -> None:
    p = arguments(__doc__, "images", 400_000, batch=16, lr=1e-3)
    p.add_argument("--backbone", type=existing, help="checkpoint of the pose network to begin from")
    p.add_argument("--size", type=int, default=320)
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
    people = load_people(a.data, a.run.parent)
    images = np.arange(len(people.sizes))
    held = Photos(people, images[images % 50 == 0], a.size, train=False)  # measured by the labels as they came
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
    done = run.resume(net, average, opts)

    def prepare(pixels: Tensor) -> Tensor:
        return (pixels.to(device).float() / 255).contiguous(memory_format=torch.channels_last)

    rest, settle = run.left(done, a.images, a.batch), a.images * (1 - a.decay)
    photos = Photos(people, images[images % 50 != 0], a.size, train=True, first=done, count=rest, settle=settle)
    loader = DataLoader(photos, a.batch, num_workers=a.workers, drop_last=True, prefetch_factor=4 if a.workers else None)
    running: list[tuple[float, float]] = []
    print(f"{len(photos.images)} photographs to train on, {len(held.images)} held out, {done} images done")
    for pixels, rows, known, doubtful in loader:
        factor = learning_rate(done, a.images, warmup=300 * a.batch, decay=a.decay)
        with torch.autocast(device.type, torch.bfloat16):
            levels = net(prepare(pixels))
        score_loss, box_loss = detection_loss(levels, DetectNet.strides, rows.to(device), known.to(device), doubtful.to(device))
        step(score_loss + a.box_weight * box_loss, opts, a.lr * factor)
        average.update(net)
        done += len(pixels)
        running.append((float(score_loss.detach()), float(box_loss.detach())))
        if len(running) == a.every or done + a.batch > a.images:
            run.checkpoint(net, average, opts, done, plateau=factor == 1.0)
            score, box = np.mean(running, 0).tolist()
            run.log(done=done, score=score, box=box, lr=a.lr * factor, **validate(average.net, held, prepare))
            running = []
            if run.elapsed() > a.minutes * 60:
                break


if __name__ == "__main__":
    main()
