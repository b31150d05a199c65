"""Parquet, for pandas, Polars, DuckDB and Spark: the rows of JSON Lines, one a person. Needs the extra `parquet` (pyarrow)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from toppose.errors import MissingDependency, ResultError
from toppose.results.folded import Folded
from toppose.results.record import Record, from_plain, layout, to_plain
from toppose.skeleton import COCO17, Skeleton

GROUP = 10_000  # rows
KEY = b"toppose"  # of the file's metadata: skeleton, joints, fps, as JSON


class Parquet(Folded):
    """Columns: index int64, time float64 (s), path string, width and height int32, id int64, box list<float> (x1, y1, x2, y2), box_score float,
    keypoints list<list<float>> (x, y of each joint), scores list<float>. A frame with nobody is one row whose box is null, so that no frame is lost;
    without ids, and where the size is not known, those are null. `KEY` of the metadata is JSON with skeleton, joints, fps."""

    def __init__(self, target: str | os.PathLike[str], skeleton: Skeleton = COCO17, *, fps: float | None = None, resume: bool = False) -> None:
        _pyarrow()  # before any work is done
        super().__init__(target, skeleton, fps=fps, resume=resume)

    def _fold(self, part: Path) -> None:
        pa, pq = _pyarrow()
        head = {**layout(self.skeleton), "fps": self._fps}
        schema = _schema(pa).with_metadata({KEY: json.dumps(head).encode()})
        with pq.ParquetWriter(part, schema, compression="zstd") as file:
            for rows in _groups(_rows(self._records())):
                file.write_table(pa.Table.from_pylist(rows, schema=schema))

    def _unfold(self) -> Iterator[Record]:
        return read_parquet(self.target)


def read_parquet(path: Path, fps: float | None = None, skeleton: Skeleton | None = None) -> Iterator[Record]:
    """The frames; `fps` and `skeleton` are in the file."""
    pa, pq = _pyarrow()
    try:
        with pq.ParquetFile(path) as file:
            head = json.loads((file.schema_arrow.metadata or {})[KEY])
            rows = (row for batch in file.iter_batches(GROUP) for row in batch.to_pylist())
            for index, group in groupby(rows, lambda row: row["index"]):
                people = list(group)
                yield from_plain({**people[0], "people": [p for p in people if p["box"] is not None]}, head, f"{path}, frame {index}")
    except (pa.ArrowException, KeyError) as e:
        raise ResultError(f"{path}: expected a Parquet file of toppose ({type(e).__name__}: {e})") from None


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as e:
        raise MissingDependency(f"Parquet needs pyarrow, which cannot be imported ({e}). Cure: pip install 'toppose[parquet]'") from None
    return pyarrow, pyarrow.parquet


def _schema(pa: Any) -> Any:
    numbers = pa.list_(pa.float32())
    head = [("index", pa.int64()), ("time", pa.float64()), ("path", pa.string()), ("width", pa.int32()), ("height", pa.int32())]
    return pa.schema(
        [*head, ("id", pa.int64()), ("box", numbers), ("box_score", pa.float32()), ("keypoints", pa.list_(numbers)), ("scores", numbers)]
    )


def _rows(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    for record in records:
        plain = to_plain(record)
        plain["path"] = os.fsencode(plain["path"]).decode("utf-8", "replace")  # a file name need not be UTF-8, a string must
        people = plain.pop("people")
        yield from ({**plain, **person} for person in people or [{}])


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group
