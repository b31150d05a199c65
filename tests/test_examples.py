"""Every example runs as a user would run it, on the photograph that ships or a clip made of it."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT

from toppose import Poses
from toppose.video import Frame

EXAMPLES = {p.stem for p in (ROOT / "examples").glob("*.py")}


def run(name: str, *arguments: object, cwd: Path) -> str:
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run_here():
    tested = Path(__file__).read_text()
    assert all(name in tested for name in EXAMPLES)


def test_draw_poses(photo, tmp_path):
    assert "nose at (" in run("draw_poses", photo, "out.jpg", cwd=tmp_path)
    assert np.abs(cv2.imread(str(tmp_path / "out.jpg")).astype(int) - cv2.imread(str(photo))).max() > 100


def test_folder_to_coco(photo, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(photo.read_bytes())
    assert run("folder_to_coco", "in", "r.json", cwd=tmp_path) == "1 people in 1 photographs\n"
    assert [r["image_id"] for r in json.loads((tmp_path / "r.json").read_text())] == [0]


def test_own_detector(photo, tmp_path):
    assert run("own_detector", photo, cwd=tmp_path) == "(1, 17, 2)\n"


def test_folder_to_parquet(photo, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pip install 'toppose[parquet]'")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(photo.read_bytes())
    (tmp_path / "in" / "b.jpg").write_bytes(b"no picture")
    assert run("folder_to_parquet", "in", "p.parquet", cwd=tmp_path) == "1 people, 1 photographs could not be read\n"
    assert parquet.read_table(tmp_path / "p.parquet").num_rows == 1


def test_blur_faces(clip, tmp_path):
    run("blur_faces", clip, "out", cwd=tmp_path)
    pictures = sorted((tmp_path / "out").glob("*.jpg"))
    assert len(pictures) == 8
    capture = cv2.VideoCapture(str(clip))
    _, before = capture.read()
    after = cv2.imread(str(pictures[0]))
    face, elsewhere = (slice(55, 85), slice(120, 150)), (slice(250, 310), slice(20, 260))
    detail = [cv2.Laplacian(cv2.cvtColor(image[face], cv2.COLOR_BGR2GRAY), cv2.CV_64F).std() for image in (before, after)]
    assert detail[1] < 0.4 * detail[0]
    assert np.abs(after[elsewhere].astype(int) - before[elsewhere]).mean() < 6


def test_plot_wrists(clip, tmp_path):
    pytest.importorskip("matplotlib", reason="needs pip install matplotlib")
    assert "lines in p.png" in run("plot_wrists", clip, "p.png", cwd=tmp_path)
    assert cv2.imread(str(tmp_path / "p.png")).std() > 5


def test_count_squats(clip, tmp_path, capsys):
    assert run("count_squats", clip, cwd=tmp_path) == "0 squats of 0 people\n"

    def frame(i: int, bent: bool, sure: float = 1.0) -> Frame:
        keypoints, scores = np.zeros((1, 17, 2)), np.full((1, 17), sure)
        keypoints[0, [11, 13, 15]] = [(0, 80), (60, 60), (0, 100)] if bent else [(0, 0), (0, 50), (0, 100)]  # 25 and 180 degrees
        scores[0, 12:17:2] = 0
        poses = Poses(keypoints, scores, [(0, 0, 60, 100)], np.ones(1), ids=[7])
        return Frame(i, i / 10, np.zeros((1, 1, 3), np.uint8), "", poses)

    count = runpy.run_path(str(ROOT / "examples" / "count_squats.py"))["count_squats"]
    bends = [False, True, True, False, True, False, False, True]
    assert dict(count(frame(i, bent) for i, bent in enumerate(bends))) == {7: 2}
    assert capsys.readouterr().out == "0.3 s: person 7, squat 1\n0.5 s: person 7, squat 2\n"
    assert dict(count(frame(i, bent, sure=0.1) for i, bent in enumerate(bends))) == {}


def test_webcam(clip):
    """Without a window: what OpenCV would show is counted."""
    program = f"""
import runpy, sys, cv2
cv2.imshow = lambda name, image: print(name, image.shape)
cv2.waitKey = lambda ms: -1
sys.argv = ["webcam.py", {str(clip)!r}]
runpy.run_path({str(ROOT / "examples" / "webcam.py")!r})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["people (320, 288, 3)"] * 8 + ["0 frames dropped"]
