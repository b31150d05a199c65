"""Network outputs to coordinates in heatmap cells and scores. NumPy and one OpenCV blur; no loop over persons or joints.

Every decoder takes (N, J, ...) and gives `(cells, scores)`: float64 (N, J, 2) as (x, y), and float32 (N, J).
The score of a heatmap joint is the peak before any blur."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Single = NDArray[np.float32]
Decoded = tuple[Float, Single]


def peaks(heatmaps: Single) -> tuple[NDArray[np.intp], NDArray[np.intp], Single]:
    """Heatmaps (N,J,H,W) -> column and row of each maximum (N,J), and its value (N,J)."""
    N, J, H, W = heatmaps.shape
    flat = heatmaps.reshape(N, J, H * W)
    top = flat.argmax(-1)
    scores = np.take_along_axis(flat, top[..., None], -1)[..., 0]
    return top % W, top // W, scores


def argmax(heatmaps: Single, blur: int = 11) -> Decoded:
    """The cell of the maximum, as it is."""
    x, y, scores = peaks(heatmaps)
    return np.stack([x, y], -1).astype(np.float64), scores


def quarter(heatmaps: Single, blur: int = 11) -> Decoded:
    """A quarter of a cell towards the higher neighbour (Newell et al. 2016), strictly inside the map."""
    _, _, H, W = heatmaps.shape
    x, y, scores = peaks(heatmaps)
    inside = (x > 1) & (x < W - 1) & (y > 1) & (y < H - 1)
    at = _Neighbours(heatmaps, x, y)
    shift = np.stack([np.sign(at(1, 0) - at(-1, 0)), np.sign(at(0, 1) - at(0, -1))], -1)
    return np.stack([x, y], -1) + 0.25 * shift * inside[..., None], scores


def dark(heatmaps: Single, blur: int = 11) -> Decoded:
    """One Newton step on the logarithm of the blurred map (Zhang et al. 2020, DARK), where x and y are 2 ... size-3."""
    _, _, H, W = heatmaps.shape
    x, y, scores = peaks(heatmaps)
    at = _Neighbours(heatmaps if blur <= 1 else smooth(heatmaps, blur), x, y, lambda v: np.log(np.maximum(v, 1e-10)))
    centre = at(0, 0)
    dx, dy = 0.5 * (at(1, 0) - at(-1, 0)), 0.5 * (at(0, 1) - at(0, -1))
    dxx = 0.25 * (at(2, 0) - 2 * centre + at(-2, 0))
    dyy = 0.25 * (at(0, 2) - 2 * centre + at(0, -2))
    dxy = 0.25 * (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1))
    inside = (x > 1) & (x < W - 2) & (y > 1) & (y < H - 2)
    return np.stack([x, y], -1) + _newton(dx, dy, dxx, dyy, dxy, 0.0) * inside[..., None], scores


def udp_dark(heatmaps: Single, blur: int = 11) -> Decoded:
    """DARK as UDP has it (Huang et al. 2020): values clipped to [1e-3, 50], neighbours one cell away, edges repeated."""
    x, y, scores = peaks(heatmaps)
    at = _Neighbours(heatmaps if blur <= 1 else smooth(heatmaps, blur), x, y, lambda v: np.log(np.clip(v, 1e-3, 50)))
    centre, right, left, down, up = at(0, 0), at(1, 0), at(-1, 0), at(0, 1), at(0, -1)
    dxy = 0.5 * (at(1, 1) - right - down + 2 * centre - left - up + at(-1, -1))
    step = _newton(0.5 * (right - left), 0.5 * (down - up), right - 2 * centre + left, down - 2 * centre + up, dxy, float(np.finfo(np.float32).eps))
    return np.stack([x, y], -1) + step, scores


HEATMAP_DECODERS: dict[str, Callable[[Single, int], Decoded]] = {"argmax": argmax, "quarter": quarter, "dark": dark, "udp-dark": udp_dark}


def simcc(x_maps: Single, y_maps: Single, split: float = 2.0) -> tuple[Float, Single]:
    """Two vectors a joint (Li et al. 2022, SimCC): (N,J,w*split) and (N,J,h*split) -> *crop pixels* (N,J,2), and both peaks (N,J,2)."""
    peaks = np.stack([x_maps.max(-1), y_maps.max(-1)], -1)
    return np.stack([x_maps.argmax(-1), y_maps.argmax(-1)], -1) / split, peaks


def coordinates(points: Single) -> Decoded:
    """Direct regression (N,J,2) or (N,J,3): the coordinates as they are; the third column, else 1, is the score."""
    scores = points[..., 2] if points.shape[-1] == 3 else np.ones(points.shape[:2], np.float32)
    return points[..., :2].astype(np.float64), scores


def smooth(heatmaps: Single, kernel: int) -> Single:
    """Gaussian blur with zeros outside, each map brought back to its old maximum. OpenCV's sigma: kernel 11 has 2.0, 17 has 2.9.

    The maps are laid under each other with zeros between, so that one call blurs them all."""
    N, J, H, W = heatmaps.shape
    if N == 0:
        return heatmaps
    border = kernel // 2
    tall = np.zeros((N * J, H + border, W), np.float32)
    tall[:, :H] = heatmaps.reshape(N * J, H, W)
    blurred = cv2.GaussianBlur(tall.reshape(-1, W), (kernel, kernel), 0, borderType=cv2.BORDER_CONSTANT).reshape(tall.shape)[:, :H]
    old, new = (maps.reshape(N * J, -1).max(1) for maps in (heatmaps, blurred))
    gain = np.divide(old, new, out=np.ones_like(old), where=new > 0)
    scaled: Single = blurred * gain[:, None, None]
    return scaled.reshape(N, J, H, W)


def band(size: int, blur: int) -> Single:
    """The matrix (size,size) that blurs along one axis as `smooth` does, for devices: its product with a map, zeros outside."""
    kernel = cv2.getGaussianKernel(blur, 0, cv2.CV_32F)[:, 0] if blur > 1 else np.ones(1, np.float32)
    rows = np.zeros((size, size + 2 * (len(kernel) // 2)), np.float32)
    for i in range(size):
        rows[i, i : i + len(kernel)] = kernel
    return np.ascontiguousarray(rows[:, len(kernel) // 2 :][:, :size])


class _Neighbours:
    """The value at (x + dx, y + dy) of every map, edges repeated, as float64 (N,J)."""

    def __init__(self, maps: Single, x: NDArray[np.intp], y: NDArray[np.intp], of: Callable[[Float], Float] = lambda v: v) -> None:
        N, J, self.H, self.W = maps.shape
        self.flat, self.x, self.y, self.of = maps.reshape(N, J, self.H * self.W), x, y, of

    def __call__(self, dx: int, dy: int) -> Float:
        cell = np.clip(self.y + dy, 0, self.H - 1) * self.W + np.clip(self.x + dx, 0, self.W - 1)
        return self.of(np.take_along_axis(self.flat, cell[..., None], -1)[..., 0].astype(np.float64))


def _newton(dx: Float, dy: Float, dxx: Float, dyy: Float, dxy: Float, eps: float) -> Float:
    """-H⁻¹g for all joints (N,J,2); no step where the determinant is 0. `eps` is added to the diagonal."""
    dxx, dyy = dxx + eps, dyy + eps
    det = dxx * dyy - dxy * dxy
    safe = np.where(det == 0, 1.0, det)
    step = np.stack([dyy * dx - dxy * dy, dxx * dy - dxy * dx], -1) / -safe[..., None]
    return np.where((det != 0)[..., None], step, 0.0)
