from __future__ import annotations

import sys

import numpy as np
import pytest
from results.frames import HAND, frame

from toppose import MissingDependency, Poses


def test_to_supervision():
    supervision = pytest.importorskip("supervision", reason="the extra supervision is not installed")
    poses = frame(1, 2, HAND).poses
    found = poses.to_supervision()
    assert isinstance(found, supervision.KeyPoints)
    np.testing.assert_array_equal(found.xy, poses.keypoints)
    np.testing.assert_array_equal(found.keypoint_confidence, poses.scores)
    np.testing.assert_array_equal(found.detection_confidence, poses.box_scores)
    np.testing.assert_array_equal(found.data["xyxy"], poses.boxes)
    assert found.class_id.tolist() == [0, 0]
    assert found.data["class_name"].tolist() == ["person", "person"]
    assert found.data["tracker_id"].tolist() == [1, 2]
    assert found[1].data["tracker_id"].tolist() == [2]
    found.xy[0, 0] = 0  # theirs to change
    assert (poses.keypoints[0, 0] > 0).all()
    assert "tracker_id" not in frame(1, 2, HAND, ids=False).poses.to_supervision().data
    assert len(Poses.empty().to_supervision()) == 0
    picture = np.zeros((60, 60, 3), np.uint8)
    edges = [(a + 1, b + 1) for a, b in HAND.edges]
    assert supervision.EdgeAnnotator(edges=edges).annotate(picture, poses.to_supervision()).any()


def test_an_older_supervision_has_one_confidence(monkeypatch):
    class KeyPoints:
        def __init__(self, xy, class_id=None, confidence=None, data=None):
            self.confidence = confidence

    older = type(sys)("supervision")
    older.KeyPoints = KeyPoints
    monkeypatch.setitem(sys.modules, "supervision", older)
    poses = frame(1, 2, HAND).poses
    np.testing.assert_array_equal(poses.to_supervision().confidence, poses.scores)


def test_without_supervision(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingDependency, match=r"pip install 'toppose\[supervision\]'"):
        Poses.empty().to_supervision()
