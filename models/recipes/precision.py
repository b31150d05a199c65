"""How well a detector finds held-out people: COCO's average precision, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable

import cv2
import numpy as np
import torch
from boxes import decode
from networks import DetectNet
from scenes import DOUBTFUL, LOOSE, TIGHT, UNUSED, Photos
from torch import Tensor, nn
from torch.utils.data import DataLoader

TALL = 96  # pixels of the canvas


@torch.no_grad()
def found(net: nn.Module, photos: Photos, prepare: Callable[[Tensor], Tensor], nms_iou: float = 0.6) -> Iterable[tuple[np.ndarray, ...]]:
    """Of each photograph: boxes (N,4) and scores (N,), labelled boxes (K,4) and kinds (K,)."""
    for pixels, people, kinds, _ in DataLoader(photos, 8):
        boxes, logits, _, _ = decode(net(prepare(pixels)), DetectNet.strides)
        for b in range(len(pixels)):
            best = logits[b].topk(300).indices
            these, scores = boxes[b][best].cpu().numpy(), logits[b][best].sigmoid().cpu().numpy()
            sides = np.concatenate([these[:, :2], these[:, 2:] - these[:, :2]], 1)
            kept = np.array(cv2.dnn.NMSBoxes(sides.tolist(), scores.tolist(), 0.01, nms_iou), int).reshape(-1)[:100]
            used = kinds[b] != UNUSED
            yield these[kept], scores[kept], people[b][used].numpy(), kinds[b][used].numpy()


def average_precision(rows: list[tuple[np.ndarray, ...]], taller: float = 0) -> tuple[float, float]:
    """AP and AP50 of what `found` gives; doubtful people, crowds, people up to `taller` pixels high and boxes as small count neither way."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, results = [], []
    for image, (boxes, scores, people, kinds) in enumerate(rows):
        for box, kind in zip(people, kinds, strict=True):
            truth.append({"id": len(truth) + 1, "image_id": image, "iscrowd": int(kind >= DOUBTFUL), **sides(box)})
        results += [{"image_id": image, "score": float(s), **sides(box)} for box, s in zip(boxes, scores, strict=True)]
    if not results or not any(k in (TIGHT, LOOSE) for row in rows for k in row[3]):
        return 0.0, 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"info": {}, "images": [{"id": i} for i in range(len(rows))], "annotations": truth, "categories": [{"id": 1}]}
        coco.createIndex()
        detections = coco.loadRes(results)
        for d in detections.dataset["annotations"]:
            d["area"] = d["bbox"][3]
        evaluation = COCOeval(coco, detections, "bbox")
        evaluation.params.areaRng[0] = [taller + 1e-6 if taller else 0, 1e10]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def operating_point(rows: list[tuple[np.ndarray, ...]], threshold: float, taller: float = 0) -> tuple[float, float]:
    """Precision and recall at IoU 0.5 of what scores `threshold` or more; what counts neither way in `average_precision` does not here."""
    right = wrong = people = 0
    for boxes, scores, labelled, kinds in rows:
        counts = (kinds <= LOOSE) & (labelled[:, 3] - labelled[:, 1] > taller)
        people += int(counts.sum())
        free = np.ones(len(labelled), bool)
        for box in boxes[scores >= threshold]:
            common = (np.minimum(box[2:], labelled[:, 2:]) - np.maximum(box[:2], labelled[:, :2])).clip(min=0).prod(1)
            own, theirs = (box[2:] - box[:2]).prod(), (labelled[:, 2:] - labelled[:, :2]).prod(1)
            overlap = np.where(kinds >= DOUBTFUL, common / own, common / (own + theirs - common))
            able = free & counts & (overlap >= 0.5)
            if able.any():
                free[np.argmax(overlap * able)] = False
                right += 1
            elif not (free & ~counts & (overlap >= 0.5)).any() and box[3] - box[1] > taller:
                wrong += 1
    return right / max(right + wrong, 1), right / max(people, 1)


def sides(box: np.ndarray) -> dict[str, object]:
    """COCO's names for a box (4,) xyxy, its height as its size."""
    x1, y1, x2, y2 = map(float, box)
    return {"category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": y2 - y1}


def validate(net: nn.Module, photos: Photos, prepare: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """AP and AP50 of everybody and of the tall among held-out people."""
    rows = list(found(net, photos, prepare))
    (ap, ap50), (tall, tall50) = average_precision(rows), average_precision(rows, TALL)
    return {"ap": ap, "ap50": ap50, "tall": tall, "tall50": tall50}
