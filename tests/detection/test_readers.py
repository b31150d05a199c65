"""Heads with known rows: letterbox, class, threshold, suppression and the way back are worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from networks import constant_network, write_card

from toppose import CardError, ModelCard
from toppose.detection import NetworkDetector, make_detector
from toppose.detection.readers import box_reader
from toppose.runtime import Runtime

NAMES = "{0: 'dog', 1: 'person'}"
META = {"names": NAMES, "imgsz": "[64, 64]", "task": "detect", "stride": "32", "license": "AGPL-3.0"}
# cx, cy, w, h, dog, person
RAW = np.array(
    [
        (32, 32, 20, 40, 0.1, 0.9),
        (33, 32, 20, 40, 0.1, 0.8),  # overlaps the first by 0.9
        (10, 32, 10, 20, 0.0, 0.3),
        (50, 32, 10, 20, 0.9, 0.6),  # rather a dog
        (50, 20, 10, 10, 0.0, 0.2),  # below the threshold
    ],
    np.float32,
).T[None]


def detector(path, nms_iou=0.6, detection_threshold=None) -> NetworkDetector:
    return make_detector(path, Runtime("cpu"), detection_threshold, nms_iou, None)


def image(width: int = 128, height: int = 64) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def test_raw_head(tmp_path):
    path = constant_network(tmp_path / "raw.onnx", {"output0": RAW}, (64, 64), **META)
    # 128x64 into 64x64: scale 0.5, 16 rows above. (22..42, 12..52) -> x 44..84, y (12-16)/0.5 = -8..72, clipped to 0..64
    (boxes,) = detector(path)([image()])
    np.testing.assert_allclose(boxes, [(44, 0, 84, 64, 0.9), (10, 12, 30, 52, 0.3)], atol=1e-4)
    (all_of_them,) = detector(path, nms_iou=1.0, detection_threshold=0.1)([image()])
    np.testing.assert_allclose(all_of_them[:, 4], [0.9, 0.8, 0.3, 0.2], atol=1e-6)


def test_end2end_head(tmp_path):
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, :3] = [(22, 12, 42, 52, 0.9, 1), (5, 22, 15, 42, 0.8, 0), (5, 22, 15, 42, 0.3, 1)]
    path = constant_network(tmp_path / "e2e.onnx", {"output0": rows}, (64, 64), **META, end2end="True")
    (boxes,) = detector(path)([image()])
    np.testing.assert_allclose(boxes, [(44, 0, 84, 64, 0.9), (10, 12, 30, 52, 0.3)], atol=1e-4)


@pytest.mark.parametrize("order", [("dets", "labels"), ("labels", "dets")])
def test_dets_and_labels(tmp_path, order):
    values = {"dets": np.array([[(22, 12, 42, 52, 0.9), (5, 22, 15, 42, 0.8)]]), "labels": np.array([[0, 3]])}
    path = constant_network(tmp_path / "dets.onnx", {name: values[name] for name in order}, (64, 64))
    with pytest.raises(CardError, match=r"expected a card 'dets\.json'"):
        detector(path)
    write_card(path, {"kind": "dets"}, task="detect", size=[64, 64], centre=False, border=114)
    # in the top left corner: nothing above, so y 24..104 is clipped to 64
    np.testing.assert_allclose(detector(path)([image()])[0], [(44, 24, 84, 64, 0.9)], atol=1e-4)


@pytest.mark.parametrize(("batch", "free"), [(1, False), (2, False), ("batch", False), ("batch", True)])
def test_fixed_and_dynamic_shapes_agree(tmp_path, batch, free):
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = (22, 12, 42, 28, 0.9, 1)
    path = constant_network(tmp_path / "n.onnx", {"output0": rows}, (64, 64), batch, free, **META)
    boxes = detector(path)([image(), image(64, 64), image(300, 300)])
    # of free size, a 128x64 picture fills 64x32 and nothing is above it
    first = (44, 24, 84, 56) if free else (44, 0, 84, 24)
    np.testing.assert_allclose(boxes[0][0, :4], first, atol=1e-4)
    np.testing.assert_allclose(boxes[1][0, :4], (22, 12, 42, 28), atol=1e-4)
    np.testing.assert_allclose(boxes[2][0, :4], np.array((22, 12, 42, 28)) * 300 / 64, atol=1e-3)


@pytest.mark.parametrize(("width", "height", "expected"), [(640, 480, (64, 64)), (640, 320, (64, 32)), (10000, 1, (64, 32)), (1, 1, (64, 64))])
def test_free_size_takes_the_smallest_rectangle(tmp_path, width, height, expected):
    path = constant_network(tmp_path / "n.onnx", {"output0": RAW}, (64, 64), "batch", True, **META)
    assert detector(path).shape_of(np.zeros((height, width, 3), np.uint8)) == expected
    assert len(detector(path)([np.zeros((height, width, 3), np.uint8)])) == 1


def test_a_reader_of_one_class():
    def reader(**output):
        return box_reader(ModelCard(name="n", task="detect", file="n.onnx", input={"size": [64, 64]}, output=output), 0.25)

    ((boxes, scores),) = reader(kind="yolo").read([RAW[:, [0, 1, 2, 3, 5]]], (64, 64))
    assert len(boxes) == 4
    np.testing.assert_allclose(scores, [0.9, 0.8, 0.6, 0.3])
    ((nothing, none),) = reader(kind="dets").read([np.zeros((1, 0, 5)), np.zeros((1, 0))], (64, 64))
    assert nothing.shape == (0, 4)
    assert none.shape == (0,)


def test_names_decide_which_class_is_a_person(tmp_path):
    single = constant_network(tmp_path / "one.onnx", {"output0": RAW[:, :5]}, (64, 64), **{**META, "names": "{0: 'pedestrian'}"})
    assert detector(single).card.output.person == 0
    cats = constant_network(tmp_path / "cats.onnx", {"output0": RAW}, (64, 64), **{**META, "names": "{0: 'cat', 1: 'dog'}"})
    with pytest.raises(CardError, match=r"expected a class named 'person', got \['cat', 'dog'\]"):
        detector(cats)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"names": ""}, "expected a card"),
        ({"imgsz": "many"}, "expected a card"),
        ({"task": "classify"}, "expected a network of task detect, pose, segment; its metadata says 'classify'"),
        ({"task": "pose"}, r"expected \(B, 57, anchors\) or \(B, K, 57\) for its 2 classes and 51 more numbers a box"),
        ({"names": "None"}, "class names in its metadata; got names 'None'"),
        ({"names": "{'person': 0}"}, "class names in its metadata"),
        ({"imgsz": "[64, None]"}, r"imgsz in its metadata as a number or \[height, width\] up to 4096; got '\[64, None\]'"),
        ({"head": "RTDETRDecoder"}, "head 'RTDETRDecoder', whose boxes are shares of the picture"),
    ],
)
def test_wrong_metadata(tmp_path, meta, message):
    path = constant_network(tmp_path / "n.onnx", {"output0": RAW}, (64, 64), **{**META, **meta})
    with pytest.raises(CardError, match=message):
        detector(path)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"kind": "yolo", "head": "end2end"}, r"\(B, K, 6\); the network gives \{'output0': 'float32 \(3, 6, 5\)'\}"),
        ({"kind": "yolo", "person": 2}, r"with a class 2; the network gives"),
        ({"kind": "dets"}, r"dets \(B, K, 5\) and labels"),
    ],
)
def test_a_card_that_does_not_fit(tmp_path, output, message):
    path = constant_network(tmp_path / "n.onnx", {"output0": RAW}, (64, 64))
    write_card(path, output, task="detect", size=[64, 64])
    with pytest.raises(CardError, match=message):
        detector(path)


def test_a_free_size_is_whole_strides(tmp_path):
    path = constant_network(tmp_path / "n.onnx", {"output0": RAW}, (64, 64), free=True)
    write_card(path, {"kind": "yolo", "person": 1}, task="detect", size=[64, 80])
    with pytest.raises(CardError, match=r"card 'n': input.size: expected multiples of 32, the coarsest stride; got \[64, 80\]"):
        detector(path)


def test_the_card_has_a_threshold_of_its_own(tmp_path):
    path = constant_network(tmp_path / "n.onnx", {"output0": RAW}, (64, 64))
    write_card(path, {"kind": "yolo", "person": 1}, task="detect", size=[64, 64])
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**card, "threshold": 0.5}))
    assert len(detector(path)([image()])[0]) == 1
    assert len(detector(path, detection_threshold=0.25)([image()])[0]) == 2


def test_a_score_of_exactly_the_threshold_is_enough(tmp_path):
    head = np.array([[32, 32, 20, 40, 0.5], [10, 32, 10, 20, 0.0]], np.float32).T[None]
    path = constant_network(tmp_path / "n.onnx", {"output0": head}, (64, 64), **{**META, "names": "{0: 'person'}"})
    assert [len(detector(path, detection_threshold=t)([image()])[0]) for t in (0.0, 0.5, 0.51)] == [1, 1, 0]
