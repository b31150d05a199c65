from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from toppose import ImageError, OptionError
from toppose.images import read_image, read_images

AVIF = [".avif"] if cv2.haveImageWriter("a.avif") else []  # OpenCV has it from 4.11 on
COLOURS = np.array([[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [100, 110, 120]]], np.uint8)


def encode(image: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


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
    assert read_image(big[::2, ::-2]).tolist() == big[::2, ::-2].tolist()
    big.setflags(write=False)
    assert read_image(big).tolist() == big.tolist()


def test_one_pixel():
    assert read_image(np.zeros((1, 1, 3), np.uint8)).shape == (1, 1, 3)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp", ".jpg", *AVIF])
def test_files_and_bytes(tmp_path, suffix):
    picture = np.full((40, 60, 3), (20, 120, 220), np.uint8)
    path = tmp_path / f"wörk{suffix}"
    path.write_bytes(encode(picture, suffix))
    for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes())):
        image = read_image(source)
        assert image.shape == (40, 60, 3)
        assert np.abs(image.astype(int) - picture).max() <= 8


def test_sixteen_bits_and_alpha_in_files():
    wide = COLOURS.astype(np.uint16) * 257
    assert read_image(encode(wide, ".png")).tolist() == COLOURS.tolist()
    assert read_image(encode(np.dstack([COLOURS, COLOURS[..., :1]]), ".png")).tolist() == COLOURS.tolist()


def test_pil():
    rgb = Image.fromarray(COLOURS[..., ::-1].copy())
    assert read_image(rgb).tolist() == COLOURS.tolist()
    assert read_image(rgb, "rgb").tolist() == COLOURS.tolist()  # a PIL image knows its own order
    assert read_image(rgb.convert("L")).shape == (2, 2, 3)
    assert read_image(Image.fromarray(np.full((2, 2), 0x1234, np.uint16))).tolist() == np.full((2, 2, 3), 0x12).tolist()
    assert read_image(rgb.convert("RGBA")).tolist() == COLOURS.tolist()
    assert read_image(rgb.convert("P")).shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "got NoneType"),
        (3, "got int"),
        (np.zeros((2, 2, 2), np.uint8), r"got uint8 \(2, 2, 2\)"),
        (np.zeros((2, 2, 5), np.uint8), r"got uint8 \(2, 2, 5\)"),
        (np.zeros(4, np.uint8), r"got uint8 \(4,\)"),
        (np.zeros((1, 2, 2, 3), np.uint8), r"\(1, 2, 2, 3\)"),
        (np.zeros((2, 2, 3)), r"got float64 \(2, 2, 3\)"),
        (np.zeros((2, 2, 3), bool), "got bool"),
        (np.zeros((2, 2, 3), np.int16), "got int16"),
        (np.array([["a"]], object), "got object"),
        (np.zeros((0, 4, 3), np.uint8), r"at least one pixel; got shape \(0, 4, 3\)"),
        (b"", "got 0 bytes"),
        (b"no picture", "beginning with b'no picture'"),
        ("", "folder"),
        ("no/such/file.jpg", "'no/such/file.jpg': no such file"),
        ("a\0b", "cannot read"),
        (".", r"got the folder '\.'"),
        ("/dev/zero", "got the device '/dev/zero'"),
        ("http://host/a.jpg", "cannot read 'http://host/a.jpg': no such file"),
    ],
)
def test_what_is_no_image(image, message):
    with pytest.raises(ImageError, match=f"image.*{message}"):
        read_image(image)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", *AVIF])
@pytest.mark.parametrize("part", [0.3, 0.7, 0.97])
def test_truncated_files(suffix, part):
    data = encode(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8), suffix)
    with pytest.raises(ImageError, match="image"):
        read_image(data[: int(len(data) * part)])


def test_truncated_jpeg_whose_thumbnail_is_whole():
    picture, thumbnail = encode(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8), ".jpg"), encode(COLOURS, ".jpg")
    with_thumbnail = picture[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + picture[2:]
    assert read_image(with_thumbnail).shape == (120, 160, 3)
    with pytest.raises(ImageError, match="without its end marker"):
        read_image(with_thumbnail[:-4000])


def test_truncated_pil_image():
    data = encode(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8), ".jpg")
    with pytest.raises(ImageError, match="PIL image cannot be read"):
        read_image(Image.open(io.BytesIO(data[: len(data) // 2])))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pil_modes_without_a_range(mode):
    with pytest.raises(ImageError, match=f"mode '{mode}' has no fixed range"):
        read_image(Image.new(mode, (4, 4)))


def test_colour_order_is_checked():
    with pytest.raises(OptionError, match="color: expected 'bgr' or 'rgb', got 'RGB'"):
        read_image(COLOURS, "RGB")


def test_a_list_names_the_index():
    with pytest.raises(ImageError, match=r"images\[1\]: expected .* got NoneType"):
        read_images([COLOURS, None], name="images")


def test_exif_orientation_of_files_is_applied(tmp_path):
    image = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (30, 20, 3)
