from __future__ import annotations

import logging

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from networks import constant_network, heatmap_network, save
from onnx import helper

from toppose import CardError, DeviceError, Estimator, ModelError, OptionError
from toppose.runtime import session as room
from toppose.runtime.providers import check_running, choose_providers, parse_device
from toppose.runtime.session import Session

CPU, CUDA, TRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
EVERYTHING = [TRT, CUDA, CPU]
BOX = [(20.0, 10.0, 140.0, 110.0)]


@pytest.mark.parametrize(
    ("device", "available", "names", "index"),
    [
        ("cpu", EVERYTHING, [CPU], None),
        ("auto", [CPU], [CPU], None),
        ("auto", EVERYTHING, [CUDA, CPU], 0),
        ("cuda", EVERYTHING, [CUDA, CPU], 0),
        ("cuda:1", EVERYTHING, [CUDA, CPU], 1),
        ("tensorrt", EVERYTHING, [TRT, CUDA, CPU], 0),
    ],
)
def test_choose_providers(device, available, names, index):
    chosen = choose_providers(device, available)
    assert [name for name, _ in chosen] == names
    if index is not None:
        assert chosen[0][1]["device_id"] == index


def test_a_provider_that_was_not_built_in():
    with pytest.raises(DeviceError, match=r"device 'cuda': .*without CUDAExecutionProvider.*Cure: .*pip install"):
        choose_providers("cuda", [CPU])
    with pytest.raises(DeviceError, match="without TensorrtExecutionProvider"):
        choose_providers("tensorrt", [CUDA, CPU])


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:-1", "cuda:99999999999999999999", "cpu:0", "auto:1", "", None, 0])
def test_what_is_no_device(device):
    with pytest.raises(OptionError, match="device: expected 'auto', 'cpu', 'cuda'"):
        parse_device(device)


def test_a_named_device_must_run():
    check_running("auto", [CPU])
    check_running("cuda", [CUDA, CPU])
    with pytest.raises(DeviceError, match=r"CUDAExecutionProvider did not start.*Cause.*Cure"):
        check_running("cuda", [CPU])


def test_cuda_that_does_not_run_raises(tmp_path):
    path = heatmap_network(tmp_path / "net.onnx")
    if CUDA in ort.get_available_providers() and Session(path).providers[0] == CUDA:
        pytest.skip("CUDA runs here")
    with pytest.raises(DeviceError, match="device 'cuda'"):
        Session(path, "cuda")
    with pytest.raises(DeviceError, match="device 'tensorrt'"):
        Session(path, "tensorrt")


def test_auto_says_once_what_it_took(tmp_path, caplog):
    path = heatmap_network(tmp_path / "net.onnx")
    room._told.clear()
    with caplog.at_level(logging.INFO, "toppose"):
        Session(path)
        Session(path)
    assert len(caplog.messages) == 1
    assert "device auto: running on" in caplog.messages[0]


def test_a_fixed_batch_is_looped(tmp_path):
    blob = np.random.default_rng(0).random((5, 3, 64, 48), np.float32)
    free = Session(heatmap_network(tmp_path / "free.onnx"), "cpu")
    assert free.batch is None
    expected = free.run(blob, ["heatmaps"])[0]
    for batch in (1, 2, 5, 8):
        fixed = Session(heatmap_network(tmp_path / f"b{batch}.onnx", batch), "cpu")
        assert fixed.batch == batch
        got = fixed.run(blob, ["heatmaps"])[0]
        assert got.shape == (5, 3, 16, 12)
        np.testing.assert_array_equal(got, expected)


def test_what_is_no_network(tmp_path):
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(ModelError, match=r"text\.onnx' \(13 bytes\): expected an ONNX network, but it cannot be loaded"):
        Session(tmp_path / "text.onnx", "cpu")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(ModelError, match="0 bytes"):
        Session(tmp_path / "empty.onnx", "cpu")
    with pytest.raises(ModelError, match="cannot be read"):
        Session(tmp_path / "nothing.onnx", "cpu")


def test_an_input_of_the_wrong_shape_is_a_model_error(tmp_path):
    session = Session(heatmap_network(tmp_path / "net.onnx"), "cpu")
    with pytest.raises(ModelError, match=r"failed on images \(1, 3, 10, 10\)"):
        session.run(np.zeros((1, 3, 10, 10), np.float32), ["heatmaps"])


def test_metadata(tmp_path):
    path = constant_network(tmp_path / "meta.onnx", {"output0": np.zeros((1, 5, 7))}, (64, 32), names="{0: 'person'}")
    session = Session(path, "cpu")
    assert session.metadata["names"] == "{0: 'person'}"
    assert session.shape == [1, 3, 32, 64]
    assert session.outputs == {"output0": [1, 5, 7]}


def test_a_size_that_a_free_network_cannot_take(tmp_path):
    save(
        tmp_path / "n.onnx",
        [helper.make_node("Add", ["images", "row"], ["out"])],
        {"images": ["b", 3, "h", "w"]},
        {"out": ["b", 3, "h", "w"]},
        {"row": np.zeros(48, np.float32)},
    )
    session = Session(tmp_path / "n.onnx", "cpu")
    assert session.probe("card 'n'", np.zeros((2, 3, 64, 48), np.float32))["out"].shape == (2, 3, 64, 48)
    with pytest.raises(CardError, match=r"card 'n' says input \(3, 64, 50\) .* the network cannot take it: .*n\.onnx' failed on images"):
        session.probe("card 'n'", np.zeros((1, 3, 64, 50), np.float32))


def with_weights_beside(path, **where):
    """The heatmap network with its weights in files of their own."""
    heatmap_network(path, decoder="dark")
    onnx.save(onnx.load(path), path, save_as_external_data=True, size_threshold=0, **where)
    return path


@pytest.mark.parametrize(
    "where", [{"location": "weights.bin"}, {"location": "n.onnx_data"}, {"location": "part/w.data"}, {"all_tensors_to_one_file": False}]
)
def test_weights_in_other_files_are_found_from_any_folder(tmp_path, where, spots, monkeypatch):
    (tmp_path / "net" / "part").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    path = with_weights_beside(tmp_path / "net" / "n.onnx", **where)
    expected = Estimator(detector=None, pose=heatmap_network(tmp_path / "whole.onnx", decoder="dark"), device="cpu")(spots, BOX)
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "weights.bin").write_bytes(bytes(36))  # another network's
    np.testing.assert_array_equal(Estimator(detector=None, pose=path, device="cpu")(spots, BOX), expected)
    monkeypatch.chdir(path.parent)
    np.testing.assert_array_equal(Estimator(detector=None, pose="n.onnx", device="cpu")(spots, BOX), expected)


def test_weights_that_are_lost_or_cut_are_named(tmp_path):
    path = with_weights_beside(tmp_path / "n.onnx", location="weights.bin")
    (tmp_path / "weights.bin").write_bytes(b"cut")
    with pytest.raises(ModelError, match=r"n\.onnx' .*the file of its weights is too short: weights"):
        Session(path, "cpu")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"pose: '.*n\.onnx' .*its weights lie in '.*weights\.bin', and there is no such file"):
        Estimator(detector=None, pose=path, device="cpu")
