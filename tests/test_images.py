from __future__ import annotations

import array
import contextlib
import io
import logging
import os
import pickle
import re
import socket
import struct
import threading
import types
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, features

from toppose import ImageError, OptionError
from toppose.images import MAX_PIXELS, arrays, is_several, read_image, read_images

AVIF = [".avif"] if cv2.haveImageWriter("a.avif") else []  # OpenCV has it from 4.11 on
COLOURS = np.array([[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [100, 110, 120]]], np.uint8)
RGB, BGR, GREY = (200, 120, 40), [40, 120, 200], 90


def encode(image: np.ndarray, suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, image, options)[1].tobytes()


def saved(image: Image.Image, kind: str, **options) -> bytes:
    """By PIL; skips where it, or OpenCV, lacks the format."""
    if kind == "avif" and not (AVIF and features.check("avif")):
        pytest.skip("needs AVIF in both OpenCV and Pillow")
    file = io.BytesIO()
    image.save(file, kind, **options)
    if kind == "gif" and cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), 1) is None:
        pytest.skip("needs an OpenCV that decodes GIF, from 4.11 on")
    return file.getvalue()


def photo(size=(240, 320), seed=0) -> np.ndarray:
    """Smooth colours with grain, which JPEG has something to do with."""
    rng = np.random.default_rng(seed)
    smooth = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def tiff(pixels: np.ndarray, photometric=2, extra=None, form=1, order="<", big=False, more=()) -> bytes:
    """A TIFF of one strip, written by hand; (H, W, C) of any type. `extra` is what ExtraSamples calls the last channel."""
    height, width, channels = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    offset, count = ("Q", "Q") if big else ("I", "H")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 16) if big else (42, 8)))
    tags = [(256, 4, [width]), (257, 4, [height]), (258, 3, [pixels.dtype.itemsize * 8] * channels), (259, 3, [1]), (262, 3, [photometric])]
    tags += [(273, 4, [0]), (277, 3, [channels]), (278, 4, [height]), (279, 4, [len(data)]), (339, 3, [form] * channels), *more]
    tags += [(338, 3, [extra])] if extra is not None else []
    entry, room = (20, 8) if big else (12, 4)
    at = len(head) + struct.calcsize(order + count) + len(tags) * entry + struct.calcsize(order + offset)
    entries, outside = b"", b""
    for code, kind, values in sorted(tags):
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if code == 273:
            packed = struct.pack(order + "I", at + 64)
        if len(packed) > room:
            place = struct.pack(order + offset, at + len(outside))
            outside += packed
        else:
            place = packed.ljust(room, b"\0")
        entries += struct.pack(order + "HH" + offset, code, kind, len(values)) + place
    return head + struct.pack(order + count, len(tags)) + entries + struct.pack(order + offset, 0) + outside.ljust(64, b"\0") + data


def flat(*channels: int, dtype=np.uint8, scale=1) -> np.ndarray:
    return np.full((4, 6, len(channels)), channels, np.float64).astype(dtype) * np.array(scale, dtype)


# ------------------------------------------------------------------------------------------------------------------------------------ arrays


def test_arrays():
    assert read_image(COLOURS).tolist() == COLOURS.tolist()
    assert np.shares_memory(read_image(COLOURS), COLOURS)
    assert read_image(COLOURS, "rgb")[0, 0].tolist() == [30, 20, 10]
    assert read_image(COLOURS[..., 0]).tolist() == np.repeat(COLOURS[..., :1], 3, 2).tolist()
    assert read_image(COLOURS[..., :1]).shape == (2, 2, 3)
    alpha = np.dstack([COLOURS, np.zeros((2, 2), np.uint8)])
    assert read_image(alpha).tolist() == COLOURS.tolist()
    assert read_image(alpha, "rgb")[0, 0].tolist() == [30, 20, 10]
    assert read_image(COLOURS.astype(np.uint16) * 256 + 255).tolist() == COLOURS.tolist()
    assert read_image((COLOURS.astype(np.uint16) * 256).astype(">u2")).tolist() == COLOURS.tolist()
    assert read_image(np.asmatrix(COLOURS[..., 0])).shape == (2, 2, 3)


def test_views():
    big = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    for view in (big[::2, ::-2], np.asfortranarray(big), big.transpose(1, 0, 2), np.broadcast_to(big[:1], (6, 8, 3))):
        assert read_image(view).tolist() == view.tolist()
    big.setflags(write=False)
    assert read_image(big).tolist() == big.tolist()


def test_one_pixel():
    assert read_image(np.zeros((1, 1, 3), np.uint8)).shape == (1, 1, 3)
    assert read_image(np.zeros((1, 1), np.uint8)).shape == (1, 1, 3)


class Tensor:
    """What torch, JAX and others look like from outside."""

    def __init__(self, array):
        self.array, self.ndim, self.shape = array, array.ndim, array.shape

    def __array__(self, dtype=None, copy=None):
        return self.array

    def __len__(self):
        return len(self.array)


class OnGpu:
    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy.\nA second line.")

    def cpu(self):
        return self


def test_tensors():
    assert read_image(Tensor(COLOURS)).tolist() == COLOURS.tolist()
    assert read_image(memoryview(COLOURS)).tolist() == COLOURS.tolist()
    with pytest.raises(
        ImageError, match=r"image: .* got OnGpu, which NumPy cannot read \(can't convert cuda:0 .*numpy. A second line.\): pass image.cpu\(\)$"
    ):
        read_image(OnGpu())


@pytest.mark.parametrize(
    ("array", "got", "cure"),
    [
        (np.full((5, 6, 3), 0.5), "float64 (5, 6, 3)", '(x * 255).astype("uint8")'),
        (np.full((5, 6), 1, np.float16), "float16 (5, 6)", '(x * 255).astype("uint8")'),
        (np.full((5, 6, 3), 254.7, np.float32), "float32 (5, 6, 3)", 'x.astype("uint8")'),
        (np.full((5, 6, 3), -2.0), "float64 (5, 6, 3)", 'x.clip(0, 255).astype("uint8"), once its normalisation is undone'),
        (np.full((5, 6, 3), np.nan), "float64 (5, 6, 3)", 'numpy.nan_to_num(x).clip(0, 255).astype("uint8")'),
        (np.full((3, 5, 6), np.inf), "float64 (3, 5, 6)", 'numpy.nan_to_num(x).clip(0, 255).astype("uint8").transpose(1, 2, 0)'),
        (np.full((3, 5, 6), 0.5, np.float32), "float32 (3, 5, 6)", '(x * 255).astype("uint8").transpose(1, 2, 0)'),
        (np.zeros((3, 5, 6), np.uint8), "uint8 (3, 5, 6)", "x.transpose(1, 2, 0)"),
        (np.zeros((1, 5, 6), np.uint8), "uint8 (1, 5, 6)", "x.transpose(1, 2, 0)"),
        (np.zeros((5, 6, 3), bool), "bool (5, 6, 3)", '(x * 255).astype("uint8")'),
        (np.full((5, 6, 3), 255, np.int32), "int32 (5, 6, 3)", 'x.astype("uint8")'),
        (np.full((5, 6, 3), 4000, np.int64), "int64 (5, 6, 3)", 'x.astype("uint16")'),
        (np.full((5, 6, 3), -4, np.int8), "int8 (5, 6, 3)", 'x.clip(0, 255).astype("uint8")'),
        (np.zeros((5, 6, 2), np.uint8), "uint8 (5, 6, 2)", "x[:, :, 0]"),
        (np.zeros((5, 6, 5), np.uint8), "uint8 (5, 6, 5)", ""),
        (np.zeros(40, np.uint8), "uint8 (40,)", "x.tobytes()"),
        (np.zeros((2, 5, 6, 3), np.uint8), "uint8 (2, 5, 6, 3)", "list(x)"),
        (np.zeros((1, 2, 5, 6, 3), np.uint8), "uint8 (1, 2, 5, 6, 3)", ""),
        (np.array(7, np.uint8), "uint8 ()", ""),
        (np.array([COLOURS, None], object), "object (2,)", "list(x)"),
        (np.zeros((5, 6), "u1,u1,u1"), "(5, 6)", "its fields have names"),
        (np.zeros((5, 6, 3), complex), "complex128 (5, 6, 3)", ""),
        (np.zeros((5, 6), "M8[s]"), "datetime64[s] (5, 6)", ""),
    ],
)
def test_arrays_that_are_refused_with_the_cure(array, got, cure):
    for given in (array, Tensor(array)):
        with pytest.raises(ImageError) as error:
            read_image(given, name="photo")
        assert str(error.value).startswith("photo: expected a path")
        assert got in str(error.value)
        assert cure in str(error.value)


@pytest.mark.parametrize("array", [np.full((5, 6, 3), 0.5), np.full((3, 5, 6), 0.25), np.zeros((3, 5, 6), np.uint8), np.full((5, 6, 3), 9)])
def test_the_cure_cures(array):
    with pytest.raises(ImageError) as error:
        read_image(array)
    assert read_image(eval(str(error.value).rpartition("pass ")[2], {"x": array})).shape == (5, 6, 3)


def test_masked_arrays_are_refused():
    with pytest.raises(ImageError, match=r"image: expected an image without a mask; got a masked array: pass x.filled\(0\)"):
        read_image(np.ma.masked_array(COLOURS, COLOURS > 50))


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (0, 0)])
def test_arrays_without_pixels(shape):
    with pytest.raises(ImageError, match="image: expected at least one pixel; got shape"):
        read_image(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("given", "cure"),
    [
        (np.full((4, 4), 4095, np.uint16), '(x >> 4).astype("uint8")'),
        (np.full((4, 4, 3), 200, np.uint16), 'x.astype("uint8")'),
        (Image.fromarray(np.full((4, 4), 1023, np.uint16)), '(x >> 2).astype("uint8")'),
        (encode(np.full((4, 4), 4095, np.uint16), ".png"), '(x >> 4).astype("uint8")'),
        (encode(np.full((4, 4, 3), 4095, np.uint16), ".tiff"), '(x >> 4).astype("uint8")'),
    ],
)
def test_sixteen_bits_that_hold_fewer_are_warned_of_once(given, cure, caplog, monkeypatch):
    monkeypatch.setattr(arrays, "_told", threading.Event())
    assert read_image(given, name="scan").max() <= 16
    assert [record.name for record in caplog.records] == ["toppose"]
    assert caplog.text.count("scan: its 16-bit values stay below 4,096") == 1
    assert cure in caplog.text
    read_image(given)
    assert len(caplog.records) == 1


def test_sixteen_bits_in_full_are_not_warned_of(caplog, monkeypatch):
    monkeypatch.setattr(arrays, "_told", threading.Event())
    read_image(np.full((4, 4), 4096, np.uint16))
    read_image(np.zeros((4, 4), np.uint16))
    read_image(encode(np.full((4, 4), 4096, np.uint16), ".png"))
    assert not caplog.records


# -------------------------------------------------------------------------------------------------------------------------------------- lists


def test_a_list_names_the_index():
    with pytest.raises(ImageError, match=r"images\[1\]: expected .* got NoneType: cv2.imread gives it"):
        read_images([COLOURS, None], name="images")


@pytest.mark.parametrize("wrap", [np.asarray, Tensor, list, tuple])
def test_batches(wrap):
    batch = wrap(np.stack([COLOURS, COLOURS[::-1]]))
    assert is_several(batch)
    assert [image.tolist() for image in read_images(batch)] == [COLOURS.tolist(), COLOURS[::-1].tolist()]
    assert read_images(batch, "rgb")[0][0, 0].tolist() == [30, 20, 10]


def test_what_is_several():
    assert is_several([])
    assert is_several(np.zeros((0, 4, 4, 3), np.uint8))
    for one in (COLOURS, COLOURS[..., 0], "a.jpg", b"", Path("a.jpg"), Image.new("RGB", (2, 2)), None, iter([]), io.BytesIO()):
        assert not is_several(one)
    assert read_images([]) == []
    assert read_images(np.zeros((0, 4, 4, 3), np.uint8)) == []


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3, 5, 6), np.uint8), r"images: expected \(B, H, W, 3\) uint8; .* come first: pass x.transpose\(0, 2, 3, 1\)"),
        (np.full((2, 3, 5, 6), 0.5), r'pass \(x \* 255\).astype\("uint8"\).transpose\(0, 2, 3, 1\)'),
        (np.full((2, 5, 6, 3), 0.5), r'images\[0\]: .* pass \(x \* 255\).astype\("uint8"\)'),
        ((image for image in [COLOURS]), r"images: expected a list of images, .* got generator: pass list\(images\)"),
        (map(str, "ab"), r"got map: pass list\(images\)"),
        ({COLOURS.tobytes()}, r"got set: pass list\(images\)"),
        ("folder/", "images: expected a list of images, .* got str"),
        (b"ab", "got bytes"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_list_of_images(images, message):
    with pytest.raises(ImageError, match=message):
        read_images(images, name="images")


# ---------------------------------------------------------------------------------------------------------------------- files, bytes, streams


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp", ".jpg", ".jp2", ".ppm", ".pam", ".ras", *AVIF])
def test_files_and_bytes(tmp_path, suffix):
    picture = np.full((40, 60, 3), (20, 120, 220), np.uint8)
    path = tmp_path / f"wörk{suffix}"
    path.write_bytes(encode(picture, suffix))
    data = path.read_bytes()
    with path.open("rb") as file:
        for source in (path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), file):
            image = read_image(source)
            assert image.shape == (40, 60, 3)
            assert image.dtype == np.uint8
            assert np.abs(image.astype(int) - picture).max() <= 8
        assert not file.closed


def test_an_open_file_is_read_from_where_it_stands():
    file = io.BytesIO(b"head" + encode(COLOURS, ".png"))
    file.seek(4)
    assert read_image(file).tolist() == COLOURS.tolist()
    assert not file.closed
    with pytest.raises(ImageError, match="got 0 bytes"):
        read_image(file)


class Slow(io.RawIOBase):
    """Gives a few bytes at a time, as connections do, and no end of them unless there is one."""

    def __init__(self, data: bytes, endless: bool = False):
        self.data, self.endless, self.given = data, endless, 0

    def read(self, size=-1):
        piece = self.data[self.given : self.given + min(size, 1000)] or (bytes(size) if self.endless else b"")
        self.given += len(piece)
        return piece


def test_a_slow_stream():
    picture = photo((300, 400))
    assert read_image(Slow(encode(picture, ".png"))).tolist() == picture.tolist()


def test_an_endless_stream():
    for begins in (b"", encode(photo(), ".jpg")):
        stream = Slow(begins, endless=True)
        with pytest.raises(ImageError, match="zeros only" if not begins else r"at most 67108864 bytes \(8 for each of max_pixels=100000\), got \d+"):
            read_image(stream, max_pixels=100_000)
        assert stream.given < 2**26 + 2**21


class Read:
    def __init__(self, gives):
        self.gives = gives

    def read(self, size):
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives


async def coroutine():
    return b""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("file", "message"),
    [
        (io.StringIO("text"), 'image: expected an open binary file; read\\(\\) of StringIO gives str: open it with "rb"'),
        (Read(None), "Read has nothing to read yet"),
        (Read((True, COLOURS)), r"read\(\) of Read gives tuple: pass the bytes"),
        (Read(coroutine()), r"read\(\) of Read gives coroutine: pass the bytes"),
        (Read(RuntimeError("gone")), "reading Read failed: gone"),
    ],
)
def test_files_that_are_not_binary(file, message):
    with pytest.raises(ImageError, match=message):
        read_image(file)


def test_closed_and_written_files(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as file, pytest.raises(ImageError, match=r"image '.*a.jpg': .* reading BufferedWriter failed"):
        read_image(file)
    with pytest.raises(ImageError, match="reading BufferedWriter failed"):
        read_image(file)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "got NoneType: cv2.imread gives it for a file that it cannot read"),
        (3, "got int$"),
        (True, r"got bool: cv2.VideoCapture.read\(\) gives"),
        (object, "got type"),
        ({"bytes": b""}, "got dict: pass the value"),
        (array.array("B", b"ab"), r"got array: if it is a file as it was read, pass bytes\(image\)"),
        ([[1, 2], [3, 4]], "got list: for several images"),
        ((c for c in "ab"), r"got generator: pass list\(image\)"),
        (cv2.VideoCapture(), "got VideoCapture: read its frames"),
        (np.uint8(3), r"got uint8 \(\)"),
        (types.SimpleNamespace(__fspath__=1), "got SimpleNamespace"),
        ("", "expected the path of an image file, got an empty one"),
        ("no/such/file.jpg", "'no/such/file.jpg': no such file$"),
        ("a\0b", r"cannot read 'a\\x00b': embedded null"),
        ("\ud800.jpg", r"cannot read '\\ud800.jpg': "),
        ("a" * 5000, r"cannot read 'a{200}'\.\.\.: File name too long"),
        ("~/a.jpg", "~ is not expanded, pass os.path.expanduser"),
        (".", r"got the folder '\.'"),
        ("/dev/zero", "got the device '/dev/zero'"),
        ("http://host/a.jpg", "it is an address: download it first; toppose opens no addresses"),
        ("s3://bucket/" + "a" * 5000, "it is an address: download it first"),
        ("file:///tmp/a.jpg", "it is an address: pass the path in it"),
        ("data:image/png;base64,iVBORw0KGgo", "it is a picture in base64: pass base64.b64decode"),
        ("/9j/4AAQSkZJRg" * 400, "it is a picture in base64"),
    ],
)
def test_what_is_no_image(image, message):
    with pytest.raises(ImageError, match=f"image.*{message}"):
        read_image(image)


class Where:
    def __init__(self, gives):
        self.gives = gives

    def __fspath__(self):
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives


def test_paths_of_other_types(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode(COLOURS, ".png"))
    for given in (Where(str(path)), Where(os.fsencode(path)), np.str_(path)):
        assert read_image(given).tolist() == COLOURS.tolist()
    for gives in (3, KeyError("x")):
        with pytest.raises(ImageError, match="image: expected a path, got Where, whose __fspath__ fails"):
            read_image(Where(gives))


def test_a_path_with_spaces_around_it(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(COLOURS, ".png"))
    with pytest.raises(ImageError, match="there is one whose name has no spaces around it"):
        read_image(f"{tmp_path}/a.png ")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_sockets_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match=r"got the pipe '.*pipe.jpg': pass the bytes"):
        read_image(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "s"))
        with pytest.raises(ImageError, match="got the socket"):
            read_image(tmp_path / "s")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(COLOURS, ".png"))
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(ImageError, match=r"cannot read .*: Permission denied"):
        read_image(tmp_path / "a.png")


def test_a_path_through_a_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"cannot read .*: Not a directory|no such file"):
        read_image(tmp_path / "a.png" / "b.png")


# -------------------------------------------------------------------------------------------------------------------------- what is no picture


@pytest.mark.parametrize(
    ("head", "what", "cure"),
    [
        (b"", "got 0 bytes", ""),
        (b"\0" * 100, "zeros only", "not written to its end"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "a video (MP4 or MOV, isom)", "cv2.VideoCapture"),
        (b"\0\0\0\x14ftypqt  \0\0\2\0qt  ", "a video (MP4 or MOV, qt)", "cv2.VideoCapture"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "a video (QuickTime)", "cv2.VideoCapture"),
        (b"RIFF\0\1\0\0AVI LIST", "a video (AVI)", "cv2.VideoCapture"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\1webm", "a video (Matroska or WebM)", "cv2.VideoCapture"),
        (b"G" + b"a" * 187 + b"G" + b"a" * 187 + b"G", "a video (MPEG)", "cv2.VideoCapture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC or HEIF photograph", "pip install pillow-heif, open it with Pillow, and pass PIL's image"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC or HEIF photograph", "pip install pillow-heif"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a RAW photograph", "pip install rawpy"),
        (b"II*\0\x10\0\0\0CR\2\0", "a RAW photograph", "pip install rawpy"),
        (b"<!DOCTYPE html>\n<html>", "HTML", "the address gave a page, not a picture"),
        (b"\xef\xbb\xbf\n  <html lang='en'>", "HTML", "a page"),
        (b"<!-- a --><!-- b -->\n<HEAD>", "HTML", "a page"),
        ("<html>".encode("utf-16"), "HTML", "a page"),
        (b'<?xml version="1.0"?>\n<!-- x -->\n<svg xmlns="a">', "an SVG", "PNG"),
        (b"<svg width='1'>", "an SVG", "PNG"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "an XML document", "an address may have given an error"),
        (b'{"error": "not found"}', "JSON", "an address may have given an error"),
        (b"[{}]", "JSON", ""),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d", "the pointer of Git LFS to a file", "git lfs pull"),
        (b"/9j/4AAQSkZJRgABAQ", "a picture in base64", "b64decode"),
        (b"data:image/png;base64,iVBO", "a picture in base64", "b64decode"),
        (b"no picture", "text beginning with 'no picture'", "pass a picture, or its path"),
        ("Grüße".encode(), "text beginning with 'Grüße'", ""),
        (b"%PDF-1.7\n", "a PDF", "PNG"),
        (b"%!PS-Adobe", "a PostScript file", "PNG"),
        (b"8BPS\0\1", "a Photoshop file (PSD)", "PNG"),
        (b"PK\3\4\x14\0", "a ZIP archive", "unpack"),
        (b"\x1f\x8b\x08\0", "a compressed file", "unpack"),
        (b"\x93NUMPY\1\0v\0{'descr'", "a NumPy file (npy)", "numpy.load"),
        (pickle.dumps({"a": 1}), "a pickle", "load it"),
        (b"\0\0\1\0\1\0\x10\x10", "an icon (ICO)", "Pillow"),
        (b"\xff\x0a\xfa\x1f", "a JPEG XL", "Pillow"),
        (b"Pf\n4 4\n-1.0\n", "a PFM of floating-point values", "uint8"),
        (b"\x76\x2f\x31\1\2", "an EXR of floating-point values", "uint8"),
        (b"\0" * 128 + b"DICM", "a DICOM file", "pydicom"),
        (b"\x7fELF\2\1", "a program", ""),
        (b"\x01\x02\xf3\x04\x05\x06" * 2, r"bytes beginning with b'\x01\x02\xf3\x04", ""),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(head, what, cure, tmp_path, capfd):
    path = tmp_path / "a.jpg"
    for size in (0, 100_000):
        filling = b"\n" if head[:1] in b"<{[vdnG/\xef\xff" else b"\0"
        path.write_bytes(head + filling * size * bool(head))
        for given, name in ((path, f"image {str(path)!r}: "), (path.read_bytes(), "image: "), (io.BytesIO(path.read_bytes()), "image: ")):
            with pytest.raises(ImageError) as error:
                read_image(given)
            message = str(error.value)
            assert message.startswith(name)
            assert what in message
            assert cure in message
            assert "\n" not in message
    assert capfd.readouterr().err == ""


def test_text_takes_no_time():
    for text in (b"<!--" * 20000, b"<!-- -->" * 10000, b"<?" * 40000, b"{" * 80000, b" " * 80000, b"P5 " + b"#\n" * 40000):
        with pytest.raises(ImageError):
            read_image(text)


@pytest.mark.parametrize("head", [b"", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", encode(COLOURS, ".jpg")])
def test_gigabytes_are_refused_by_their_first_bytes(head, tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.write(head)
        file.truncate(5 * 2**30)  # sparse
    with pytest.raises(ImageError, match=r"zeros only|a video|expected at most 2147483648 bytes"):
        read_image(path)
    with path.open("rb") as file, pytest.raises(ImageError, match=r"zeros only|a video|expected at most 67108864 bytes"):
        read_image(file, max_pixels=1000)


# ---------------------------------------------------------------------------------------------------------------- sizes that a header claims


def claims(kind: str, width: int, height: int) -> bytes:
    """A small file whose header claims another size."""
    if kind == "png":
        data = bytearray(encode(COLOURS, ".png"))
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif kind == "jpg":
        data = bytearray(encode(COLOURS, ".jpg"))
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", height, width)
    elif kind == "bmp":
        data = bytearray(encode(COLOURS, ".bmp"))
        data[18:26] = struct.pack("<ii", width, -height)
    elif kind == "gif":
        data = bytearray(b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0;")
    elif kind == "webp":
        data = bytearray(b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3])
    elif kind == "tif":
        data = bytearray(tiff(flat(*RGB)))
        data = data.replace(struct.pack("<HHII", 256, 4, 1, 6), struct.pack("<HHII", 256, 4, 1, width))
        data = data.replace(struct.pack("<HHII", 257, 4, 1, 4), struct.pack("<HHII", 257, 4, 1, height))
    elif kind == "jp2":
        data = bytearray(encode(photo((64, 64)), ".jp2"))
        at = data.index(b"\xff\x4f\xff\x51") + 8
        data[at : at + 8] = struct.pack(">II", width, height)
    elif kind == "avif":
        data = bytearray(saved(Image.new("RGB", (16, 16)), "avif"))
        at = data.index(b"ispe") + 8
        data[at : at + 8] = struct.pack(">II", width, height)
    else:
        data = bytearray(b"P6 %d %d 255\n" % (width, height) + bytes(12))
    return bytes(data)


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "gif", "webp", "tif", "jp2", "avif", "ppm"])
def test_a_header_that_claims_too_much(kind, capfd):
    with pytest.raises(ImageError, match=r"image: expected at most max_pixels=268435456, .* 60000 x 5000 = 300000000: pass a larger max_pixels"):
        read_image(claims(kind, 60000, 5000))
    with pytest.raises(ImageError, match=r"image: expected at most max_pixels=99, .* claims 10 x 10 = 100"):
        read_image(claims(kind, 10, 10), max_pixels=99)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "gif", "tif", "ppm"])
def test_a_header_that_claims_nothing(kind):
    with pytest.raises(ImageError, match="image: expected at least one pixel; got a picture of 0 x 5"):
        read_image(claims(kind, 0, 5))


def test_max_pixels():
    assert MAX_PIXELS == 2**28
    picture = encode(photo((10, 20)), ".png")
    assert read_image(picture, max_pixels=np.int64(200)).shape == (10, 20, 3)
    assert read_images([picture], max_pixels=200)[0].shape == (10, 20, 3)
    for given in (picture, Image.open(io.BytesIO(picture))):
        with pytest.raises(ImageError, match=r"image\[0\]: expected at most max_pixels=199"):
            read_images([given], max_pixels=199)
    assert read_image(photo((10, 20)), max_pixels=1).shape == (10, 20, 3)  # an array claims nothing, it is


@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "1"])
def test_max_pixels_is_checked(value):
    with pytest.raises(OptionError, match="max_pixels: expected an int from 1 on, got"):
        read_image(COLOURS, max_pixels=value)


def test_more_than_opencv_decodes():
    with pytest.raises(ImageError, match=r"image: .*(OPENCV_IO_MAX_IMAGE_PIXELS|damaged|memory)"):
        read_image(claims("png", 60000, 40000), max_pixels=2**40)


def test_colour_order_is_checked():
    with pytest.raises(OptionError, match="color: expected 'bgr' or 'rgb', got 'RGB'"):
        read_image(COLOURS, "RGB")


# ------------------------------------------------------------------------------------------------------------------------- colours and alpha


def with_alpha(mode: str, alpha: int) -> Image.Image:
    image = Image.new("L" if mode == "LA" else "RGB", (12, 8), GREY if mode == "LA" else RGB)
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize("alpha", [0, 7, 255])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("png", {}),
        ("webp", {"lossless": True, "exact": True}),
        ("webp", {"quality": 95, "exact": True}),
        ("tiff", {}),
        ("tiff", {"compression": "tiff_lzw"}),
        ("tiff", {"compression": "tiff_deflate"}),
        ("gif", {}),
        ("bmp", {}),
        ("jpeg2000", {}),
        ("avif", {"quality": 95}),
    ],
)
def test_alpha_is_dropped(kind, options, mode, alpha):
    if (kind, mode) == ("bmp", "LA"):
        pytest.skip("BMP has no LA")
    image = read_image(saved(with_alpha(mode, alpha), kind, **options))
    assert np.abs(image.astype(int) - (GREY if mode == "LA" else BGR)).max() <= (2 if kind in ("webp", "avif") else 0)


@pytest.mark.parametrize("kind", ["webp", "png", "avif", "tiff", "gif"])
@pytest.mark.parametrize("alpha", [7, 255])
def test_of_an_animation_the_first_frame_without_its_alpha(kind, alpha):
    second = Image.new("RGBA", (12, 8), (1, 2, 3, 255))
    options = {"lossless": True, "exact": True} if kind == "webp" else {}
    image = read_image(saved(with_alpha("RGBA", alpha), kind, save_all=True, append_images=[second], **options))
    assert image.shape == (8, 12, 3)
    assert np.abs(image.astype(int) - BGR).max() <= 2


def animated_webp(size: bytes, place_and_size: bytes, chunk: bytes) -> bytes:
    """Two frames of the same chunk, written by hand."""
    frame = b"ANMF" + struct.pack("<I", 16 + len(chunk)) + place_and_size + bytes(4) + chunk
    body = b"WEBPVP8X\x0a\0\0\0\x12\0\0\0" + size + b"ANIM\x06\0\0\0" + bytes(6) + frame * 2
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("alpha", [0, 7, 255])
def test_an_animated_webp_is_not_blended(alpha):
    still = saved(with_alpha("RGBA", alpha), "webp", lossless=True, exact=True)
    chunk, size = still[still.index(b"VP8L") :], struct.pack("<I", 11)[:3] + struct.pack("<I", 7)[:3]
    assert read_image(animated_webp(size, bytes(6) + size, chunk)).reshape(-1, 3).tolist() == [BGR] * 96
    placed = read_image(animated_webp(struct.pack("<I", 19)[:3] + struct.pack("<I", 9)[:3], b"\x02\0\0\x01\0\0" + size, chunk))
    assert placed.shape == (10, 20, 3)
    assert placed[2:, 4:16].reshape(-1, 3).tolist() == [BGR] * 96
    assert placed.sum() == placed[2:, 4:16].sum()


def test_damaged_animations():
    still = saved(with_alpha("RGBA", 7), "webp", lossless=True, exact=True)
    chunk, size = still[still.index(b"VP8L") :], struct.pack("<I", 11)[:3] + struct.pack("<I", 7)[:3]
    for place, more in ((b"\xff" * 6, chunk), (bytes(6), b"")):
        with pytest.raises(ImageError, match=r"image: expected a whole picture, got a .*WebP"):
            read_image(animated_webp(size, place + size, more))
    long = bytearray(animated_webp(size, bytes(6) + size, b""))
    long[48:52] = b"\x56\x04\0\x42"
    with pytest.raises(ImageError, match="WebP"):
        read_image(bytes(long))


@pytest.mark.parametrize("kind", ["png", "gif", "webp", "tiff"])
def test_transparent_palettes(kind):
    image = Image.new("RGB", (12, 8), RGB).quantize(4)
    options = {"lossless": True, "exact": True} if kind == "webp" else {}
    assert read_image(saved(image, kind, transparency=0, **options))[0, 0].tolist() == BGR


@pytest.mark.parametrize("extra", [0, 1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_tiff_alpha_of_every_name(extra, order, big):
    assert read_image(tiff(flat(*RGB, 7), extra=extra, order=order, big=big))[0, 0].tolist() == BGR
    assert read_image(tiff(flat(*RGB, 7, dtype=np.uint16, scale=257), extra=extra, order=order, big=big))[3, 5].tolist() == BGR
    assert read_image(tiff(flat(GREY, 7), 1, extra=extra, order=order, big=big))[0, 0].tolist() == [GREY] * 3


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (tiff(flat(255 - GREY), 0), [GREY] * 3),
        (tiff(flat(255 - GREY, dtype=np.uint16, scale=257), 0), [GREY] * 3),
        (tiff(flat(GREY, dtype=np.uint16, scale=257), 1), [GREY] * 3),
        (tiff(flat(*RGB, dtype=np.uint16, scale=257)), BGR),
        (tiff(flat(*RGB), more=[(33550, 4, [1]), (34665, 4, [9]), (65000, 3, [1])]), BGR),
        (b"P5 6 4 100\n" + flat(50).tobytes(), [127] * 3),
        (b"P5\n# by hand\n6 4\n4095\n" + flat(2048, dtype=np.uint16).astype(">u2").tobytes(), [127] * 3),
        (b"P6 6 4 255\n" + flat(*RGB).tobytes(), BGR),
        (b"P6 6 4 65535\n" + flat(*RGB, dtype=np.uint16, scale=257).astype(">u2").tobytes(), BGR),
        (b"P7\nWIDTH 6\nHEIGHT 4\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n" + flat(*RGB, 7).tobytes(), BGR),
        (b"P7\nWIDTH 6\nHEIGHT 4\nDEPTH 2\nMAXVAL 255\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n" + flat(GREY, 7).tobytes(), [GREY] * 3),
        (b"P3 6 4 255\n" + b"200 120 40 " * 24, BGR),
        (b"P4 6 4\n" + bytes(4), [255] * 3),
    ],
)
def test_plain_files(data, want, capfd):
    image = read_image(data)
    assert image.shape == (4, 6, 3)
    assert image.reshape(-1, 3).tolist() == [want] * 24
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (tiff(flat(*RGB, dtype=np.float32), form=3), "floating-point ones of 32"),
        (tiff(flat(GREY, dtype=np.float64), 1, form=3), "floating-point ones of 64"),
        (tiff(flat(GREY, dtype=np.uint32), 1), "unsigned ones of 32"),
        (tiff(flat(GREY, dtype=np.int16), 1, form=2), "signed ones of 16"),
        (tiff(flat(GREY), 32803), "a RAW photograph"),
        (tiff(flat(*RGB), more=[(50706, 4, [1])]), "a RAW photograph"),
        (tiff(flat(*RGB), more=[(254, 4, [1]), (330, 4, [8])]), "a RAW photograph"),
    ],
)
def test_tiffs_that_would_be_black_or_thumbnails(data, got, capfd):
    with pytest.raises(ImageError, match=f"image: .* got {got}"):
        read_image(data)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "PA", "CMYK", "1", "YCbCr", "HSV", "LAB", "RGBX", "RGBa", "La"])
def test_pil_modes(mode):
    image = Image.new("RGB", (12, 8), (200, 120, 40)).convert("RGBA")
    if mode in ("PA", "P"):
        image = image.convert("RGB").quantize(4).convert(mode)
    elif mode in ("LA", "La"):
        image = image.convert("LA").convert(mode)
    elif mode == "LAB":
        image = Image.new("LAB", (12, 8), (140, 150, 180))
    else:
        image = image.convert("RGB").convert(mode) if mode not in ("RGBA", "RGBa") else image.convert(mode)
    got = read_image(image)
    want = {"L": [134] * 3, "LA": [134] * 3, "La": [134] * 3}.get(mode, BGR)
    if mode in ("1", "LAB"):
        assert got.shape == (8, 12, 3)
    else:
        assert np.abs(got.astype(int) - want).max() <= 3


@pytest.mark.filterwarnings("error")
def test_pil():
    rgb = Image.fromarray(COLOURS[..., ::-1].copy())
    assert read_image(rgb).tolist() == COLOURS.tolist()
    assert read_image(rgb, "rgb").tolist() == COLOURS.tolist()  # a PIL image knows its own order
    assert read_image(Image.fromarray(np.full((2, 2), 0x1234, np.uint16))).tolist() == np.full((2, 2, 3), 0x12).tolist()
    transparent = rgb.quantize(4)
    transparent.info["transparency"] = bytes(4)
    assert read_image(transparent).shape == (2, 2, 3)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pil_modes_without_a_range(mode):
    with pytest.raises(ImageError, match=f"mode '{mode}' has no fixed range"):
        read_image(Image.new(mode, (4, 4)))


def test_sixteen_bits_and_alpha_in_files():
    wide = COLOURS.astype(np.uint16) * 257
    assert read_image(encode(wide, ".png")).tolist() == COLOURS.tolist()
    assert read_image(encode(np.dstack([COLOURS, COLOURS[..., :1]]), ".png")).tolist() == COLOURS.tolist()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_are_decoded_as_opencv_does(mode, progressive, caplog):
    data = saved(Image.fromarray(photo()).convert(mode), "jpeg", quality=85, progressive=progressive)
    assert np.abs(read_image(data).astype(int) - cv2.imdecode(np.frombuffer(data, np.uint8), 1)).max() <= 2
    assert not caplog.records


# ------------------------------------------------------------------------------------------------------------------------------- orientation

QUARTERS = np.kron(
    np.array([[[0, 0, 255], [0, 255, 0]], [[255, 0, 0], [255, 255, 255]]], np.uint8), np.ones((16, 24, 1), np.uint8)
)  # red, green; blue, white
UPRIGHT = {1: "RG/BW", 2: "GR/WB", 3: "WB/GR", 4: "BW/RG", 5: "RB/GW", 6: "BR/WG", 7: "WG/BR", 8: "GW/RB"}  # what EXIF says that is to be shown


def corners(image: np.ndarray) -> str:
    height, width = image.shape[:2]
    named = {(0, 0, 255): "R", (0, 255, 0): "G", (255, 0, 0): "B", (255, 255, 255): "W"}
    found = [image[y, x].astype(int) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    names = [min(named, key=lambda colour: np.abs(np.array(colour) - pixel).sum()) for pixel in found]
    return "{}{}/{}{}".format(*(named[name] for name in names))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "avif"])
def test_orientation_is_applied_once(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read_image(saved(Image.fromarray(QUARTERS[..., ::-1].copy()), kind, exif=exif))
    assert corners(image) == UPRIGHT[orientation]
    assert image.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert corners(read_image(saved(Image.fromarray(QUARTERS[..., ::-1].copy()), "jpeg", exif=exif))) == UPRIGHT[1]


def test_damaged_exif_is_none():
    data = saved(Image.fromarray(QUARTERS[..., ::-1].copy()), "jpeg")
    for exif in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
        assert corners(read_image(data[:2] + segment + data[2:])) == UPRIGHT[1]


def test_sixteen_bit_tiffs_are_turned_too():
    wide = QUARTERS[..., ::-1].astype(np.uint16) * 257
    assert corners(read_image(tiff(wide, more=[(274, 3, [6])]))) == UPRIGHT[6]


# ------------------------------------------------------------------------------------------------------------------------------ damaged files


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".bmp", ".jp2", ".ppm", *AVIF])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.97])
def test_truncated_files(suffix, part):
    data = encode(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8), suffix)
    with pytest.raises(ImageError, match=r"image: expected .*(cut short|damaged|cannot be decoded)"):
        read_image(data[: int(len(data) * part)])


JPEGS = {
    "plain": (),
    "optimised": (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": (cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("damage", ["cut", "cut and ended", "zeros", "zeros to the end", "garbage"])
@pytest.mark.parametrize("place", [0.3, 0.5, 0.8])
def test_damaged_jpegs(kind, damage, place, tmp_path, capfd, caplog):
    data = encode(photo((480, 640)), ".jpg", *JPEGS[kind])
    at, end = int(len(data) * place), len(data) - 2
    garbage = np.random.default_rng(1).bytes(3000)
    damaged = {
        "cut": data[:at],
        "cut and ended": data[:at] + b"\xff\xd9",
        "zeros": data[:at] + bytes(3000) + data[at + 3000 :],
        "zeros to the end": data[:at] + bytes(end - at) + b"\xff\xd9",
        "garbage": data[:at] + garbage + data[at + 3000 :],
    }[damage]
    path = tmp_path / "damaged.jpg"
    path.write_bytes(damaged)
    try:
        read_image(path)
    except ImageError as error:
        message = str(error)
    else:
        assert (kind, damage) == ("progressive", "zeros")  # the others leave nothing to look at
        message = caplog.text
    assert re.search("image '.*damaged.jpg': (expected a whole picture, got a damaged JPEG|a JPEG with zeros from byte)", message)
    assert capfd.readouterr().err == ""


def test_zeros_that_the_decoder_takes_for_picture(monkeypatch):
    data = encode(photo((480, 640)), ".jpg", cv2.IMWRITE_JPEG_OPTIMIZE, 1)
    for at in range(2000, len(data) - 100, 997):
        with pytest.raises(ImageError):
            read_image(data[:at] + bytes(64) + data[at + 64 :])


def test_zeros_that_are_the_picture(caplog):
    page = np.full((600, 800, 3), 255, np.uint8)
    page[200:210, 100:700] = 0
    data = saved(Image.fromarray(page), "jpeg", optimize=True)
    assert bytes(32) in data
    assert read_image(data)[0, 0].tolist() == [255] * 3
    assert read_image(data + bytes(1000)).shape == (600, 800, 3)
    assert not caplog.records


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("optimize", [False, True])
def test_zeros_of_a_gradient(progressive, optimize):
    gradient = np.repeat(255 - np.arange(500, dtype=np.uint16) * 255 // 500, 700).reshape(500, 700).astype(np.uint8)
    for quality in (50, 75, 90):
        data = saved(Image.fromarray(gradient), "jpeg", quality=quality, progressive=progressive, optimize=optimize)
        assert np.abs(read_image(data)[..., 0].astype(int) - gradient).max() <= 6


@pytest.mark.parametrize("change", ["no end", "padded", "padded, no end", "JFIF"])
def test_jpegs_that_are_whole_after_all(change, tmp_path, caplog, capfd):
    data = encode(photo(), ".jpg")
    changed = {
        "no end": data[:-2],
        "padded": data[:-2] + bytes(300) + data[-2:],
        "padded, no end": data[:-2] + bytes(300),
        "JFIF": data[:11] + b"\x09" + data[12:],
    }[change]
    path = tmp_path / "odd.jpg"
    path.write_bytes(changed)
    assert read_image(path).tolist() == read_image(data).tolist()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "odd.jpg" in caplog.text
    assert "every pixel is there all the same" in caplog.text
    assert capfd.readouterr().err == ""


def test_truncated_jpeg_whose_thumbnail_is_whole():
    picture, thumbnail = encode(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8), ".jpg"), encode(COLOURS, ".jpg")
    with_thumbnail = picture[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + picture[2:]
    assert read_image(with_thumbnail).shape == (120, 160, 3)
    with pytest.raises(ImageError, match=rf"the file is cut short \({len(with_thumbnail) - 4000} bytes\)"):
        read_image(with_thumbnail[:-4000])


def test_a_comment_after_the_scan(caplog):
    data = saved(Image.new("L", (600, 800), 255), "jpeg", optimize=True)
    assert bytes(32) in data
    assert read_image(data[:-2] + b"\xff\xfe\0\x04hi" + data[-2:]).min() == 255
    assert not caplog.records


def test_damaged_pngs(capfd):
    data = encode(photo(), ".png")
    middle = len(data) // 2
    for damaged in (data[:middle] + bytes(50) + data[middle + 50 :], data[:middle] + data[middle + 9 :]):
        with pytest.raises(ImageError, match=r"got a (damaged PNG: the checksum of its IDAT chunk does not fit|PNG without its end chunk)"):
            read_image(damaged)
    assert capfd.readouterr().err == ""


def test_pngs_with_what_libpng_complains_of(capfd):
    data = saved(Image.fromarray(COLOURS[..., ::-1].copy()), "png", icc_profile=b"junk" * 40)
    assert read_image(data + b"and more").tolist() == COLOURS.tolist()
    assert capfd.readouterr().err == ""


def test_truncated_pil_image():
    data = encode(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8), ".jpg")
    with pytest.raises(ImageError, match="PIL image cannot be read"):
        read_image(Image.open(io.BytesIO(data[: len(data) // 2])))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".bmp", ".jp2", ".ppm", *AVIF])
def test_nothing_but_an_image_error_comes_of_changed_bytes(suffix):
    data, rng = encode(photo((64, 80)), suffix), np.random.default_rng(0)
    for _ in range(150):
        changed = bytearray(data)
        for at in rng.integers(0, min(len(data), 300 if rng.random() < 0.7 else len(data)), 3):
            changed[at] = rng.integers(256)
        with contextlib.suppress(ImageError):
            assert read_image(bytes(changed), max_pixels=2**20).dtype == np.uint8


# ------------------------------------------------------------------------------------------------------------------------- threads and leaks


def test_threads_and_descriptors(tmp_path):
    picture = photo((60, 80))
    paths = [tmp_path / f"a{suffix}" for suffix in (".jpg", ".png", ".webp", ".tiff")]
    for path in paths:
        path.write_bytes(encode(picture, path.suffix))
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(paths[0].read_bytes()[:900])
    want, wrong = [read_image(path) for path in paths], []

    def work():
        for _ in range(40):
            for path, image in zip(paths, want, strict=True):
                if not np.array_equal(read_image(path), image):
                    wrong.append(path)
            with pytest.raises(ImageError, match="cut short"):
                read_image(cut)

    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not before or len(os.listdir("/proc/self/fd")) <= before
