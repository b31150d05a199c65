"""Every decoder on maps whose answer is known without it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toppose import ModelCard
from toppose.topdown import decode
from toppose.topdown.readers import axis_of, joint_reader


def gaussian(x: float, y: float, size: tuple[int, int] = (48, 64), sigma: float = 2.0, peak: float = 1.0) -> np.ndarray:
    rows, columns = np.mgrid[: size[1], : size[0]]
    return (peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))).astype(np.float32)[None, None]


def small(**cells: float) -> np.ndarray:
    """An 8x8 map that is 0 but for x3y4=... cells."""
    maps = np.zeros((1, 1, 8, 8), np.float32)
    for name, value in cells.items():
        maps[0, 0, int(name[3]), int(name[1])] = value
    return maps


def test_argmax():
    cells, scores = decode.argmax(small(x3y4=0.8, x4y4=0.5))
    assert cells.tolist() == [[[3, 4]]]
    np.testing.assert_allclose(scores, [[0.8]])


@pytest.mark.parametrize(
    ("maps", "expected"),
    [
        (small(x3y4=0.8, x4y4=0.5, x2y4=0.2, x3y3=0.1, x3y5=0.4), (3.25, 4.25)),
        (small(x3y4=0.8, x2y4=0.5, x3y3=0.1), (2.75, 3.75)),
        (small(x3y4=0.8, x4y4=0.5, x2y4=0.5), (3.0, 4.0)),  # sign(0) = 0
        (small(x1y4=0.8, x2y4=0.5), (1.0, 4.0)),  # 1 < x fails
        (small(x6y6=0.8, x5y6=0.5, x6y5=0.5), (5.75, 5.75)),  # x = W-2 still counts
        (small(x7y4=0.8, x6y4=0.5), (7.0, 4.0)),  # x < W-1 fails
        (small(x4y1=0.8, x5y1=0.5), (4.0, 1.0)),  # one axis at the border stops both
    ],
)
def test_quarter(maps, expected):
    cells, _ = decode.quarter(maps)
    assert tuple(cells[0, 0]) == expected


def test_dark_without_blur_is_exact_on_a_gaussian():
    # the logarithm of a Gaussian is a parabola, of which one Newton step finds the top
    for decoder in (decode.dark, decode.udp_dark):
        cells, scores = decoder(gaussian(20.3, 30.6, sigma=1.5), 1)
        np.testing.assert_allclose(cells[0, 0], (20.3, 30.6), atol=1e-4)
        # the nearest cell (20, 31) lies (0.3, 0.4) away: exp(-0.25/4.5)
        np.testing.assert_allclose(scores[0, 0], np.exp(-0.25 / 4.5), rtol=1e-5)


@pytest.mark.parametrize("decoder", [decode.dark, decode.udp_dark])
def test_dark_with_blur_keeps_the_centre_of_a_gaussian(decoder):
    cells, scores = decoder(gaussian(20.3, 30.6), 11)
    np.testing.assert_allclose(cells[0, 0], (20.3, 30.6), atol=0.01)
    np.testing.assert_allclose(scores[0, 0], np.exp(-0.25 / 8), rtol=1e-5)  # the peak before the blur


def test_dark_leaves_the_border_alone():
    for x in (0, 1, 46, 47):
        cells, _ = decode.dark(gaussian(x, 30))
        assert cells[0, 0].tolist() == [x, 30]


def test_dark_takes_no_step_where_there_is_no_curvature():
    cells, scores = decode.dark(np.zeros((1, 1, 64, 48), np.float32))
    assert cells.tolist() == [[[0, 0]]]
    assert scores.tolist() == [[0]]


def test_smooth_keeps_the_maximum_and_separates_maps():
    maps = np.zeros((1, 2, 16, 16), np.float32)
    maps[0, 0, 15, 8] = 0.7  # at the edge, next to the other map
    blurred = decode.smooth(maps, 11)
    np.testing.assert_allclose(blurred[0, 0].max(), 0.7, rtol=1e-6)
    assert blurred[0, 1].max() == 0


def test_simcc():
    x, y = np.zeros((1, 2, 384), np.float32), np.zeros((1, 2, 512), np.float32)
    x[0, 0, 101], y[0, 0, 300] = 0.8, 0.4
    x[0, 1, 383], y[0, 1, 0] = 0.1, 0.3
    cells, peaks = decode.simcc(x, y, 2.0)
    assert cells.tolist() == [[[50.5, 150.0], [191.5, 0.0]]]
    np.testing.assert_allclose(peaks, [[[0.8, 0.4], [0.1, 0.3]]])


@pytest.mark.parametrize(("score", "expected"), [("min", [[0.4, 0.1]]), ("mean", [[0.6, 0.2]])])
def test_a_simcc_score_joins_both_peaks_and_hides_no_absurd_one(score, expected):
    output = {"kind": "simcc", "score": score}
    card = ModelCard(name="n", task="pose", file="n.onnx", input={"size": [192, 256]}, output=output, skeleton={"name": "t", "joints": ["a", "b"]})
    reader = joint_reader(card, None, False)
    np.testing.assert_allclose(reader.collect([np.zeros((1, 2, 2)), np.array([[[0.8, 0.4], [0.1, 0.3]]])])[1], expected)
    assert reader.collect([np.zeros((1, 1, 2)), np.array([[[0.5, 1e30]]], np.float32)])[1][0, 0] == np.float32(1e30)


@pytest.mark.parametrize(
    ("name", "axis"),
    [
        *((n, "x") for n in ("simcc_x", "x", "output_x", "coordX", "xpred", "pred.x.1", "simccx", "horizontal")),
        *((n, "y") for n in ("simcc_y", "Y", "ymap", "coordY", "vertical_vectors")),
        *((n, "") for n in ("output0", "index", "max", "yellow", "")),
    ],
)
def test_what_an_output_is_called_says_its_axis(name, axis):
    assert axis_of(name) == axis


def test_coordinates():
    points = np.array([[[1.5, 2.5, 0.25], [3, 4, 0.75]]], np.float32)
    cells, scores = decode.coordinates(points)
    assert cells.tolist() == [[[1.5, 2.5], [3, 4]]]
    assert scores.tolist() == [[0.25, 0.75]]
    assert decode.coordinates(points[..., :2])[1].tolist() == [[1, 1]]


@pytest.mark.parametrize("name", sorted(decode.HEATMAP_DECODERS))
def test_nobody(name):
    cells, scores = decode.HEATMAP_DECODERS[name](np.zeros((0, 17, 64, 48), np.float32), 11)
    assert cells.shape == (0, 17, 2)
    assert scores.shape == (0, 17)


@given(st.floats(4, 43), st.floats(4, 59), st.floats(0.05, 1))
def test_sub_cell_decoders_find_any_gaussian(x, y, peak):
    for decoder, tolerance in ((decode.quarter, 0.51), (decode.dark, 0.05), (decode.udp_dark, 0.05)):
        cells, scores = decoder(gaussian(x, y, peak=peak), 11)
        assert np.abs(cells[0, 0] - (x, y)).max() <= tolerance
        assert 0.9 * peak <= scores[0, 0] <= peak * 1.0001


@given(st.integers(0, 2**32 - 1))
def test_persons_and_joints_do_not_touch_each_other(seed):
    maps = np.random.default_rng(seed).random((3, 4, 16, 12), np.float32)
    for decoder in decode.HEATMAP_DECODERS.values():
        cells, scores = decoder(maps, 11)
        one, score = decoder(maps[2:3, 1:2].copy(), 11)
        np.testing.assert_allclose(cells[2, 1], one[0, 0], rtol=1e-4, atol=1e-3)
        assert scores[2, 1] == score[0, 0]
