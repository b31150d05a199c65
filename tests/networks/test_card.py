from __future__ import annotations

import json

import numpy as np
import pytest
from networks import heatmap_network

from toppose import COCO17, CardError, ModelCard, ModelError
from toppose.networks import zoo
from toppose.networks.zoo import find

CARD = {
    "name": "net",
    "task": "pose",
    "file": "net.onnx",
    "skeleton": "coco17",
    "input": {"size": [192, 256]},
    "output": {"kind": "heatmap"},
}


def test_defaults_and_names():
    card = ModelCard.model_validate(CARD)
    assert card.joints is COCO17
    assert card.input.padding == 1.25
    assert card.input.mean == (123.675, 116.28, 103.53)
    assert card.output.decoder == "dark"


def test_a_skeleton_of_ones_own():
    card = ModelCard.model_validate({**CARD, "skeleton": {"name": "hand", "joints": ["wrist", "tip"], "edges": [[0, 1]]}})
    assert card.joints.joints == ("wrist", "tip")
    assert card.joints.flip == (0, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "draw"}, "task"),
        ({"skeleton": "octopus"}, "unknown skeleton 'octopus'; expected one of"),
        ({"skeleton": None}, "needs a skeleton"),
        ({"input": {"size": [192]}}, "input.size"),
        ({"input": {"size": [0, 256]}}, "input.size.0"),
        ({"input": {"size": [192, 256], "std": [1, 0, 1]}}, "input.std.1"),
        ({"input": {"size": [192, 256], "warp": "fish"}}, "input.warp"),
        ({"output": {"kind": "heatmap", "blur": 10}}, "blur must be odd, got 10"),
        ({"output": {"kind": "waves"}}, "output"),
        ({"output": {"kind": "yolo"}}, "task 'pose' does not go with output kind 'yolo'"),
        ({"colour": "rgb"}, "colour"),
        ({"sha256": "abc"}, "sha256"),
        ({"input": {"size": [192, 256], "mean": [float("nan"), 0, 0]}}, "input.mean.0"),
        ({"input": {"size": [192, 256], "padding": 1e9}}, "input.padding"),
        ({"threshold": 0.5}, "threshold is a detector's"),
        ({"input": {"size": [192, 5000]}}, "input.size.1"),
        ({"output": {"kind": "yolo", "person": 3, "classes": 3}}, "person must be below classes, 3; got 3"),
        ({"self": 1}, "self"),
        ({"file": "../net.onnx"}, r"file: expected a file in the card's own folder, got '\.\./net\.onnx'"),
        ({"file": "/etc/net.onnx"}, "in the card's own folder"),
        ({"file": "a/..\\\\..\\\\net.onnx"}, "in the card's own folder"),
        ({"file": "C:net.onnx"}, "in the card's own folder"),
    ],
)
def test_wrong_cards(tmp_path, change, message):
    path = tmp_path / "net.json"
    path.write_text(json.dumps({**CARD, **change}))
    with pytest.raises(CardError, match=message) as caught:
        ModelCard.load(path)
    assert "net.json" in str(caught.value)


def test_what_is_no_card(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(CardError, match="expected JSON"):
        ModelCard.load(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CardError, match="expected JSON"):
        ModelCard.load(tmp_path / "b.json")
    (tmp_path / "b.json").write_text("[" * 100_000)
    with pytest.raises(CardError, match="expected JSON"):
        ModelCard.load(tmp_path / "b.json")
    (tmp_path / "c.json").write_text("[]")
    with pytest.raises(CardError, match=r"c\.json"):
        ModelCard.load(tmp_path / "c.json")
    with pytest.raises(CardError, match="cannot be read: No such file"):
        ModelCard.load(tmp_path / "d.json")


def test_find_by_path(tmp_path):
    path = heatmap_network(tmp_path / "net.onnx")
    found, card = find(path, "pose", "pose")
    assert found == path
    assert card.name == "net"
    assert find(card, "pose", "pose")[0] == path
    path.with_suffix(".json").unlink()
    assert find(str(path), "pose", "pose") == (path, None)


def test_find_what_is_not_there(tmp_path):
    with pytest.raises(ModelError, match=r"pose: expected a shipped network \(.*\) or a path to an .onnx file; got 'pose-x', no such file"):
        find("pose-x", "pose", "pose")
    heatmap_network(tmp_path / "net.onnx").unlink()
    with pytest.raises(ModelError, match="no such file"):
        find(ModelCard.load(tmp_path / "net.json"), "pose", "pose")


def test_a_card_of_another_network(tmp_path):
    path = heatmap_network(tmp_path / "net.onnx")
    with pytest.raises(CardError, match="expected a network of task 'detect'"):
        find(path, "detect", "detector")
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**card, "sha256": "0" * 64}))
    with pytest.raises(CardError, match=r"expected sha256 0000.*got"):
        find(path, "pose", "pose")
    path.with_suffix(".json").write_text(json.dumps({**card, "file": "other.onnx"}))
    with pytest.raises(CardError, match=r"describes another file, 'other\.onnx'"):
        find(path, "pose", "pose")


def test_shipped_networks_have_licence_origin_and_digest():
    cards = zoo.shipped()
    assert {c.name for c in cards} >= {"pose-n", "person-n"}
    for card in cards:
        assert card.license == "Apache-2.0"
        assert card.origin
        assert card.sha256
        card.verify()
        assert np.prod(card.input.size) > 0


def test_a_card_made_in_python():
    with pytest.raises(CardError, match="task"):
        ModelCard(name="x")
    assert ModelCard(**CARD).joints is COCO17
