from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from toppose.cli import main
from toppose.images import read_image


def test_predict_draws_and_writes(tmp_path, photo, capsys):
    assert main(["predict", str(photo), "--out", str(tmp_path / "out"), "--json", str(tmp_path / "poses.json"), "--device", "cpu"]) == 0
    assert f"{photo}: 1 person" in capsys.readouterr().out
    drawn, original = cv2.imread(str(tmp_path / "out" / "astronaut_poses.jpg")), cv2.imread(str(photo))
    assert drawn.shape == original.shape
    changed = (np.abs(drawn.astype(int) - original) > 60).any(-1)
    assert 200 < changed.sum() < 0.1 * changed.size
    document = json.loads((tmp_path / "poses.json").read_text())
    assert document["joints"][0] == "nose"
    (entry,) = document["images"]
    assert (entry["width"], entry["height"]) == (512, 512)
    assert np.shape(entry["people"][0]["keypoints"]) == (17, 2)
    assert document["errors"] == []
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["astronaut_poses.jpg", "out", "poses.json"]


def test_predict_a_folder_and_a_bad_file(tmp_path, photo, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(photo, folder / "b.jpg")
    (folder / "a.jpg").write_bytes(photo.read_bytes()[:3000])
    (folder / "notes.txt").write_text("no photograph")
    assert main(["predict", str(folder), str(photo), str(folder / "b.jpg"), "--out", str(tmp_path / "out"), "--json", "-", "--device", "cpu"]) == 1
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert [e["file"].rsplit("/", 1)[-1] for e in document["images"]] == ["b.jpg", "astronaut.jpg", "b.jpg"]
    assert "cut short" in document["errors"][0]["error"]
    assert "cut short" in printed.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["astronaut_poses.jpg", "b_2_poses.jpg", "b_poses.jpg"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["predict"],
        ["predict", "a.jpg", "--threads", "0"],
        ["predict", "a.jpg", "--detection-threshold", "2"],
        ["bench", "--people", "no"],
        ["predict", ""],
        ["predict", "a.jpg", "--json", ""],
        ["predict", "a.jpg", "--out", ""],
        ["eval", ""],
    ],
)
def test_bad_usage_is_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: toppose" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "nothing.jpg"], "no such file"),
        (["predict", "x.jpg", "--pose", "pose-x"], "expected a shipped network"),
        (["predict", "x.jpg", "--detector", ""], "detector: expected a shipped network"),
        (["predict", "."], "found none"),
    ],
)
def test_failures_are_1(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("toppose: ")
    assert message in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "gpu"], "device: expected"),
        (["--json", "/nowhere/poses.json"], "--json: expected a file in a folder that is there; got '/nowhere/poses.json'"),
        (["--json", "."], "--json: expected a file"),
        (["--json", "/proc/poses.json"], "--json: cannot write '/proc/poses.json'"),
        (["--out", "pyproject.toml"], "--out: expected a folder"),
    ],
)
def test_wrong_options_are_2(arguments, message, photo, capsys, monkeypatch):
    monkeypatch.chdir(photo.parents[1])
    assert main(["predict", str(photo), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_json_through_a_link_and_into_a_device(tmp_path, photo):
    (tmp_path / "link.json").symlink_to(tmp_path / "target.json")
    assert main(["predict", str(photo), "--json", str(tmp_path / "link.json"), "--device", "cpu"]) == 0
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "target.json").read_text())["errors"] == []
    assert main(["predict", str(photo), "--json", os.devnull, "--device", "cpu"]) == 0
    assert not Path(os.devnull).is_file()


def test_no_photograph_is_written_over(tmp_path, photo, capsys):
    for name in ("a.jpg", "a_poses.jpg"):
        shutil.copy(photo, tmp_path / name)
    (tmp_path / "link.json").symlink_to("a.jpg")
    assert main(["predict", str(tmp_path), "--out", str(tmp_path), "--device", "cpu"]) == 0
    assert sorted(p.name for p in tmp_path.glob("*.jpg")) == ["a.jpg", "a_2_poses.jpg", "a_poses.jpg", "a_poses_poses.jpg"]
    capsys.readouterr()
    for name in ("a.jpg", "link.json"):
        assert main(["predict", str(tmp_path / "a.jpg"), "--json", str(tmp_path / name), "--device", "cpu"]) == 2
        assert "--json: expected another file than the photographs" in capsys.readouterr().err
    assert all((tmp_path / name).read_bytes() == photo.read_bytes() for name in ("a.jpg", "a_poses.jpg"))


def test_a_run_that_is_stopped_keeps_what_it_has_done(tmp_path, photo, capsys, monkeypatch):
    def read(path):
        if path.name == "c.jpg":
            raise KeyboardInterrupt
        return read_image(path)

    for name in ("a.jpg", "c.jpg", "d.jpg"):
        shutil.copy(photo, tmp_path / name)
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    monkeypatch.setattr("toppose.cli.photographs.GROUP", 1)
    monkeypatch.setattr("toppose.cli.photographs.read_image", read)
    file = tmp_path / "poses.json"
    assert main(["predict", str(tmp_path), "--json", str(file), "--device", "cpu"]) == 1
    assert capsys.readouterr().err.endswith("toppose: interrupted\n")
    document = json.loads(file.read_text())
    assert [Path(entry["file"]).name for entry in document["images"]] == ["a.jpg"]
    assert [Path(entry["file"]).name for entry in document["errors"]] == ["b.jpg", "c.jpg", "d.jpg"]
    assert [entry["error"] for entry in document["errors"][1:]] == ["not done: the run was stopped"] * 2


def test_a_full_disk_is_named(photo, capsys):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    assert main(["predict", str(photo), "--json", "/dev/full", "--device", "cpu"]) == 1
    assert "toppose: /dev/full: No space left on device" in capsys.readouterr().err


def test_info(capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert "CPUExecutionProvider         runs" in text
    assert "pose-n" in text
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["providers"]["CPUExecutionProvider"] == ""
    assert facts["conflict"] == []
    assert facts["nodes"] is None
    assert main(["info", "--verbose"]) == 0
    assert re.search(r"dark +all \d+ on CPUExecutionProvider|dark +.*CUDA", capsys.readouterr().out)


def test_info_tells_of_two_onnxruntimes():
    from toppose.info import collect, describe

    assert "PROBLEM: onnxruntime onnxruntime-gpu are installed together" in describe({**collect(), "conflict": ["onnxruntime", "onnxruntime-gpu"]})


def test_bench(capsys, photo):
    assert main(["bench", str(photo), "--people", "2", "--repeat", "2", "--threads", "1", "--device", "cpu", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert {b["batch"] for b in figures["bare"]} >= {1, 2}
    assert figures["ratio"] == pytest.approx(figures["whole"] / figures["best"]["ms"])
    assert all(figures["stages"][stage] > 0 for stage in ("crop", "network", "decode"))
    assert main(["bench", "--people", "1", "--repeat", "1", "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    assert "ratio whole / bare" in text
    assert "engine 'device'" in text
    assert main(["bench", "--people", "1", "--repeat", "1", "--device", "cpu", "--engine", "device"]) == 0
    assert "engine 'host'" in capsys.readouterr().out


def test_module_and_help():
    run = subprocess.run([sys.executable, "-m", "toppose", "predict", "--help"], capture_output=True, text=True)
    assert run.returncode == 0
    assert "exit codes: 0 done" in run.stdout
