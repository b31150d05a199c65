from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from toppose import Estimator, ModelError, Poses
from toppose.cli import main
from toppose.cli.progress import Progress
from toppose.cli.stop import Stopped, Stops
from toppose.images import read_image
from toppose.video.photographs import SUFFIXES, find, is_drawing, mark

CPU = ["--device", "cpu", "--threads", "1"]
COMMAND = [sys.executable, "-m", "toppose"]


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
    error = capsys.readouterr().err
    assert error.startswith("usage: toppose")
    assert error.splitlines()[-1].startswith("toppose: ")


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
    for name in ("a.jpg", "link.json", "a_poses.jpg"):
        assert main(["predict", str(tmp_path / "a.jpg"), "--json", str(tmp_path / name), "--device", "cpu"]) == 2
        assert "--json: expected another file than the photographs" in capsys.readouterr().err
    assert all((tmp_path / name).read_bytes() == photo.read_bytes() for name in ("a.jpg", "a_poses.jpg"))


def test_a_run_that_is_stopped_keeps_what_it_has_done(tmp_path, photo, capsys, monkeypatch):
    def read(path, **options):
        if path.name == "c.jpg":
            raise KeyboardInterrupt
        return read_image(path, **options)

    for name in ("a.jpg", "c.jpg", "d.jpg"):
        shutil.copy(photo, tmp_path / name)
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    monkeypatch.setattr("toppose.cli.photographs.GROUP", 1)
    monkeypatch.setattr("toppose.video.photographs.read_image", read)
    file = tmp_path / "poses.json"
    assert main(["predict", str(tmp_path), "--json", str(file), "--device", "cpu"]) == 130
    assert capsys.readouterr().err.endswith("toppose: interrupted\n")
    document = json.loads(file.read_text())
    assert [Path(entry["file"]).name for entry in document["images"]] == ["a.jpg"]
    assert [Path(entry["file"]).name for entry in document["errors"]] == ["b.jpg", "c.jpg", "d.jpg"]
    assert [entry["error"] for entry in document["errors"][1:]] == ["not done: the run was stopped"] * 2


@pytest.fixture
def many(tmp_path, photo) -> Path:
    """A folder of 32 photographs."""
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(32):
        (folder / f"{i:02}.jpg").symlink_to(photo)
    return folder


def start(*arguments: object, **options) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@posix
@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("SIGINT", 130, "toppose: interrupted\n"),
        ("SIGTERM", 143, "toppose: stopped by SIGTERM\n"),
        ("SIGHUP", 129, "toppose: stopped by SIGHUP\n"),
    ],
)
def test_signals_end_a_run_in_order(tmp_path, many, name, code, message):
    run = start("predict", many, "--json", tmp_path / "poses.json", *CPU)
    assert run.stdout.readline() == f"1/32 {many / '00.jpg'}: 1 person\n"  # each line comes when it is done, not at the end
    run.send_signal(getattr(signal, name))
    _, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (code, message)
    document = json.loads((tmp_path / "poses.json").read_text())
    assert 1 <= len(document["images"]) < 32
    assert len(document["images"]) + len(document["errors"]) == 32
    assert {entry["error"] for entry in document["errors"]} == {"not done: the run was stopped"}


@posix
def test_an_interrupt_during_the_imports_is_one_line(tmp_path):
    (tmp_path / "onnxruntime.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)")
    path = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([*COMMAND, "info"], env=path, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (130, "toppose: interrupted\n")
    run = subprocess.run([shutil.which("toppose", path=Path(sys.executable).parent), "info"], env=path, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (130, "toppose: interrupted\n")
    run = subprocess.run([sys.executable, "-c", "import toppose"], env=path, capture_output=True, text=True)
    assert run.stderr.endswith("KeyboardInterrupt\n")  # other programs are left alone


@posix
def test_a_second_interrupt_does_not_lose_the_file(tmp_path, many):
    os.mkfifo(tmp_path / "pipe")  # writing waits until somebody reads
    run = start("predict", many, "--json", tmp_path / "pipe", *CPU)
    run.stdout.readline()
    for _ in range(3):
        run.send_signal(signal.SIGINT)
        time.sleep(0.7)
    assert run.poll() is None
    document = json.loads((tmp_path / "pipe").read_text())
    _, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (130, "toppose: interrupted\n")
    assert len(document["images"]) + len(document["errors"]) == 32


@posix
def test_what_is_ignored_stays_ignored(many):
    run = start("predict", *sorted(many.iterdir())[:9], *CPU, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))  # as nohup does
    run.stdout.readline()
    run.send_signal(signal.SIGHUP)
    assert len(run.stdout.readlines()) == 8
    assert (run.wait(60), run.stderr.read()) == (0, "")


@posix
def test_nobody_reads_standard_output_to_its_end(tmp_path, many):
    run = start("predict", many, "--json", tmp_path / "poses.json", *CPU)
    run.stdout.readline()
    run.stdout.close()
    assert run.wait(60) == 141
    assert run.stderr.read() == ""
    document = json.loads((tmp_path / "poses.json").read_text())
    assert len(document["images"]) + len(document["errors"]) == 32
    run = subprocess.run(f"{sys.executable} -m toppose predict --help | head -1", shell=True, capture_output=True, text=True)
    assert run.stdout.startswith("usage: toppose predict")
    assert run.stderr == ""


@posix
def test_streams_that_are_closed_from_the_start(tmp_path, photo):
    def shell(arguments):
        return subprocess.run(f"{sys.executable} -m toppose predict {arguments}", shell=True, capture_output=True, text=True)

    run = shell(f"{photo} --json {tmp_path / 'poses.json'} --threads 1 --device cpu >&-")
    assert (run.returncode, run.stderr) == (0, "")
    assert len(json.loads((tmp_path / "poses.json").read_text())["images"]) == 1
    run = shell(f"{photo} --json - >&-")
    assert (run.returncode, run.stderr) == (2, "toppose: --json: expected a standard output that is open; it is closed\n")
    run = shell("- --threads 1 --device cpu <&-")
    assert run.returncode == 1
    assert run.stderr.startswith("toppose: stdin: expected an encoded image on standard input, which cannot be read")


def test_stops_raise_once():
    stops, before = Stops(), signal.getsignal(signal.SIGTERM)
    stops.listen()
    try:
        with pytest.raises(Stopped) as caught, stops.work():
            signal.raise_signal(signal.SIGTERM)
        assert caught.value.number == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        # no KeyboardInterrupt, but
        with pytest.raises(Stopped):
            stops.check()
    finally:
        stops.restore()
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupt_that_was_swallowed_can_be_given_again(monkeypatch):
    monkeypatch.setattr("toppose.cli.stop.PATIENCE", -1)
    stops = Stops()
    stops.listen()
    try:
        for _ in range(2):
            with pytest.raises(Stopped):
                signal.raise_signal(signal.SIGINT)
        stops.hold()
        signal.raise_signal(signal.SIGINT)
    finally:
        stops.restore()


def test_a_signal_while_the_file_is_written_is_obeyed_afterwards():
    stops = Stops()
    stops.listen()
    try:
        with stops.work():
            pass
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):
            stops.check()
    finally:
        stops.restore()


def test_main_leaves_handlers_as_they_were_and_runs_in_threads(capsys):
    before, codes = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)], []
    assert main(["predict", "nothing.jpg", *CPU]) == 1
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    thread = threading.Thread(target=lambda: codes.append(main(["predict", "nothing.jpg", *CPU])))
    thread.start()
    thread.join()
    assert codes == [1]


def test_a_full_disk_is_named(photo, capsys):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    assert main(["predict", str(photo), "--json", "/dev/full", "--device", "cpu"]) == 1
    assert "toppose: /dev/full: No space left on device" in capsys.readouterr().err


def test_the_json_has_one_person_a_line_and_can_be_read_as_poses(tmp_path, photo):
    picture = np.asarray(cv2.imread(str(photo)))
    cv2.imwrite(str(tmp_path / "two.png"), np.hstack([picture, picture]))
    cv2.imwrite(str(tmp_path / "none.png"), np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    file = tmp_path / "poses.json"
    assert main(["predict", *(str(tmp_path / f"{n}.png") for n in ("two", "none", "bad")), "--json", str(file), "--max-people", "2", *CPU]) == 1
    text = file.read_text()
    document = json.loads(text)
    assert list(document) == ["skeleton", "joints", "images", "errors"]
    assert [list(entry) for entry in document["images"]] == [["file", "width", "height", "people"]] * 2
    people = document["images"][0]["people"]
    assert list(people[0]) == ["box", "box_score", "keypoints", "scores"]
    assert len(people) == 2
    assert document["images"][1]["people"] == []
    lines = text.splitlines()
    assert [json.loads(line.rstrip(",")) for line in lines if line.startswith('{"box"')] == people
    numbers = np.array([person["keypoints"] for person in people])
    assert np.array_equal(numbers, np.round(numbers, 2))
    assert all(len(n.partition(".")[2]) <= 4 for n in re.findall(r"-?[0-9.]+", "".join(line for line in lines if line.startswith('{"box"'))))
    poses = Poses.from_dict({**document, **document["images"][0]})
    np.testing.assert_array_equal(poses.keypoints, numbers.astype(np.float32))


def example(suffix: str) -> bytes:
    """A picture 64 pixels wide and 48 high, as OpenCV writes it."""
    picture = np.full((48, 64, 3), 128, np.uint8)
    if suffix in (".pbm", ".pgm"):
        return cv2.imencode(suffix, picture[:, :, 0])[1].tobytes()
    if suffix in (".hdr", ".pic", ".pfm", ".exr"):
        return cv2.imencode(suffix, picture.astype(np.float32) / 255)[1].tobytes()
    return cv2.imencode(suffix.replace(".jfif", ".jpg"), picture)[1].tobytes()


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_that_is_taken_can_be_read(tmp_path, suffix):
    (tmp_path / f"a{suffix.upper()}").write_bytes(example(suffix))
    (photograph,) = find([str(tmp_path)]).photographs
    assert photograph.read(2**28).shape == (48, 64, 3)


def test_the_usual_suffixes_are_taken():
    assert {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".png",
        ".bmp",
        ".dib",
        ".webp",
        ".tif",
        ".tiff",
        ".jp2",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".sr",
        ".hdr",
    } <= SUFFIXES


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """a.jpg, two texts and hidden files; sub/b.png, sub/deep/c.JPG; a folder without photographs. The working folder."""
    for name in ("a.jpg", "notes.txt", "film.mp4", ".hidden.jpg", ".DS_Store", "sub/b.png", "sub/deep/c.JPG", "empty/d.txt", ".git/e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "recursive", "expected"),
    [
        (["."], False, ["a.jpg"]),
        (["."], True, ["a.jpg", "sub/b.png", "sub/deep/c.JPG"]),
        (["sub", "a.jpg"], False, ["sub/b.png", "a.jpg"]),
        (["a.jpg", "a.jpg"], False, ["a.jpg", "a.jpg"]),
        (["*.jpg"], False, ["a.jpg"]),
        (["*"], False, ["a.jpg", "sub/b.png"]),
        (["s?b/*"], False, ["sub/b.png", "sub/deep/c.JPG"]),
        (["**/*.[jJ][pP][gG]"], False, ["a.jpg", "sub/deep/c.JPG"]),
        (["**"], False, ["a.jpg", "sub/b.png", "sub/deep/c.JPG"]),
        (["-", "a.jpg"], False, ["stdin", "a.jpg"]),
        (["notes.txt", "missing.jpg"], False, ["notes.txt", "missing.jpg"]),  # who names a file means it
    ],
)
def test_what_sources_stand_for(tree, sources, recursive, expected):
    assert [p.name for p in find(sources, recursive).photographs] == expected


def test_a_name_that_looks_like_a_pattern_is_a_name(tree):
    Path("a[1].jpg").touch()
    assert [p.name for p in find(["a[1].jpg"]).photographs] == ["a[1].jpg"]


def test_links_in_a_circle(tree):
    Path("sub/again").symlink_to("..")
    Path("elsewhere").symlink_to("sub/deep")
    assert [p.name for p in find(["."], True).photographs] == ["a.jpg", "elsewhere/c.JPG", "sub/b.png"]


LEFT = "2 folders were left out (--recursive takes them): empty, sub"


def test_what_is_left_out_is_said(tree):
    found = find([".", "."], written=Path("film.mp4").absolute())
    assert found.notes() == ["1 file is no photograph: notes.txt", "1 hidden file was left out: .hidden.jpg", LEFT]
    for i in range(6):
        Path(f"{i}.txt").touch()
    assert find(["."]).notes()[0] == "8 files are no photographs: 0.txt, 1.txt, 2.txt, 3.txt, 4.txt, ..."


@posix
def test_a_pipe_in_a_folder_is_not_waited_for(tree):
    os.mkfifo("pipe.jpg")
    os.mkfifo("pipe_poses.jpg")
    assert [p.name for p in find(["."]).photographs] == ["a.jpg"]
    assert [p.name for p in find(["pipe_poses.jpg"]).photographs] == ["pipe_poses.jpg"]


def test_what_is_empty_fails_alone(tree, photo, capsys):
    shutil.copy(photo, "a.jpg")
    assert main(["predict", "empty", "a.jpg", "no*.png", "--json", "poses.json", *CPU]) == 1
    printed = capsys.readouterr()
    assert printed.out == "1/1 a.jpg: 1 person\n"
    messages = printed.err.splitlines()
    assert all(line.startswith("toppose: ") for line in messages)
    assert "in the folder 'empty', found none" in messages[0]
    assert "that match 'no*.png', found none" in messages[1]
    assert messages[2] == "toppose: 1 file is no photograph: d.txt"
    document = json.loads(Path("poses.json").read_text())
    assert [entry["file"] for entry in document["images"]] == ["a.jpg"]
    assert [entry["file"] for entry in document["errors"]] == ["empty", "no*.png"]


def test_a_folder_that_may_not_be_read_fails_alone(tree, monkeypatch):
    def scandir(folder, real=os.scandir):
        if Path(folder).name == "sub":
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find(["."], True)
    assert [p.name for p in found.photographs] == ["a.jpg"]
    assert [e["error"] for e in found.errors] == ["source: cannot look into the folder './sub': Permission denied"]
    assert [e["file"] for e in find(["sub"]).errors] == ["sub"]


def test_standard_input(tmp_path, photo, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(photo.read_bytes())))
    assert main(["predict", "-", "--json", "-", "--out", str(tmp_path), *CPU]) == 0
    printed = capsys.readouterr()
    (entry,) = json.loads(printed.out)["images"]
    assert (entry["file"], entry["width"], len(entry["people"])) == ("stdin", 512, 1)
    assert printed.err == f"toppose: 1/1 stdin: 1 person -> {tmp_path / 'stdin_poses.jpg'}\n"
    assert cv2.imread(str(tmp_path / "stdin_poses.jpg")).shape == (512, 512, 3)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert main(["predict", "-", *CPU]) == 1
    assert "expected an encoded image, got 0 bytes" in capsys.readouterr().err
    assert main(["predict", "-", "-", *CPU]) == 2
    assert "source: expected - (standard input) once" in capsys.readouterr().err


def test_our_own_drawings_are_not_taken_for_photographs(tmp_path, photo, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(photo, "a.jpg")
    for sources in (["."], ["*.jpg"], ["a.jpg", "a_poses.jpg"]):
        for _ in range(2):
            assert main(["predict", *sources, "--out", ".", *CPU]) == 0
            assert sorted(os.listdir()) == ["a.jpg", "a_poses.jpg"]
        printed = capsys.readouterr()
        assert printed.out.splitlines()[-1] == "1/1 a.jpg: 1 person -> a_poses.jpg"
        assert "toppose: 1 drawing of toppose was left out: a_poses.jpg\n" in printed.err
    assert main(["predict", "a_poses.jpg", *CPU]) == 1
    assert "toppose: source: expected photographs, got only drawings of toppose: a_poses.jpg\n" in capsys.readouterr().err


def test_a_picture_that_only_has_the_name_of_a_drawing_is_not_written_over(tmp_path, photo, capsys):
    (tmp_path / "out").mkdir()
    shutil.copy(photo, tmp_path / "out" / "astronaut_poses.jpg")
    assert main(["predict", str(photo), "--out", str(tmp_path / "out"), *CPU]) == 0
    assert (tmp_path / "out" / "astronaut_poses.jpg").read_bytes() == photo.read_bytes()
    assert sorted(os.listdir(tmp_path / "out")) == ["astronaut_2_poses.jpg", "astronaut_poses.jpg"]


def test_a_mark_does_not_change_the_picture(tmp_path):
    plain = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))[1].tobytes()
    (tmp_path / "a_poses.jpg").write_bytes(plain)
    assert not is_drawing(tmp_path / "a_poses.jpg")
    before = read_image(tmp_path / "a_poses.jpg")
    (tmp_path / "a_poses.jpg").write_bytes(mark(plain))
    assert is_drawing(tmp_path / "a_poses.jpg")
    assert np.array_equal(read_image(tmp_path / "a_poses.jpg"), before)


def test_a_picture_too_wide_for_a_jpeg_fails_alone(tmp_path, photo, capsys):
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((2, 70000, 3), np.uint8))
    assert main(["predict", str(tmp_path / "wide.png"), str(photo), "--out", str(tmp_path / "out"), *CPU]) == 1
    assert "wide.png: cannot be drawn: a JPEG has at most 65500 pixels a side, this has 70000x2" in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == ["astronaut_poses.jpg"]


def test_progress_where_there_is_no_terminal(capsys, monkeypatch):
    with Progress(3, "photographs") as progress:
        progress.step()
    assert capsys.readouterr().err == ""  # ten seconds are not over
    monkeypatch.setattr("toppose.cli.progress.EVERY", -1)
    with Progress(3, "photographs") as progress:
        progress.step()
        progress.step()
    assert capsys.readouterr().err == "toppose: 1/3 photographs\ntoppose: 2/3 photographs\n"


@posix
def test_progress_on_a_terminal(many):
    import pty

    ours, theirs = pty.openpty()
    nine = map(str, sorted(many.iterdir())[:9])
    run = subprocess.Popen([*COMMAND, "predict", *nine, *CPU], stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # EIO is how Linux says that the other end is closed
        while data := os.read(ours, 65536):
            shown += data
    out, _ = run.communicate(timeout=60)
    assert len(out.splitlines()) == 9
    assert b"9/9 [" in shown


def test_messages_are_one_line(photo, capsys, tmp_path):
    (tmp_path / "a\nb.jpg").write_bytes(b"no picture")
    assert main(["predict", str(tmp_path / "a\nb.jpg"), *CPU]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["predict", str(photo), "--pose", str(tmp_path / "c\nd.onnx")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("toppose: pose: ")
    assert len(error.splitlines()) == 1


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


def test_one_photograph_on_which_the_network_fails_does_not_end_the_others(tmp_path, photo, capsys, monkeypatch):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        shutil.copy(photo, tmp_path / name)
    (tmp_path / "b.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((50, 50, 3), np.uint8))[1].tobytes())
    predict = Estimator.predict

    def failing(self, image, *args, **options):
        if any(i.shape[0] == 50 for i in (image if isinstance(image, list) else [image])):
            raise ModelError("network 'n' gave numbers that are not finite")
        return predict(self, image, *args, **options)

    monkeypatch.setattr(Estimator, "predict", failing)
    assert main(["predict", str(tmp_path), "--json", str(tmp_path / "p.json"), "--device", "cpu"]) == 1
    document = json.loads((tmp_path / "p.json").read_text())
    assert [Path(i["file"]).name for i in document["images"]] == ["a.jpg", "c.jpg"]
    assert [(Path(e["file"]).name, e["error"].partition(": ")[2]) for e in document["errors"]] == [
        ("b.jpg", "network 'n' gave numbers that are not finite")
    ]


def test_links_that_lead_to_themselves_and_names_as_long_as_they_may_be(tmp_path, photo, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "loop.jpg").symlink_to("loop.jpg")
    shutil.copy(photo, tmp_path / "in" / f"{'n' * 245}.jpg")
    assert main(["predict", str(tmp_path / "in"), "--json", str(tmp_path / "p.json"), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 1
    document = json.loads((tmp_path / "p.json").read_text())
    assert [len(i["people"]) for i in document["images"]] == [1]
    assert "loop.jpg" in document["errors"][0]["error"]
    assert [len(p.name) for p in (tmp_path / "out").iterdir()] == [255]


def test_stopped_while_the_networks_load_it_names_all_as_not_done(tmp_path, photo, monkeypatch):
    def slow(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("toppose.cli.predict.make_estimator", slow)
    (tmp_path / "p.json").write_text("an earlier run's")
    assert main(["predict", str(photo), "--json", str(tmp_path / "p.json")]) == 130
    assert json.loads((tmp_path / "p.json").read_text())["errors"] == [{"file": str(photo), "error": "not done: the run was stopped"}]


def test_folders_that_are_left_out_are_said(tmp_path, photo, capsys):
    (tmp_path / "sub").mkdir()
    shutil.copy(photo, tmp_path / "a.jpg")
    assert main(["predict", str(tmp_path), "--device", "cpu"]) == 0
    assert "toppose: 1 folder was left out (--recursive takes it): sub" in capsys.readouterr().err
