"""Paths and open files -> bytes, without reading what no picture can be."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

from toppose.errors import ImageError
from toppose.images.decode import decode
from toppose.images.signatures import HEAD, recognise
from toppose.images.types import Pixels, words

PIECE = 2**20
LEAST = 2**26  # a small picture may have large metadata
SPECIAL = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}  # which may never end


def read_path(path: str | os.PathLike[str], name: str, max_pixels: int) -> Pixels:
    """The picture in a file. Its first 64 KiB say whether the rest is read."""
    try:
        where = os.fspath(path)
        shown = f"{where[:200]!r}..." if len(where) > 200 else repr(where)
    except Exception as e:  # whatever an object's own __fspath__ raises
        raise ImageError(f"{name}: expected a path, got {type(path).__name__}, whose __fspath__ fails: {words(e)}") from None
    if not where:
        raise ImageError(f"{name}: expected the path of an image file, got an empty one")
    try:
        kind = os.stat(where).st_mode
        if stat.S_ISDIR(kind):
            raise ImageError(f"{name}: expected an image file, got the folder {shown}: pass the files in it")
        if special := SPECIAL.get(stat.S_IFMT(kind)):
            raise ImageError(f"{name}: expected an image file, got the {special} {shown}: pass the bytes that it gives")
        data = _read_file(where, f"{name} {shown}", max_pixels)
    except (OSError, ValueError) as e:
        if isinstance(e, ImageError):
            raise
        raise ImageError(f"{name}: cannot read {shown}: {_reason(e, where)}") from None
    return decode(data, f"{name} {shown}", max_pixels)


def read_stream(file: Any, name: str, max_pixels: int) -> Pixels:
    """The picture in an open binary file, from where it stands to its end."""
    called = getattr(file, "name", None)
    name = f"{name} {called!r}" if isinstance(called, str) else name
    head = b""
    while len(head) < HEAD and (piece := _piece(file, HEAD - len(head), name)):
        head += piece
    pieces, size, limit = [head], len(head), _limit(max_pixels)
    if size == HEAD:
        recognise(head, name)
        while piece := _piece(file, PIECE, name):
            pieces.append(piece)
            size += len(piece)
            _check_length(size, limit, name, max_pixels)
    return decode(b"".join(pieces), name, max_pixels)


def _read_file(path: str | bytes, name: str, max_pixels: int) -> bytes:
    with open(path, "rb", buffering=0) as file:
        head = file.read(HEAD)
        if len(head) < HEAD:
            return head + file.readall()
        recognise(head, name)
        _check_length(os.fstat(file.fileno()).st_size, _limit(max_pixels), name, max_pixels)
        file.seek(0)
        return file.readall()


def _piece(file: Any, size: int, name: str) -> bytes:
    try:
        piece = file.read(size)
    except Exception as e:  # closed, opened for writing, a broken archive, a connection that ended: each has its own exception
        raise ImageError(f"{name}: expected an open binary file; reading {type(file).__name__} failed: {words(e)}") from None
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    if piece is None:
        raise ImageError(f"{name}: expected an open binary file; {type(file).__name__} has nothing to read yet")
    if hasattr(piece, "close"):
        piece.close()  # a coroutine that is never awaited would be warned of
    cure = 'open it with "rb"' if isinstance(piece, str) else "pass the bytes"
    raise ImageError(f"{name}: expected an open binary file; read() of {type(file).__name__} gives {type(piece).__name__}: {cure}")


def _limit(max_pixels: int) -> int:
    return max(8 * max_pixels, LEAST)


def _check_length(size: int, limit: int, name: str, max_pixels: int) -> None:
    """No picture of max_pixels has more bytes than four uncompressed 16-bit channels."""
    if size > limit:
        raise ImageError(f"{name}: expected at most {limit} bytes (8 for each of max_pixels={max_pixels}), got {size}: pass a larger max_pixels")


def _reason(error: OSError | ValueError, path: str | bytes) -> str:
    path = os.fsdecode(path)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path):
        cure = "pass the path in it" if path.lower().startswith("file:") else "download it first; toppose opens no addresses"
        return f"it is an address: {cure}"
    if re.match(r"data:|/9j/|iVBORw0KGgo|R0lGOD|UklGR", path):
        return "it is a picture in base64: pass base64.b64decode of it"
    if not isinstance(error, FileNotFoundError):
        return (isinstance(error, OSError) and error.strerror) or str(error)
    if path.startswith("~"):
        return "no such file: ~ is not expanded, pass os.path.expanduser(path)"
    if path != path.strip() and Path(path.strip()).exists():
        return "no such file: there is one whose name has no spaces around it"
    return "no such file"
