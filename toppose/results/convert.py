"""One file of poses into another."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import chain

from toppose.errors import OptionError
from toppose.results.files import check_file, whole
from toppose.results.folded import journal_of
from toppose.results.record import Record
from toppose.results.targets import Target, check_format, format_of, open_writer, parse_target, read
from toppose.results.writer import Writer, same
from toppose.skeleton import COCO17


def convert(
    source: Target, target: Target, source_format: str | None = None, target_format: str | None = None, fps: float | None = None
) -> tuple[int, int]:
    """Reads `source` and writes `target`, whole or not at all; of OpenPose's folder each file. How many frames and people that were.

    Both may be FORMAT=PATH. `fps` is for formats that have no times."""
    before, origin = parse_target(source)
    name, place = parse_target(target)
    name = target_format or name or format_of(target)
    if check_format(name) in ("video", "pictures"):
        raise OptionError(f"target: expected a format that holds poses, got {name}, which needs pictures")
    if same(origin, place):
        raise OptionError(f"target: expected another file than the source, got {os.fspath(target)!r} twice")
    records = read(origin, source_format or before, fps=fps)
    first = next(records, None)
    skeleton = first.poses.skeleton if first else COCO17
    rest = chain([first] if first else [], records)
    if name == "openpose":
        with open_writer(place, format=name, skeleton=skeleton, fps=fps) as writer:
            return _copy(rest, writer)
    check_file(place)
    with whole(place) as part:
        try:
            with open_writer(part, format=name, skeleton=skeleton, fps=fps) as writer:
                return _copy(rest, writer)
        finally:
            journal_of(part).unlink(missing_ok=True)


def _copy(records: Iterable[Record], writer: Writer) -> tuple[int, int]:
    frames = people = 0
    for record in records:
        writer.write(record)
        frames, people = frames + 1, people + len(record.poses)
    return frames, people
