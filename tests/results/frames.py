"""Frames made by hand, and how much of them each format keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from toppose import COCO17, Poses, Skeleton
from toppose.results import Record
from toppose.video import Frame

HAND = Skeleton("hand3", ("wrist", "thumb_tip", "index_tip"), ((0, 1), (0, 2)), sigmas=(0.1, 0.05, 0.05))
KINDS = {"jsonl": "p.jsonl", "json": "p.json", "coco": "p.json", "coco-dataset": "p.json", "sleap": "p.csv", "dlc": "p.csv", "openpose": "p_json",
         "parquet": "p.parquet"}  # fmt: skip
TEXT = [name for name in KINDS if name != "parquet"]


def frame(index: int, people: int, skeleton: Skeleton = COCO17, ids: bool = True, path: str = "match.mp4") -> Frame:
    """Numbers of two and four digits behind the point, and more, that differ between frames, people and joints."""
    rng = np.random.default_rng(index)
    J = len(skeleton)
    points = rng.uniform(0, 60, (people, J, 2))
    boxes = np.concatenate([points.min(1), points.max(1)], -1) if people else np.zeros((0, 4))
    numbers = np.arange(people) + index % 2 if ids and people else None
    poses = Poses(points, rng.uniform(0.01, 1, (people, J)), boxes, rng.uniform(0, 1, people), skeleton, numbers)
    return Frame(index, index / 30, np.full((48, 64, 3), index % 200, np.uint8), path, poses)


def clip(skeleton: Skeleton = COCO17, ids: bool = True) -> list[Frame]:
    return [frame(i, n, skeleton, ids) for i, n in enumerate((0, 2, 1, 0, 0, 3, 1))]


def one_person(ids: bool = True) -> Frame:
    """The frame of the tables written out by hand."""
    poses = Poses([[[1, 2], [3.14159, 4.996], [-0.001, 6]]], [[0.9, 0.12345, 0.29]], [[0, 1.5, 10.25, 20]], [0.8], HAND, [7] if ids else None)
    return Frame(1, 1 / 30, np.zeros((48, 64, 3), np.uint8), "a.mp4", poses)


def nobody(index: int = 0) -> Frame:
    return Frame(index, index / 30, np.zeros((48, 64, 3), np.uint8), "a.mp4", Poses.empty(HAND))


def rounded(given: Frame) -> Record:
    """To 1/100 px, 4 digits and the microsecond."""
    p = given.poses
    columns = ((p.keypoints, 2), (p.scores, 4), (p.boxes, 2), (p.box_scores, 4))
    poses = Poses(*(np.round(np.asarray(a, np.float64), digits) for a, digits in columns), p.skeleton, p.ids)
    return Record(given.index, round(given.time, 6), given.path, (64, 48), poses)


def content(path: Path) -> bytes:
    """Of a file, or of all files in a folder with their names."""
    if path.is_dir():
        return b"".join(p.name.encode() + p.read_bytes() for p in sorted(path.iterdir()))
    return path.read_bytes()


def killed_after(count: int, target: Path, kind: str, body: str = "") -> None:
    """Another process writes `count` frames of an endless clip to `target`, and is killed before it can close it."""
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from frames import frame
from toppose.results import open_writer
{body}
writer = open_writer({str(target)!r}, format={kind!r}, resume=True)
for i in range(writer.done + 1, {count}):
    writer.write(frame(i, (0, 2, 1)[i % 3]))
os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == -9, run.stderr
