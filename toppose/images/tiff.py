"""The directory of tags that TIFF files, and the EXIF of all others, begin with."""

from __future__ import annotations

import struct
from dataclasses import dataclass

WIDTH, HEIGHT, BITS, PHOTOMETRIC, SUBFILE = 256, 257, 258, 262, 254
ORIENTATION, SUBIFDS, EXTRA_SAMPLES, SAMPLE_FORMAT, DNG_VERSION = 274, 330, 338, 339, 50706
LAST_OF_PIXELS = 532  # tags above have nothing to say about them; libtiff prints that it does not know some
CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # unsigned integers of 1, 2, 4 and 8 bytes


@dataclass(frozen=True, slots=True)
class Tag:
    code: int
    at: int  # of its entry
    values_at: int
    format: str  # of one value, for struct
    values: tuple[int, ...]  # () for what are not unsigned integers


@dataclass(frozen=True, slots=True)
class Directory:
    """The first one of a file. Damaged bytes raise struct.error."""

    at: int
    count: str  # the formats of the number of tags and of an offset, for struct
    offset: str
    entry: int  # bytes of one
    tags: dict[int, Tag]

    def get(self, code: int, default: int) -> int:
        tag = self.tags.get(code)
        return tag.values[0] if tag and tag.values else default


def read_directory(data: bytes) -> Directory:
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    offset, count, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    (at,) = struct.unpack_from(order + offset, data, 8 if big else 4)
    (n,) = struct.unpack_from(order + count, data, at)
    first = at + struct.calcsize(count)
    if first + n * entry > len(data):
        raise struct.error(f"a directory of {n} tags")
    tags = [_tag(data, order + "HH" + offset, first + i * entry, order) for i in range(n)]
    return Directory(at, order + count, order + offset, entry, {tag.code: tag for tag in tags})


def orientation(exif: bytes) -> int:
    """1 to 8 as EXIF counts; 1 where it says nothing, or nonsense."""
    try:
        value = read_directory(exif.removeprefix(b"Exif\0\0")).get(ORIENTATION, 1)
    except struct.error:
        return 1
    return value if 1 <= value <= 8 else 1


def plain(data: bytes) -> bytes | bytearray:
    """The file with no alpha, no orientation, and no tag or page but what its first picture needs; as it is where it has none of these.

    libtiff multiplies the colours by an "unassociated" alpha and not by an "associated" one: called that, they stay as they are stored."""
    directory = read_directory(data)
    tags, alpha = directory.tags.values(), directory.tags.get(EXTRA_SAMPLES)
    kept = [tag for tag in tags if tag.code <= LAST_OF_PIXELS and tag.code not in (ORIENTATION, SUBIFDS)]
    if len(kept) == len(tags) and not alpha:
        return data
    out = bytearray(data)
    out += bytes(8)  # in which the offset of a next directory fits, also of one that ended too early
    if alpha:
        struct.pack_into(f"{alpha.format[0]}{len(alpha.values)}{alpha.format[1:]}", out, alpha.values_at, *(1 if v == 2 else v for v in alpha.values))
    at = directory.at + struct.calcsize(directory.count)
    entries = b"".join(out[tag.at : tag.at + directory.entry] for tag in kept)
    struct.pack_into(directory.count, out, directory.at, len(kept))
    out[at : at + len(entries)] = entries
    struct.pack_into(directory.offset, out, at + len(entries), 0)
    return out


def _tag(data: bytes, head: str, at: int, order: str) -> Tag:
    code, kind, n = struct.unpack_from(head, data, at)
    inline = at + struct.calcsize(head)
    room = struct.calcsize(order + head[3:])  # order + "HH" + offset: values that fit into an offset stand in its place
    form = CODES.get(kind, "")
    if not form or not 0 < n <= 16:  # only short ones are asked for
        return Tag(code, at, inline, order + "B", ())
    try:
        values_at = inline if n * struct.calcsize(form) <= room else struct.unpack_from(order + head[3:], data, inline)[0]
        return Tag(code, at, values_at, order + form, struct.unpack_from(f"{order}{n}{form}", data, values_at))
    except struct.error:
        return Tag(code, at, inline, order + "B", ())
