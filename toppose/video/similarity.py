"""How alike two people are, by joints and by boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toppose.skeleton import COCO17, Skeleton

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
SIGMA = 0.067  # the mean of COCO's
REACH = 1.5


def joint_sigmas(skeleton: Skeleton) -> Float:
    """(J,) the skeleton's own; where it has none, COCO's for the joints that COCO knows by name, and COCO's mean for the others."""
    known = dict(zip(COCO17.joints, COCO17.sigmas, strict=True))
    return np.array(skeleton.sigmas or [known.get(joint, SIGMA) for joint in skeleton.joints])


def areas(boxes: NDArray[np.floating]) -> Float:
    """(N,4) xyxy -> (N,) square pixels, 1 at least."""
    area: Float = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1, dtype=np.float64), 1)
    return area


def oks(keypoints: Float, seen: Bool, area: Float, others: Float, others_seen: Bool, others_area: Float, sigmas: Float) -> Float:
    """Object keypoint similarity of (...,J,2), (...,J), (...) and as many others, or as broadcast: (...); NaN where no joint is seen by both.

    The mean of exp(-d² / (2·s²·(2σ)²)) over the joints that both see (COCO 2016), where s² is the mean of the two areas."""
    distance = ((keypoints - others) ** 2).sum(-1)  # (..., J)
    scale = np.asarray(area + others_area)[..., None] / 2
    alike = np.exp(distance * (-1 / (8 * sigmas**2)) / scale)
    both = seen & others_seen
    count = both.sum(-1)
    total: Float = np.divide((alike * both).sum(-1), count, out=np.full(count.shape, np.nan), where=count > 0)
    return total


def oks_of_pairs(keypoints: Float, seen: Bool, boxes: Float, others: Float, others_seen: Bool, other_boxes: Float, sigmas: Float) -> Float:
    """OKS of every pair of (N,J,2), (N,J), (N,4) and (M,J,2), (M,J), (M,4): (N,M). 0 for those whose boxes are far apart: more than REACH times
    their mean size from middle to middle even hips have an OKS of 1e-10."""
    middles, other_middles = ((b[:, :2] + b[:, 2:]) / 2 for b in (boxes, other_boxes))
    area, other_area = areas(boxes), areas(other_boxes)
    apart = ((middles[:, None] - other_middles[None]) ** 2).sum(2)  # (N, M)
    i, j = np.nonzero(apart < REACH**2 * (area[:, None] + other_area[None]) / 2)
    alike = np.zeros(apart.shape)
    alike[i, j] = oks(keypoints[i], seen[i], area[i], others[j], others_seen[j], other_area[j], sigmas)
    return alike


def blend(by_joints: Float, by_boxes: Float, weight: float) -> Float:
    """`weight`·OKS + (1 - `weight`)·IoU (N,M); IoU alone where OKS is NaN."""
    mixed: Float = np.where(np.isnan(by_joints), by_boxes, weight * by_joints + (1 - weight) * by_boxes)
    return mixed
