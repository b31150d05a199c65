"""COCO keypoint AP of a pose network, with annotated boxes or a detector's, and the detector's own AP at IoU 0.5.

    python models/recipes/score.py --data coco-dev.zip --pose pose-n --detector person-n

Needs pycocotools and toppose. Tall people are those higher than --tall pixels; the others count neither way."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from toppose import Estimator, Poses
from toppose.boxes import iou


def read(archive: Path) -> tuple[dict[str, Any], dict[int, bytes]]:
    """Annotations, and the encoded photographs by image id."""
    with zipfile.ZipFile(archive) as files:
        paths = {Path(n).name: n for n in files.namelist()}
        coco = json.loads(files.read(next(n for n in paths.values() if n.endswith(".json"))))
        return coco, {i["id"]: files.read(paths[i["file_name"]]) for i in coco["images"]}


def corners(annotations: list[dict[str, Any]]) -> np.ndarray:
    boxes = np.array([a["bbox"] for a in annotations], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def keypoint_ap(coco: dict[str, Any], found: dict[int, Poses]) -> tuple[float, float]:
    """AP and AP at OKS 0.5."""
    results = [r for image, poses in found.items() for r in poses.to_coco(image)]
    if not results:
        return 0.0, 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def person_ap50(coco: dict[str, Any], found: dict[int, Poses], tall: float) -> float:
    """Area under precision over recall for boxes of people taller than `tall`, on photographs in which every area is COCO's own."""
    hits: list[tuple[float, bool]] = []
    total = 0
    for image, poses in found.items():
        annotations = [a for a in coco["annotations"] if a["image_id"] == image]
        if not all(a["area_source"] == "coco" for a in annotations):
            continue
        boxes = corners(annotations)
        counts = np.array([not a["iscrowd"] and a["bbox"][3] > tall for a in annotations], bool)
        free = counts.copy()
        total += int(counts.sum())
        for box, score in zip(poses.boxes, poses.box_scores, strict=True):  # best first
            overlap = iou(box[None].astype(float), boxes)[0]
            best = int((overlap * free).argmax()) if len(boxes) else -1
            if best >= 0 and free[best] and overlap[best] >= 0.5:
                free[best] = False
                hits.append((float(score), True))
            elif box[3] - box[1] > tall and not (overlap[~counts] >= 0.5).any():
                hits.append((float(score), False))
    good = np.array([hit for _, hit in sorted(hits, reverse=True)], bool)
    precision = good.cumsum() / np.arange(1, len(good) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(good.cumsum() / total, prepend=0) * precision))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="zip of photographs with COCO person keypoints")
    p.add_argument("--pose", default="pose-n")
    p.add_argument("--detector", default="person-n")
    p.add_argument("--decoder", help="another than the network's own")
    p.add_argument("--tall", type=float, default=96)
    a = p.parse_args()
    coco, photographs = read(a.data)
    given = {i: [x for x in coco["annotations"] if x["image_id"] == i and x["num_keypoints"]] for i in photographs}
    poser = Estimator(detector=None, pose=a.pose, decoder=a.decoder)
    print(
        f"{a.pose}, annotated boxes: AP %.3f, AP50 %.3f" % keypoint_ap(coco, {i: poser.predict(d, corners(given[i])) for i, d in photographs.items()})
    )
    whole = Estimator(a.detector, a.pose, decoder=a.decoder, detection_threshold=0.02)
    found = {i: whole.predict(d) for i, d in photographs.items()}
    print(f"{a.pose}, boxes of {a.detector}: AP %.3f, AP50 %.3f" % keypoint_ap(coco, found))
    print(f"{a.detector}: AP50 of people taller than {a.tall:g} px {person_ap50(coco, found, a.tall):.3f}")


if __name__ == "__main__":
    main()
