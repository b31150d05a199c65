"""The command line: `toppose predict`, `info`, `bench`, `eval`; one file a command, joined in `main`.

Nothing slow is imported before `main` listens for Ctrl-C."""

from __future__ import annotations

from toppose.cli.main import main

__all__ = ["main"]
