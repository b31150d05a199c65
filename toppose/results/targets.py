"""Which writer and which reader a file gets: by its name, or as FORMAT=PATH."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from toppose.errors import OptionError, ResultError
from toppose.results import coco, csv, document, jsonl, openpose, parquet, pictures, video
from toppose.results.folded import journal_of
from toppose.results.record import Record
from toppose.results.several import Several
from toppose.results.writer import Writer, same
from toppose.skeleton import COCO17, Skeleton

WRITERS: dict[str, type[Writer]] = {
    "jsonl": jsonl.JsonLines,
    "json": document.Document,
    "coco": coco.CocoResults,
    "coco-dataset": coco.CocoDataset,
    "sleap": csv.SleapCsv,
    "dlc": csv.DlcCsv,
    "openpose": openpose.OpenPose,
    "parquet": parquet.Parquet,
    "video": video.Video,
    "pictures": pictures.Pictures,
}
READERS: dict[str, Callable[[Path, float | None, Skeleton | None], Iterator[Record]]] = {
    "jsonl": jsonl.read_jsonl,
    "json": document.read_document,
    "coco": coco.read_results,
    "coco-dataset": coco.read_dataset,
    "sleap": csv.read_sleap,
    "dlc": csv.read_dlc,
    "openpose": openpose.read_openpose,
    "parquet": parquet.read_parquet,
}
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "sleap", ".parquet": "parquet", **dict.fromkeys(video.SUFFIXES, "video")}
FORMATS = tuple(WRITERS)
_DRAWN = ("video", "pictures")
Target = str | os.PathLike[str]


def parse_target(target: Target) -> tuple[str | None, Path]:
    """FORMAT=PATH -> both; a PATH alone -> None and it. What stands before "=" and is no format is an OptionError; ./a=b.csv is a path.

    >>> parse_target("coco=poses.json")[0]
    'coco'
    """
    text = os.fspath(target)
    name, separator, path = text.partition("=")
    if not separator or not re.fullmatch(r"[\w-]*", name) or not isinstance(target, str):
        return None, _path(text)
    return check_format(name, "; for a file of that name write ./ before it"), _path(path)


def format_of(target: Target) -> str:
    """The format by the name: its suffix; a folder (that is there, or a name that ends in /) is of pictures, or OpenPose's where it ends in json."""
    text = os.fspath(target)
    path, folder = Path(text), text.endswith(("/", os.sep)) or os.path.isdir(text)
    if (folder or not path.suffix) and path.name.lower().endswith("json"):
        return "openpose"
    if folder:
        return "pictures"
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"target: expected one of {', '.join(SUFFIXES)}, DIR/ (pictures), a folder ending in json (OpenPose), or FORMAT=PATH with "
                          f"FORMAT one of {', '.join(FORMATS)}; got {text!r}")  # fmt: skip
    return SUFFIXES[path.suffix.lower()]


def open_writer(
    target: Target | Sequence[Target],
    *,
    format: str | None = None,
    skeleton: Skeleton = COCO17,
    fps: float | None = None,
    codec: video.Codec | None = None,
    threshold: float = 0.3,
    boxes: bool = False,
    line_width: float | None = None,
    resume: bool = False,
    sources: Iterable[Target] = (),
) -> Writer:
    """The writer of a target, PATH or FORMAT=PATH, or of several at once. `Writer` has its two methods, each format's class what it keeps.

    fps: frames per second of the source where known; codec ("h264", "av1") of video; threshold, boxes, line_width as `Poses.draw` has them, of video
    and pictures; resume: go on with what a run that was killed left there; sources: files that are never written over."""
    given = [target] if isinstance(target, (str, os.PathLike)) else list(target)
    if not given or (format is not None and len(given) > 1):
        raise OptionError(f"target: expected one target or more, and one where format is given, got {len(given)}")
    named = [(check_format(format), _path(os.fspath(t))) if format is not None else parse_target(t) for t in given]
    texts = [os.fspath(t) for t in given]
    found = [(name or format_of(text), path) for (name, path), text in zip(named, texts, strict=True)]
    _check_apart([path for _, path in found], [Path(s) for s in sources])
    options = {"fps": fps, "codec": codec, "threshold": threshold, "boxes": boxes, "line_width": line_width}
    writers = [_open(name, path, skeleton, resume, options) for name, path in found]
    return writers[0] if len(writers) == 1 else Several(writers, skeleton)


def read(path: Target, format: str | None = None, *, fps: float | None = None, skeleton: Skeleton | None = None) -> Iterator[Record]:
    """The frames of a file that a writer (or somebody else's program) wrote, in order, as `Record`s: frames without pictures.

    format: jsonl, json, coco, coco-dataset, sleap, dlc, openpose or parquet; by default what name and content say. Coordinates come back to 1/100 px,
    scores to 4 digits. fps: for formats that have no times (time is index / fps, without it 0); skeleton: for formats that do not name the joints.
    Of a file that a kill cut short come the whole frames before that. What cannot be read is a ResultError, raised where it stands."""
    file = _path(os.fspath(path))
    if not file.exists() and journal_of(file).exists():  # a run that was killed before it could fold it
        file, format = journal_of(file), "jsonl"
    if not file.exists():
        raise ResultError(f"{os.fspath(path)}: expected a file or folder that is there")
    name = _recognise(file) if format is None else check_format(format)
    if name in _DRAWN:
        raise ResultError(f"{os.fspath(path)}: expected a format that holds poses, got {name}")
    if file.is_dir() != (name == "openpose"):
        raise ResultError(f"{os.fspath(path)}: expected a {'folder' if name == 'openpose' else 'file'} for the format {name}")
    return READERS[name](file, fps, skeleton)


def check_format(name: str, hint: str = "") -> str:
    if name not in WRITERS:
        raise OptionError(f"format: expected one of {', '.join(FORMATS)}, got {name!r}{hint}")
    return name


def _open(name: str, path: Path, skeleton: Skeleton, resume: bool, options: dict[str, Any]) -> Writer:
    taken = {"video": tuple(options), "pictures": ("threshold", "boxes", "line_width")}.get(name, ("fps",))
    kind: Any = WRITERS[name]
    writer: Writer = kind(path, skeleton, resume=resume, **{key: options[key] for key in taken})
    return writer


def _path(text: str) -> Path:
    if not text:
        raise OptionError("target: expected a path, got ''")
    return Path(text)


def _check_apart(paths: list[Path], sources: list[Path]) -> None:
    if twice := next((a for a, b in combinations(paths, 2) if same(a, b)), None):
        raise OptionError(f"target: expected each file once, got {str(twice)!r} twice")
    if over := next((p for p in paths for s in sources if not p.is_dir() and same(p, s)), None):
        raise OptionError(f"target: expected another file than the sources, got {str(over)!r}, which would be written over")


def _recognise(path: Path) -> str:
    """Of what is called .json and .csv also by the content."""
    if path.is_dir():
        return "openpose"
    name = format_of(path)
    if name == "sleap":
        with path.open("rb") as file:
            return "dlc" if file.read(6) == b"scorer" else "sleap"
    return name if name != "json" else _recognise_json(path)


def _recognise_json(path: Path) -> str:
    data = path.read_bytes()
    if data.lstrip()[:1] == b"[":
        return "coco"
    try:
        return "coco-dataset" if "annotations" in json.loads(data) else "json"
    except (ValueError, TypeError):
        return "json"  # cut short: the format that may be
