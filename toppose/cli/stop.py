"""The signals that end a run: Ctrl-C, SIGTERM and SIGHUP. The standard library only, so that it stands before anything slow is imported."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, NoReturn

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PATIENCE = 2.0  # seconds that a run has to go from `Stopped` to writing what was done


class Stopped(KeyboardInterrupt):
    """The run was told to stop by the signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Stops:
    """Turns the first signal into `Stopped`. Those that follow at once are left aside, and all of them while what was done is written:
    it must not be lost."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._first = 0.0  # when it came
        self._held = False
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """From here on. What is ignored, as under nohup, stays ignored; only the main thread can listen."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        """As it was before `listen`."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def ignore(self) -> None:
        """Until the process is gone, while Python takes itself apart."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def hold(self) -> None:
        """From here on a signal is only noted."""
        self._held = True

    @contextmanager
    def work(self) -> Iterator[None]:
        """A signal ends what stands inside; what comes after it is not disturbed."""
        try:
            yield
        finally:
            self.hold()

    def check(self) -> None:
        """Raises `Stopped` for a signal that was only noted, or whose exception foreign code has swallowed."""
        if self.number is not None:
            raise Stopped(self.number)

    def _handle(self, number: int, frame: Any) -> None:
        if self.number is None:
            self.number, self._first = number, monotonic()
        elif monotonic() - self._first < PATIENCE:
            return
        if not self._held:  # after a while that means that foreign code has swallowed the first one
            raise Stopped(self.number)


def is_command() -> bool:
    """Whether this process is the command line, not a program that imports the library."""
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    if program == "-m":  # what Python calls it while it looks for the module
        return sys.orig_argv[sys.orig_argv.index("-m") + 1 :][:1] == ["toppose"]
    return program.removesuffix(".exe").removesuffix("-script.py") == "toppose"


def leave_at_once() -> None:
    """From here on Ctrl-C ends the process, in one line: for as long as nothing is done yet that could be lost."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def _leave(number: int, frame: Any) -> NoReturn:
    os.write(2, b"toppose: interrupted\n")
    os._exit(128 + number)
