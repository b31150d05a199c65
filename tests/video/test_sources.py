"""Sources with known frames: the grey level of frame i is 10 i, so that what was read says which it was."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from toppose import ImageError, OptionError, SourceError
from toppose.video import open_source, pyav
from toppose.video.live import LiveSource
from toppose.video.sources import rising

READERS = ["opencv", pytest.param("pyav", marks=pytest.mark.skipif(not pyav.is_installed(), reason="needs pip install 'toppose[video]'"))]


def grey(level: float, size=(64, 48)) -> np.ndarray:
    return np.full((size[1], size[0], 3), level, np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """25 frames, 10 a second, 64x48, with a key frame now and then."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for i in range(25):
        writer.write(grey(10 * i))
    writer.release()
    return path


def levels(source) -> list[tuple[int, float, int]]:
    return [(p.index, round(p.time, 3), round(float(p.image.mean()) / 10)) for p in source]


@pytest.mark.parametrize("reader", READERS)
def test_a_video_has_the_containers_times(clip, reader):
    source = open_source(clip, reader=reader)
    assert source.total == 25
    assert source.rate == pytest.approx(10)
    assert levels(source) == [(i, i / 10, i) for i in range(25)]
    assert source.lost == 0
    source.close()
    source.close()


@pytest.mark.parametrize("reader", READERS)
def test_part_of_a_video(clip, reader):
    source = open_source(str(clip), every=3, start=0.55, end=1.8, reader=reader)
    assert levels(source) == [(i, i / 10, i) for i in (6, 9, 12, 15, 18)]
    assert source.total == 5


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_video_goes_on_behind_the_damage(clip, tmp_path, reader):
    big = tmp_path / "big.mp4"
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(big), cv2.VideoWriter_fourcc(*"mp4v"), 10, (320, 240))
    for _ in range(60):
        writer.write(rng.integers(0, 256, (240, 320, 3), np.uint8))
    writer.release()
    data = bytearray(big.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 6000] = bytes(6000)
    big.write_bytes(data)
    source = open_source(big, reader=reader)
    read = [p.time for p in source]
    assert read[-1] == pytest.approx(5.9, abs=0.15)
    assert len(read) + source.lost in (59, 60)
    assert read == sorted(read)
    big.write_bytes(data[: len(data) // 2])  # the index stands at the end: nothing can be read
    with pytest.raises(SourceError, match=r"source: expected a video, '.*big\.mp4' cannot be opened"):
        open_source(big, reader=reader)


def test_missing_and_falling_times_count_on(caplog):
    frames = [(t, lambda: None) for t in (0.0, 0.1, 0.1, 0.05, None, 0.9, float("nan"))]
    with caplog.at_level(logging.WARNING, "toppose"):
        times = [round(t, 3) for t, _ in rising(frames, 10, "'a.mp4'")]
    assert times == [0.0, 0.1, 0.2, 0.3, 0.4, 0.9, 1.0]
    assert caplog.messages == ["'a.mp4': its frames' times are missing or do not rise; counted on by its rate"]


def test_photographs_of_a_folder_a_pattern_and_a_list(tmp_path):
    for i, name in enumerate(("b.png", "a.png", "c.png")):
        cv2.imwrite(str(tmp_path / name), grey(10 * i))
    (tmp_path / "notes.txt").write_text("no picture")
    assert levels(open_source(tmp_path, rate=2)) == [(0, 0.0, 1), (1, 0.5, 0), (2, 1.0, 2)]
    assert [Path(p.path).name for p in open_source(tmp_path)] == ["a.png", "b.png", "c.png"]
    assert levels(open_source(str(tmp_path / "[ab].png"))) == [(0, 0.0, 1), (1, 0.033, 0)]
    assert levels(open_source(tmp_path / "c.png")) == [(0, 0.0, 2)]
    listed = open_source([tmp_path / "c.png", grey(30), cv2.imencode(".png", grey(40))[1].tobytes()], rate=10)
    assert listed.total == 3
    assert levels(listed) == [(0, 0.0, 2), (1, 0.1, 3), (2, 0.2, 4)]


def test_an_iterator_of_times_and_images():
    rgb = grey(0)
    rgb[..., 0] = 200  # red
    source = open_source(((t, rgb) for t in (0.5, 0.7, 3)), color="rgb")
    assert source.total is None
    pictures = list(source)
    assert [p.time for p in pictures] == [0.5, 0.7, 3.0]
    assert pictures[0].image[0, 0].tolist() == [0, 0, 200]
    with pytest.raises(SourceError, match=r"source\[1\]: expected a time after 0.5 s, got 0.5"):
        list(open_source([(0.5, grey(1)), (0.5, grey(2))]))


def test_a_picture_that_cannot_be_read_is_counted_and_said(tmp_path, caplog):
    (tmp_path / "a.png").write_bytes(b"no picture")
    cv2.imwrite(str(tmp_path / "b.png"), grey(10))
    source = open_source(tmp_path)
    with caplog.at_level(logging.WARNING, "toppose"):
        assert levels(source) == [(1, 0.033, 1)]
    assert source.lost == 1
    assert "a.png" in caplog.text


def test_frames_may_change_their_size():
    assert [p.image.shape[:2] for p in open_source([grey(0), grey(0, (30, 20)), grey(0, (1, 1))])] == [(48, 64), (20, 30), (1, 1)]


def test_an_animation_is_a_video(tmp_path):
    from PIL import Image

    frames = [Image.fromarray(grey(10 * i)) for i in range(1, 5)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=200)
    assert [(i, t) for i, t, _ in levels(open_source(tmp_path / "a.gif", reader="opencv"))] == [(0, 0.0), (1, 0.2), (2, 0.4), (3, 0.6)]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.mkdir(), "expected photographs"),
        (lambda p: p.touch(), r"expected a video, '.*x\.mp4' is empty"),
        (lambda p: p.write_text("hello, this is text"), r"expected a video, '.*x\.mp4' cannot be opened"),
        (lambda p: None, r"cannot read '.*x\.mp4': no such file"),
        (lambda p: p.write_bytes(b"\0\0\0\x20ftypisom" + bytes(100)), r"expected a video, '.*x\.mp4' cannot be opened"),
    ],
)
def test_what_is_no_video(tmp_path, make, message, reader):
    make(tmp_path / "x.mp4")
    with pytest.raises(SourceError, match="source: " + message):
        open_source(tmp_path / "x.mp4", reader=reader)


def test_nobody_there():
    with pytest.raises(SourceError, match=r"source: expected a webcam, webcam 97 cannot be opened: there is none of that number"):
        open_source(97)
    with pytest.raises(SourceError, match="webcam 97"):
        open_source("97")
    with pytest.raises(SourceError, match=r"source: expected a stream, address 'rtsp://me:\*\*\*@127\.0\.0\.1:9/x' cannot be opened: nobody answers"):
        open_source("rtsp://me:secret@127.0.0.1:9/x")
    with pytest.raises(SourceError, match=r"'http://127\.0\.0\.1:9/a\.mp4' cannot be opened"):
        open_source("http://127.0.0.1:9/a.mp4", reader="opencv")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (None, {}, "source: expected a video, .*; got NoneType"),
        (1.5, {}, "got float"),
        (True, {}, "got bool"),
        (b"bytes", {}, "got bytes"),
        ("", {}, "got ''"),
        ([], {"every": 0}, "every: expected a whole number from 1, got 0"),
        ([], {"every": True}, "every"),
        ([], {"start": -1}, "start: expected a number of seconds from 0, got -1"),
        ([], {"start": 2, "end": 1}, "end: expected more than start, 2 s, got 1"),
        ([], {"end": float("nan")}, "end: expected a number of seconds"),
        ([], {"rate": 0}, "rate: expected more than 0, got 0"),
        ([], {"reader": "vlc"}, "reader: expected 'auto', 'opencv' or 'pyav', got 'vlc'"),
    ],
)
def test_what_is_no_source(source, options, message):
    with pytest.raises(OptionError, match=message):
        open_source(source, **options)


def test_an_image_that_is_none_in_an_iterator_is_an_error_of_that_item(caplog):
    source = open_source([grey(10), "no/such.png", None])
    assert len(list(source)) == 1
    assert source.lost == 2
    assert "source[1]" in source.errors[0]
    assert "source[2]: expected" in source.errors[1]
    with pytest.raises(ImageError):
        raise ImageError(source.errors[0])


@contextmanager
def camera(port: int = 0, pause: float = 0.02):
    """A network camera on this machine: JPEGs one after the other, the nth of grey level n."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for n in range(5000):
                if stop.is_set():
                    break
                jpeg = cv2.imencode(".jpg", grey(n % 200))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
                try:
                    self.wfile.write(head + jpeg + b"\r\n")
                except OSError:
                    break
                time.sleep(pause)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        stop.set()
        server.shutdown()
        server.server_close()


def test_of_a_live_address_only_the_newest_frame_is_kept_and_it_is_connected_to_again(monkeypatch):
    monkeypatch.setattr("toppose.video.live._WAITS", (0.2,))
    with camera() as port:
        source = open_source(f"http://127.0.0.1:{port}/", live=True)
        assert isinstance(source, LiveSource)
        pictures = iter(source)
        first = next(pictures)
        time.sleep(0.6)
        second, third = next(pictures), next(pictures)
        assert source.dropped >= 5
        assert second.index - first.index > 5
        assert third.index > second.index
        assert third.time > second.time > first.time
    with camera(port):  # it was gone, and is back
        deadline = time.monotonic() + 20
        while not source.reconnected and time.monotonic() < deadline:
            next(pictures)
        assert source.reconnected == 1
        assert next(pictures).index > third.index
    source.close()
    assert list(pictures) == []


def test_a_live_address_that_stays_silent_ends_after_a_while(monkeypatch):
    monkeypatch.setattr("toppose.video.live._WAITS", (0.1,))
    with camera() as port:
        source = LiveSource(f"http://127.0.0.1:{port}/", "address 'x'", patience=0.3)
        pictures = iter(source)
        next(pictures)
    with pytest.raises(SourceError, match="source: address 'x' fell silent, and did not answer for 0 s"):
        list(pictures)
    source.close()
