"""`toppose predict` on what has frames that follow each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from toppose import Poses
from toppose.cli import main
from toppose.results import Record, open_writer, read
from toppose.video.opening import is_stream

FRAMES = 8


def predict(*arguments) -> int:
    return main(["predict", "--device", "cpu", *map(str, arguments)])


def test_a_video_into_several_files(clip, tmp_path, capsys):
    targets = ("--save", tmp_path / "p.jsonl", "--save", f"coco-dataset={tmp_path / 'p.json'}", "--out", tmp_path / "drawn")
    assert predict(clip, "--track", "--smooth", *targets) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{clip}: {FRAMES} frames, ")
    records = list(read(tmp_path / "p.jsonl"))
    assert [(r.index, r.time) for r in records] == [(i, i / 10) for i in range(FRAMES)]
    assert {tuple(r.poses.ids) for r in records if len(r.poses)} == {(0,)}
    assert len({len(r.poses) for r in records[2:]}) == 1
    assert len(json.loads((tmp_path / "p.json").read_text())["images"]) == FRAMES
    capture = cv2.VideoCapture(str(tmp_path / "drawn" / "clip_poses.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)


def test_part_of_it(clip, tmp_path):
    assert predict(clip, "--every", 2, "--from", 0.2, "--to", 0.6, "--save", tmp_path / "p.jsonl") == 0
    assert [r.index for r in read(tmp_path / "p.jsonl")] == [2, 4, 6]


def test_photographs_that_follow_each_other(tmp_path, photo, capsys):
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "in" / name).write_bytes(photo.read_bytes())
    (tmp_path / "in" / "c.jpg").write_bytes(b"no picture")
    assert predict(tmp_path / "in", "--save", tmp_path / "p.jsonl", "--out", tmp_path / "drawn", "--rate", 2) == 1
    assert "2 frames, 2 people in all, 1 could not be read" in capsys.readouterr().err
    assert [(Path(r.path).name, r.time) for r in read(tmp_path / "p.jsonl")] == [("a.jpg", 0.0), ("b.jpg", 0.5)]
    assert len(list((tmp_path / "drawn").glob("*.jpg"))) == 2


def test_a_damaged_video_is_done_as_far_as_it_goes(clip, tmp_path, capsys):
    big = tmp_path / "big.mp4"
    writer = cv2.VideoWriter(str(big), cv2.VideoWriter_fourcc(*"mp4v"), 10, (320, 240))
    rng = np.random.default_rng(0)
    for _ in range(40):
        writer.write(rng.integers(0, 256, (240, 320, 3), np.uint8))
    writer.release()
    data = bytearray(big.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 40_000] = bytes(40_000)
    big.write_bytes(data)
    assert predict(big, "--save", tmp_path / "p.jsonl", "--reader", "opencv") == 1
    error = capsys.readouterr().err
    lost = int(error.split(" could not be read")[0].split()[-1])
    assert lost > 0
    assert len(list(read(tmp_path / "p.jsonl"))) + lost in (39, 40)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("CLIP", "--json", "p.json"), 2, "--json: expected photographs, which it is for; of frames that follow each other say --save poses.jsonl"),
        (("CLIP", "CLIP", "--save", "p.jsonl"), 2, "--save: expected one source"),
        (("CLIP", "--smooth"), 2, "smooth: joints are smoothed person by person, so it needs ids"),
        (("-", "--track"), 2, "source: expected no - (standard input)"),
        (("CLIP", "--save", "p.xyz"), 2, "target: expected one of"),
        (("CLIP", "--save", "word=p.xyz"), 2, "format: expected one of"),
        (("CLIP", "--save", "CLIP"), 2, "target: expected another file than the sources"),
        (("no.mp4",), 1, "source: cannot read 'no.mp4': no such file"),
        (("97",), 1, "source: expected a webcam, webcam 97 cannot be opened"),
        (("rtsp://127.0.0.1:9/x",), 1, "nobody answers there"),
        (("CLIP", "--every", "0"), 2, "expected a whole number from 1, got 0"),
    ],
)
def test_what_is_wrong_is_one_line(clip, tmp_path, monkeypatch, capfd, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    try:
        got = predict(*(str(clip) if a == "CLIP" else a for a in arguments))
    except SystemExit as e:
        got = e.code
    assert got == code
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("usage")]
    assert message in lines[-1]
    assert len([line for line in lines if line.startswith("toppose: ")]) == 1


@pytest.mark.skipif(bool(os.environ.get("DISPLAY")), reason="there is a screen")
def test_a_window_needs_a_screen(clip):
    run = subprocess.run([sys.executable, "-m", "toppose", "predict", str(clip), "--show"], capture_output=True, text=True, timeout=60)
    assert run.returncode != 0  # some builds of OpenCV end the process themselves
    assert "Traceback" not in run.stderr


def test_what_was_done_before_a_kill_is_there_and_can_be_gone_on_with(clip, tmp_path):
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    assert predict(clip, "--save", whole) == 0
    command = [sys.executable, "-m", "toppose", "predict", str(clip), "--device", "cpu", "--batch-frames", "1", "--save", str(cut)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while (not cut.exists() or cut.read_bytes().count(b"\n") < 3) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert 1 <= len(list(read(cut))) <= FRAMES
    assert predict(clip, "--save", cut, "--resume") == 0
    assert cut.read_bytes() == whole.read_bytes()


@pytest.mark.skipif(not hasattr(signal, "SIGTERM") or os.name == "nt", reason="needs signals")
def test_a_signal_closes_the_files(clip, tmp_path):
    out = tmp_path / "p.jsonl"
    # frames without end: a video that is looked at very slowly
    command = [sys.executable, "-m", "toppose", "predict", str(clip), "--device", "cpu", "--batch-frames", "1", "--flip-test", "--save", str(out)]
    command += ["--save", f"coco={tmp_path / 'c.json'}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while (not out.exists() or out.read_bytes().count(b"\n") < 2) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode in (143, 0)  # 0: it had been faster
    assert "Traceback" not in error
    assert len(list(read(out))) >= 1
    assert isinstance(json.loads((tmp_path / "c.json").read_text()), list)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.mp4", True),
        ("A.MOV", True),
        ("0", True),
        ("rtsp://x/y", True),
        ("http://x/y.jpg", True),
        ("a.jpg", False),
        ("folder", False),
        ("*.png", False),
    ],
)
def test_what_is_a_stream(name, expected):
    assert is_stream(name) == expected


def test_bench_of_a_stream(clip, capsys):
    assert main(["bench", "--stream", str(clip), "--frames", "4", "--repeat", "1", "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    assert "times the loop" in text
    assert "detect_every=5" in text
    assert main(["bench", "--stream", str(clip), "--frames", "4", "--repeat", "1", "--device", "cpu", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["frames"] == 4
    rate = figures["frames_per_second"]
    assert figures["stream_to_plain"] == pytest.approx(rate["stream"] / rate["plain"])


def walking(target, jitter=0.0, gap=()):
    """Twenty frames of one person who walks to the right, written with id 3."""
    rng = np.random.default_rng(0)
    with open_writer(target) as writer:
        for i in range(20):
            keypoints = np.tile([100.0 + 4 * i, 80], (1, 17, 1)) + np.arange(17)[:, None] + rng.normal(0, jitter, (1, 17, 2))
            x, y = keypoints[0].min(0)
            poses = Poses(keypoints, np.full((1, 17), 0.9), [(x, y, x + 40, y + 60)], np.ones(1), ids=[3])
            writer.write(Record(i, i / 10, "", (320, 240), poses[:0] if i in gap else poses))
    return target


def test_smooth_steadies_a_recording_and_fills_its_gaps(tmp_path, capsys):
    rough = walking(tmp_path / "rough.jsonl", jitter=2.0, gap=(7,))
    assert main(["smooth", str(rough), f"sleap={tmp_path / 'smooth.csv'}", "--window", "0.6"]) == 0
    assert "20 frames, 1 people filled in" in capsys.readouterr().out
    assert main(["smooth", str(rough), str(tmp_path / "smooth.jsonl"), "--window", "0.6"]) == 0
    before, after = (list(read(tmp_path / f"{name}.jsonl")) for name in ("rough", "smooth"))
    assert [r.time for r in after] == [r.time for r in before]
    assert after[7].poses.ids.tolist() == [3]

    def error(records):
        return np.mean([np.abs(r.poses.keypoints[0, :, 0] - (100 + 4 * r.index + np.arange(17))).mean() for r in records if len(r.poses)])

    assert error(after) < 0.75 * error(before)
    assert main(["smooth", str(rough), str(rough)]) == 2
    assert "TARGET: expected another file than FILE" in capsys.readouterr().err


def test_eval_of_ids(tmp_path, capsys):
    pytest.importorskip("trackeval", reason="needs pip install 'toppose[tracking]'")
    truth = tmp_path / "gt.txt"
    truth.write_text("".join(f"{i + 1},1,{100 + 4 * i},80,40,60,1,-1,-1,-1\n" for i in range(20)))
    found = walking(tmp_path / "found.jsonl", gap=(7,))
    assert main(["eval", str(truth), "--tracking", str(found), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["FN"] == 1
    assert figures["IDSW"] == 0
    assert figures["MOTA"] == pytest.approx(0.95)
    assert figures["IDF1"] == pytest.approx(2 * 19 / (2 * 19 + 1))
    assert main(["eval", str(truth), "--tracking", str(found)]) == 0
    assert "IDF1       0.974" in capsys.readouterr().out
