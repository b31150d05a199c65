"""A run that is killed, a disk that fills: what was written stays, and going on gives what an undisturbed run gives."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import cv2
import pytest
from results.frames import HAND, KINDS, content, frame, killed_after

from toppose import OptionError
from toppose.errors import ResultError
from toppose.results import JsonLines, open_writer, read
from toppose.results.files import Growing

COUNTS = (0, 2, 1)  # people, frame by frame


def undisturbed(target: Path, kind: str, frames: int) -> Path:
    target.parent.mkdir()
    with open_writer(target, format=kind) as writer:
        for i in range(frames):
            writer.write(frame(i, COUNTS[i % 3]))
    return target


def needed(kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")


@pytest.mark.parametrize("kind", KINDS)
def test_killed_twice_and_gone_on(tmp_path, kind):
    needed(kind)
    whole, target = undisturbed(tmp_path / "whole" / KINDS[kind], kind, 9), tmp_path / KINDS[kind]
    killed_after(4, target, kind)
    found = list(read(target, None if kind in ("coco-dataset", "dlc", "parquet") else kind))
    assert [(r.index, len(r.poses)) for r in found if len(r.poses)] == [(1, 2), (2, 1)]
    if kind not in ("coco", "sleap"):  # which have no trace of frames with nobody
        assert [r.index for r in found] == [0, 1, 2, 3]
    killed_after(8, target, kind)
    with open_writer(target, format=kind, resume=True) as writer:
        assert writer.done == (5 if kind in ("coco", "sleap") else 7)
        for i in range(9):  # a source that begins anew: what is done is left aside
            writer.write(frame(i, COUNTS[i % 3]))
        assert writer.done == 8
    assert_same(target, whole, kind)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({target.name, "whole"})


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_with_a_file_that_was_closed(tmp_path, kind):
    needed(kind)
    whole, target = undisturbed(tmp_path / "whole" / KINDS[kind], kind, 9), undisturbed(tmp_path / "part" / KINDS[kind], kind, 5)
    with open_writer(target, format=kind, resume=True) as writer:
        for i in range(writer.done + 1, 9):
            writer.write(frame(i, COUNTS[i % 3]))
    assert_same(target, whole, kind)


@pytest.mark.parametrize("kind", ["openpose", "dlc"])
def test_what_a_kill_leaves_half_written_is_removed(tmp_path, kind):
    target = tmp_path / KINDS[kind]
    killed_after(4, target, kind)
    half = target / ".v_000000000004_keypoints.json.123.part" if kind == "openpose" else tmp_path / f".{target.name}.123.part"
    half.write_text("half")
    (mine := half.with_name(".mine.part")).write_text("not ours")
    open_writer(target, format=kind, resume=True).close()
    assert mine.exists()
    assert not half.exists()


def assert_same(target: Path, whole: Path, kind: str) -> None:
    if kind == "parquet":
        import pyarrow.parquet as pq

        assert pq.read_table(target).equals(pq.read_table(whole), check_metadata=True)
    else:
        assert content(target) == content(whole)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("openpose", "coco-dataset", "dlc", "parquet")])
def test_cut_at_every_byte(tmp_path, kind):
    """The kernel may leave a write half done; whatever was written, the frames before are read, and going on mends the rest."""
    whole = undisturbed(tmp_path / "whole" / KINDS[kind], kind, 4)
    data, records = whole.read_bytes(), list(read(whole, kind))
    target = tmp_path / KINDS[kind]
    step = max(1, len(data) // 150)
    for length in {*range(0, len(data), step), *range(len(data) - 30, len(data))}:
        target.write_bytes(data[:length])
        try:
            found = list(read(target, kind))
        except ResultError:  # not even the header is there
            found = []
        good = [r for r in found if r in records]
        before = max(0, len(found) - 1)
        assert found[:before] == good[:before] == records[:before], length
        if found and found[-1] not in records:  # a format of one person a line: the last frame lacks one
            assert kind in ("coco", "sleap")
        with open_writer(target, format=kind, resume=True) as writer:
            for i in range(4):
                writer.write(frame(i, COUNTS[i % 3]))
        assert target.read_bytes() == data, length


def test_a_tail_that_is_half_written_over(tmp_path):
    """A frame's write that was cut: the old brackets stand behind its first bytes."""
    for kind in ("json", "coco"):
        whole = undisturbed(tmp_path / kind / "p.json", kind, 3)
        more = tmp_path / "more.json"
        with open_writer(more, format=kind) as writer:
            for i in range(5):
                writer.write(frame(i, COUNTS[i % 3]))
        old, new = whole.read_bytes(), more.read_bytes()
        start = next(i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
        for cut in range(start, start + 40):
            whole.write_bytes(new[:cut] + old[cut:])
            assert [r.index for r in read(whole, kind) if len(r.poses)] == [1, 2]
            with open_writer(whole, format=kind, resume=True) as writer:
                for i in range(5):
                    writer.write(frame(i, COUNTS[i % 3]))
            assert whole.read_bytes() == new


def test_several_go_on_each_from_its_own_place(tmp_path):
    targets = [str(tmp_path / "a.jsonl"), f"coco={tmp_path / 'b.json'}"]
    undisturbed(tmp_path / "whole" / "a.jsonl", "jsonl", 9)
    undisturbed(tmp_path / "whole2" / "b.json", "coco", 9)
    killed_after(6, tmp_path / "a.jsonl", "jsonl")
    killed_after(3, tmp_path / "b.json", "coco")
    with open_writer(targets, resume=True) as writer:
        assert writer.done == 1
        assert [w.done for w in writer.writers] == [5, 1]
        for i in range(writer.done + 1, 9):
            writer.write(frame(i, COUNTS[i % 3]))
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "whole" / "a.jsonl").read_bytes()
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "whole2" / "b.json").read_bytes()


def test_resume_of_another_skeleton_is_refused(tmp_path):
    for kind in ("jsonl", "json", "sleap", "dlc", "coco-dataset"):
        target = tmp_path / kind / KINDS[kind]
        undisturbed(target, kind, 3)
        with pytest.raises((OptionError, ResultError), match="expected"), open_writer(target, format=kind, skeleton=HAND, resume=True) as writer:
            writer.write(frame(5, 1, HAND))
        assert list(read(target))


def test_without_resume_it_begins_anew_with_the_first_frame(tmp_path):
    target = undisturbed(tmp_path / "a" / "p.jsonl", "jsonl", 5)
    before = target.read_bytes()
    writer = open_writer(target)
    assert target.read_bytes() == before
    writer.write(frame(0, 1))
    writer.close()
    assert [r.index for r in read(target)] == [0]


@pytest.mark.parametrize("kind", ["jsonl", "json", "coco", "sleap"])
def test_a_full_disk_keeps_what_was_written(tmp_path, kind, monkeypatch):
    """The disk takes a part of a frame and then no more."""
    target = tmp_path / KINDS[kind]
    writer = open_writer(target, format=kind)
    for i in range(3):
        writer.write(frame(i, COUNTS[i % 3]))
    before, write = target.read_bytes(), Growing._write

    def fills(self: Growing, data: bytes) -> None:
        write(self, data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Growing, "_write", fills)
    with pytest.raises(OSError, match="No space left") as caught:
        writer.write(frame(4, 2))
    assert caught.value.filename == str(target)
    monkeypatch.undo()
    writer._file._restore()  # which the full disk did not let happen above
    assert target.read_bytes() == before
    writer.write(frame(4, 2))
    writer.close()
    assert [r.index for r in read(target, kind) if len(r.poses)] == [1, 2, 4]


@pytest.fixture
def small_disk(tmp_path):
    """64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"no small disk can be made here: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_is_really_full(small_disk, kind):
    needed(kind)
    target = small_disk / KINDS[kind]
    writer, written = open_writer(target, format=kind), 0
    with pytest.raises(OSError, match="No space left") as caught:  # noqa: PT012  # which frame it is does not matter
        for i in range(10_000):
            writer.write(frame(i, 1))
            written += 1
    assert str(target) in str(caught.value.filename)
    assert written > 5
    assert [r.index for r in read(target, None if kind in ("coco-dataset", "dlc", "parquet") else kind)] == list(range(written))
    if kind in ("coco-dataset", "dlc"):  # there is no room to fold it
        with pytest.raises(OSError, match="No space left"):
            writer.close()
        assert len(list(read(target))) == written


def test_devices(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught, JsonLines("/dev/full") as writer:
        writer.write(frame(0, 1))
    assert caught.value.filename == "/dev/full"
    with open_writer("jsonl=/dev/null") as writer:
        writer.write(frame(0, 1))


def test_nothing_is_written_over_its_source(tmp_path, photo):
    source = tmp_path / "match.mp4"
    source.write_bytes(b"a video")
    os.link(source, tmp_path / "link.csv")
    with pytest.raises(OptionError, match="would be written over"):
        open_writer(tmp_path / "link.csv", sources=[source])
    for target in (f"jsonl={source}", f"coco-dataset={source}", str(tmp_path / "link.csv"), str(source)):
        writer = open_writer(target)
        with pytest.raises(OptionError, match="would be written over"):
            writer.write(frame(0, 1, path=str(source)))
    assert source.read_bytes() == b"a video"
    picture = tmp_path / "a_poses.jpg"
    picture.write_bytes(photo.read_bytes())
    given = frame(0, 1, path=str(tmp_path / "a.jpg"))
    with open_writer(f"{tmp_path}/") as writer:
        writer.write(given)
    assert picture.read_bytes() == photo.read_bytes()
    assert cv2.imread(str(tmp_path / "a_000000000000_poses.jpg")).shape == (48, 64, 3)


def test_an_empty_file_of_poses_is_no_trouble(tmp_path):
    (tmp_path / "a.jsonl").touch()
    with open_writer(tmp_path / "a.jsonl", resume=True) as writer:
        assert writer.done == -1
    assert list(read(tmp_path / "a.jsonl")) == []
