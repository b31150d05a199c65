"""Rows in batches that fit into memory, several side by side where that pays."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from toppose.errors import OutOfMemory

log = logging.getLogger("toppose")


class Batches:
    """Calls `work(first, last)` for rows first...last-1 of each batch, `runs` of them at a time.

    A batch for which memory does not suffice is halved and done again, and the batches after it are that small too; the log says so once."""

    def __init__(self, size: int, runs: int = 1) -> None:
        self.size, self.runs = size, runs
        self._pool = ThreadPoolExecutor(runs, "toppose") if runs > 1 else None
        self._told = False

    def __call__(self, count: int, work: Callable[[int, int], None]) -> None:
        size = self.size
        spans = [(first, min(first + size, count)) for first in range(0, count, size)]
        if self._pool is None or len(spans) < 2:
            for first, last in spans:
                self._fit(work, first, last)
        else:
            list(self._pool.map(lambda span: self._fit(work, *span), spans))

    def _fit(self, work: Callable[[int, int], None], first: int, last: int) -> None:
        try:
            work(first, last)
        except OutOfMemory:
            if last - first < 2:
                raise
            half = (last - first + 1) // 2
            self.size = min(self.size, half)
            if not self._told:
                self._told = True
                log.warning("no memory for a batch of %d: going on with batches of %d or less", last - first, half)
            for start in range(first, last, half):
                self._fit(work, start, min(start + half, last))
