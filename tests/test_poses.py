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
        ({"keypoints": [[1, 2], [3]]}, "keypoints: expected an array of numbers, got list"),
        ({"scores": [["1", "2"], ["3", "4"]]}, "scores: expected an array of numbers.*dtype <U1"),
        ({"box_scores": [True, False]}, "box_scores: expected an array of numbers.*dtype bool"),
        ({"box_scores": [1e39, 0]}, "box_scores: expected finite numbers"),
        ({"box_scores": np.ma.array([0.9, 0.5], mask=[0, 1])}, "box_scores: expected an array without a mask, got a masked one"),
        ({"box_scores": [0.9, np.ma.masked]}, "box_scores: expected an array without a mask"),
        ({"boxes": [np.ma.zeros(4), np.zeros(4)]}, "boxes: expected an array without a mask"),
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
        poses[np.zeros((2, 2), bool)]


def test_pose_scores():
    # joints above 0.2: 0.5 alone, then 0.8 and 0.6
    np.testing.assert_allclose(people().pose_scores(), [0.9 * 0.5, 0.5 * 0.7], rtol=1e-6)
    assert people().pose_scores(np.float32(0.95)).tolist() == [0, 0]
    with pytest.raises(OptionError, match="threshold: expected a number from 0 to 1, got 'a'"):
        people().pose_scores("a")


def test_to_dict_is_json():
    document = json.loads(json.dumps(people().to_dict()))
    assert document["joints"] == ["left_hand", "right_hand"]
    assert document["people"][0]["keypoints"] == [[10, 20], [30, 40]]
    assert document["people"][1]["box"] == [0, 0, 5, 6]


def test_a_joint_by_its_name():
    assert people()["right_hand"].tolist() == [[30, 40], [3, 4]]
    assert people()["left_hand"].dtype == np.float32
    assert not people()["left_hand"].flags.writeable
    assert Poses.empty()["left_wrist"].shape == (0, 2)
    with pytest.raises(PoseError, match=r"joint: expected a name of the skeleton 'coco17', got 'left_writs'; did you mean 'left_wrist'"):
        Poses.empty()["left_writs"]
    with pytest.raises(PoseError, match=r"got 'x'; its joints are left_hand, right_hand"):
        people()["x"]


def test_equal_by_skeleton_and_numbers():
    assert people() == people()
    assert people() != people()[[1, 0]]
    assert people() != people()[:1]
    assert people() != dataclasses.replace(people(), box_scores=[0.9, 0.4])
    assert people() != dataclasses.replace(people(), skeleton=Skeleton("two", TWO.joints))
    assert Poses.empty() == Poses.empty()
    assert Poses.empty() != Poses.empty(HALPE26)
    assert people() != "people"
    with pytest.raises(TypeError, match="unhashable"):
        hash(people())


def test_concatenate():
    poses = people()
    assert Poses.concatenate([poses[:1], Poses.empty(TWO), poses[1:]]) == poses
    assert Poses.concatenate(iter([poses, poses])).box_scores.tolist() == [*poses.box_scores, *poses.box_scores]
    assert Poses.concatenate([Poses.empty()]) == Poses.empty()
    with pytest.raises(PoseError, match=r"expected one skeleton, got 'coco17' \(17 joints\) and 'halpe26' \(26 joints\)"):
        Poses.concatenate([Poses.empty(), Poses.empty(HALPE26)])
    with pytest.raises(PoseError, match="expected a list of one Poses or more, got none"):
        Poses.concatenate([])
    for wrong in ([poses, 3], 3):
        with pytest.raises(PoseError, match="expected a list of one Poses or more, got int"):
            Poses.concatenate(wrong)


THREE = Skeleton("three", ("a", "b", "c"), ((0, 1), (1, 2)), (0, 2, 1), (0.1, 0.2, 0.3))


@pytest.mark.parametrize("skeleton", [COCO17, HALPE26, TWO, THREE, Skeleton("lists", ["a", "b"], [[0, np.int64(1)]])])
@pytest.mark.parametrize("N", [0, 1, 3])
def test_there_and_back_through_json(skeleton, N):
    rng, J = np.random.default_rng(0), len(skeleton)
    poses = Poses(rng.normal(size=(N, J, 2)), rng.random((N, J)), rng.normal(size=(N, 4)), rng.random(N), skeleton)
    assert Poses.from_dict(poses.to_dict()) == poses
    assert Poses.from_dict({"file": "a.jpg", **json.loads(json.dumps(poses.to_dict()))}) == poses


def test_a_shipped_skeleton_is_known_by_its_name():
    assert set(Poses.empty().to_dict()) == {"skeleton", "joints", "people"}
    assert Poses.from_dict(Poses.empty().to_dict()).skeleton is COCO17
    assert Poses.empty(THREE).to_dict() == {
        "skeleton": "three", "joints": ["a", "b", "c"], "edges": [[0, 1], [1, 2]], "flip": [0, 2, 1], "sigmas": [0.1, 0.2, 0.3], "people": []
    }  # fmt: skip
    assert Poses.from_dict({"skeleton": "hands", "joints": ["left", "right"], "people": []}).skeleton == Skeleton("hands", ("left", "right"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"people": None}, "document: expected a dict with skeleton, joints and a list of people"),
        ({"people": [3]}, r"people\[0\]: expected a dict with box, box_score, keypoints and scores, got 3"),
        ({"people": [{"box": [0, 0, 1, 1]}]}, r"people\[0\]: expected a dict"),
        ({"skeleton": None}, "skeleton: expected its name and a list of joints, got None"),
        ({"joints": "ab"}, "skeleton: expected its name and a list of joints"),
        ({"joints": ["left_hand", "left_hand"]}, "skeleton 'two': expected edges.*distinct joint names"),
        ({"edges": [[0, 7]]}, "skeleton 'two': expected edges as pairs"),
        ({"edges": 3}, "skeleton 'two': expected edges as pairs"),
        ({"joints": ["a", "b", "c"], "flip": []}, r"keypoints: expected shape \(2, 3, 2\)"),
    ],
)
def test_from_dict_says_what_is_wrong(change, message):
    with pytest.raises(PoseError, match=message):
        Poses.from_dict({**people().to_dict(), **change})


def test_to_coco():
    results = people().to_coco(image_id=7)
    assert [r["image_id"] for r in results] == [7, 7]
    np.testing.assert_allclose(results[0]["keypoints"], [10, 20, 0.5, 30, 40, 0.1], rtol=1e-6)
    np.testing.assert_allclose(results[0]["score"], 0.45, rtol=1e-6)
    moved = dataclasses.replace(people(), boxes=[[10, 20, 50, 60], [-5, 0, 5, 6]])
    assert [r["bbox"] for r in moved.to_coco(1, 3)] == [[10, 20, 40, 40], [-5, 0, 10, 6]]
    assert type(moved.to_coco(np.uint8(1), np.int32(3))[0]["category_id"]) is int


@pytest.mark.parametrize("wrong", ["1", True, np.True_, 1.0, None])
def test_ids_are_ints(wrong):
    with pytest.raises(PoseError, match="image_id: expected an int, got"):
        people().to_coco(wrong)
    with pytest.raises(PoseError, match="category_id: expected an int, got"):
        people().to_coco(1, wrong)


def test_from_coco_results():
    poses = people()
    again = Poses.from_coco(poses.to_coco(np.int64(7)), TWO)
    assert again == dataclasses.replace(poses, box_scores=poses.pose_scores())
    assert Poses.from_coco([]) == Poses.empty()
    # no bbox: the smallest box round the joints above 0
    (person,) = Poses.from_coco([{"keypoints": [10, 20, 0.5, 30, 5, 0.25], "score": 0.75}], TWO)
    assert person.boxes.tolist() == [[10, 5, 30, 20]]
    assert person.box_scores.tolist() == [0.75]


def test_from_coco_annotations():
    annotated = [
        {"image_id": 3, "iscrowd": 0, "bbox": [10, 20, 30, 40], "keypoints": [11, 22, 1, 33, 44, 2]},
        {"image_id": 3, "iscrowd": 1, "bbox": [0, 0, 9, 9], "keypoints": [0] * 6},
        {"image_id": 3, "keypoints": [0, 0, 0, 7, 8, 2]},
        {"image_id": 3, "keypoints": [0] * 6},
    ]
    poses = Poses.from_coco(annotated, TWO)
    assert poses.scores.tolist() == [[0.5, 1], [0, 1], [0, 0]]
    assert poses.boxes.tolist() == [[10, 20, 40, 60], [7, 8, 7, 8], [0, 0, 0, 0]]
    assert poses.box_scores.tolist() == [1, 1, 1]
    assert poses["right_hand"].tolist() == [[33, 44], [7, 8], [0, 0]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"keypoints": [1] * 6}, "people: expected a list of COCO results or annotations, got {'keypoints'"),
        (3, "people: expected a list"),
        ([3], r"people\[0\]: expected a COCO result or annotation with keypoints, got 3"),
        ([{"bbox": [0, 0, 1, 1]}], r"people\[0\]: expected a COCO result"),
        ([{"keypoints": [1, 2, 1]}], r"people\[0\].keypoints: expected 6 numbers, .*; got shape \(3,\)"),
        ([{"keypoints": [1, 2, 0.7, 1, 2, 1]}], r"people\[0\].keypoints: expected visibility 0, 1 or 2, as there is no score; got 0.69"),
        ([{"keypoints": [1] * 6, "bbox": [0, 0, -1, 1]}], r"people\[0\].bbox: expected x, y, w, h with w and h from 0"),
        ([{"keypoints": [1] * 6, "bbox": [0, 0, 1]}], r"people\[0\].bbox: expected x, y, w, h"),
        ([{"keypoints": [1] * 6, "image_id": i} for i in (1, 2)], "people: expected those of one image, got 2 image_ids, 1 and 2"),
        ([{"keypoints": [1] * 6, "score": "high"}], "box_scores: expected an array of numbers"),
    ],
)
def test_from_coco_says_what_is_wrong(given, message):
    with pytest.raises(PoseError, match=message):
        Poses.from_coco(given, TWO)


def test_skeletons():
    assert COCO17.flip == (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
    assert len(HALPE26) == 26
    assert HALPE26.flip[20:] == (21, 20, 23, 22, 25, 24)
    assert COCO17.sides().tolist()[:3] == [0, -1, 1]
    for wrong in ({"joints": ("a", "a")}, {"edges": ((0, 2),)}, {"flip": (1, 1)}, {"sigmas": (0.1,)}, {"joints": ()}):
        with pytest.raises(CardError, match="skeleton"):
            dataclasses.replace(TWO, **wrong)


def test_ids_go_with_the_people():
    poses = Poses(np.zeros((3, 17, 2)), np.ones((3, 17)), np.tile([0, 0, 10, 10], (3, 1)), np.ones(3), ids=[4, 0, 7])
    assert poses.ids.dtype == np.int64
    assert not poses.ids.flags.writeable
    assert poses[[2, 0]].ids.tolist() == [7, 4]
    assert poses[1].ids.tolist() == [0]
    assert Poses.concatenate([poses[:1], poses[2:]]).ids.tolist() == [4, 7]
    assert Poses.concatenate([poses, poses.replace(ids=None)]).ids is None
    assert poses != poses.replace(ids=None)
    assert poses != poses.replace(ids=[4, 0, 8])
    assert Poses.from_dict(json.loads(json.dumps(poses.to_dict()))) == poses
    assert [person["id"] for person in poses.to_dict()["people"]] == [4, 0, 7]
    assert "id" not in poses.replace(ids=None).to_dict()["people"][0]
    again = pickle.loads(pickle.dumps(poses))
    assert again == poses


@pytest.mark.parametrize("ids", [[1, 2], [[1], [2], [3]], [1, 2, -1], [1.0, 2.0, 3.0], ["a", "b", "c"], 5])
def test_what_are_no_ids(ids):
    with pytest.raises(PoseError, match="ids: expected"):
        Poses(np.zeros((3, 17, 2)), np.ones((3, 17)), np.tile([0, 0, 10, 10], (3, 1)), np.ones(3), ids=ids)
