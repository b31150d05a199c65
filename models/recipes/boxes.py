"""The detector's arithmetic: anchor points, box decoding, overlap, and which points answer for which person."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def anchor_points(levels: list[Tensor], strides: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Centres (A,2) of all cells in input pixels, and the stride (A,1) of each."""
    points, scale = [], []
    for level, stride in zip(levels, strides, strict=True):
        H, W = level.shape[2], level.shape[3]
        y = torch.arange(H, device=level.device, dtype=torch.float32).view(-1, 1).expand(H, W)
        x = torch.arange(W, device=level.device, dtype=torch.float32).view(1, -1).expand(H, W)
        centres = (torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride
        points.append(centres)
        scale.append(torch.full_like(centres[:, :1], stride))
    return torch.cat(points), torch.cat(scale)


def decode(levels: list[Tensor], strides: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Raw levels (B,5,H,W) -> boxes (B,A,4) xyxy in input pixels, logits (B,A), anchor points (A,2) and their strides (A,1)."""
    flat = torch.cat([level.flatten(2) for level in levels], 2).transpose(1, 2).float()  # (B, A, 5)
    points, scale = anchor_points(levels, strides)
    distances = F.softplus(flat[..., :4]) * scale
    boxes = torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)
    return boxes, flat[..., 4], points, scale


def overlap(a: Tensor, b: Tensor, complete: bool = False) -> Tensor:
    """IoU of boxes (...,4) that broadcast; `complete` subtracts CIoU's distance and aspect terms (Zheng et al. 2020)."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    common = (high - low).clamp(min=0).prod(-1)
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    iou = common / (size_a.prod(-1) + size_b.prod(-1) - common).clamp(min=1e-6)
    if not complete:
        return iou
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    apart = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) ** 2).sum(-1) / 4
    turn = [torch.atan(s[..., 0] / s[..., 1].clamp(min=1e-6)) for s in (size_a, size_b)]
    shape = 4 / math.pi**2 * (turn[0] - turn[1]) ** 2
    with torch.no_grad():
        alpha = shape / (1 - iou + shape).clamp(min=1e-6)
    return iou - apart / (hull**2).sum(-1).clamp(min=1e-6) - alpha * shape


@torch.no_grad()
def assign(boxes: Tensor, scores: Tensor, points: Tensor, people: Tensor, known: Tensor, top: int = 10) -> tuple[Tensor, Tensor, Tensor]:
    """Task-aligned assignment (Feng et al. 2021, TOOD): the `top` points of each person by score^0.5 * IoU^6.

    boxes (B,A,4), scores (B,A), people (B,M,4), known (B,M) -> index of the person (B,A), wanted score (B,A), and which are taken (B,A)."""
    iou = overlap(people.unsqueeze(2), boxes.unsqueeze(1)).clamp(min=0)  # (B, M, A)
    offset = torch.cat([points - people.unsqueeze(2)[..., :2], people.unsqueeze(2)[..., 2:] - points], -1)
    inside = (offset.amin(-1) > 0) & known.unsqueeze(2)
    metric = scores.unsqueeze(1).sqrt() * iou**6 * inside
    best = metric.topk(top, dim=2)
    chosen = torch.zeros_like(metric).scatter_(2, best.indices, 1.0) * (metric > 1e-9)
    # a point that two people claim goes to the one it overlaps more
    winner = torch.zeros_like(metric).scatter_(1, (iou * chosen).argmax(1, keepdim=True), 1.0)
    chosen = chosen * winner
    metric, iou = metric * chosen, iou * chosen
    normal = metric / metric.amax(2, keepdim=True).clamp(min=1e-9) * iou.amax(2, keepdim=True)
    return chosen.argmax(1), normal.amax(1), chosen.amax(1) > 0


def detection_loss(levels: list[Tensor], strides: tuple[int, ...], people: Tensor, known: Tensor, doubtful: Tensor) -> tuple[Tensor, Tensor]:
    """(score loss, box loss). people (B,M,4) xyxy, known (B,M) real rows, the first of each image, doubtful (B,M) those whose region is
    left out of the negatives."""
    most = int(known.sum(1).amax().clamp(min=1))
    people, known, doubtful = people[:, :most], known[:, :most], doubtful[:, :most]
    boxes, logits, points, _ = decode(levels, strides)
    sure = known & ~doubtful
    index, wanted, taken = assign(boxes.detach(), logits.detach().sigmoid(), points, people, sure)
    offset = torch.cat([points - people.unsqueeze(2)[..., :2], people.unsqueeze(2)[..., 2:] - points], -1)
    ignored = ((offset.amin(-1) > 0) & (known & doubtful).unsqueeze(2)).any(1) & ~taken
    total = wanted.sum().clamp(min=1)
    score_loss = (F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * ~ignored).sum() / total
    target = people.gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
    box_loss = ((1 - overlap(boxes[taken], target[taken], complete=True)) * wanted[taken]).sum() / total
    return score_loss, box_loss
