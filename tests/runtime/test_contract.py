"""What holds of every network on both backends: N rows in are N rows out, types are read rightly, and what is no number is an error."""

from __future__ import annotations

import gc
import logging
import os
import signal
import warnings
import weakref
from contextlib import contextmanager

import numpy as np
import onnx
import pytest
from networks import PIXELS, SIZE, constant_network, coordinate_network, heatmap_network, retyped, save, simcc_network, sliced, write_card
from onnx import helper, numpy_helper

from toppose import CardError, Estimator, ModelError
from toppose.runtime.device import Kept

BOXES = [(20.0, 10.0, 140.0, 110.0), (40, 30, 150, 115), (0, 0, 160, 120)]
ENGINES = ["host", "device"]
META = {"names": "{0: 'person'}", "imgsz": "[64, 64]", "task": "detect"}
HEAD = np.array([[32, 32, 20, 40, 0.9]], np.float32).T[None]  # one person, (22, 12) to (42, 52)


def estimator(pose, engine, **options):
    return Estimator(**{"detector": None, "pose": pose, "device": "cpu", "engine": engine, **options})


def boxes_of(detector, engine, count=1):
    found = estimator("pose-n", engine, detector=detector).detector([np.full((64, 64, 3), 254, np.uint8)] * count)
    return [b[:, :4].round(3).tolist() for b in found]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("keep", ["first", "repeated", "refused", "reversed"])
def test_a_pose_network_whose_batch_axis_lies_runs_one_by_one(tmp_path, spots, engine, keep, caplog):
    expected = estimator(heatmap_network(tmp_path / "honest.onnx", decoder="dark"), engine)(spots, BOXES)
    with caplog.at_level(logging.WARNING, "toppose"):
        lying = estimator(sliced(heatmap_network(tmp_path / "n.onnx", decoder="dark"), keep), engine, batch_size=4)
    assert "n.onnx' answers for one image a call, whatever its batch axis says" in caplog.messages[0]
    np.testing.assert_allclose(lying(spots, BOXES), expected, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("keep", ["repeated", "reversed", "mean"])
@pytest.mark.parametrize("batch", [2, 3, 5])
def test_a_fixed_batch_whose_rows_depend_on_each_other_is_refused(tmp_path, engine, keep, batch):
    path = sliced(heatmap_network(tmp_path / "n.onnx", batch=batch), keep)
    with pytest.raises(
        CardError, match=f"network 'n': expected rows that do not depend on the others of their batch of {batch}; export it with batch 1"
    ):
        estimator(path, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_row_that_depends_on_the_whole_batch_is_seen(tmp_path, spots, engine, caplog):
    alone = estimator(sliced(heatmap_network(tmp_path / "n.onnx"), "mean"), engine, batch_size=1).predict(spots, BOXES)
    together = estimator(tmp_path / "n.onnx", engine, batch_size=4).predict(spots, BOXES)
    assert "its batches run one by one" in caplog.text
    np.testing.assert_allclose(together.scores, alone.scores, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_list_of_boxes_may_be_as_long_as_the_picture_wants(tmp_path, engine):
    # as many rows as the brightest pixel has levels, by a slice of a list of three
    dets = np.array([[(10, 10, 30, 60, 0.9), (20, 5, 60, 60, 0.8), (5, 5, 60, 40, 0.7)]], np.float32)
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["bright"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Cast", ["bright"], ["count"], to=7),
        helper.make_node("Unsqueeze", ["count", "zero"], ["end"]),
        helper.make_node("Slice", ["all_dets", "zero", "end", "one"], ["dets"]),
        helper.make_node("Slice", ["all_labels", "zero", "end", "one"], ["some"]),
        helper.make_node("Cast", ["some"], ["labels"], to=7),
    ]
    constants = {"zero": np.array([0]), "one": np.array([1]), "all_dets": dets, "all_labels": np.zeros((1, 3), np.float32)}
    path = save(tmp_path / "d.onnx", nodes, {"images": [1, 3, 64, 64]}, {"dets": [1, "K", 5], "labels": [1, "K"]}, constants)
    write_card(path, {"kind": "dets"}, task="detect", size=[64, 64])
    detector = estimator("pose-n", engine, detector=path).detector
    pictures = [np.full((64, 64, 3), level, np.uint8) for level in (1, 2, 2, 3, 1, 2)]
    assert [len(detector([p])[0]) for p in pictures] == [1, 2, 2, 3, 1, 2]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("keep", ["first", "refused"])
def test_a_detector_whose_batch_axis_lies_runs_one_by_one(tmp_path, engine, keep):
    path = sliced(constant_network(tmp_path / "d.onnx", {"output0": HEAD}, (64, 64), "batch", **META), keep)
    assert boxes_of(path, engine, 3) == [[[22, 12, 42, 52]]] * 3


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_that_are_no_batch_are_refused_by_name(tmp_path, engine):
    flat = helper.make_node("Reshape", ["maps", "shape"], ["heatmaps"])  # (2, 3, 64, 24) whatever comes in
    weights, shape = np.ones((3, 3, 1, 1), np.float32), np.array([2, 3, 64, 24])
    save(
        tmp_path / "n.onnx",
        [helper.make_node("Conv", ["images", "weights"], ["maps"]), flat],
        {"images": [1, 3, SIZE[1], SIZE[0]]},
        {"heatmaps": [2, 3, 64, 24]},
        {"weights": weights, "shape": shape},
    )
    write_card(tmp_path / "n.onnx", {"kind": "heatmap"})
    with pytest.raises(CardError, match=r"network 'n': expected a row for each image of a batch, got .* export it with a batch axis"):
        estimator(tmp_path / "n.onnx", engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.uint8, np.int32])
@pytest.mark.parametrize("network", [lambda p: heatmap_network(p, decoder="dark"), simcc_network, coordinate_network])
def test_every_type_of_input_and_output(tmp_path, spots, engine, dtype, network):
    path = network(tmp_path / "float.onnx")
    if dtype == np.float64 and "heatmap" in path.with_suffix(".json").read_text():
        pytest.skip("ONNX Runtime has no convolution of doubles on the CPU")
    expected = estimator(path, engine).predict(spots, BOXES)
    got = estimator(retyped(network(tmp_path / "n.onnx"), dtype), engine, flip_test=False).predict(spots, BOXES)
    np.testing.assert_allclose(got.keypoints, expected.keypoints, atol=0.3 if dtype == np.float16 else 1e-4)
    np.testing.assert_allclose(got.scores, expected.scores, atol=0.2 if dtype == np.float16 else 1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.uint8])
def test_every_type_of_detector(tmp_path, engine, dtype):
    raw = retyped(constant_network(tmp_path / "raw.onnx", {"output0": HEAD}, (64, 64), "batch", **META), dtype)
    assert boxes_of(raw, engine, 2) == [[[22, 12, 42, 52]]] * 2
    rows = np.zeros((1, 5, 6), np.float32)
    rows[0, 0] = (22, 12, 42, 52, 0.9, 0)
    finished = retyped(constant_network(tmp_path / "e2e.onnx", {"output0": rows}, (64, 64), "batch", **META, end2end="True"), dtype)
    assert boxes_of(finished, engine) == [[[22, 12, 42, 52]]]


def test_pixels_as_they_are_have_no_mean(tmp_path):
    path = retyped(heatmap_network(tmp_path / "n.onnx"), np.uint8)
    write_card(path, {"kind": "heatmap"}, mean=[123, 116, 103])
    with pytest.raises(CardError, match=r"network 'n': takes uint8 pixels as they are, so its card must say mean \[0, 0, 0\] and std \[1, 1, 1\]"):
        estimator(path, "host")


def test_a_type_that_holds_no_pixels(tmp_path):
    path = retyped(heatmap_network(tmp_path / "n.onnx"), np.int8)
    with pytest.raises(ModelError, match=r"expected an input of float32, float16, float64, uint8 or int32; got images tensor\(int8\)"):
        estimator(path, "host")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("decoder", ["argmax", "quarter", "dark", "udp-dark"])
def test_what_is_no_number_in_a_heatmap(tmp_path, spots, engine, value, decoder):
    maps = np.zeros((1, 3, 16, 12), np.float32)
    maps[0, 1, 0, 11] = value  # not at the peak
    maps[0, :, 5, 5] = 0.5
    with silently(), pytest.raises(ModelError, match="network 'n' gave numbers that are not finite"):
        estimator(constant_maps(tmp_path, maps, decoder), engine).predict(spots, BOXES)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", [1e4, -1e9, 3e38])
@pytest.mark.parametrize("decoder", ["argmax", "dark", "udp-dark"])
def test_a_score_that_is_none(tmp_path, spots, engine, value, decoder):
    with silently(), pytest.raises(ModelError, match=r"network 'n' gave (a score of|numbers that are not finite)"):
        estimator(constant_maps(tmp_path, np.full((1, 3, 16, 12), value, np.float32), decoder), engine).predict(spots, BOXES)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("level", [0.0, -0.5])
@pytest.mark.parametrize("decoder", ["argmax", "quarter", "dark", "udp-dark"])
def test_flat_maps_are_numbers(tmp_path, spots, engine, level, decoder):
    with silently():
        poses = estimator(constant_maps(tmp_path, np.full((1, 3, 16, 12), level, np.float32), decoder), engine).predict(spots, BOXES)
    assert np.isfinite(poses.keypoints).all()
    np.testing.assert_allclose(poses.scores, level)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_no_number_in_other_outputs(tmp_path, spots, engine):
    points = np.full((1, 3, 3), 0.5)
    points[0, 1, 0] = np.nan
    path = constant_network(tmp_path / "c.onnx", {"points": points}, SIZE, "batch")
    write_card(path, {"kind": "coordinates"})
    with pytest.raises(ModelError, match="network 'c' gave numbers that are not finite"):
        estimator(path, engine).predict(spots, BOXES)
    vectors = {"x": np.zeros((1, 3, 96)), "y": np.zeros((1, 3, 128))}
    vectors["y"][0, 2, 100] = -np.inf
    path = constant_network(tmp_path / "s.onnx", vectors, SIZE, "batch")
    write_card(path, {"kind": "simcc"})
    with pytest.raises(ModelError, match="network 's' gave numbers that are not finite"):
        estimator(path, engine).predict(spots, BOXES)
    head = HEAD.copy()
    head[0, 2] = np.inf
    with pytest.raises(ModelError, match="detector 'd' gave numbers that are not finite"):
        boxes_of(constant_network(tmp_path / "d.onnx", {"output0": head}, (64, 64), **META), engine)


@contextmanager
def silently():
    """No warning of NumPy's may come up."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def constant_maps(folder, maps, decoder):
    # constant_network knows outputs of two and three axes alone
    path = constant_network(folder / "n.onnx", {"flat": maps.reshape(1, 3, -1)}, SIZE, "batch")
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Reshape", ["flat", "shape"], ["heatmaps"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, *maps.shape[1:]]), "shape"))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("heatmaps", 1, ["batch", *maps.shape[1:]]))
    onnx.save(model, path)
    return write_card(path, {"kind": "heatmap", "decoder": decoder}, **{k: v for k, v in PIXELS.items() if k != "size"})


@pytest.mark.parametrize("first", [True, False])
def test_an_output_that_nobody_asked_for_is_left_aside(tmp_path, spots, first):
    path = heatmap_network(tmp_path / "n.onnx", decoder="dark")
    expected = estimator(path, "host")(spots, BOXES)
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("ArgMax", ["heatmaps"], ["index"], axis=3, keepdims=0))
    index = helper.make_tensor_value_info("index", 7, ["batch", 3, 16])
    outputs = [index, model.graph.output[0]] if first else [model.graph.output[0], index]
    model.graph.ClearField("output")
    model.graph.output.extend(outputs)
    onnx.save(model, path)
    for engine in ENGINES:
        np.testing.assert_allclose(estimator(path, engine)(spots, BOXES), expected, atol=1e-4)


def test_which_of_two_heatmaps_is_said_by_the_card(tmp_path, spots):
    path = heatmap_network(tmp_path / "n.onnx", decoder="dark")
    expected = estimator(path, "host")(spots, BOXES)
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Neg", ["heatmaps"], ["other"]))
    model.graph.output.insert(0, helper.make_tensor_value_info("other", 1, ["batch", 3, 16, 12]))
    onnx.save(model, path)
    with pytest.raises(CardError, match=r"expected one output of heatmaps \(N, 3, H, W\), got \['other', 'heatmaps'\]; say in the card's output"):
        estimator(path, "host")
    write_card(path, {"kind": "heatmap", "decoder": "dark", "names": ["heatmaps"]})
    np.testing.assert_array_equal(estimator(path, "host")(spots, BOXES), expected)
    write_card(path, {"kind": "heatmap", "names": ["maps"]})
    with pytest.raises(CardError, match=r"its card reads \['maps'\]; the network gives \['other', 'heatmaps'\]"):
        estimator(path, "host")


@pytest.mark.parametrize("engine", ENGINES)
def test_simcc_outputs_are_told_by_name_before_order(tmp_path, engine):
    # a crop of 64x64, so that columns and rows are as many; joints at column 10, row 40
    vectors = {"simcc_y": np.zeros((1, 3, 128)), "simcc_x": np.zeros((1, 3, 128))}
    vectors["simcc_x"][..., 20] = vectors["simcc_y"][..., 80] = 0.9
    path = constant_network(tmp_path / "n.onnx", vectors, (64, 64), "batch")
    write_card(path, {"kind": "simcc"}, size=[64, 64], padding=1.0)
    keypoints = estimator(path, engine)(np.zeros((64, 64, 3), np.uint8), [(0, 0, 64, 64)])
    np.testing.assert_allclose(keypoints[0], [(10, 40)] * 3, atol=1e-4)


@pytest.mark.parametrize("names", [["simcc_x"], ["simcc_x", "simcc_x2"]])
def test_one_vector_is_no_simcc(tmp_path, names):
    path = constant_network(tmp_path / "n.onnx", {n: np.zeros((1, 3, 128)) for n in names}, (64, 64), "batch")
    write_card(path, {"kind": "simcc"}, size=[64, 64])
    with pytest.raises(CardError, match="its card says simcc of 3 joints"):
        estimator(path, "host")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_place_that_is_none(tmp_path, spots, engine):
    points = np.full((1, 3, 3), 0.5)
    points[0, 0, 0] = 1e30
    path = write_card(constant_network(tmp_path / "n.onnx", {"points": points}, SIZE, "batch"), {"kind": "coordinates"})
    with pytest.raises(ModelError, match=r"network 'n' gave a place 4\.8e\+31 pixels across its crop"):
        estimator(path, engine)(spots, BOXES)


def test_a_udp_map_of_one_cell_is_refused(tmp_path):
    path = constant_maps(tmp_path, np.zeros((1, 3, 1, 12), np.float32), "dark")
    write_card(path, {"kind": "heatmap"}, warp="udp")
    with pytest.raises(CardError, match=r"so heatmaps \(N, 3, H, W\); the network gives"):
        estimator(path, "host")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_fork_while_another_thread_is_at_work(tmp_path, spots):
    device = estimator(heatmap_network(tmp_path / "n.onnx"), "device", threads=1)
    expected = device(spots, BOXES)
    with device.pose.backend.lock:  # as another thread would hold it
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(7 if np.array_equal(device(spots, BOXES), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_dropped_estimator_is_gone(tmp_path, spots):
    device = estimator(heatmap_network(tmp_path / "n.onnx"), "device")
    device(spots, BOXES)
    session = weakref.ref(device.pose.backend.session)
    gc.collect()
    gc.disable()
    try:
        del device
        assert session() is None
    finally:
        gc.enable()


def test_the_device_keeps_the_buffers_used_last():
    kept = Kept(most=2)
    numbers = {key: kept.find(key, lambda: None).number for key in "ab"}
    kept.find("a", lambda: None)
    kept.find("c", lambda: None)  # b goes
    assert list(kept) == ["a", "c"]
    again = kept.find("b", lambda: None).number
    assert again not in (*numbers.values(), kept["c"].number)
