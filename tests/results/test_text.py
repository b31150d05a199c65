"""Each text format as it stands in the file, written out by hand."""

from __future__ import annotations

import json

import pytest
from results.frames import HAND, nobody, one_person

from toppose import COCO17, Poses
from toppose.results import CocoDataset, CocoResults, DlcCsv, Document, JsonLines, OpenPose, SleapCsv
from toppose.video import Frame

LAYOUT = (
    '"skeleton": "hand3", "joints": ["wrist", "thumb_tip", "index_tip"], "edges": [[0, 1], [0, 2]], "flip": [0, 1, 2], "sigmas": [0.1, 0.05, 0.05]'
)
PERSON = (
    '{"id": 7, "box": [0.0, 1.5, 10.25, 20.0], "box_score": 0.8, "keypoints": [[1.0, 2.0], [3.14, 5.0], [0.0, 6.0]], "scores": [0.9, 0.1235, 0.29]}'
)
# 0.8 times 0.595, the mean of 0.9 and 0.29, as 0.12345 is not above 0.2
SCORE = "0.476"


def test_json_lines(tmp_path):
    with JsonLines(tmp_path / "p.jsonl", HAND, fps=30) as writer:
        writer.write(nobody())
        writer.write(one_person())
    assert (tmp_path / "p.jsonl").read_text().splitlines() == [
        f'{{"format": "toppose-frames", "version": 1, {LAYOUT}, "fps": 30, "width": 64, "height": 48}}',
        '{"index": 0, "time": 0.0, "path": "a.mp4", "width": 64, "height": 48, "people": []}',
        f'{{"index": 1, "time": 0.033333, "path": "a.mp4", "width": 64, "height": 48, "people": [{PERSON}]}}',
    ]


def test_document(tmp_path):
    with Document(tmp_path / "p.json", HAND) as writer:
        writer.write(nobody())
        writer.write(one_person())
    assert (tmp_path / "p.json").read_text().splitlines() == [
        f'{{{LAYOUT}, "images": [',
        '{"file": "a.mp4", "index": 0, "time": 0.0, "width": 64, "height": 48, "people": []},',
        f'{{"file": "a.mp4", "index": 1, "time": 0.033333, "width": 64, "height": 48, "people": [{PERSON}]}}',
        "],",
        '"errors": []}',
    ]


def test_coco_results(tmp_path):
    with CocoResults(tmp_path / "p.json", HAND) as writer:
        writer.write(nobody())
        writer.write(one_person())
    assert (tmp_path / "p.json").read_text().splitlines() == [
        "[",
        '{"image_id": 1, "category_id": 1, "keypoints": [1.0, 2.0, 0.9, 3.14, 5.0, 0.1235, 0.0, 6.0, 0.29], "bbox": [0.0, 1.5, 10.25, 18.5], '
        f'"score": {SCORE}, "box_score": 0.8, "track_id": 7}}',
        "]",
    ]


def test_coco_dataset(tmp_path):
    with CocoDataset(tmp_path / "p.json", HAND) as writer:
        writer.write(nobody())
        writer.write(one_person())
    lines = (tmp_path / "p.json").read_text().splitlines()
    assert lines == [
        f'{{"info": {{"description": "poses by toppose", {LAYOUT}}},',
        '"categories": [{"id": 1, "name": "person", "supercategory": "person", "keypoints": ["wrist", "thumb_tip", "index_tip"], '
        '"skeleton": [[1, 2], [1, 3]]}],',
        '"images": [',
        '{"id": 1, "file_name": "frame_000000.jpg", "width": 64, "height": 48, "index": 0, "time": 0.0, "path": "a.mp4"},',
        '{"id": 2, "file_name": "frame_000001.jpg", "width": 64, "height": 48, "index": 1, "time": 0.033333, "path": "a.mp4"}],',
        '"annotations": [',
        '{"id": 1, "image_id": 2, "category_id": 1, "keypoints": [1.0, 2.0, 2, 3.14, 5.0, 1, 0.0, 6.0, 1], "num_keypoints": 3, '
        '"bbox": [0.0, 1.5, 10.25, 18.5], "area": 189.62, "iscrowd": 0, "track_id": 7, "attributes": {"track_id": 7}, '
        f'"score": {SCORE}, "box_score": 0.8, "scores": [0.9, 0.1235, 0.29]}}]}}',
    ]


def test_sleap(tmp_path):
    with SleapCsv(tmp_path / "p.csv", HAND) as writer:
        writer.write(nobody())
        writer.write(one_person())
    assert (tmp_path / "p.csv").read_text() == (
        "track,frame_idx,instance.score,wrist.x,wrist.y,wrist.score,thumb_tip.x,thumb_tip.y,thumb_tip.score,index_tip.x,index_tip.y,index_tip.score\n"
        "track_7,1,0.8,1.0,2.0,0.9,3.14,5.0,0.1235,0.0,6.0,0.29\n"
    )


def test_deeplabcut(tmp_path):
    two = one_person().poses.replace(ids=[3])
    with DlcCsv(tmp_path / "p.csv", HAND) as writer:
        writer.write(one_person())  # frame 1: frame 0 was left out
        writer.write(Frame(2, 0.1, one_person().image, "a.mp4", two))
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "scorer" + 18 * ",toppose",
        "individuals" + 9 * ",track_3" + 9 * ",track_7",
        "bodyparts" + 2 * (3 * ",wrist" + 3 * ",thumb_tip" + 3 * ",index_tip"),
        "coords" + 6 * ",x,y,likelihood",
        "0" + 18 * ",",
        "1" + 9 * "," + ",1.0,2.0,0.9,3.14,5.0,0.1235,0.0,6.0,0.29",
        "2" + ",1.0,2.0,0.9,3.14,5.0,0.1235,0.0,6.0,0.29" + 9 * ",",
    ]


def test_openpose_of_any_skeleton(tmp_path):
    with OpenPose(tmp_path / "p_json", HAND) as writer:
        writer.write(nobody())
        writer.write(one_person(ids=False))
    empty, one = sorted((tmp_path / "p_json").iterdir())
    assert (empty.name, one.name) == ("a_000000000000_keypoints.json", "a_000000000001_keypoints.json")
    assert one.read_text() == (
        '{"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [1.0, 2.0, 0.9, 3.14, 5.0, 0.1235, 0.0, 6.0, 0.29], '
        '"face_keypoints_2d": [], "hand_left_keypoints_2d": [], "hand_right_keypoints_2d": [], "pose_keypoints_3d": [], "face_keypoints_3d": [], '
        '"hand_left_keypoints_3d": [], "hand_right_keypoints_3d": []}], "toppose": {"index": 1, "time": 0.033333, "path": "a.mp4", "width": 64, '
        f'"height": 48, {LAYOUT}}}}}\n'
    )
    assert json.loads(empty.read_text())["people"] == []


def test_openpose_has_18_joints_where_coco_has_17(tmp_path):
    keypoints = [[[j, 100 + j] for j in range(17)]]
    poses = Poses(keypoints, [[(j + 1) / 100 for j in range(17)]], [[0, 0, 17, 117]], [1], ids=[4])
    with OpenPose(tmp_path / "p_json") as writer:
        writer.write(Frame(0, 0, one_person().image, "", poses))
    (file,) = (tmp_path / "p_json").iterdir()
    assert file.name == "frame_000000000000_keypoints.json"
    (person,) = json.loads(file.read_text())["people"]
    triples = [person["pose_keypoints_2d"][i : i + 3] for i in range(0, 54, 3)]
    # nose, neck between joints 5 and 6, right shoulder, elbow, wrist, left ..., right hip, knee, ankle, left ..., right eye, left eye, ears
    order = [0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    assert triples[0] + triples[1] == [0, 100, 0.01, 5.5, 105.5, 0.06]
    assert [t[0] for i, t in enumerate(triples) if i != 1] == order
    assert [t[2] for i, t in enumerate(triples) if i != 1] == [(j + 1) / 100 for j in order]
    assert person["person_id"] == [4]


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        (JsonLines, "p.jsonl", '{"format": "toppose-frames", "version": 1, "skeleton": "coco17", "joints": [JOINTS]}\n'),
        (Document, "p.json", '{"skeleton": "coco17", "joints": [JOINTS], "images": [\n],\n"errors": []}\n'),
        (CocoResults, "p.json", "[\n]\n"),
    ],
)
def test_no_frame_at_all(tmp_path, kind, name, text):
    kind(tmp_path / name).close()
    assert (tmp_path / name).read_text() == text.replace("JOINTS", ", ".join(f'"{j}"' for j in COCO17.joints))
