"""The host engine on networks whose answer is known: spots of colour at known places."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from conftest import draw_spots
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import coordinate_network, heatmap_network, simcc_network, write_card

from toppose import CardError, Estimator, OptionError

BOX = [(20.0, 10.0, 140.0, 110.0)]


def estimator(path, **options):
    return Estimator(detector=None, pose=path, device="cpu", **options)


@pytest.mark.parametrize(("decoder", "tolerance"), [("argmax", 5), ("quarter", 2.5), ("dark", 0.9), ("udp-dark", 0.9)])
def test_heatmaps_find_the_spots(tmp_path, spots, decoder, tolerance):
    # 84x112 grows to 105x140 on 12x16 cells of 8.75 px: argmax is off by half a cell and its rounding at most, quarter by half of that;
    # DARK by a tenth, since its blur reaches over the border of so small a map
    poses = estimator(heatmap_network(tmp_path / "n.onnx"), decoder=decoder).predict(spots, boxes=[(20.0, 10.0, 104.0, 122.0)])
    expected = [(60, 50), (90.5, 70.25), (90.5, 70.25)]
    np.testing.assert_allclose(poses.keypoints[0], expected, atol=tolerance)
    assert (poses.scores[0] > 0.8).all()


def test_udp_finds_the_spots(tmp_path, spots):
    path = heatmap_network(tmp_path / "n.onnx", corners=True, decoder="udp-dark", warp="udp")
    poses = estimator(path).predict(spots, boxes=BOX)
    np.testing.assert_allclose(poses.keypoints[0], [(60, 50), (90.5, 70.25), (90.5, 70.25)], atol=0.9)


def test_simcc_finds_the_spots(tmp_path, spots):
    # region: 150 px high becomes 160 wide x 213 high at 48/64, so a crop pixel is 3.33 image px
    poses = estimator(simcc_network(tmp_path / "n.onnx")).predict(spots, boxes=BOX)
    np.testing.assert_allclose(poses.keypoints[0, :2], [(60, 50), (90.5, 70.25)], atol=2)


def test_coordinates(tmp_path, spots):
    # 40x40 box: 50x50, then 50 x 66.67 round (50, 60): left 25, top 26.67
    poses = estimator(coordinate_network(tmp_path / "n.onnx")).predict(spots, boxes=[(30, 40, 70, 80)])
    np.testing.assert_allclose(poses.keypoints[0], [(50, 60), (37.5, 43.3333), (75, 93.3333)], atol=1e-3)
    assert poses.scores[0].tolist() == [0.5, 0.5, 0.5]
    assert estimator(coordinate_network(tmp_path / "n2.onnx", 2)).predict(spots, boxes=[(30, 40, 70, 80)]).scores[0].tolist() == [1, 1, 1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 12), st.integers(1, 7), st.integers(1, 3), st.integers(0, 10**6))
def test_batching_never_changes_an_answer(tmp_path_factory, count, batch_size, runs, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("n") / "n.onnx"
    heatmap_network(path, decoder="dark")
    images = [draw_spots(90, 70, tuple(rng.uniform(10, 60, 2)), tuple(rng.uniform(10, 60, 2))) for _ in range(3)]
    corners = rng.uniform(-20, 60, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 80, (count, 2))], 1)
    parts = np.array_split(boxes, 3)
    together = estimator(path, batch_size=batch_size, runs=runs).predict(images, boxes=parts)
    alone = estimator(path, batch_size=1, runs=1)
    for image, part, poses in zip(images, parts, together, strict=True):
        for box, person in zip(part, poses, strict=True):
            one = alone.predict(image, boxes=[box])
            np.testing.assert_allclose(person.keypoints, one.keypoints, atol=1e-3)
            np.testing.assert_allclose(person.scores, one.scores, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.tuples(st.floats(40, 100), st.floats(40, 80)), st.tuples(st.floats(40, 100), st.floats(40, 80)), st.booleans())
def test_flipping_an_image_flips_the_answer(tmp_path_factory, red, green, udp):
    path = tmp_path_factory.mktemp("n") / "n.onnx"
    heatmap_network(path, corners=udp, decoder="udp-dark" if udp else "dark", warp="udp" if udp else "classic")
    image, boxes = draw_spots(140, 120, red, green), np.array([(20.0, 10.0, 120.0, 110.0)])
    mirrored_boxes = np.array([(139 - 120.0, 10.0, 139 - 20.0, 110.0)])
    one = estimator(path)
    keypoints = one(image, boxes)[0]
    mirrored = one(image[:, ::-1], mirrored_boxes)[0]
    np.testing.assert_allclose(mirrored[[0, 2, 1]], np.stack([139 - keypoints[:, 0], keypoints[:, 1]], 1), atol=0.35)


@pytest.mark.parametrize(("warp", "corners", "decoder"), [("classic", False, "dark"), ("udp", True, "udp-dark")])
def test_flip_test_agrees_with_a_symmetric_network(tmp_path, spots, warp, corners, decoder):
    # Mirrored crop pixels are w-1-u; a classic network that sees cell X at pixel 4X then misses by 1 of 4 pixels: the shift of one
    # cell leaves a quarter of a cell, 1/2 of that after averaging.
    path = heatmap_network(tmp_path / "n.onnx", corners=corners, decoder=decoder, warp=warp)
    plain, flipped = estimator(path)(spots, BOX)[0], estimator(path, flip_test=True)(spots, BOX)[0]
    cell = 4 * 160 / 48
    np.testing.assert_allclose(flipped, plain, atol=0.02 if warp == "udp" else cell / 8 + 0.3)


def test_flip_test_swaps_left_and_right(tmp_path):
    path = coordinate_network(tmp_path / "n.onnx")
    poses = estimator(path, flip_test=True).predict(np.zeros((100, 100, 3), np.uint8), boxes=[(30, 40, 70, 80)])
    # constant network: x' = 47/48 - x of the partner, averaged. nose (0.5+47/48-0.5)/2, left eye (0.25 + 47/48 - 1)/2
    x = (np.array([47 / 48 / 2, (0.25 + 47 / 48 - 1) / 2, (1 + 47 / 48 - 0.25) / 2])) * 50 + 25
    y = (np.array([0.5, 0.625, 0.625])) * 66.6667 + 26.6667
    np.testing.assert_allclose(poses.keypoints[0], np.stack([x, y], 1), atol=1e-3)


def test_a_network_of_fixed_batch(tmp_path, spots):
    boxes = [BOX[0], (0, 0, 90, 90), (30, 30, 160, 120)]
    free = estimator(heatmap_network(tmp_path / "free.onnx"))(spots, boxes)
    fixed = estimator(heatmap_network(tmp_path / "one.onnx", 1))(spots, boxes)
    np.testing.assert_array_equal(free, fixed)


@pytest.mark.parametrize(
    ("output", "joints", "spec", "message"),
    [
        (
            {"kind": "heatmap"},
            ["a", "b"],
            {},
            r"says heatmap of 2 joints, so heatmaps \(N, 2, H, W\); the network gives \['float32 \(3, 3, 16, 12\)'\]",
        ),
        ({"kind": "simcc"}, None, {}, r"so SimCC vectors \[\('N', 3, 96\), \('N', 3, 128\)\]; the network gives"),
        ({"kind": "coordinates"}, None, {}, r"coordinates \(N, 3, 2 or 3\); the network gives"),
        ({"kind": "heatmap"}, None, {"size": [64, 64]}, r"says input \(3, 64, 64\).*the network takes \[3, 64, 48\]"),
    ],
)
def test_a_card_that_does_not_fit(tmp_path, output, joints, spec, message):
    path = heatmap_network(tmp_path / "n.onnx")
    write_card(path, output, joints, **spec)
    with pytest.raises(CardError, match=message):
        estimator(path)


def test_a_decoder_for_what_has_only_one(tmp_path):
    with pytest.raises(OptionError, match=r"decoder: .* gives simcc"):
        estimator(simcc_network(tmp_path / "n.onnx"), decoder="dark")


def test_threads_option_sets_opencv_too(tmp_path):
    before = cv2.getNumThreads()
    try:
        assert estimator(heatmap_network(tmp_path / "n.onnx"), threads=1).pose.backend.session.threads == 1
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)
    estimator(tmp_path / "n.onnx")
    assert cv2.getNumThreads() == before
    assert json.loads((tmp_path / "n.json").read_text())["name"] == "n"


def test_flip_test_needs_left_and_right(tmp_path):
    path = heatmap_network(tmp_path / "n.onnx")
    write_card(path, {"kind": "heatmap"}, ["a", "b", "c"])
    with pytest.raises(OptionError, match="flip_test: skeleton 'test' has no left and right joints"):
        estimator(path, flip_test=True)
