"""How alike two people are, by joints and by boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toppose.skeleton import COCO17, Skeleton

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
SIGMA = 0.067  # the mean of COCO's


def joint_sigmas(skeleton: Skeleton) -> Float:
    """(J,) the skeleton's own; where it has none, COCO's for the joints that COCO knows by name, and COCO's mean for the others."""
    known = dict(zip(COCO17.joints, COCO17.sigmas, strict=True))
    return np.array(skeleton.sigmas or [known.get(joint, SIGMA) for joint in skeleton.joints])


def areas(boxes: NDArray[np.floating]) -> Float:
    """(N,4) xyxy -> (N,) square pixels, 1 at least."""
    area: Float = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1, dtype=np.float64), 1)
    return area


def oks(keypoints: Float, seen: Bool, area: Float, others: Float, others_seen: Bool, others_area: Float, sigmas: Float) -> Float:
    """Object keypoint similarity of every pair: (N,J,2), (N,J), (N,) and (M,J,2), (M,J), (M,) -> (N,M); NaN where no joint is seen by both.

    The mean of exp(-d² / (2·s²·(2σ)²)) over the joints that both see (COCO 2016), where s² is the mean of the two areas."""
    x, y = (keypoints[:, None, :, k] - others[None, :, :, k] for k in (0, 1))  # (N, M, J)
    scale = (area[:, None] + others_area[None]) / 2  # (N, M)
    alike = np.exp((x * x + y * y) * (-1 / (8 * sigmas**2)) / scale[..., None])
    both = (seen[:, None] & others_seen[None]).astype(np.float64)  # (N, M, J)
    count = both.sum(2)
    total: Float = np.divide((alike * both).sum(2), count, out=np.full(count.shape, np.nan), where=count > 0)
    return total


def blend(by_joints: Float, by_boxes: Float, weight: float) -> Float:
    """`weight`·OKS + (1 - `weight`)·IoU (N,M); IoU alone where OKS is NaN."""
    mixed: Float = np.where(np.isnan(by_joints), by_boxes, weight * by_joints + (1 - weight) * by_boxes)
    return mixed
