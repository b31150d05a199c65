"""Every head that Ultralytics exports, built with random weights, against Ultralytics' own post-processing; and its networks plugged in."""

from __future__ import annotations

import os

import numpy as np
import pytest

os.environ |= {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
ultralytics = pytest.importorskip("ultralytics", reason="needs pip install 'toppose[ultralytics]'")

from toppose import Estimator, ModelError, Options  # noqa: E402
from toppose.detection import make_detector  # noqa: E402
from toppose.geometry import invert, transform_boxes  # noqa: E402


def detector(path, **options):
    return make_detector(path, "cpu", Options(**options))


def build(name):
    """Random weights; a yaml has no class names."""
    model = ultralytics.YOLO(f"{name}.yaml")
    model.model.names = {i: "person" if i == 0 else f"thing {i}" for i in range(80)}
    return model


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 256, (h // 8, w // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8) for h, w in ((240, 320), (320, 200))]


@pytest.mark.parametrize(
    ("name", "options", "end2end"),
    [
        ("yolov8n", {}, False),
        ("yolo11n", {}, False),
        ("yolo11n", {"dynamic": True}, False),
        ("yolo11n", {"nms": True}, True),
        ("yolo12n", {}, False),
        ("yolov10n", {}, False),
        ("yolov10n", {"nms": False}, True),
        ("yolo26n", {"nms": False}, True),
        ("yolo26n", {"nms": False, "dynamic": True}, True),
    ],
)
def test_heads(name, options, end2end, photos, tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = build(name)
    with torch.no_grad():  # random heads are all alike: spread their class scores, so that there is something to choose from
        for parameter in model.model.model[-1].parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    path = model.export(format="onnx", imgsz=320, simplify=False, opset=17, **options)
    mine = detector(path, detection_threshold=0.05, nms_iou=0.6)
    assert mine.card.output.head == ("end2end" if end2end else "raw")
    assert mine.card.input.size == (320, 320)
    assert mine.flexible == options.get("dynamic", False)
    own = ultralytics.YOLO(path, task="detect")
    for photo in photos:
        blob, matrices = mine.prepare([photo], (320, 320))
        found = mine._candidates([o[0] for o in mine._ordered(mine.session.run(blob))])
        boxes = mine._finish(*found, photo, matrices[0])
        # Ultralytics' own post-processing of the very same input
        result = own.predict(torch.from_numpy(blob), conf=0.05, iou=0.6, classes=[0], imgsz=320, verbose=False, max_det=3000, device="cpu")[0]
        theirs = transform_boxes(result.boxes.xyxy.numpy(), invert(matrices[0])).clip(0, [photo.shape[1], photo.shape[0]] * 2)
        scores = result.boxes.conf.numpy()
        real = (theirs[:, 2] > theirs[:, 0]) & (theirs[:, 3] > theirs[:, 1])
        theirs, scores = theirs[real], scores[real]
        assert len(boxes) == len(theirs)
        order = np.lexsort((*theirs.round(1).T, -scores.round(4)))
        mine_order = np.lexsort((*boxes[:, :4].round(1).T, -boxes[:, 4].round(4)))
        np.testing.assert_allclose(boxes[mine_order, 4], scores[order], atol=1e-4)
        np.testing.assert_allclose(boxes[mine_order, :4], theirs[order], atol=0.05)


def test_a_pt_as_detector(tmp_path, monkeypatch, photos):
    monkeypatch.chdir(tmp_path)
    build("yolo11n").save(tmp_path / "mine.pt")
    boxes = detector(tmp_path / "mine.pt", detection_threshold=0.0, max_people=5)(photos)
    assert [b.shape[1] for b in boxes] == [5, 5]
    assert detector(tmp_path / "mine.pt")([]) == []
    estimator = Estimator(tmp_path / "mine.pt", device="cpu", detection_threshold=0.9)
    assert [len(p) for p in estimator.predict(photos)] == [0, 0]
    assert os.environ["YOLO_AUTOINSTALL"] == "false"
    (tmp_path / "broken.pt").write_text("no network")
    with pytest.raises(ModelError, match="cannot be loaded by ultralytics"):
        detector(tmp_path / "broken.pt")
