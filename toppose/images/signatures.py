"""The first bytes of a file -> the format of its picture, or an ImageError that calls what else it is by its name, with the cure."""

from __future__ import annotations

import re

from toppose.errors import ImageError

HEAD = 2**16  # so many bytes are read before it is known that they begin a picture

PILLOW = "open it with Pillow, and pass PIL's image"
FRAMES = "read its frames with cv2.VideoCapture, and pass them"
RAW = "develop it (pip install rawpy), and pass the array"
HEIC = "pip install pillow-heif, open it with Pillow, and pass PIL's image"
UNPACK = "unpack it, and pass the pictures in it"
RENDER = "render it to a PNG, and pass that"
FLOATS = "map its values to 0...255, and pass an array of uint8"

# what OpenCV or this room decodes; a dot is any byte
PICTURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WebP": rb"RIFF....WEBP",
    "TIFF": rb"II[*+]\0(?!.{4}CR)|MM\0[*+]",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{12}[\x0c-\x7c]\0\0\0",
    "JPEG 2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "PNM": rb"P[1-6][\s#]|P7\n",
    "Sun raster": rb"\x59\xa6\x6a\x95",
    "Radiance HDR": rb"#\?RADIANCE|#\?RGBE",
}
OTHERS: dict[tuple[str, str], bytes] = {
    ("a RAW photograph", RAW): rb"II\*\0.{4}CR|IIU\0|IIR[OS]|MMOR|FUJIFILMCCD-RAW|FOVb",
    ("a video (AVI)", FRAMES): rb"RIFF....AVI ",
    ("a video (Matroska or WebM)", FRAMES): rb"\x1a\x45\xdf\xa3",
    ("a video (QuickTime)", FRAMES): rb"....(moov|mdat|wide|free|skip|pnot)",
    ("a video (Flash)", FRAMES): rb"FLV\x01",
    ("a video (Ogg)", FRAMES): rb"OggS",
    ("a video (MPEG)", FRAMES): rb"\0\0\x01[\xb3\xba]|\x47.{187}\x47.{187}\x47",
    ("a video (WMV)", FRAMES): rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    ("a sound file", "pass a picture"): rb"RIFF....WAVE|ID3|fLaC",
    ("a JPEG XL", PILLOW + " (pip install pillow-jxl-plugin)"): rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
    ("a PDF", RENDER): rb"\s*%PDF-",
    ("a PostScript file", RENDER): rb"%!PS|\xc5\xd0\xd3\xc6",
    ("a Photoshop file (PSD)", "save it as PNG, or " + PILLOW): rb"8BPS",
    ("a GIMP file (XCF)", "export it as PNG, and pass that"): rb"gimp xcf",
    ("an icon (ICO)", PILLOW): rb"\0\0[\x01\x02]\0[^\0]\0",
    ("an icon (ICNS)", PILLOW): rb"icns",
    ("a texture (DDS)", PILLOW): rb"DDS ",
    ("a QOI", PILLOW): rb"qoif",
    ("an EXR of floating-point values", FLOATS): rb"\x76\x2f\x31\x01",
    ("a PFM of floating-point values", FLOATS): rb"P[Ff]\s",
    ("a NumPy file (npy)", "pass numpy.load(path)"): rb"\x93NUMPY",
    ("a ZIP archive (or npz, docx, ...)", UNPACK): rb"PK(\x03\x04|\x05\x06)",
    ("a compressed file (gzip, bzip2, xz, zstd, 7z or RAR)", UNPACK): rb"\x1f\x8b|BZh[1-9]|\xfd7zXZ\0|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!",
    ("a tar archive", UNPACK): rb".{257}ustar",
    ("a DICOM file", "pip install pydicom, and pass its pixel_array as uint8"): rb".{128}DICM",
    ("a FITS file", "pass its data as uint8"): rb"SIMPLE  =",
    ("an HDF5 file", "pass the array in it"): rb"\x89HDF\r\n",
    ("a Parquet file", "pass the pictures in it"): rb"PAR1",
    ("a pickle", "load it, and pass the array in it"): rb"\x80[\x02-\x05][\x95cX}\](]",
    ("a program", "pass a picture"): rb"\x7fELF|MZ",
}
TEXTS: dict[tuple[str, str], str] = {
    ("HTML", "the address gave a page, not a picture"): r"<!doctype html|<(html|head|body|script|title|meta)\b",
    ("an SVG", RENDER): r"<!doctype svg|<(\w+:)?svg\b",
    ("an XML document", "pass a picture; an address may have given an error"): r"<[!\w]",
    ("JSON", "pass a picture; an address may have given an error"): r"\{\s*[\"}]|\[\s*[\[{\"\d\]-]",
    ("the pointer of Git LFS to a file", "fetch it with git lfs pull"): r"version https://git-lfs",
    ("a picture in base64", "pass base64.b64decode of it"): r"data:image/|/9j/|ivborw0kggo|r0lgod|uklgr",
}
_PICTURES = re.compile(b"|".join(b"(" + pattern + b")" for pattern in PICTURES.values()), re.DOTALL)
_OTHERS = [(what, re.compile(pattern, re.DOTALL)) for what, pattern in OTHERS.items()]
_TEXTS = [(what, re.compile(pattern, re.DOTALL | re.IGNORECASE)) for what, pattern in TEXTS.items()]
_NOTES = re.compile(r"<!--.*?-->|<\?.*?\?>", re.DOTALL)  # comments and the like, before what tells the kind
EXPECTED = "an encoded picture (JPEG, PNG, WebP, AVIF, TIFF, GIF, BMP, ...)"


def recognise(head: bytes, name: str) -> str:
    """The format of the picture that begins with these bytes, a key of PICTURES or "AVIF"; ImageError for all else."""
    if match := _PICTURES.match(head):
        return list(PICTURES)[int(match.lastindex or 1) - 1]
    if head[4:8] == b"ftyp" and _is_avif(head):
        return "AVIF"
    if not head:
        raise ImageError(f"{name}: expected an encoded image, got 0 bytes")
    what, cure = _other(head)
    raise ImageError(f"{name}: expected {EXPECTED}, got {what}: {cure}")


def _brands(head: bytes) -> list[bytes]:
    """Those of an ISO file: its own, then those that it is compatible with."""
    end = min(int.from_bytes(head[:4], "big"), 1024)
    return [head[8:12], *(head[i : i + 4] for i in range(16, end, 4))]


def _is_avif(head: bytes) -> bool:
    own, *others = _brands(head)
    return own in (b"avif", b"avis") or (own in (b"mif1", b"msf1", b"miaf") and (b"avif" in others or b"avis" in others))


def _other(head: bytes) -> tuple[str, str]:
    """(what it is, what would do instead)"""
    if head[4:8] == b"ftyp":
        own = _brands(head)[0]
        if own in (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"):
            return "a HEIC or HEIF photograph", HEIC
        if own == b"crx ":
            return "a RAW photograph", RAW
        return f"a video (MP4 or MOV, {repr(own)[2:-1].strip()})", FRAMES
    for what, pattern in _OTHERS:
        if pattern.match(head):
            return what
    if not head.strip(b"\0"):
        return "zeros only", "the file was not written to its end, or its disk lost it"
    return _text(head) or (f"bytes beginning with {head[:12]!r}", "if they are a picture, " + PILLOW)


def _text(head: bytes) -> tuple[str, str] | None:
    """The kind of text, or None where the bytes are none."""
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = head[:4096].decode(encoding, "replace").strip()
    strange = sum(not (c.isprintable() or c.isspace()) or c == "\ufffd" for c in text)
    if strange > 0.05 * len(text):
        return None
    bare = _NOTES.sub("", text).lstrip()
    for what, pattern in _TEXTS:
        if pattern.match(bare):
            return what
    return f"text beginning with {text[:24]!r}", "pass a picture, or its path"
