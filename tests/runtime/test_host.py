"""Pixels through matrices, on pictures whose crops are known."""

from __future__ import annotations

import numpy as np
import pytest

from toppose.geometry import crop_matrices, letterbox_matrix
from toppose.runtime import Look
from toppose.runtime.host import crop_into, normalise


def test_crop_is_exact_where_pixels_meet_pixels():
    image = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    out = np.full((2, 20, 10, 3), 9, np.uint8)
    shift = np.array([[[1, 0, -30], [0, 1, -40]], [[1, 0, 5], [0, 1, 0]]], np.float64)
    crop_into(out, [image], [0, 0], shift)
    np.testing.assert_array_equal(out[0], image[40:60, 30:40])
    np.testing.assert_array_equal(out[1, :, 5:], image[:20, :5])
    assert not out[1, :, :5].any()  # black outside


def test_crop_is_bilinear():
    image = np.zeros((4, 4, 3), np.uint8)
    image[1, 1], image[1, 2] = 100, 200
    out = np.zeros((1, 1, 1, 3), np.uint8)
    crop_into(out, [image], [0], np.array([[[1, 0, -1.5], [0, 1, -1.0]]]))  # looks at (1.5, 1)
    assert out[0, 0, 0].tolist() == [150, 150, 150]


@pytest.mark.parametrize("box", [(-500, -500, -400, -300), (1000, 0, 1100, 50), (1e6, 1e6, 1e7, 1e7)])
def test_a_box_outside_gives_border(box):
    out = np.full((1, 64, 48, 3), 7, np.uint8)
    crop_into(out, [np.full((50, 50, 3), 255, np.uint8)], [0], crop_matrices([box], (48, 64)), border=114)
    assert (out == 114).all()


def test_images_too_large_for_opencv():
    image = np.zeros((40, 40_000, 3), np.uint8)
    image[:, 39_000:39_010] = 255
    out = np.zeros((1, 40, 40, 3), np.uint8)
    crop_into(out, [image], [0], np.array([[[1, 0, -38_990], [0, 1, 0]]], np.float64))
    assert out[0, 20, :, 0].tolist() == [0] * 10 + [255] * 10 + [0] * 20
    whole = np.zeros((1, 64, 64, 3), np.uint8)
    crop_into(whole, [image], [0], letterbox_matrix((40_000, 40), (64, 64))[None], 114)
    assert whole.shape == (1, 64, 64, 3)


def test_normalise():
    crops = np.zeros((2, 1, 2, 3), np.uint8)
    crops[0, 0, 1] = (10, 20, 30)  # BGR
    blob = normalise(crops, Look((2, 1), "rgb", (5, 6, 7), (2, 4, 8)))
    assert blob.shape == (2, 3, 1, 2)
    assert blob[0, :, 0, 1].tolist() == [(30 - 5) / 2, (20 - 6) / 4, (10 - 7) / 8]
    assert blob[1, :, 0, 0].tolist() == [-2.5, -1.5, -0.875]
    assert normalise(crops, Look((2, 1), "bgr", (0, 0, 0), (1, 1, 1)))[0, :, 0, 1].tolist() == [10, 20, 30]
