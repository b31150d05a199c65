from __future__ import annotations

import sys

import numpy as np
import pytest

from toppose import EvaluationError, MissingDependency, Poses
from toppose.evaluation.tracking import Tracks, evaluate_tracking, read_mot


@pytest.fixture
def measured():
    pytest.importorskip("trackeval", reason="needs the extra `tracking`")


def mot(path, *rows: str):
    path.write_text("\n".join(rows))
    return path


def walk(ids: str, x: int = 0, more: str = "1,-1,-1,-1"):
    """A line a picture, of one person at `x` who has the id that the letter says."""
    return [f"{f},{ord(i) - ord('a')},{x},0,10,20,{more}" for f, i in enumerate(ids, 1) if i != "."]


def test_reads_the_formats_many_faces(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_bytes(b"\xef\xbb\xbf1, 2, 3.5,4,10,20\r\n\r\n3,5,0,0,1,2,0.5,1,-1,-1\r\n3,6,0,0,1,2,1,7,0.5,\r\n")
    tracks = read_mot(path)
    assert (tracks.frames.tolist(), tracks.ids.tolist(), tracks.classes.tolist()) == ([1, 3, 3], [2, 5, 6], [-1, -1, 7])
    assert tracks.boxes.tolist() == [[3.5, 4, 13.5, 24], [0, 0, 1, 2], [0, 0, 1, 2]]
    assert tracks.confidences.tolist() == [1, 0.5, 1]
    assert len(read_mot(mot(path))) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3,4,5", "line 2 of .*: expected 6 to 10 numbers .*, got 5: '1,2,3,4,5'"),
        ("1,a,3,4,5,6", "line 2 of .*: expected numbers between commas, could not convert string to float: 'a'"),
        ("1,1,nan,4,5,6", "expected finite numbers, got '1,1,nan,4,5,6'"),
        ("0,1,3,4,5,6", "expected a whole frame number from 1 first"),
        ("1.5,1,3,4,5,6", "expected a whole frame number from 1 first"),
        ("1,-1,3,4,5,6,1", r"expected a whole id from 0 second \(-1 is a detection, which no tracker has seen\)"),
        ("1,1,3,4,0,6", "expected width and height above 0"),
        ("1,1,3,4,5,6,1,1.5,1", "expected a whole class eighth"),
        ("1,7,3,4,5,6", "id 7 is in frame 1 already, in line 1"),
    ],
)
def test_says_what_is_wrong_in_which_line(tmp_path, line, message):
    with pytest.raises(EvaluationError, match=message):
        read_mot(mot(tmp_path / "gt.txt", "1,7,0,0,5,5", line))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(EvaluationError, match=r"expected a MOT file in .*FileNotFoundError"):
        read_mot(tmp_path / "none.txt")
    (tmp_path / "picture.txt").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(EvaluationError, match="UnicodeDecodeError"):
        read_mot(tmp_path / "picture.txt")


def test_all_found(measured, tmp_path):
    truth = mot(tmp_path / "gt.txt", *walk("aaaa"), *walk("bbbb", 100))
    figures = evaluate_tracking(truth, truth)
    assert [figures[name] for name in ("HOTA", "DetA", "AssA", "MOTA", "MOTP", "IDF1")] == [1] * 6
    assert [figures[name] for name in ("IDSW", "FP", "FN", "people", "frames")] == [0, 0, 0, 2, 4]


def test_figures_by_hand(measured, tmp_path):
    # ten boxes of one person; eight found, six as b, then two as c; two more boxes that are nobody's
    truth = mot(tmp_path / "gt.txt", *walk("aaaaaaaaaa"))
    found = mot(tmp_path / "found.txt", *walk("bbbbbbcc"), *walk("dd", 500))
    figures = evaluate_tracking(truth, found)
    # MOTA = 1 - (FN 2 + FP 2 + IDSW 1) / 10; IDF1 = 2·6 / (10 + 10); DetA = 8 / (8 + 2 + 2);
    # AssA = (6 · 6/(6+4+0) + 2 · 2/(2+8+0)) / 8, that of b over the truth's other 4 boxes, and of c
    assert [figures[k] for k in ("FN", "FP", "IDSW")] == [2, 2, 1]
    assert figures["MOTA"] == pytest.approx(0.5)
    assert figures["IDF1"] == pytest.approx(0.6)
    assert figures["DetA"] == pytest.approx(8 / 12)
    assert figures["AssA"] == pytest.approx((6 * 0.6 + 2 * 0.2) / 8)
    assert figures["HOTA"] == pytest.approx(np.sqrt(figures["DetA"] * figures["AssA"]))


def test_nobody_found(measured, tmp_path):
    truth = mot(tmp_path / "gt.txt", *walk("aaaa"))
    figures = evaluate_tracking(truth, Tracks.from_poses([]))
    assert [figures[k] for k in ("HOTA", "MOTA", "IDF1", "FN", "FP")] == [0, 0, 0, 4, 0]


def test_ignored_rows_and_distractors_count_neither_way(measured, tmp_path):
    rows = [*walk("aa", more="1,1,1"), *walk("bb", 100, "0,1,1"), *walk("cc", 200, "1,8,1"), *walk("dd", 300, "1,3,1")]
    truth = mot(tmp_path / "gt.txt", *rows)
    figures = evaluate_tracking(truth, mot(tmp_path / "f.txt", *walk("aa"), *walk("cc", 200)))
    assert (figures["MOTA"], figures["FP"], figures["people"]) == (1, 0, 1)
    figures = evaluate_tracking(truth, mot(tmp_path / "f.txt", *walk("aa"), *walk("bb", 100)))
    assert figures["FP"] == 2  # as in MOTChallenge: only at distractors nothing is expected
    with pytest.raises(EvaluationError, match="truth: expected people to be found, got none that count among 2 rows"):
        evaluate_tracking(mot(tmp_path / "none.txt", *walk("aa", more="0,-1,-1,-1")), truth)


def test_poses_of_a_tracker_are_tracks(measured):
    one = Poses(np.zeros((2, 17, 2)), np.ones((2, 17)), [[0, 0, 10, 20], [50, 0, 60, 20]], [0.9, 0.8], ids=[4, 2])
    tracks = Tracks.from_poses([one, Poses.empty(), one[:1]])
    assert (tracks.frames.tolist(), tracks.ids.tolist()) == ([1, 1, 3], [4, 2, 4])
    assert evaluate_tracking(tracks, tracks)["HOTA"] == 1
    with pytest.raises(EvaluationError, match=r"poses\[0\]: expected people with ids, as a tracker gives them; got 2 without"):
        Tracks.from_poses([one.replace(ids=None)])


def test_a_missing_package_is_named_with_its_cure(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "trackeval.metrics", None)
    truth = mot(tmp_path / "gt.txt", *walk("aaaa"))
    with pytest.raises(MissingDependency, match=r"Cure: pip install 'toppose\[tracking\]'"):
        evaluate_tracking(truth, truth)
