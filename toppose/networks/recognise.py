"""A file -> its card, by what it says of itself: metadata, names and shapes of its outputs. What stays open is a CardError, never a guess."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toppose.errors import CardError
from toppose.networks.card import LARGEST, ModelCard
from toppose.runtime import Session

_TASKS = ("detect", "pose", "segment")  # whose heads give boxes of persons
Metadata = Mapping[str, str]


def recognise_detector(path: Path, session: Session) -> ModelCard:
    """The card of an Ultralytics export, which describes itself: `names`, `imgsz`, `task`, `end2end`, and the head by the shape of its output.

    Pose and segmentation networks are taken for the boxes that they give too."""
    meta = session.metadata
    if not {"names", "imgsz"} <= set(meta):
        raise CardError(f"{str(path)!r}: expected {_card_of(path)}, or an Ultralytics export with names and imgsz in its metadata")
    task, head = meta.get("task", "detect"), meta.get("head", "")
    if task not in _TASKS:
        raise CardError(f"{str(path)!r}: expected a network of task {', '.join(_TASKS)}; its metadata says {task!r}")
    if "rtdetr" in head.lower():
        raise CardError(f"{str(path)!r}: its metadata says head {head!r}, whose boxes are shares of the picture: not read yet; {_CURE}")
    names = class_names(meta["names"])
    if not names:
        raise CardError(f"{str(path)!r}: expected {_card_of(path)}, or class names in its metadata; got names {meta['names'][:80]!r}")
    w, h = _size(path, session)
    person, rows = _person(path, names), _head(path, session, names, (w, h))
    whole = int(session.dtype.kind in "iu")  # such a network takes pixels as they are
    try:
        return ModelCard(
            **{
                "name": path.stem,
                "task": "detect",
                "file": str(path.absolute()),
                "license": meta.get("license", "unknown"),
                "origin": meta.get("description", ""),
                "input": {"size": (w, h), "mean": (0, 0, 0), "std": ((1,) if whole else (255,)) * 3, "border": 114},
                "output": {"kind": "yolo", "person": person, **rows},
            }
        )
    except CardError as e:
        raise CardError(f"{str(path)!r}: {e}") from None


_CURE = "export a YOLO network, or write a card beside it"


def _card_of(path: Path) -> str:
    return f"a card {path.with_suffix('.json').name!r} beside it"


def class_names(text: str) -> dict[int, str]:
    """Ultralytics' `names` as a dict or list, in Python's or JSON's writing -> names by index; {} for anything else."""
    said = literal(text)
    if isinstance(said, (list, tuple)):
        said = dict(enumerate(said))
    if not isinstance(said, dict) or not all(isinstance(v, str) and str(k).isdecimal() for k, v in said.items()):
        return {}
    return {int(k): v for k, v in said.items()}


def literal(text: Any) -> Any:
    """A value written in Python or JSON; None for what is neither."""
    for read in (ast.literal_eval, json.loads):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def _person(path: Path, names: dict[int, str]) -> int:
    found = [k for k, v in names.items() if v.strip().lower() == "person"]
    if not found and len(names) > 1:
        raise CardError(f"{str(path)!r}: expected a class named 'person', got {list(names.values())[:12]}")
    return found[0] if found else next(iter(names))  # one class of another name: pedestrian, head, item


def _size(path: Path, session: Session) -> tuple[int, int]:
    """(w, h): the file's own, else `imgsz`, an int or [h, w]."""
    said = literal(session.metadata["imgsz"])
    sides = [said, said] if isinstance(said, int) else said
    if not isinstance(sides, (list, tuple)) or len(sides) != 2 or not all(type(n) is int and 0 < n <= LARGEST for n in sides):
        got = session.metadata["imgsz"][:80]
        raise CardError(
            f"{str(path)!r}: expected {_card_of(path)}, or imgsz in its metadata as a number or [height, width] up to {LARGEST}; got {got!r}"
        )
    return session.shape[3] or sides[1], session.shape[2] or sides[0]


def _head(path: Path, session: Session, names: dict[int, str], size: tuple[int, int]) -> dict[str, Any]:
    """What the names of outputs, the metadata and the shapes say together: raw channels before anchors, or finished rows."""
    w, h = size
    session.check_size(f"the metadata of {path.name!r}", size)
    outputs = session.probe(f"the metadata of {path.name!r}", np.zeros((2, 3, h, w), session.dtype))
    rows = {n: a.shape for n, a in outputs.items() if a.ndim == 3 and a.dtype.kind == "f"}
    name = next((n for n in ("output0", "output") if n in rows), next(iter(rows), ""))
    if not rows or (len(rows) > 1 and not name.startswith("output")):
        got = {n: a.shape for n, a in outputs.items()}
        raise CardError(f"{str(path)!r}: expected a YOLO output (B, 4+classes, anchors) or (B, K, 6), or a card that says otherwise; got {got}")
    _, first, second = rows[name]
    classes, extra = max(names) + 1, _extra(session.metadata, outputs)
    raw, finished = first == 4 + classes + extra, second == 6 + extra
    if raw and finished:  # as many boxes as channels: the metadata decides, else the number of anchors that this size has
        raw = not _is_end2end(session.metadata) and second > 6 + extra
        finished = _is_end2end(session.metadata)
    elif finished and not extra and not _is_end2end(session.metadata) and first > 1000:
        finished = False
    if raw == finished:
        said = f"{classes} classes" + (f" and {extra} more numbers a box" if extra else "")
        expected = f"expected (B, {4 + classes + extra}, anchors) or (B, K, {6 + extra}) for its {said}"
        raise CardError(f"{str(path)!r}: {expected}, or {_card_of(path)}; its output {name!r} is {rows[name]}")
    return {"head": "raw" if raw else "end2end", "names": (name,), **({"classes": classes} if raw and extra else {})}


def _is_end2end(meta: Metadata) -> bool:
    """Whether the file says that its rows are finished, by its head or by suppression inside."""
    args = literal(meta.get("args", ""))
    return literal(meta.get("end2end", "")) is True or (isinstance(args, dict) and args.get("nms") is True) or literal(meta.get("nms", "")) is True


def _extra(meta: Metadata, outputs: Mapping[str, Any]) -> int:
    """Numbers a box beyond box and classes: joints of a pose network, mask coefficients of a segmentation network."""
    if meta.get("task") == "pose":
        shape = literal(meta.get("kpt_shape", ""))
        return math.prod(shape) if isinstance(shape, (list, tuple)) and all(isinstance(n, int) for n in shape) else 51
    if meta.get("task") == "segment":
        return next((a.shape[1] for a in outputs.values() if a.ndim == 4), 32)
    return 0
