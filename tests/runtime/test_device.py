"""The device engine on the CPU provider, held against the host engine; `gpu` tests run where there is one."""

from __future__ import annotations

import logging
import subprocess
import threading
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from conftest import ROOT, draw_spots
from networks import constant_network, coordinate_network, heatmap_network, simcc_network, write_card
from onnx import TensorProto, helper

from toppose import Estimator, OptionError, geometry
from toppose.errors import OutOfMemory
from toppose.images import read_image
from toppose.runtime.device import Frames
from toppose.runtime.host import crop_into
from toppose.runtime.providers import capturing, choose_providers
from toppose.runtime.session import Network

# grey levels: ties may be rounded to either side; OpenCV 4 places points to a 32nd of a pixel, which at an edge is 255 / 32 each way
LEVELS = 1 if int(cv2.__version__.split(".")[0]) >= 5 else 16
GRAPHS = sorted((ROOT / "models" / "graphs").glob("*.onnx"))


def both(path, **options):
    return [Estimator(detector=None, pose=path, device="cpu", engine=engine, **options) for engine in ("host", "device")]


def crowd(rng, image, count):
    """Boxes inside, partly outside and wholly outside of the image."""
    h, w = image.shape[:2]
    low = rng.uniform((-0.4 * w, -0.4 * h), (1.1 * w, 1.1 * h), (count, 2))
    return np.concatenate([low, low + rng.uniform(8, 0.8 * h, (count, 2))], 1)


def agree(estimators, images, boxes, tolerance=0.1):
    host, device = (e.predict(images, boxes) for e in estimators)
    for a, b in zip(host, device, strict=True):
        assert a.keypoints.shape == b.keypoints.shape
        if LEVELS == 1:
            np.testing.assert_allclose(b.scores, a.scores, atol=0.005)
            np.testing.assert_allclose(b.keypoints, a.keypoints, atol=tolerance)
        elif len(a):  # other crops: unsure joints may be elsewhere
            assert np.median(np.abs(b.scores - a.scores)) < 0.01
            assert np.median(np.abs(b.keypoints - a.keypoints)) < tolerance


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("decoder", ["argmax", "quarter", "dark", "udp-dark"])
def test_shipped_network_agrees_with_the_host(photo, decoder, flip_test):
    image = read_image(photo)
    boxes = [(20.0, 0, 420, 512), (100, -60, 330, 250), (-150, 100, 220, 700)]
    agree(both("pose-n", decoder=decoder, flip_test=flip_test), [image, image[40:400, 60:400]], [boxes, boxes[:1]])


@pytest.mark.parametrize("count", [0, 1, 3, 33])
def test_any_number_of_people_on_images_of_different_sizes(tmp_path, count):
    rng = np.random.default_rng(count)
    images = [draw_spots(*size, tuple(rng.uniform(20, 60, 2)), tuple(rng.uniform(20, 60, 2))) for size in ((90, 70), (160, 120), (90, 70), (64, 200))]
    agree(both(heatmap_network(tmp_path / "n.onnx", decoder="dark")), images, [crowd(rng, i, count) for i in images])


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("network", [simcc_network, coordinate_network, lambda p: heatmap_network(p, corners=True, decoder="udp-dark", warp="udp")])
def test_every_kind_of_network(tmp_path, spots, network, flip_test):
    agree(both(network(tmp_path / "n.onnx"), flip_test=flip_test), [spots], [[(20.0, 10.0, 140.0, 110.0), (60, 50, 200, 160), (500, 500, 600, 700)]])


@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize("border", [0, 114])
def test_crops_are_the_hosts_to_a_rounding(tmp_path, color, border):
    rng = np.random.default_rng(0)
    path = write_card(heatmap_network(tmp_path / "n.onnx"), {"kind": "heatmap"}, color=color, border=border)
    backend = both(path)[1].pose.backend
    smooth = [np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((20, 20, 1))).astype(np.uint8) for _ in range(2)]
    images, index = [smooth[0], smooth[1], smooth[0][:70]], np.array([0, 0, 1, 2, 2])
    matrices = geometry.crop_matrices(np.concatenate([crowd(rng, images[i], 1) for i in index]), (48, 64))
    host = np.empty((5, 64, 48, 3), np.uint8)
    crop_into(host, images, index, matrices, border)
    crops = backend.allocate((8, 3, 64, 48), np.float32)
    backend.cut(crops, Frames(images), index, matrices)
    device = crops.numpy()[:5].transpose(0, 2, 3, 1)
    difference = np.abs((device[..., ::-1] if color == "rgb" else device) - host)
    assert difference.max() <= LEVELS
    assert (difference > 0.6).mean() < (1e-4 if LEVELS == 1 else 0.1)


def test_one_graph_cuts_from_several_images():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (3, 30, 40, 3), dtype=np.uint8)
    index, (h, w) = np.array([2, 0, 1, 2]), (12, 16)
    matrices = geometry.crop_matrices(np.array([(4.0, 3, 20, 15), (0, 0, 40, 30), (30, 20, 50, 40), (-90, -90, -50, -60)]), (w, h))
    look = {"border": np.full(1, 7, np.uint8), "mean": np.zeros((1, 3, 1, 1), np.float32), "std": np.ones((1, 3, 1, 1), np.float32)}
    feeds = {"images": images, "matrices": geometry.invert(matrices).astype(np.float32), "index": index}
    feeds |= {
        "columns": np.arange(w, dtype=np.float32),
        "rows": np.arange(h, dtype=np.float32),
        "size": np.array([40, 30]),
        "order": np.arange(3),
        **look,
    }
    crops = ort.InferenceSession(ROOT / "models" / "graphs" / "crop.onnx").run(None, feeds)[0]
    host = np.empty((4, h, w, 3), np.uint8)
    crop_into(host, list(images), index, matrices, border=7)
    assert np.abs(crops.transpose(0, 2, 3, 1) - host).max() <= LEVELS
    assert (crops[3] == 7).all()


def test_fixed_batch_and_half_precision(tmp_path, spots):
    boxes = np.repeat([(20.0, 10.0, 140.0, 110.0)], 5, 0) + np.arange(5)[:, None]
    agree(both(heatmap_network(tmp_path / "fixed.onnx", batch=2, decoder="dark")), [spots], [boxes])
    half = heatmap_network(tmp_path / "half.onnx", decoder="dark")
    model = onnx.load(half)
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(graph.initializer[0]).astype(np.float16), "weights"))
    onnx.save(helper.make_model(graph, opset_imports=model.opset_import, ir_version=8), half)
    agree(both(half), [spots], [boxes])


def test_whole_images_with_the_shipped_detector(photo):
    image = read_image(photo)
    images = [image, image[:, :300], np.zeros((50, 80, 3), np.uint8)]
    host, device = (Estimator(device="cpu", engine=engine, detection_threshold=0.1).predict(images) for engine in ("host", "device"))
    for a, b in zip(host, device, strict=True):
        np.testing.assert_allclose(b.boxes, a.boxes, atol=0.5)
        np.testing.assert_allclose(b.box_scores, a.box_scores, atol=0.01)


def test_raw_head_of_several_classes(tmp_path):
    # boxes that are rather a dog, that overlap a better one, or score too little do not come down
    rows = np.array([[20, 20, 20, 20, 0.1, 0.9], [21, 20, 20, 20, 0.1, 0.8], [50, 40, 10, 20, 0.7, 0.6], [40, 30, 10, 10, 0.0, 0.2]], np.float32)
    path = constant_network(tmp_path / "d.onnx", {"output0": rows.T[None]}, (64, 64), "batch", names="{0: 'dog', 1: 'person'}", imgsz="[64, 64]")
    images = [np.zeros((64, 64, 3), np.uint8), np.zeros((32, 64, 3), np.uint8)]
    found = [Estimator(detector=path, pose="pose-n", device="cpu", engine=engine).detector(images) for engine in ("host", "device")]
    np.testing.assert_allclose(found[0][0][:, :4], [(10, 10, 30, 30)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_result_does_not_depend_on_the_other_images(photo):
    estimator = Estimator(device="cpu", engine="device")
    alone = estimator(photo)
    for keypoints in estimator([photo, photo, photo]):
        np.testing.assert_allclose(keypoints, alone, atol=0.01)


def test_an_image_goes_up_once(photo, monkeypatch):
    estimator = Estimator(device="cpu", engine="device")
    sizes = []
    whole = ort.OrtValue.ortvalue_from_numpy
    estimator.warmup()
    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_numpy", lambda array, *place: sizes.append(array.dtype) or whole(array, *place))
    assert len(estimator(photo)) == 1
    assert sizes.count(np.dtype(np.uint8)) == 1


def test_warmup_allocates_every_bucket_and_calls_nothing_more(photo):
    estimator = Estimator(detector=None, device="cpu", engine="device", batch_size=6)
    estimator.warmup()
    kept = estimator.pose.backend.kept
    assert sorted(bucket for bucket, _ in kept) == [1, 2, 4, 6]
    before = {key: buffers.crops.address for key, buffers in kept.items()}
    for count in range(9):
        assert estimator(photo, boxes=np.repeat([(20.0, 0, 420, 512)], count, 0)).shape == (count, 17, 2)
    assert {key: buffers.crops.address for key, buffers in kept.items()} == before


def test_threads_share_an_engine(tmp_path, spots):
    estimator = both(heatmap_network(tmp_path / "n.onnx", decoder="dark"))[1]
    boxes = [np.array([(20.0 + i, 10.0, 140.0, 110.0)]) for i in range(8)]
    alone = [estimator(spots, boxes=b) for b in boxes]
    wrong = []

    def work(i):
        for _ in range(10):
            if not np.array_equal(estimator(spots, boxes=boxes[i]), alone[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert wrong == []


@pytest.mark.parametrize("engine", ["host", "device"])
def test_a_batch_that_does_not_fit_is_halved_and_that_is_said_once(tmp_path, spots, engine, monkeypatch, caplog):
    estimator = Estimator(detector=None, pose=heatmap_network(tmp_path / "n.onnx"), device="cpu", engine=engine, batch_size=16)
    boxes = [(20.0 + i, 10.0, 140.0, 110.0) for i in range(40)]
    expected = estimator(spots, boxes=boxes)
    session = estimator.pose.backend.session
    guarded = session._guarded

    def small(run, feeds):
        if next(iter(feeds.values())).shape[0] > small.limit:
            return guarded(lambda: (_ for _ in ()).throw(RuntimeError("Failed to allocate memory for requested buffer of size 9")), feeds)
        return guarded(run, feeds)

    monkeypatch.setattr(session, "_guarded", small)
    small.limit = 5
    with caplog.at_level(logging.WARNING, "toppose"):
        np.testing.assert_array_equal(estimator(spots, boxes=boxes), expected)
    assert [r.message for r in caplog.records] == ["no memory for a batch of 16: going on with smaller ones"]
    assert estimator.pose.backend.batches.size == 4
    small.limit = 0
    with pytest.raises(OutOfMemory, match=r"no memory left on CPUExecutionProvider for .*Cure: a smaller batch_size"):
        estimator(spots, boxes=boxes)


def test_options_that_do_not_go_together():
    with pytest.raises(OptionError, match="runs: engine 'device' runs one batch at a time; got 2"):
        Estimator(detector=None, device="cpu", engine="device", runs=2)
    with pytest.raises(OptionError, match="precision: 'fp16' is for device 'tensorrt'"):
        Estimator(detector=None, device="cpu", precision="fp16")
    with pytest.raises(OptionError, match="engine"):
        Estimator(detector=None, device="cpu", engine="gpu")


def test_tensorrt_keeps_its_engines_under_a_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = heatmap_network(tmp_path / "n.onnx")
    available = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    folders = set()
    for precision in ("fp32", "fp16"):
        (name, options), *_ = choose_providers("tensorrt:0", available, path, precision)
        assert name == available[0]
        assert options["trt_fp16_enable"] == (precision == "fp16")
        assert options["trt_engine_cache_enable"]
        assert options["trt_timing_cache_enable"]
        folders.add(options["trt_engine_cache_path"])
    heatmap_network(path, corners=True)
    folders.add(choose_providers("tensorrt", available, path)[0][1]["trt_engine_cache_path"])
    assert len(folders) == 3
    assert all((tmp_path / "cache" / "toppose" / "tensorrt") in Path(f).parents for f in folders)


def test_cuda_graphs_are_asked_of_cuda_alone():
    asked = dict(capturing(choose_providers("cuda:1", ["CUDAExecutionProvider", "CPUExecutionProvider"])))
    assert asked["CUDAExecutionProvider"]["enable_cuda_graph"] == 1
    assert asked["CUDAExecutionProvider"]["device_id"] == 1
    assert asked["CPUExecutionProvider"] == {}


def test_graphs_are_opset_17_and_ask_for_no_shape():
    assert len(GRAPHS) == 14
    for path in GRAPHS:
        model = onnx.load(path)
        assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
        assert not {n.op_type for n in model.graph.node} & {"Shape", "Size", "NonZero", "If", "Loop"}


@pytest.mark.gpu
@pytest.mark.parametrize("path", GRAPHS, ids=lambda p: p.stem)
def test_no_node_falls_back_to_the_cpu(path):
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    ort.InferenceSession(str(path), options, providers=[("CUDAExecutionProvider", {"use_tf32": 0})])


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_host(photo):
    image = read_image(photo)
    boxes = [(20.0, 0, 420, 512), (100, -60, 330, 250), (-150, 100, 220, 700)] * 11
    host, device = (Estimator(detector=None, device=d, engine=e) for d, e in (("cpu", "host"), ("cuda", "device")))
    assert Network(GRAPHS[0], "cuda").place == ("cuda", 0)
    for _ in range(3):
        np.testing.assert_allclose(device(image, boxes=boxes), host(image, boxes=boxes), atol=0.5)


@pytest.mark.gpu
def test_gpu_memory_stays_flat_whatever_the_number_of_people(photo):
    image, rng = read_image(photo), np.random.default_rng(0)
    estimator = Estimator(detector=None, device="cuda")
    estimator.warmup()
    used = []
    for call in range(2000):
        assert len(estimator(image, boxes=crowd(rng, image, int(rng.integers(65))))) <= 64
        if call % 100 == 0:
            command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
            used.append(int(subprocess.run(command, capture_output=True, check=True).stdout.split()[0]))
    assert max(used) - used[1] <= 16  # MiB
