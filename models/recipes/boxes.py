"""The detector's arithmetic: anchor points, box decoding, overlap, and which points answer for which person."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from scenes import CROWD, DOUBTFUL, LOOSE, TIGHT, UNUSED
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
def assign(boxes: Tensor, scores: Tensor, points: Tensor, people: Tensor, top: int = 10) -> tuple[Tensor, Tensor, Tensor]:
    """Task-aligned assignment (Feng et al. 2021, TOOD): the `top` points of each person by score^0.5 * IoU^6.

    boxes (A,4), scores (A,), people (K,4) -> index of the person (A,), wanted score (A,), and which are taken (A,)."""
    if not len(people):
        return torch.zeros_like(scores, dtype=torch.long), torch.zeros_like(scores), torch.zeros_like(scores, dtype=torch.bool)
    iou = overlap(people.unsqueeze(1), boxes).clamp(min=0)  # (K, A)
    metric = scores.sqrt() * iou**6 * within(points, people)
    best = metric.topk(top, dim=1)
    chosen = torch.zeros_like(metric).scatter_(1, best.indices, 1.0) * (metric > 1e-9)
    # a point that two people claim goes to the one it overlaps more
    winner = torch.zeros_like(metric).scatter_(0, (iou * chosen).argmax(0, keepdim=True), 1.0)
    chosen = chosen * winner
    metric, iou = metric * chosen, iou * chosen
    normal = metric / metric.amax(1, keepdim=True).clamp(min=1e-9) * iou.amax(1, keepdim=True)
    return chosen.argmax(0), normal.amax(0), chosen.amax(0) > 0


def within(points: Tensor, boxes: Tensor) -> Tensor:
    """Which of points (A,2) lie inside which of boxes (K,4): (K,A)."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    return ((points > low) & (points < high)).all(2)


@torch.no_grad()
def negatives(boxes: Tensor, scores: Tensor, points: Tensor, people: Tensor, kinds: Tensor, complete: bool) -> Tensor:
    """How much each point (A,) counts where no person is assigned to it.

    Nothing within a doubtful person, or where most of what it predicts is a crowd. Where not everybody is boxed, the less the more it looks
    like a person: it may be one."""
    weight = torch.ones_like(scores) if complete else (1 - scores) ** 2
    if not complete:
        weight[within(points, people[(kinds == TIGHT) | (kinds == LOOSE)]).any(0)] = 1.0
    weight[within(points, people[kinds == DOUBTFUL]).any(0)] = 0.0
    crowds = people[kinds == CROWD]
    common = (torch.minimum(boxes[:, 2:], crowds[:, None, 2:]) - torch.maximum(boxes[:, :2], crowds[:, None, :2])).clamp(min=0).prod(2)
    weight[(common > 0.5 * (boxes[:, 2:] - boxes[:, :2]).prod(1)).any(0)] = 0.0
    return weight


def detection_loss(levels: list[Tensor], strides: tuple[int, ...], people: Tensor, kinds: Tensor, complete: Tensor) -> tuple[Tensor, Tensor]:
    """(score loss, box loss). people (B,M,4) xyxy, kinds (B,M) of these rows, complete (B,): whether all else is background."""
    boxes, logits, points, _ = decode(levels, strides)
    wanted, weights, losses, tight = [], [], [], []
    for b in range(len(people)):
        rows, kind = people[b][kinds[b] != UNUSED], kinds[b][kinds[b] != UNUSED]
        sure = (kind == TIGHT) | (kind == LOOSE)
        fixed, scores = boxes[b].detach(), logits[b].detach().sigmoid()
        index, want, taken = assign(fixed, scores, points, rows[sure])
        weight = negatives(fixed, scores, points, rows, kind, bool(complete[b]))
        weight[taken] = 1.0
        wanted.append(want), weights.append(weight)
        if taken.any():
            exact = taken & (kind[sure] == TIGHT)[index]
            losses.append(((1 - overlap(boxes[b][exact], rows[sure][index[exact]], complete=True)) * want[exact]).sum())
            tight.append(want[exact].sum())
    wanted_all, weight_all = torch.stack(wanted), torch.stack(weights)
    score_loss = (F.binary_cross_entropy_with_logits(logits, wanted_all, reduction="none") * weight_all).sum() / wanted_all.sum().clamp(min=1)
    box_loss = sum(losses, boxes.sum() * 0) / sum(tight, logits.new_zeros(())).clamp(min=1)
    return score_loss, box_loss
