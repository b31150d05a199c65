"""Joins the commands: parser, exit codes, signals.

Exit codes: 0 done, 1 something failed, 2 bad usage; 130, 143 and 129 stopped by Ctrl-C, SIGTERM and SIGHUP; 141 nobody read standard output to
its end."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from toppose.cli.stop import Stops
from toppose.errors import OptionError, TopposeError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. Without `argv` it is the process's own, which is to end with it."""
    stops = Stops()
    try:
        stops.listen()
        return _run(argv, stops)
    except KeyboardInterrupt as e:
        number = getattr(e, "number", signal.SIGINT)
        return _fail("interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}", 128 + number)
    except BrokenPipeError:
        return 141  # what a shell makes of SIGPIPE
    finally:
        stops.ignore() if argv is None else stops.restore()
        _let_go()


def _run(argv: Sequence[str] | None, stops: Stops) -> int:
    _prepare_streams()
    args = _parser().parse_args(argv)
    args.stops = stops
    _silence_opencv()
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("toppose: %(message)s"))
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, handlers=[handler])
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except OptionError as e:
        return _fail(str(e), 2)
    except TopposeError as e:
        return _fail(str(e))
    except BrokenPipeError:
        raise
    except OSError as e:
        return _fail(f"{e.filename or 'standard output'}: {e.strerror or e}")
    except MemoryError as e:
        return _fail(f"not enough memory: {e}")


def _silence_opencv() -> None:
    """What it writes to stderr of a file that it cannot decode: that is said here, in one line."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _fail(message: str, code: int = 1) -> int:
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"toppose: {' '.join(message.splitlines())}", file=sys.stderr)
    return code


def _prepare_streams() -> None:
    """Every line goes out at once, and a file name that the terminal cannot show goes out escaped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # as long as the process
        if hasattr(stream := getattr(sys, name), "reconfigure"):
            stream.reconfigure(errors="backslashreplace", line_buffering=True)


def _let_go() -> None:
    """What can no longer be written is dropped here, or Python would complain of it when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
        except (AttributeError, ValueError):
            pass  # there is none, or it is closed: nothing to flush


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return " ".join(super().format(record).splitlines())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(2, f"toppose: {message}\n")


def _parser() -> argparse.ArgumentParser:
    import toppose
    from toppose.cli import bench, convert, eval, info, predict, smooth

    p = _Parser(prog="toppose", description="Every person in an image and the pixel coordinates of their joints.")
    p.add_argument("--version", action="version", version=f"toppose {toppose.__version__}")
    commands = p.add_subparsers(required=True, metavar="COMMAND")
    for command in (predict, smooth, convert, info, bench, eval):
        command.add(commands)
    return p
