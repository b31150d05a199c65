"""Numbers here are worked out by hand in the comments, not by the code under test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toppose import geometry

SIZE = (192, 256)


@pytest.mark.parametrize(
    ("box", "centre", "size"),
    [
        # 100x200 -> 125x250; 125/250 < 0.75, so the width grows to 250*0.75
        ((100, 50, 200, 250), (150, 150), (187.5, 250)),
        # 300x100 -> 375x125; the height grows to 375/0.75
        ((0, 0, 300, 100), (150, 50), (375, 500)),
        # 60x80 has the crop's aspect already
        ((-30, 10, 30, 90), (0, 50), (75, 100)),
    ],
)
def test_regions(box, centre, size):
    centres, sizes = geometry.regions([box], SIZE)
    assert centres.tolist() == [list(centre)]
    np.testing.assert_allclose(sizes, [size], rtol=1e-12)


@pytest.mark.parametrize(
    ("warp", "expected"),
    [
        # left 150-93.75 = 56.25, top 25; 192/187.5 = 1.024; -56.25*1.024 = -57.6; -25*1.024 = -25.6
        ("classic", [[1.024, 0, -57.6], [0, 1.024, -25.6]]),
        # 191/187.5 = 1.018666..., 255/250 = 1.02; -56.25*1.018666 = -57.3; -25*1.02 = -25.5
        ("udp", [[1.0186666666666666, 0, -57.3], [0, 1.02, -25.5]]),
    ],
)
def test_crop_matrices(warp, expected):
    np.testing.assert_allclose(geometry.crop_matrices([(100, 50, 200, 250)], SIZE, warp=warp)[0], expected, rtol=1e-12)


def test_corners_of_the_region():
    matrices = {warp: geometry.crop_matrices([(100, 50, 200, 250)], SIZE, warp=warp) for warp in ("classic", "udp")}
    corners = [[[56.25, 25], [243.75, 275]]]
    np.testing.assert_allclose(geometry.transform(corners, matrices["classic"]), [[[0, 0], [192, 256]]], atol=1e-9)
    np.testing.assert_allclose(geometry.transform(corners, matrices["udp"]), [[[0, 0], [191, 255]]], atol=1e-9)


def test_heatmap_matrix():
    np.testing.assert_allclose(geometry.heatmap_matrix(SIZE, (48, 64)), [[0.25, 0, 0], [0, 0.25, 0]])
    np.testing.assert_allclose(geometry.heatmap_matrix(SIZE, (48, 64), "udp"), [[47 / 191, 0, 0], [0, 63 / 255, 0]])


@pytest.mark.parametrize(
    ("cell", "warp", "image_point"),
    [
        # x = X/W*sw + cx - sw/2 = 24/48*187.5 + 150 - 93.75 = 150; y = 16/64*250 + 25 = 87.5
        ((24, 16), "classic", (150, 87.5)),
        # x = X/(W-1)*sw + left = 47/47*187.5 + 56.25 = 243.75; y = 21/63*250 + 25 = 108.333
        ((47, 21), "udp", (243.75, 108.33333333)),
    ],
)
def test_heatmap_cell_to_image(cell, warp, image_point):
    to_crop = geometry.crop_matrices([(100, 50, 200, 250)], SIZE, warp=warp)
    to_cell = geometry.compose(geometry.heatmap_matrix(SIZE, (48, 64), warp), to_crop)
    np.testing.assert_allclose(geometry.transform([[cell]], geometry.invert(to_cell))[0, 0], image_point, atol=1e-6)


def test_letterbox():
    # 640x480 into 416x416: scale 0.65, 416x312, 104 rows free, 52 above; 0.5*0.65-0.5 = -0.175
    matrix = geometry.letterbox_matrix((640, 480), (416, 416))
    np.testing.assert_allclose(matrix, [[0.65, 0, -0.175], [0, 0.65, 51.825]], atol=1e-12)
    np.testing.assert_allclose(geometry.transform_boxes([(0, 0, 640, 480)], matrix), [(0, 52, 416, 364)], atol=1e-9)
    corner = geometry.letterbox_matrix((640, 480), (416, 416), centre=False)
    np.testing.assert_allclose(geometry.transform_boxes([(64, 0, 640, 480)], corner), [(41.6, 0, 416, 312)], atol=1e-9)


def test_letterbox_odd_border_goes_below():
    # 100x99 into 100x100: one row is free; Ultralytics rounds 0.5 - 0.1 to 0 rows above
    assert geometry.letterbox_matrix((100, 99), (100, 100))[1, 2] == 0


def test_compose_applies_the_first_first():
    double, move = geometry.scale_shift(np.full(2, 2.0), np.zeros(2)), geometry.scale_shift(np.ones(2), np.array([3.0, 4.0]))
    np.testing.assert_allclose(geometry.transform([(1, 1)], geometry.compose(double, move)), [(8, 10)])


numbers = st.floats(-2000, 2000)
lengths = st.floats(0.01, 3000)


@given(numbers, numbers, lengths, lengths, numbers, numbers, st.sampled_from(["classic", "udp"]))
def test_there_and_back_is_the_identity(x, y, w, h, px, py, warp):
    matrices = geometry.crop_matrices([(x, y, x + w, y + h)], SIZE, warp=warp)
    back = geometry.transform(geometry.transform([[(px, py)]], matrices), geometry.invert(matrices))
    np.testing.assert_allclose(back, [[(px, py)]], atol=1e-6)


@given(st.integers(1, 20000), st.integers(1, 20000), st.integers(1, 40), st.integers(1, 40))
def test_letterbox_holds_the_picture(width, height, w, h):
    box = geometry.transform_boxes([(0, 0, width, height)], geometry.letterbox_matrix((width, height), (w * 32, h * 32)))[0]
    assert box.min() >= -1e-6
    assert box[2] <= w * 32 + 0.51
    assert box[3] <= h * 32 + 0.51
