"""What a file says of itself, in every writing that was met, and what leaves it open."""

from __future__ import annotations

import numpy as np
import pytest
from networks import constant_network

from toppose import CardError, Estimator, ModelError
from toppose.networks.recognise import class_names, literal

COCO = {0: "person", **{i: f"c{i}" for i in range(1, 80)}}
PERSON = (100.0, 100, 300, 500, 0.9)


def boxes_of(path, **options):
    return Estimator(detector=path, pose="pose-n", device="cpu", **options).predict(np.zeros((640, 640, 3), np.uint8)).boxes.tolist()


def network(path, rows, /, names=COCO, imgsz="[640, 640]", **meta):
    return constant_network(path, {"output0": rows}, (640, 640), names=names if isinstance(names, str) else repr(names), imgsz=imgsz, **meta)


def raw(classes, anchors=200, more=0, person=0):
    head = np.zeros((1, 4 + classes + more, anchors), np.float32)
    head[0, :4, 7], head[0, 4 + person, 7] = (200, 300, 200, 400), 0.9
    head[0, 4 + classes :, 7] = 123  # joints or masks
    return head


def finished(rows, columns=6):
    head = np.zeros((1, rows, columns), np.float32)
    head[0, 0, :6] = (*PERSON, 0)
    head[0, 0, 6:] = 123
    return head


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'person', 1: 'dog'}", {0: "person", 1: "dog"}),
        ('{"0": "person"}', {0: "person"}),
        ("['dog', 'person']", {0: "dog", 1: "person"}),
        ("('person',)", {0: "person"}),
        *(
            (t, {})
            for t in ("None", "1", "", "{}", "[]", "{'person': 0}", '{"0": null}', "[1, 2]", "{[}", "[" * 1000, "__import__('os')", "{0: ['person']}")
        ),
    ],
)
def test_class_names(text, names):
    assert class_names(text) == names


def test_a_literal_is_never_run():
    assert literal("print(1)") is None
    assert literal(None) is None


@pytest.mark.parametrize("engine", ["host", "device"])
@pytest.mark.parametrize(
    ("head", "meta"),
    [
        (raw(80), {"task": "detect"}),
        (raw(80, person=3), {"names": {**COCO, 0: "c0", 3: "Person "}}),
        (raw(1, more=51), {"task": "pose", "names": {0: "person"}, "kpt_shape": "[17, 3]"}),
        (raw(2, more=8), {"task": "pose", "names": {0: "person", 1: "dog"}, "kpt_shape": "[4, 2]"}),
        (finished(300), {"end2end": "True"}),
        (finished(84), {"end2end": "True"}),  # as many rows as raw channels
        (finished(84), {"args": "{'nms': True, 'max_det': 84}"}),
        (finished(300), {}),
        (finished(300, 57), {"task": "pose", "names": {0: "person"}, "kpt_shape": "[17, 3]", "end2end": "True"}),
    ],
)
def test_heads_that_give_boxes(tmp_path, head, meta, engine):
    np.testing.assert_allclose(boxes_of(network(tmp_path / "n.onnx", head, **meta), engine=engine), [PERSON[:4]], atol=1e-3)


@pytest.mark.parametrize("engine", ["host", "device"])
def test_a_segmentation_head(tmp_path, engine):
    head = raw(80, more=32)
    path = network(tmp_path / "n.onnx", head, task="segment")
    np.testing.assert_allclose(boxes_of(path, engine=engine), [PERSON[:4]], atol=1e-3)


@pytest.mark.parametrize(
    ("head", "meta", "message"),
    [
        (np.zeros((1, 300, 84)), {}, r"expected \(B, 84, anchors\) or \(B, K, 6\) for its 80 classes.*is \(2, 300, 84\)"),
        (np.zeros((1, 300, 6)), {"head": "RTDETRDecoder"}, "head 'RTDETRDecoder', whose boxes are shares of the picture"),
        (np.zeros((1, 25200, 85)), {}, r"is \(2, 25200, 85\)"),
        (np.zeros((1, 25200, 6)), {"names": {0: "person"}}, r"is \(2, 25200, 6\)"),  # YOLOv5 of one class
        (np.zeros((1, 84, 6)), {}, r"is \(2, 84, 6\)"),  # finished or raw: nothing says it
        (np.zeros((1, 90, 200)), {}, r"is \(2, 90, 200\)"),
        (raw(80), {"task": "obb"}, "expected a network of task detect, pose, segment; its metadata says 'obb'"),
        (raw(80), {"names": "None"}, "class names in its metadata"),
        (raw(80), {"imgsz": "None"}, "imgsz in its metadata"),
        (raw(80), {"imgsz": "[640, -1]"}, "imgsz in its metadata"),
        (raw(80), {"imgsz": "[[640], 640]"}, "imgsz in its metadata"),
        (raw(80), {"imgsz": ""}, "imgsz in its metadata"),
    ],
)
def test_what_stays_open_is_refused_by_name(tmp_path, head, meta, message):
    with pytest.raises(CardError, match=r"n\.onnx'.*" + message):
        boxes_of(network(tmp_path / "n.onnx", head.astype(np.float32), **meta))


CARD = '{"name": "n", "task": "detect", "file": "n.onnx", "input": {"size": [640, 640], "mean": [0, 0, 0], "std": [255, 255, 255]}, "output": %s}'


@pytest.mark.parametrize("engine", ["host", "device"])
@pytest.mark.parametrize(
    ("head", "output", "message"),
    [
        (raw(1, more=51), '{"kind": "yolo"}', "gave scores from 0 to 123; expected 0 to 1, so they are no probabilities, or the card's `classes`"),
        (-raw(80), '{"kind": "yolo"}', "gave scores from -0.9 to 0; expected 0 to 1"),
        (np.zeros((1, 25200, 85)), '{"kind": "yolo"}', "channels before anchors"),
        (np.zeros((1, 25200, 85)), '{"kind": "yolo", "head": "end2end"}', "finished boxes, not one for every anchor"),
        (finished(300) / 640 + np.eye(1, 6, 4) * 0.9, '{"kind": "yolo", "head": "end2end"}', r"boxes within 0\.\.\.1: shares of the picture"),
        (finished(300)[..., [2, 3, 0, 1, 4, 5]], '{"kind": "yolo", "head": "end2end"}', "whose second corner is before the first"),
        (finished(300) * 10, '{"kind": "yolo", "head": "end2end"}', "gave scores from 0 to 9; expected 0 to 1"),
    ],
)
def test_a_card_for_another_head_never_means_nobody(tmp_path, head, output, message, engine):
    path = constant_network(tmp_path / "n.onnx", {"output0": np.asarray(head, np.float32)}, (640, 640))
    path.with_suffix(".json").write_text(CARD % output)
    with pytest.raises((CardError, ModelError), match=message):
        boxes_of(path, engine=engine)


@pytest.mark.parametrize("engine", ["host", "device"])
def test_a_card_may_say_how_many_classes_there_are(tmp_path, engine):
    path = constant_network(tmp_path / "n.onnx", {"output0": raw(1, more=51)}, (640, 640))
    path.with_suffix(".json").write_text(CARD % '{"kind": "yolo", "classes": 1}')
    np.testing.assert_allclose(boxes_of(path, engine=engine), [PERSON[:4]], atol=1e-3)
