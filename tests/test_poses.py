from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest

from toppose import COCO17, HALPE26, CardError, OptionError, PoseError, Poses, Skeleton

TWO = Skeleton("two", ("left_hand", "right_hand"), ((0, 1),))


def people() -> Poses:
    return Poses([[[10, 20], [30, 40]], [[1, 2], [3, 4]]], [[0.5, 0.1], [0.8, 0.6]], [[0, 0, 50, 60], [0, 0, 5, 6]], [0.9, 0.5], TWO)


def test_empty():
    poses = Poses.empty()
    assert len(poses) == 0
    assert poses.keypoints.shape == (0, 17, 2)
    assert poses.scores.shape == (0, 17)
    assert poses.to_coco(1) == []
    assert poses.draw(np.zeros((4, 4, 3), np.uint8)).sum() == 0
    assert list(Poses.empty(HALPE26)) == []


def test_frozen():
    poses = people()
    with pytest.raises(dataclasses.FrozenInstanceError):
        poses.scores = poses.scores
    with pytest.raises(ValueError, match="read-only"):
        poses.keypoints[0, 0, 0] = 1
    mine = np.zeros((1, 2, 2), np.float32)
    Poses(mine, np.zeros((1, 2)), [[0, 0, 1, 1]], [1], TWO)
    mine[0] = 1  # the caller's array stays the caller's


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": np.zeros((2, 3, 2))}, r"keypoints: expected shape \(2, 2, 2\) for 2 people and 2 joints, got \(2, 3, 2\)"),
        ({"scores": np.zeros((1, 2))}, r"scores: expected shape \(2, 2\)"),
        ({"boxes": np.zeros((2, 5))}, r"boxes: expected shape \(2, 4\)"),
        ({"box_scores": np.zeros((2, 1))}, r"box_scores: expected shape \(2,\)"),
        ({"scores": np.full((2, 2), np.nan)}, "scores: expected finite numbers"),
        ({"keypoints": "ab"}, "keypoints: expected"),
    ],
)
def test_checked_at_birth(change, message):
    with pytest.raises(PoseError, match=message):
        dataclasses.replace(people(), **change)


def test_pickled_and_still_read_only():
    again = pickle.loads(pickle.dumps(people()))
    assert again.keypoints.tolist() == people().keypoints.tolist()
    assert not again.keypoints.flags.writeable
    with pytest.raises(PoseError, match="skeleton: expected a Skeleton, got 'coco17'"):
        dataclasses.replace(people(), skeleton="coco17")
    with pytest.raises(PoseError, match="image_id: expected an int, got 'a'"):
        people().to_coco("a")
    json.dumps(people().to_coco(np.int64(3)))


def test_indexing():
    poses = people()
    assert poses[1].keypoints.tolist() == [[[1, 2], [3, 4]]]
    assert poses[-1].boxes.tolist() == poses[np.int64(1)].boxes.tolist() == [[0, 0, 5, 6]]
    assert len(poses[:1]) == 1
    assert len(poses[[]]) == 0
    assert poses[poses.box_scores > 0.6].keypoints.tolist() == poses[[0]].keypoints.tolist() == [[[10, 20], [30, 40]]]
    assert poses[[True, False]].box_scores.tolist() == poses[0].box_scores.tolist()
    assert [len(p) for p in poses] == [1, 1]
    assert poses[[1, 0]].box_scores.tolist() == [0.5, np.float32(0.9)]
    with pytest.raises(IndexError, match="person 2 of 2"):
        poses[2]
    with pytest.raises(IndexError):
        poses["a"]
    with pytest.raises(IndexError):
        poses[np.zeros((2, 2), bool)]


def test_pose_scores():
    # joints above 0.2: 0.5 alone, then 0.8 and 0.6
    np.testing.assert_allclose(people().pose_scores(), [0.9 * 0.5, 0.5 * 0.7], rtol=1e-6)
    assert people().pose_scores(0.95).tolist() == [0, 0]


def test_to_dict_is_json():
    document = json.loads(json.dumps(people().to_dict()))
    assert document["joints"] == ["left_hand", "right_hand"]
    assert document["people"][0]["keypoints"] == [[10, 20], [30, 40]]
    assert document["people"][1]["box"] == [0, 0, 5, 6]


def test_to_coco():
    results = people().to_coco(image_id=7)
    assert [r["image_id"] for r in results] == [7, 7]
    np.testing.assert_allclose(results[0]["keypoints"], [10, 20, 0.5, 30, 40, 0.1], rtol=1e-6)
    np.testing.assert_allclose(results[0]["score"], 0.45, rtol=1e-6)


def test_draw():
    image = np.zeros((100, 100, 3), np.uint8)
    poses = Poses([[[20, 20], [80, 20]], [[20, 80], [80, 80]]], [[0.9, 0.9], [0.9, 0.1]], [[0, 0, 100, 40], [0, 60, 100, 100]], [1, 1], TWO)
    drawn = poses.draw(image)
    assert image.sum() == 0
    assert drawn[20, 50].any()  # the limb between two sure joints
    assert not drawn[80, 50].any()  # one joint is below the threshold
    assert drawn[80, 20].tolist() == [235, 150, 40]  # the left hand is blue
    assert drawn[20, 80].tolist() == [70, 70, 245]
    assert not drawn[80, 80].any()
    wide = Poses([[[100, 100], [900, 100]]], [[1, 1]], [[0, 0, 1000, 800]], [1], TWO).draw(np.zeros((800, 1000, 3), np.uint8))
    assert wide[:, 500].any(-1).sum() > 8  # a line as wide as suits a big person


@pytest.mark.parametrize("threshold", [-1, 1.5, "0.3", None, float("nan")])
def test_draw_wants_a_threshold(threshold):
    with pytest.raises(OptionError, match="threshold: expected a number from 0 to 1"):
        people().draw(np.zeros((9, 9, 3), np.uint8), threshold)


def test_draw_far_outside():
    huge = Poses([[[5, 5], [7, 7]]], [[1, 1]], [[-9e6, -9e6, 9e6, 9e6]], [1], TWO)
    assert huge.draw(np.zeros((9, 9, 3), np.uint8), boxes=True).shape == (9, 9, 3)
    assert Poses([[[1e8, -1e8], [5, 5]]], [[1, 1]], [[0, 0, 10, 10]], [1], TWO).draw(np.zeros((9, 9, 3), np.uint8)).shape == (9, 9, 3)


def test_skeletons():
    assert COCO17.flip == (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
    assert len(HALPE26) == 26
    assert HALPE26.flip[20:] == (21, 20, 23, 22, 25, 24)
    assert COCO17.sides().tolist()[:3] == [0, -1, 1]
    for wrong in ({"joints": ("a", "a")}, {"edges": ((0, 2),)}, {"flip": (1, 1)}, {"sigmas": (0.1,)}, {"joints": ()}):
        with pytest.raises(CardError, match="skeleton"):
            dataclasses.replace(TWO, **wrong)
