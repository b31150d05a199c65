"""Which format a name means, and `toppose convert`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from results.frames import HAND, KINDS, clip, content, frame, killed_after

from toppose import MissingDependency, OptionError
from toppose.cli import main
from toppose.results import FORMATS, Several, format_of, open_writer, parse_target, read


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("a.jsonl", "jsonl"),
        ("a.NDJSON", "jsonl"),
        ("a.json", "json"),
        ("a.csv", "sleap"),
        ("a.parquet", "parquet"),
        ("a.mp4", "video"),
        ("a.mkv", "video"),
        ("a.webm", "video"),
        ("a.mov", "video"),
        ("drawn/", "pictures"),
        ("out_json", "openpose"),
        ("json/", "openpose"),
        ("a.json/", "openpose"),
        (Path("a.csv"), "sleap"),
    ],
)
def test_formats_by_name(target, expected):
    assert format_of(target) == expected


@pytest.mark.parametrize("target", ["a", "a.xml", "a.tar.gz"])
def test_names_without_a_format(target):
    with pytest.raises(OptionError, match=r"expected one of \.jsonl.*FORMAT one of jsonl, json, coco") as caught:
        format_of(target)
    assert repr(target) in str(caught.value)


def test_parse_target():
    assert parse_target("coco=a.json") == ("coco", Path("a.json"))
    assert parse_target("coco-dataset=x=y") == ("coco-dataset", Path("x=y"))
    assert parse_target("a.json") == (None, Path("a.json"))
    assert parse_target("./a=b.csv") == (None, Path("a=b.csv"))
    assert parse_target(Path("coco=b.csv")) == (None, Path("coco=b.csv"))
    with pytest.raises(OptionError, match=r"format: expected one of jsonl, .*, got 'xml'; for a file of that name write \./"):
        parse_target("xml=a.xml")
    with pytest.raises(OptionError, match="target: expected a path, got ''"):
        parse_target("coco=")


def test_a_folder_that_is_there(tmp_path):
    assert format_of(tmp_path) == "pictures"
    (tmp_path / "json").mkdir()
    assert format_of(tmp_path / "json") == "openpose"


def test_several(tmp_path):
    with open_writer([str(tmp_path / "a.jsonl"), f"coco={tmp_path / 'b.json'}", f"{tmp_path}/d/"]) as writer:
        assert isinstance(writer, Several)
        assert (writer.needs_ids, writer.needs_image) == (False, True)
        for f in clip():
            writer.write(f)
    assert len(list(read(tmp_path / "a.jsonl"))) == 7
    assert len(list(read(tmp_path / "b.json"))) == 4
    assert len(list((tmp_path / "d").iterdir())) == 7


def test_one_that_fails_does_not_keep_the_others(tmp_path):
    writer = open_writer(["jsonl=/dev/full", str(tmp_path / "a.jsonl")])
    for i in range(2):
        with pytest.raises(OSError, match="No space left"):
            writer.write(frame(i, 1))
    with pytest.raises(OSError, match="No space left"):
        writer.close()
    assert [r.index for r in read(tmp_path / "a.jsonl")] == [0, 1]


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ([], {}, "expected one target or more"),
        (["a.csv", "b.csv"], {"format": "dlc"}, "one where format is given, got 2"),
        (["a.csv", "./a.csv"], {}, "expected each file once"),
        ("a.csv", {"format": "xml"}, "format: expected one of"),
        ("a.csv", {"skeleton": "coco"}, "skeleton: expected a Skeleton"),
        ("nowhere/a.csv", {}, "expected a file in a folder that is there"),
        ("dlc=.", {}, "expected a file in a folder"),
        ("file/", {"format": "pictures"}, "expected a folder, or a place for a new one"),
    ],
)
def test_wrong_targets(tmp_path, monkeypatch, target, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match=message):
        open_writer(target, **options)


def test_a_package_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependency, match=r"pip install 'toppose\[parquet\]'"):
        open_writer(tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_convert_there_and_back(tmp_path, kind, capsys):
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    first, other, back = tmp_path / "a.jsonl", tmp_path / "b" / KINDS[kind], tmp_path / "c" / KINDS[kind]
    for place in (other, back):
        place.parent.mkdir()
    with open_writer(first) as writer:
        for f in clip():
            writer.write(f)
    assert main(["convert", str(first), str(other), "--to", kind]) == 0
    assert capsys.readouterr().out == f"{other}: 7 frames, 7 people\n"
    assert main(["convert", str(other), f"{kind}={back}", "--from", kind]) == 0
    assert [len(r.poses) for r in read(back, kind)] == [len(r.poses) for r in read(other, kind)]
    if kind != "parquet":
        assert content(back) == content(other)
    assert [p.name for p in other.parent.iterdir()] == [other.name]


def test_convert_of_another_skeleton(tmp_path):
    with open_writer(tmp_path / "a.jsonl", skeleton=HAND) as writer:
        for f in clip(HAND):
            writer.write(f)
    assert main(["convert", str(tmp_path / "a.jsonl"), str(tmp_path / "b.json")]) == 0
    assert [r.poses.skeleton for r in read(tmp_path / "b.json")] == [HAND] * 7


def test_convert_what_a_kill_left(tmp_path, caplog):
    killed_after(4, tmp_path / "a.json", "coco-dataset")
    assert main(["convert", str(tmp_path / "a.json"), str(tmp_path / "b.csv")]) == 0
    assert [r.index for r in read(tmp_path / "b.csv")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["a.jsonl", "a.jsonl"], 2, "expected another file than the source"),
        (["a.jsonl", "b.mp4"], 2, "expected a format that holds poses, got video"),
        (["a.jsonl", "b.xml"], 2, "target: expected one of .jsonl"),
        (["a.jsonl", "b.csv", "--to", "xml"], 2, "format: expected one of jsonl"),
        (["a.jsonl", "nowhere/b.csv"], 2, "expected a file in a folder that is there"),
        (["nothing.jsonl", "b.csv"], 1, "nothing.jsonl: expected a file or folder that is there"),
        (["broken.jsonl", "b.json"], 1, "line 4: expected JSON"),
        (["a.jsonl", "b.csv"], 1, "expected people with ids"),
        (["a.jsonl", "jsonl=/dev/full"], 1, "/dev/full: No space left on device"),
    ],
)
def test_convert_refuses(tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    with open_writer("a.jsonl") as writer:
        for f in clip(ids=False):
            writer.write(f)
    lines = Path("a.jsonl").read_text().splitlines()
    Path("broken.jsonl").write_text("\n".join([*lines[:3], "broken", *lines[3:]]) + "\n")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert main(["convert", *arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("toppose: ")
    assert message in error
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before  # whole or not at all


def test_bad_usage_of_convert(capsys):
    for arguments in (["a"], ["a", ""], ["a", "b", "--fps", "0"]):
        with pytest.raises(SystemExit) as caught:
            main(["convert", *arguments])
        assert caught.value.code == 2
    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in FORMATS if name not in ("video", "pictures"))
