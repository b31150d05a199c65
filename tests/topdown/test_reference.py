"""Held against an independent implementation of the conventions: on the shipped network, and, where they are at hand, on the fixture
networks and photographs of ../shared."""

from __future__ import annotations

import json
import zipfile

import cv2
import numpy as np
import pytest
from conftest import ROOT
from reference import Reference

from toppose import COCO17, Estimator
from toppose.networks import zoo

SHARED = ROOT.parent / "shared"
needs_shared = pytest.mark.skipif(not (SHARED / "data" / "coco-dev.zip").exists(), reason="needs the photographs and networks of ../shared")
BOXES = [(41, 17, 380, 404), (0, 0, 512, 512), (300.5, 200.25, 420.75, 512), (-60, -40, 200, 300)]


def agree(poses, reference, image, boxes):
    """0.05 px on every joint, but for those whose two best cells are equal to float32's last digits: there rounding chooses.

    Both run the network person by person: in a batch its sums differ in the last digit too."""
    keypoints, scores = reference(image, boxes)
    np.testing.assert_allclose(poses.scores, scores, atol=1e-5)
    decided = ~reference.ties
    assert decided.mean() > 0.9
    np.testing.assert_allclose(poses.keypoints[decided], keypoints[decided], atol=0.05)


@pytest.mark.parametrize("decoder", ["argmax", "quarter", "dark", "udp-dark"])
@pytest.mark.parametrize("flip_test", [False, True])
def test_shipped_network(photo, decoder, flip_test):
    image = cv2.imread(str(photo))
    path = next(c.path for c in zoo.shipped("pose") if c.name == "pose-n")
    poses = Estimator(detector=None, device="cpu", decoder=decoder, flip_test=flip_test, batch_size=1).predict(image, boxes=BOXES)
    agree(poses, Reference(path, decoder, flip=list(COCO17.flip) if flip_test else None), image, BOXES)


def test_udp(photo, tmp_path):
    image = cv2.imread(str(photo))
    card = next(c for c in zoo.shipped("pose") if c.name == "pose-n")
    (tmp_path / "udp.onnx").write_bytes(card.path.read_bytes())
    text = json.loads(card.path.with_suffix(".json").read_text())
    text |= {"file": "udp.onnx", "input": {**text["input"], "warp": "udp"}, "output": {**text["output"], "decoder": "udp-dark"}}
    (tmp_path / "udp.json").write_text(json.dumps(text))
    poses = Estimator(detector=None, pose=tmp_path / "udp.onnx", device="cpu", flip_test=True, batch_size=1).predict(image, boxes=BOXES)
    agree(poses, Reference(card.path, "udp-dark", udp=True, flip=list(COCO17.flip)), image, BOXES)


@needs_shared
@pytest.mark.parametrize("decoder", ["dark", "quarter"])
def test_fixture_network_on_photographs_of_coco(decoder):
    network = SHARED / "fixtures" / "pp-tinypose-256x192.onnx"
    estimator, reference = Estimator(detector=None, pose=network, device="cpu", decoder=decoder, batch_size=1), Reference(network, decoder)
    seen = 0
    with zipfile.ZipFile(SHARED / "data" / "coco-dev.zip") as files:
        coco = json.loads(files.read(next(n for n in files.namelist() if n.endswith(".json"))))
        paths = {n.rsplit("/", 1)[-1]: n for n in files.namelist()}
        for entry in coco["images"][:: 1 if decoder == "dark" else 7]:
            people = [a["bbox"] for a in coco["annotations"] if a["image_id"] == entry["id"] and a["num_keypoints"]]
            boxes = [(x, y, x + w, y + h) for x, y, w, h in people]
            if boxes:
                data = files.read(paths[entry["file_name"]])
                image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                agree(estimator.predict(data, boxes=boxes), reference, image, boxes)
                seen += len(boxes)
    assert seen > (400 if decoder == "dark" else 40)


@needs_shared
def test_fixture_detector_finds_the_astronaut(photo):
    poses = Estimator(SHARED / "fixtures" / "yolov8n-int8.onnx", device="cpu").predict(photo)
    assert len(poses) == 1
    # read off the picture by eye: hair to the picture's lower edge, left edge of the arm to the helmet
    x1, y1, x2, y2 = poses.boxes[0]
    assert abs(y1 - 15) < 15
    assert y2 > 490
    assert x1 < 40
    assert 340 < x2 < 480
