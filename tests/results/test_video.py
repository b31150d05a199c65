"""Annotated videos and pictures."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from results.frames import clip, frame, killed_after

from toppose import MissingDependency, OptionError
from toppose.errors import ResultError
from toppose.results import Pictures, Video, open_writer
from toppose.results.pictures import index_of
from toppose.results.record import Record
from toppose.results.video import fit
from toppose.video import Frame
from toppose.video.photographs import is_drawing

TIMES = (0.0, 0.04, 0.1, 0.5, 0.54, 1.25)


@pytest.fixture
def av():
    return pytest.importorskip("av", reason="the extra video is not installed")


def timed(index: int, time: float, height: int = 48, width: int = 64) -> Frame:
    given = frame(index, 1)
    return Frame(index, time, np.full((height, width, 3), 40 * index % 250, np.uint8), "", given.poses)


def decoded(av, path: Path) -> tuple[list[float], list[np.ndarray], object]:
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
        stream = file.streams.video[0]
        facts = (stream.codec_context.name, stream.codec_context.pix_fmt, stream.width, stream.height, file.duration / 1e6)
        return [f.time for f in frames], [f.to_ndarray(format="bgr24") for f in frames], facts


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_sources_own_times_survive(av, tmp_path, suffix):
    target = tmp_path / f"a{suffix}"
    with Video(target, fps=25) as writer:
        for i, t in enumerate(TIMES):
            writer.write(timed(i, 5 + t))  # counted from the first one
    with av.open(str(target)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        found = list(file.decode(video=0))
    np.testing.assert_allclose([f.time for f in found], TIMES, atol=0.001)
    for i, f in enumerate(found):
        assert abs(int(f.to_ndarray(format="bgr24")[-1, -1].mean()) - 40 * i % 250) <= 6
    if suffix != ".mkv":
        data = target.read_bytes()
        assert 0 < data.find(b"moov") < data.find(b"mdat")  # it plays while it loads
        assert decoded(av, target)[2][4] == pytest.approx(1.25 + 0.71, abs=0.01)  # the last frame is shown as long as the one before it
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "av1"), ("a.webm", None)])
def test_av1(av, tmp_path, name, codec):
    with open_writer(tmp_path / name, codec=codec) as writer:
        for i, t in enumerate(TIMES):
            writer.write(timed(i, t))
    times, _, (found, *_) = decoded(av, tmp_path / name)
    np.testing.assert_allclose(times, TIMES, atol=0.001)
    assert "av1" in found or "dav1d" in found  # names of decoders


def test_times_that_do_not_rise(av, tmp_path, caplog):
    with Video(tmp_path / "a.mp4", fps=10) as writer:
        for i, t in enumerate((0, 0.5, 0.5, 0.2, 2)):
            writer.write(timed(i, t))
    np.testing.assert_allclose(decoded(av, tmp_path / "a.mp4")[0], (0, 0.5, 0.6, 0.7, 2), atol=0.001)
    assert "2 frames came with a time that did not rise" in caplog.text


def test_sizes(av, tmp_path):
    """The first is odd; the second is taller, the third smaller."""
    with Video(tmp_path / "a.mp4") as writer:
        for i, (height, width) in enumerate(((47, 63), (94, 63), (10, 10))):
            picture = np.full((height, width, 3), 200, np.uint8)
            writer.write(Frame(i, i / 30, picture, "", frame(i, 0).poses))
    _, (first, second, third), (_, _, *size, _) = decoded(av, tmp_path / "a.mp4")
    assert size == [64, 48]
    assert first.min() > 180
    assert second[:, 30:34].min() > 150
    assert second[:, :10].max() < 30
    assert third[24, 32].min() > 150


def test_fit():
    assert (fit(np.full((3, 3, 3), 9, np.uint8), (4, 4)) == 9).all()
    tall = fit(np.full((8, 2, 3), 9, np.uint8), (4, 4))
    assert tall[..., 0].tolist() == [[0, 9, 0, 0]] * 4


def test_a_killed_video_plays_up_to_its_last_fragment(av, tmp_path):
    target = tmp_path / "a.mp4"
    killed_after(200, target, "video")
    assert not target.exists()
    times, *_ = decoded(av, tmp_path / "a.part.mp4")
    assert len(times) >= 120  # of 200 frames at 30 a second, two seconds may be missing, and what the encoder held
    with open_writer(target, resume=True) as writer:
        assert writer.done == -1
        for f in clip():
            writer.write(f)
    assert len(decoded(av, target)[0]) == 7
    assert list(tmp_path.iterdir()) == [target]


def test_no_frame_no_video(tmp_path):
    Video(tmp_path / "a.mp4").close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(av, tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("no small disk can be made here")
    try:
        rng, writer = np.random.default_rng(0), Video(folder / "a.mp4")
        with pytest.raises(OSError, match="No space left") as caught:  # noqa: PT012  # which frame it is does not matter
            for i in range(300):
                writer.write(Frame(i, i / 30, rng.integers(0, 255, (120, 160, 3), np.uint8), "", frame(0, 0).poses))
            writer.close()
        assert str(folder) in str(caught.value.filename)
        assert (folder / "a.part.mp4").stat().st_size > 100_000
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_without_pyav_it_is_mpeg4_and_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("toppose.results.video.has_pyav", lambda: False)
    with caplog.at_level(logging.WARNING), Video(tmp_path / "a.mp4", fps=10) as writer:
        for i in range(5):
            writer.write(timed(i, i / 10))
    assert "browsers will not play it" in caplog.text
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert (capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)) == (5, 10)
    with pytest.raises(MissingDependency, match=r"a \.webm needs PyAV.*pip install 'toppose\[video\]'"):
        Video(tmp_path / "a.webm")
    with pytest.raises(MissingDependency, match="codec 'av1' needs PyAV"):
        Video(tmp_path / "a.mp4", codec="av1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "a.gif"}, "target: expected a video"),
        ({"codec": "vp8"}, "codec: expected 'h264' or 'av1'"),
        ({"target": "a.webm", "codec": "h264"}, "'av1' in .webm"),
        ({"fps": 0}, "fps: expected frames per second above 0"),
        ({"threshold": 2}, "threshold: expected a number from 0 to 1"),
        ({"line_width": 0}, "line_width: expected"),
    ],
)
def test_wrong_options(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=message):
        Video(**{"target": "a.mp4", **options})


def test_pictures_are_wanted(tmp_path):
    record = Record(0, 0, "", (64, 48), frame(0, 1).poses)
    for writer in (Pictures(tmp_path / "d"), Video(tmp_path / "a.mp4")):
        assert writer.needs_image
        with pytest.raises(ResultError, match="expected a picture to draw on"):
            writer.write(record)


def test_pictures(tmp_path):
    paths = ["in/a.jpg", "in/b.png", "other/a.jpg", "match.mp4", ""]
    with open_writer(f"{tmp_path}/drawn/", threshold=0.1, boxes=True) as writer:
        for i, path in enumerate(paths):
            writer.write(frame(i, 1, path=path))
    names = ["a_000000000002_poses.jpg", "a_poses.jpg", "b_poses.jpg", "frame_000000000004_poses.jpg", "match_000000000003_poses.jpg"]
    files = sorted((tmp_path / "drawn").iterdir())
    assert [f.name for f in files] == names
    assert [index_of(f) for f in files] == [2, 0, 1, 4, 3]
    assert all(is_drawing(f) for f in files)  # `predict` leaves them out too
    drawn, plain = cv2.imread(str(files[1])), frame(0, 1).image
    assert drawn.shape == plain.shape
    assert (np.abs(drawn.astype(int) - plain) > 60).any()


def test_pictures_go_on(tmp_path):
    killed_after(3, tmp_path / "d", "pictures")
    with Pictures(tmp_path / "d", resume=True) as writer:
        assert writer.done == 2
        for i in range(5):
            writer.write(frame(i, 1))
    assert len(os.listdir(tmp_path / "d")) == 5
