from __future__ import annotations

import cv2
import numpy as np
import pytest

from toppose import OptionError, Poses, Skeleton
from toppose.draw import id_color

TWO = Skeleton("two", ("left_hand", "right_hand"), ((0, 1),))
BLUE, RED, YELLOW = [235, 150, 40], [70, 70, 245], [60, 220, 250]  # BGR


def line(width: int = 100, height: int = 40) -> Poses:
    """One person whose hands are at (20, 20) and (80, 20)."""
    return Poses([[[20, 20], [80, 20]]], [[0.9, 0.9]], [[0, 0, width, height]], [1], TWO)


def test_draw():
    image = np.zeros((100, 100, 3), np.uint8)
    poses = Poses([[[20, 20], [80, 20]], [[20, 80], [80, 80]]], [[0.9, 0.9], [0.9, 0.1]], [[0, 0, 100, 40], [0, 60, 100, 100]], [1, 1], TWO)
    drawn = poses.draw(image)
    assert image.sum() == 0
    assert drawn[20, 50].any()  # the limb between two sure joints
    assert not drawn[80, 50].any()  # one joint is below the threshold
    assert drawn[80, 20].tolist() == [235, 150, 40]  # the left hand is blue
    assert drawn[20, 80].tolist() == [70, 70, 245]
    assert not drawn[80, 80].any()
    wide = Poses([[[100, 100], [900, 100]]], [[1, 1]], [[0, 0, 1000, 800]], [1], TWO).draw(np.zeros((800, 1000, 3), np.uint8))
    assert wide[:, 500].any(-1).sum() > 8  # a line as wide as suits a big person


@pytest.mark.parametrize("threshold", [-1, 1.5, "0.3", None, float("nan"), True])
def test_draw_wants_a_threshold(threshold):
    with pytest.raises(OptionError, match="threshold: expected a number from 0 to 1"):
        line().draw(np.zeros((9, 9, 3), np.uint8), threshold)


def test_numpys_numbers_are_numbers():
    image = np.zeros((40, 100, 3), np.uint8)
    expected = line().draw(image, 0.5, line_width=4)
    assert np.array_equal(line().draw(image, np.float32(0.5), line_width=np.int64(4)), expected)
    assert np.array_equal(line().draw(image, np.float64(0.5), line_width=np.float32(4)), expected)


@pytest.mark.parametrize("width", [1, 3, 9])
def test_lines_are_as_wide_as_asked_for(width):
    drawn = line().draw(np.zeros((40, 100, 3), np.uint8), line_width=width)
    across = drawn[:, 50].any(-1)
    assert width <= across.sum() <= width + 4  # OpenCV smooths both edges by a pixel or two
    assert across[20]


@pytest.mark.parametrize("width", [0, -1, 0.5, 1e9, "3", True, float("nan"), float("inf")])
def test_wrong_line_widths(width):
    with pytest.raises(OptionError, match="line_width: expected a number from 1 to 1000, got"):
        line().draw(np.zeros((9, 9, 3), np.uint8), line_width=width)


def test_the_picture_comes_back_in_the_order_it_came(tmp_path):
    bgr = np.full((40, 100, 3), (10, 20, 30), np.uint8)
    rgb = np.ascontiguousarray(bgr[:, :, ::-1])
    drawn = line().draw(rgb, color="rgb", line_width=4)
    assert drawn[0, 0].tolist() == [30, 20, 10]
    assert drawn[20, 20].tolist() == BLUE[::-1]
    assert drawn.flags.c_contiguous
    assert np.array_equal(drawn[:, :, ::-1], line().draw(bgr, line_width=4))
    assert rgb[20, 20].tolist() == [30, 20, 10]  # the caller's own is left alone
    # a file knows its own order: `color` is that of what comes back
    cv2.imwrite(str(tmp_path / "a.png"), bgr)
    assert np.array_equal(line().draw(tmp_path / "a.png", color="rgb", line_width=4), drawn)
    assert line().draw(tmp_path / "a.png")[0, 0].tolist() == [10, 20, 30]
    with pytest.raises(OptionError, match="color: expected 'bgr' or 'rgb', got 'hsv'"):
        line().draw(bgr, color="hsv")


def test_a_pil_image_comes_back_as_asked_for():
    Image = pytest.importorskip("PIL.Image")
    picture = Image.new("RGB", (100, 40), (200, 0, 0))
    assert line().draw(picture, color="rgb")[0, 0].tolist() == [200, 0, 0]
    assert line().draw(picture)[0, 0].tolist() == [0, 0, 200]


def test_draw_far_outside():
    huge = Poses([[[5, 5], [7, 7]]], [[1, 1]], [[-9e6, -9e6, 9e6, 9e6]], [1], TWO)
    assert huge.draw(np.zeros((9, 9, 3), np.uint8), boxes=True).shape == (9, 9, 3)
    assert Poses([[[1e8, -1e8], [5, 5]]], [[1, 1]], [[0, 0, 10, 10]], [1], TWO).draw(np.zeros((9, 9, 3), np.uint8)).shape == (9, 9, 3)


def test_ids_are_written_in_colours_of_their_own():
    image = np.zeros((120, 160, 3), np.uint8)
    poses = Poses(np.zeros((2, 17, 2)), np.zeros((2, 17)), [(20, 60, 60, 110), (90, 60, 130, 110)], np.ones(2), ids=[0, 1])
    drawn = poses.draw(image, boxes=True)
    for number, x in ((0, 20), (1, 90)):
        color = np.array(id_color(number))
        assert np.abs(drawn[110, x + 20].astype(int) - color).max() < 80  # the box's lower edge
        above = drawn[40:58, x : x + 20].reshape(-1, 3).astype(int)
        assert np.abs(above - color).max(1).min() < 80  # the number
    assert not drawn[:30].any()
    assert np.linalg.norm(np.subtract(id_color(0), id_color(1))) > 100
