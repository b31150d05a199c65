"""The command line: `toppose predict`, `info`, `bench`, `eval`; joined in `main`."""

from __future__ import annotations

from toppose.cli.main import main

__all__ = ["main"]
