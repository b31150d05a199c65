"""How far a command is: on stderr, as n/total, or n where nobody knows how many there are."""

from __future__ import annotations

import os
import sys
from time import monotonic
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

EVERY = 10.0  # seconds between two lines where there is no terminal


class Progress:
    """tqdm's bar where stderr is a terminal, elsewhere one line every ten seconds. One thing alone needs neither."""

    def __init__(self, total: int | None, what: str) -> None:
        self.total, self.what, self.done = total, what, 0
        self._begin = monotonic()
        self._next = self._begin + EVERY
        self._bar: Any = None
        if total != 1 and sys.stderr.isatty():
            sized = os.get_terminal_size(sys.stderr.fileno()).columns > 0  # some terminals do not say, and would get no bar
            size: dict[str, Any] = {"dynamic_ncols": True} if sized else {"ncols": 80, "nrows": 24}
            self._bar = tqdm(total=total, unit=f" {what}", file=sys.stderr, **size)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, **notes: int) -> None:
        """One more is done; `notes` are figures to tell beside it."""
        self.done += 1
        if self._bar is not None:
            if notes:
                self._bar.set_postfix(notes, refresh=False)
            self._bar.update()
        elif self.total != 1 and (now := monotonic()) >= self._next:
            self._next = now + EVERY
            done = f"{self.done}/{self.total}" if self.total else str(self.done)
            rest = "".join(f", {value} {name}" for name, value in notes.items())
            rate = f", {self.done / (now - self._begin):.1f} a second" if notes else ""
            print(f"toppose: {done} {self.what}{rate}{rest}", file=sys.stderr)

    def say(self, line: str, stream: TextIO) -> None:
        """Prints a line above the bar."""
        if self._bar is not None:
            tqdm.write(line, file=stream)
        else:
            print(line, file=stream)
