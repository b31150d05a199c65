"""Rows in batches that fit into memory, several side by side where that pays."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from toppose.errors import OutOfMemory

log = logging.getLogger("toppose")


class Batches:
    """Calls `work(first, last)` for rows first...last-1 of each batch, `runs` of them at a time.

    A batch for which memory does not suffice is halved and done again, and the batches after it are that small too; the log says so once."""

    def __init__(self, size: int, runs: int = 1) -> None:
        self.size, self.runs = size, runs
        self._start()
        self._told = False

    def _start(self) -> None:
        self._process = os.getpid()
        self._pool = ThreadPoolExecutor(self.runs, "toppose") if self.runs > 1 else None

    def __call__(self, count: int, work: Callable[[int, int], None]) -> None:
        if self._process != os.getpid():  # forked: the threads stayed behind, and would be waited for without end
            self._start()
        if self._pool is None:
            self._fit(work, 0, count)
        else:
            size = self.size
            list(self._pool.map(lambda first: self._fit(work, first, min(first + size, count)), range(0, count, size)))

    def _fit(self, work: Callable[[int, int], None], first: int, last: int) -> None:
        """Does rows first...last-1 in batches of what is known to fit by then."""
        while first < last:
            size = min(self.size, last - first)
            try:
                work(first, first + size)
                first += size
            except OutOfMemory:
                if size < 2:
                    raise
                self._halve(size)

    def _halve(self, size: int) -> None:
        self.size = min(self.size, (size + 1) // 2)
        if not self._told:
            self._told = True
            log.warning("no memory for a batch of %d: going on with smaller ones", size)
