"""The field's conventions written a second time, person by person and joint by joint, without a line of toppose: what it is held against."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


def region(box, w, h, padding):
    x1, y1, x2, y2 = (float(v) for v in box)
    cx, cy, sw, sh = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) * padding, (y2 - y1) * padding
    if sw > sh * w / h:
        sh = sw * h / w
    else:
        sw = sh * w / h
    return cx, cy, sw, sh


def crop(image, box, w, h, padding, udp=False):
    cx, cy, sw, sh = region(box, w, h, padding)
    left, top = cx - sw / 2, cy - sh / 2
    kx, ky = ((w - 1) / sw, (h - 1) / sh) if udp else (w / sw, h / sh)
    return cv2.warpAffine(image, np.array([[kx, 0, -left * kx], [0, ky, -top * ky]]), (w, h), flags=cv2.INTER_LINEAR)


def blurred(heatmap, kernel):
    border = (kernel - 1) // 2
    padded = np.zeros((heatmap.shape[0] + 2 * border, heatmap.shape[1] + 2 * border), np.float32)
    padded[border:-border, border:-border] = heatmap
    padded = cv2.GaussianBlur(padded, (kernel, kernel), 0)[border:-border, border:-border]
    return padded * (heatmap.max() / padded.max()) if padded.max() > 0 else padded


def decode_one(heatmap, decoder):
    H, W = heatmap.shape
    y, x = (int(v) for v in np.unravel_index(np.argmax(heatmap), heatmap.shape))
    fx, fy = float(x), float(y)
    if decoder == "quarter" and 1 < x < W - 1 and 1 < y < H - 1:
        fx += 0.25 * np.sign(heatmap[y, x + 1] - heatmap[y, x - 1])
        fy += 0.25 * np.sign(heatmap[y + 1, x] - heatmap[y - 1, x])
    if decoder == "dark" and 1 < x < W - 2 and 1 < y < H - 2:
        m = np.log(np.maximum(blurred(heatmap, 11).astype(np.float64), 1e-10))
        gradient = 0.5 * np.array([m[y, x + 1] - m[y, x - 1], m[y + 1, x] - m[y - 1, x]])
        dxy = 0.25 * (m[y + 1, x + 1] - m[y - 1, x + 1] - m[y + 1, x - 1] + m[y - 1, x - 1])
        dxx, dyy = 0.25 * (m[y, x + 2] - 2 * m[y, x] + m[y, x - 2]), 0.25 * (m[y + 2, x] - 2 * m[y, x] + m[y - 2, x])
        if dxx * dyy - dxy**2 != 0:
            fx, fy = np.array([fx, fy]) - np.linalg.inv([[dxx, dxy], [dxy, dyy]]) @ gradient
    if decoder == "udp-dark":
        m = np.pad(np.log(np.clip(blurred(heatmap, 11).astype(np.float64), 1e-3, 50)), 1, mode="edge")
        v, u = y + 1, x + 1
        gradient = 0.5 * np.array([m[v, u + 1] - m[v, u - 1], m[v + 1, u] - m[v - 1, u]])
        dxx, dyy = m[v, u + 1] - 2 * m[v, u] + m[v, u - 1], m[v + 1, u] - 2 * m[v, u] + m[v - 1, u]
        dxy = 0.5 * (m[v + 1, u + 1] - m[v, u + 1] - m[v + 1, u] + 2 * m[v, u] - m[v, u - 1] - m[v - 1, u] + m[v - 1, u - 1])
        fx, fy = np.array([fx, fy]) - np.linalg.inv(np.array([[dxx, dxy], [dxy, dyy]]) + np.eye(2) * np.finfo(np.float32).eps) @ gradient
    return fx, fy, heatmap[y, x]


class Reference:
    """keypoints(image, boxes) for one classic or udp heatmap network of 192x256."""

    def __init__(self, path, decoder="dark", udp=False, flip=None):
        self.session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.decoder, self.udp, self.flip = decoder, udp, flip
        self.padding = json.loads(Path(path).with_suffix(".json").read_text())["input"]["padding"]

    def heatmaps(self, crop_bgr):
        blob = ((crop_bgr[..., ::-1].astype(np.float64) - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)
        return self.session.run(None, {self.session.get_inputs()[0].name: blob})[0][0]

    def __call__(self, image, boxes):
        keypoints, scores, self.ties = [], [], []
        for box in boxes:
            cut = crop(image, box, 192, 256, self.padding, self.udp)
            maps = self.heatmaps(cut)
            if self.flip is not None:
                back = self.heatmaps(cut[:, ::-1].copy())[:, :, ::-1][self.flip].copy()
                if not self.udp:
                    back[:, :, 1:] = back[:, :, :-1].copy()
                maps = (maps + back) / 2
            cx, cy, sw, sh = region(box, 192, 256, self.padding)
            H, W = maps.shape[1:]
            divide = (W - 1, H - 1) if self.udp else (W, H)
            for heatmap in maps:
                x, y, score = decode_one(heatmap, self.decoder)
                keypoints.append((x / divide[0] * sw + cx - sw / 2, y / divide[1] * sh + cy - sh / 2))
                scores.append(score)
                best, second = np.sort(heatmap, axis=None)[[-1, -2]]
                self.ties.append(best - second < 1e-6)
        self.ties = np.array(self.ties).reshape(len(boxes), -1)
        return np.array(keypoints).reshape(len(boxes), -1, 2), np.array(scores).reshape(len(boxes), -1)
