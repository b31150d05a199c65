"""COCO keypoint AP and AR of an estimator, person-box AP of a detector, and AP by what makes pose hard.

Matching and averaging are pycocotools' own (extra `eval`): object keypoint similarity with the skeleton's sigmas, thresholds 0.5 ... 0.95."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose.errors import BoxError, EvaluationError, ImageError, MissingDependency
from toppose.estimator import Estimator
from toppose.evaluation.coco import Annotation, CocoSet, corners, read_detections
from toppose.evaluation.hard import BLURS, hard_cases, labelled, motion_blur
from toppose.images import read_image
from toppose.poses import Poses
from toppose.skeleton import Skeleton


def predict(
    estimator: Estimator, data: CocoSet, boxes: str | dict[int, NDArray[Any]] = "gt", blur: int = 0, step: Callable[[], None] = lambda: None
) -> dict[int, Poses]:
    """Poses of every photograph. boxes: "gt" (the annotated ones), "own" (the estimator's detector), or (N,5) boxes by image id."""
    found = {}
    for image in data.ids:
        try:
            pixels = motion_blur(read_image(data.encoded(image), max_pixels=estimator.options.max_pixels), blur)
        except ImageError as e:
            raise EvaluationError(f"data: photograph {data.name(image)!r} cannot be read: {e}") from None
        height, width = pixels.shape[:2]
        if (width, height) != data.size(image):
            expected = "x".join(map(str, data.size(image)))
            raise EvaluationError(f"data: photograph {data.name(image)!r} is {width}x{height} pixels; its annotations are of {expected}")
        if boxes == "own":
            given = None
        elif isinstance(boxes, dict):
            given = boxes.get(image, np.zeros((0, 5)))
        else:
            given = corners(a for a in data.people(image) if labelled(a))
        try:
            found[image] = estimator.predict(pixels, given)
        except BoxError as e:
            raise EvaluationError(f"photograph {data.name(image)!r}: {e}") from None
        step()
    return found


def keypoint_ap(data: CocoSet, found: dict[int, Poses], counts: Callable[[Annotation], bool] = lambda a: True) -> dict[str, float | None]:
    """AP, AP50, AP75, AR and the number of people. People for whom `counts` is false count neither way."""
    coco = copy.copy(data.coco)
    coco["annotations"] = [{**a, "num_keypoints": labelled(a)} for a in coco["annotations"]]
    people = 0
    for annotation in coco["annotations"]:
        if labelled(annotation) and not annotation["iscrowd"]:
            people += (inside := bool(counts(annotation)))
            annotation["iscrowd"] = int(not inside)
    results = [r for image, poses in found.items() for r in poses.to_coco(image)]
    sigmas = next((p.skeleton.sigmas for p in found.values()), ())
    stats = _summary(coco, results, "keypoints", sigmas) if people else [None] * 10
    return {"AP": stats[0], "AP50": stats[1], "AP75": stats[2], "AR": stats[5], "people": people}


def box_ap(data: CocoSet, found: dict[int, Poses], taller: float = 0) -> dict[str, float | None]:
    """AP and AP50 of the person boxes; people up to `taller` pixels high, and boxes as small, count neither way."""
    coco = copy.copy(data.coco)
    coco["annotations"] = [{**a, "area": a["bbox"][3]} for a in coco["annotations"]]
    results = [
        {
            "image_id": image,
            "category_id": 1,
            "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
            "score": float(score),
            "height": float(y2 - y1),
        }
        for image, poses in found.items()
        for (x1, y1, x2, y2), score in zip(poses.boxes, poses.box_scores, strict=True)
    ]
    stats = _summary(coco, results, "bbox", (), taller)
    return {"AP": stats[0], "AP50": stats[1]}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _summary(coco: dict[str, Any], results: list[dict[str, Any]], kind: str, sigmas: tuple[float, ...], taller: float = 0) -> list[float | None]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as e:
        raise MissingDependency(f"evaluation needs pycocotools ({e}). Cure: pip install 'toppose[eval]'") from None
    if not results:
        return [0.0] * 12
    with _quiet():
        truth = COCO()
        truth.dataset = {"info": {}, **coco}
        truth.createIndex()
        found = truth.loadRes(results)
        if kind == "bbox":  # sizes are heights here
            for annotation in found.dataset["annotations"]:
                annotation["area"] = annotation["height"]
        evaluation = COCOeval(truth, found, kind)
        if kind == "bbox":
            evaluation.params.areaRng[0] = [taller + 1e-6 if taller else 0, 1e10]
        elif sigmas:
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(s) if s >= 0 else None for s in evaluation.stats]  # pycocotools' -1: nobody to find


def evaluate(
    estimator: Estimator, data: CocoSet, boxes: str = "gt", hard: bool = False, bar: Callable[[int, int], None] = lambda i, n: None
) -> dict[str, Any]:
    """AP and AR with boxes "gt", "own" or those of a file, JSON-ready; with `hard` also by what makes pose hard, and under motion blur.

    `bar` is called with how many photographs are done, and of how many."""
    given: str | dict[int, NDArray[Any]] = boxes if boxes in ("gt", "own") else read_detections(Path(boxes), data)
    _check_joints(data, estimator.skeleton)
    blurs = (0, *BLURS) if hard else (0,)
    done, total = 0, len(data.ids) * len(blurs)

    def step() -> None:
        nonlocal done
        bar(done := done + 1, total)

    report: dict[str, Any] = {"estimator": repr(estimator), "photographs": len(data.ids), "boxes": boxes, "rows": {}}
    for blur in blurs:
        found = predict(estimator, data, given, blur, step)
        report["rows"][f"motion blur of {blur} px" if blur else "all people"] = keypoint_ap(data, found)
        if blur == 0 and hard:
            report["rows"] |= {name: keypoint_ap(data, found, counts) for name, counts in hard_cases(data).items()}
        if blur == 0 and boxes != "gt":
            report["person boxes"] = {"all": box_ap(data, found), "taller than 96 px": box_ap(data, found, 96)}
    return report


def _check_joints(data: CocoSet, skeleton: Skeleton) -> None:
    """Raises EvaluationError where the people's joints are not the network's, or nobody has any."""
    length = 3 * len(skeleton)
    if wrong := next((a for a in data.coco["annotations"] if len(a["keypoints"]) != length), None):
        got = f"got {len(wrong['keypoints'])}"
        raise EvaluationError(f"data: annotation {wrong['source_id']}: expected {length} numbers of keypoints, as the network's joints are; {got}")
    pairs = zip(data.joints, skeleton.joints, strict=False)
    if differ := next((p for p in pairs if _plain(p[0]) != _plain(p[1])), None):
        raise EvaluationError(f"data: its joints are in another order than the network's: {differ[0]!r} where that has {differ[1]!r}")
    if not any(labelled(a) and not a["iscrowd"] for a in data.coco["annotations"]):
        raise EvaluationError("data: expected people with labelled joints (one by one: iscrowd 0), got none; there is nothing to evaluate")


def _plain(joint: str) -> str:
    return joint.lower().replace(" ", "_").replace("-", "_")


def describe(report: dict[str, Any]) -> str:
    """The report as a table."""
    lines = [f"{report['estimator']}", f"{report['photographs']} photographs, boxes: {report['boxes']}", ""]
    lines.append(f"{'':46}{'AP':>7}{'AP50':>7}{'AP75':>7}{'AR':>7}{'people':>8}")
    for name, row in report["rows"].items():
        lines.append(f"{name:46}" + "".join(_cell(row[key]) for key in ("AP", "AP50", "AP75", "AR")) + f"{row['people']:8}")
    for name, row in report.get("person boxes", {}).items():
        lines.append(f"{'person boxes, ' + name:46}{_cell(row['AP'])}{_cell(row['AP50'])}")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return f"{'-':>7}" if value is None else f"{value:7.3f}"
