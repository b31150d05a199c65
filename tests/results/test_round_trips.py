"""read(write(x)) == x, as far as a format keeps x."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from results.frames import HAND, KINDS, clip, frame, one_person, rounded

from toppose import HALPE26, OptionError, Poses, TopposeError
from toppose.cli import main
from toppose.errors import ResultError
from toppose.results import Record, open_writer, read
from toppose.results.record import from_joints


def kept(kind: str, given: list) -> list[Record]:
    """What is to come back: the docstring of `toppose.results` as a program."""
    records = []
    for record in map(rounded, given):
        p = record.poses
        if kind in ("sleap", "dlc", "openpose") and len(p):
            box_scores = p.box_scores if kind == "sleap" else None
            p = from_joints(p.keypoints, p.scores, p.skeleton, p.ids, box_scores)
        if kind in ("sleap", "dlc", "coco"):
            record = Record(record.index, 0.0, "", None, p)
        records.append(Record(record.index, record.time, record.path, record.size, p))
    if kind == "coco":
        records = [r for r in records if len(r.poses)]
    return records


def write(kind: str, folder: Path, frames: list) -> Path:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    target = folder / KINDS[kind]
    with open_writer(target, format=kind, skeleton=frames[0].poses.skeleton) as writer:
        for f in frames:
            writer.write(f)
    return target


@pytest.mark.parametrize("skeleton", [Poses.empty().skeleton, HALPE26, HAND], ids=lambda s: s.name)
@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(tmp_path, kind, ids, skeleton):
    frames = clip(skeleton, ids)
    if kind in ("sleap", "dlc") and not ids:
        with pytest.raises(ResultError, match="expected people with ids"):
            write(kind, tmp_path, frames)
        return
    target = write(kind, tmp_path, frames)
    expected = kept(kind, frames)
    found = list(read(target, kind, skeleton=skeleton if kind == "coco" else None))
    if kind in ("sleap", "dlc") and skeleton == HAND:  # a table names the joints only
        assert all(r.poses.skeleton.joints == HAND.joints and r.poses.skeleton.name == "csv" for r in found)
        found = [Record(r.index, r.time, r.path, r.size, r.poses.replace(skeleton=HAND)) for r in found]
    assert len(found) == len(expected)
    for mine, given in zip(found, expected, strict=True):
        assert mine == given
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("coco", "dlc", "coco-dataset")])
def test_the_format_is_known_by_name_and_content(tmp_path, kind):
    target = write(kind, tmp_path, clip())
    assert list(read(target)) == kept(kind, clip())


def test_json_and_csv_are_told_apart_by_content(tmp_path):
    for kind in ("coco", "coco-dataset", "dlc"):
        target = write(kind, tmp_path, clip())
        assert list(read(target)) == kept(kind, clip())


def test_writing_what_was_read_changes_nothing(tmp_path):
    first = write("jsonl", tmp_path, clip())
    with open_writer(tmp_path / "again.jsonl") as writer:
        for record in read(first):
            writer.write(record)
    assert (tmp_path / "again.jsonl").read_bytes() == first.read_bytes()


def test_times_of_formats_that_have_none(tmp_path):
    target = write("sleap", tmp_path, clip())
    assert [r.time for r in read(target, fps=2)] == [i / 2 for i in range(7)]
    assert {r.time for r in read(target)} == {0.0}


def test_jsons_of_predict_are_read(tmp_path, photo, capsys):
    file = tmp_path / "p.json"
    assert main(["predict", str(photo), "--json", str(file), "--device", "cpu", "--threads", "1"]) == 0
    (record,) = read(file)
    assert (record.index, record.time, record.path, record.size) == (0, 0.0, str(photo), (512, 512))
    assert record.poses == Poses.from_dict({**json.loads(file.read_text()), **json.loads(file.read_text())["images"][0]})


def test_coco_data_sets_of_others(tmp_path):
    """Visibility is all they know; crowds are left out; images are counted."""
    file = tmp_path / "set.json"
    person = {"id": 5, "image_id": 12, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 1, 0, 0, 0], "bbox": [0, 0, 4, 5], "iscrowd": 0}
    crowd = {**person, "id": 6, "iscrowd": 1}
    category = {"id": 1, "name": "hand", "keypoints": list(HAND.joints), "skeleton": [[1, 2], [1, 3]]}
    images = [{"id": 12, "file_name": "a.jpg", "width": 6, "height": 7}, {"id": 3, "file_name": "b.jpg"}]
    file.write_text(json.dumps({"images": images, "annotations": [crowd, person], "categories": [category]}))
    one, none = read(file, fps=10)
    assert (one.index, one.time, one.path, one.size) == (0, 0.0, "a.jpg", (6, 7))
    assert one.poses.scores.tolist() == [[1, 0.5, 0]]
    assert one.poses.boxes.tolist() == [[0, 0, 4, 5]]
    assert one.poses.skeleton.edges == HAND.edges
    assert (none.index, none.time, none.size, len(none.poses)) == (1, 0.1, None, 0)


def test_openposes_own_files(tmp_path):
    folder = tmp_path / "out_json"
    folder.mkdir()
    triples = np.arange(54).reshape(18, 3) / 100
    text = json.dumps({"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": triples.ravel().tolist()}]})
    (folder / "v_000000000003_keypoints.json").write_text(text)
    (record,) = read(folder, fps=1)
    assert (record.index, record.time) == (3, 3.0)
    np.testing.assert_allclose(record.poses["left_wrist"], [triples[7, :2]])
    assert record.poses.ids is None
    with pytest.raises(ResultError, match="expected 26 joints, as 'halpe26' has, got 18; say which with skeleton="):
        list(read(folder, skeleton=HALPE26))


def test_deeplabcuts_single_animal_and_holes(tmp_path):
    file = tmp_path / "dlc.csv"
    file.write_text("scorer,net,net,net,net,net,net\nbodyparts,a,a,a,b,b,b\ncoords,x,y,likelihood,x,y,likelihood\n0,1,2,0.5,,,\n1,,,,,,\n")
    one, none = read(file)
    assert one.poses.keypoints.tolist() == [[[1, 2], [0, 0]]]
    assert one.poses.scores.tolist() == [[0.5, 0]]
    assert one.poses.boxes.tolist() == [[1, 2, 1, 2]]
    assert one.poses.ids.tolist() == [0]
    assert len(none.poses) == 0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "", "line 1: expected JSON"),
        ("a.jsonl", '{"a": 1}\n', "expected a header with the format 'toppose-frames'"),
        ("a.jsonl", '{"format": "toppose-frames", "version": 2}\n', "of a newer toppose"),
        (
            "a.jsonl",
            '{"format": "toppose-frames", "version": 1, "skeleton": "coco17", "joints": ["nose"]}\n{"index": 1}\n',
            "line 2: expected a frame",
        ),
        ("a.jsonl", '{"format": "toppose-frames", "version": 1, "skeleton": "x", "joints": ["nose"]}\nno\n{}\n', "line 2: expected JSON"),
        ("a.json", "no", "expected a JSON document of poses"),
        ("a.json", "{}", "expected a JSON object with a list of images"),
        ("a.json", "[1]", "expected a list of COCO results"),
        ("a.json", '[{"image_id": 1, "keypoints": [1]}]', "expected 51 numbers"),
        ("a.json", '{"images": [{"id": 1}], "annotations": [], "categories": []}', "expected a category with keypoints"),
        ("a.csv", "a,b\n", "line 1: expected track, frame_idx"),
        ("a.csv", "track,frame_idx,instance.score,n.x,n.y,n.score\nt,0,1,2\n", "line 2: expected 6 cells, got 4"),
        ("a.csv", "track,frame_idx,instance.score,n.x,n.y,n.score\nt,zero,1,2,3,4\n", "line 2: expected a number, got 'zero'"),
        ("a.csv", "scorer,x\nbodyparts,x\nanimals,x\n", "expected header rows scorer, individuals"),
    ],
)
def test_what_cannot_be_read(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ResultError, match=message) as caught:
        list(read(tmp_path / name))
    assert isinstance(caught.value, TopposeError)
    assert name in str(caught.value)


def test_places_that_cannot_be_read(tmp_path):
    with pytest.raises(ResultError, match="expected a file or folder that is there"):
        read(tmp_path / "nothing.jsonl")
    with pytest.raises(ResultError, match="found none"):
        list(read(tmp_path))
    with pytest.raises(ResultError, match="expected a file for the format jsonl"):
        read(tmp_path, "jsonl")
    with pytest.raises(OptionError, match="format: expected one of jsonl"):
        read(tmp_path, "xml")
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(ResultError, match="expected a format that holds poses, got video"):
        read(tmp_path / "a.mp4")


def test_frames_that_cannot_be_written(tmp_path):
    with open_writer(tmp_path / "a.jsonl") as writer:
        writer.write(frame(3, 1))
        for wrong, message in (
            (frame(3, 1), "expected an index above 3"),
            (one_person(), "expected the skeleton 'coco17'"),
            ("x", "expected a Frame or a Record, got str"),
            (Record(4, float("nan"), "", None, frame(4, 1).poses), "a time in seconds, got 4 and nan"),
            (Record(-1, 0, "", None, frame(4, 1).poses), "expected an index from 0"),
        ):
            with pytest.raises(ResultError, match=message):
                writer.write(wrong)
        writer.write(frame(4, 1))
    writer.close()
    with pytest.raises(ResultError, match="is closed"):
        writer.write(frame(5, 1))
    assert [r.index for r in read(tmp_path / "a.jsonl")] == [3, 4]
