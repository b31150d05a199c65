"""The whole way with the networks that ship, and everything that can be handed in wrongly."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from networks import constant_network, heatmap_network
from PIL import Image

import toppose
from toppose import BoxError, CardError, DetectorError, Estimator, ImageError, ModelError, OptionError, Poses
from toppose.skeleton import COCO17


@pytest.fixture(scope="module")
def estimator():
    return Estimator(device="cpu")


@pytest.fixture
def given_boxes(tmp_path):
    return Estimator(detector=None, pose=heatmap_network(tmp_path / "n.onnx"), device="cpu")


def test_the_photograph(estimator, photo):
    poses = estimator.predict(photo)
    assert len(poses) == 1
    # read off the picture by eye
    by_eye = {"nose": (223, 119), "left_eye": (246, 102), "right_eye": (203, 101), "left_ear": (277, 117), "right_ear": (172, 110)}
    for joint, place in by_eye.items():
        distance = np.linalg.norm(poses.keypoints[0, COCO17.joints.index(joint)] - place)
        assert distance < 15, (joint, distance)
    assert poses.scores[0, :3].min() > 0.5
    x1, y1, x2, y2 = poses.boxes[0]
    assert x1 < 70
    assert y1 < 40
    assert x2 > 340
    assert y2 > 400


def test_call_gives_keypoints(estimator, photo):
    keypoints = estimator(photo)
    assert keypoints.dtype == np.float32
    assert keypoints.shape == (1, 17, 2)
    keypoints += 1  # the caller's own, to write to
    several = estimator([photo, photo])
    assert [k.shape for k in several] == [(1, 17, 2)] * 2


def test_every_way_to_hand_in_an_image(estimator, photo):
    expected = estimator(photo)
    pixels = cv2.imread(str(photo))
    for image in (str(photo), photo.read_bytes(), pixels):
        np.testing.assert_array_equal(estimator(image), expected)
    np.testing.assert_array_equal(Estimator(device="cpu", color="rgb")(pixels[..., ::-1]), expected)
    np.testing.assert_allclose(estimator(Image.open(photo)), expected, atol=3)  # another JPEG decoder


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (300, 200), (720, 1280, 3)])
def test_nobody(estimator, shape):
    for level in (0, 114, 255):
        poses = estimator.predict(np.full(shape, level, np.uint8))
        assert poses.keypoints.shape == (0, 17, 2)
        assert poses.boxes.shape == (0, 4)


def test_no_image_and_no_boxes(estimator, photo):
    assert estimator([]) == []
    assert estimator.predict([], boxes=[]) == []
    assert len(estimator.predict(photo, boxes=[])) == 0
    assert [len(p) for p in estimator.predict([photo, photo], boxes=[[], [(0, 0, 400, 500)]])] == [0, 1]


def test_a_very_large_image(estimator, photo):
    large = np.zeros((9000, 12000, 3), np.uint8)
    small = cv2.imread(str(photo))
    large[1000:8168, 2000:9168] = cv2.resize(small, None, fx=14, fy=14)
    keypoints = estimator(large, [np.array([41, 17, 380, 404]) * 14.0 + [2000, 1000, 2000, 1000]])
    expected = estimator(small, [(41, 17, 380, 404)])
    np.testing.assert_allclose((keypoints[0, :5] - [2006.5, 1006.5]) / 14, expected[0, :5], atol=4)


def test_boxes_of_ones_own(estimator, photo):
    poses = estimator.predict(photo, boxes=[(40, 17, 380, 404, 0.5), (0, 0, 512, 512, 1)])
    assert poses.box_scores.tolist() == [0.5, 1]
    np.testing.assert_allclose(poses.boxes, [(40, 17, 380, 404), (0, 0, 512, 512)])
    odd = estimator.predict(photo, boxes=[(-900, -900, -800, -700), (500, 500, 600, 700), (100, 100, 100.0001, 100.0001), (0, 0, 1, 1)])
    assert np.isfinite(odd.keypoints).all()
    np.testing.assert_allclose(odd.keypoints[2], np.full((17, 2), 100), atol=0.01)


def test_strided_and_read_only(estimator, photo):
    pixels = cv2.imread(str(photo))
    doubled = np.repeat(np.repeat(pixels, 2, 0), 2, 1)
    view = doubled[::2, ::2]
    view.setflags(write=False)
    np.testing.assert_array_equal(estimator(view), estimator(pixels))
    before = pixels.copy()
    estimator(pixels)
    np.testing.assert_array_equal(pixels, before)


def test_max_people(photo):
    boxes = np.array([(0, 0, 50, 50, 0.2), (40, 17, 380, 404, 0.9), (0, 0, 512, 512, 0.5)])
    poses = Estimator(lambda images: [boxes] * len(images), device="cpu", max_people=2).predict(photo)
    np.testing.assert_allclose(poses.box_scores, [0.9, 0.5])


def test_a_detector_of_ones_own(photo):
    seen = []

    def mine(images):
        seen.extend(i.shape for i in images)
        return [np.array([[40, 17, 380, 404]])] * len(images)

    assert len(Estimator(mine, device="cpu").predict([photo, photo])[1]) == 1
    assert seen == [(512, 512, 3)] * 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "expected a list of 1 arrays of boxes, one an image; got NoneType"),
        ([], "got 0 items"),
        ([[1, 2, 3, 4]], r"boxes\[0\]: expected shape \(N, 4\)"),
        ([[(0, 0, np.nan, 1)]], "expected finite numbers"),
        ([[(5, 5, 1, 1)]], "expected x1 < x2"),
        ([np.zeros((3, 7))], r"got \(3, 7\)"),
    ],
)
def test_a_detector_that_returns_nonsense(photo, answer, message):
    def nonsense(images):
        return answer

    with pytest.raises(DetectorError, match=f"detector 'nonsense': .*{message}"):
        Estimator(nonsense, device="cpu").predict(photo)


def test_a_detector_that_raises(photo):
    def broken(images):
        raise ZeroDivisionError("by zero")

    with pytest.raises(DetectorError, match="detector 'broken' raised ZeroDivisionError: by zero"):
        Estimator(broken, device="cpu").predict(photo)


def test_a_detector_sees_read_only_images(photo):
    def vandal(images):
        images[0][:] = 0

    with pytest.raises(DetectorError, match="raised ValueError: assignment destination is read-only"):
        Estimator(vandal, device="cpu").predict(photo)


def test_repr(estimator):
    assert repr(estimator) == "Estimator(detector='person-n', pose='pose-n', engine='host', running on CPUExecutionProvider)"


def test_pickle(estimator, photo):
    again = pickle.loads(pickle.dumps(Estimator(device="cpu", flip_test=True, max_people=1)))
    assert again.options.flip_test
    assert again(photo).shape == (1, 17, 2)


def test_detector_none_needs_boxes(given_boxes, spots):
    with pytest.raises(OptionError, match="detector=None, so predict needs boxes"):
        given_boxes.predict(spots)
    assert len(given_boxes.predict(spots, boxes=[(0, 0, 50, 50)])) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"detection_threshold": 1.5}, OptionError, "detection_threshold.*1.5"),
        ({"detection_threshold": "high"}, OptionError, "detection_threshold"),
        ({"nms_iou": -1}, OptionError, "nms_iou"),
        ({"max_people": 0}, OptionError, "max_people"),
        ({"batch_size": 0}, OptionError, "batch_size"),
        ({"runs": 0}, OptionError, "runs"),
        ({"threads": -1}, OptionError, "threads"),
        ({"threads": "2"}, OptionError, "threads"),
        ({"batch_size": True}, OptionError, "batch_size"),
        ({"flip_test": "yes"}, OptionError, "flip_test"),
        ({"decoder": "magic"}, OptionError, "decoder"),
        ({"color": "hsv"}, OptionError, "color"),
        ({"treshold": 1}, OptionError, "treshold"),
        ({"device": "cuda:"}, OptionError, "device: expected"),
        ({"pose": "models/pose-n.json"}, OptionError, "not its card"),
        ({"detection_threshold": True}, OptionError, "detection_threshold"),
        ({"device": "gpu"}, OptionError, "device: expected"),
        ({"pose": "pose-x"}, ModelError, r"pose: expected a shipped network \(.*pose-n"),
        ({"detector": "yolo99.onnx"}, ModelError, r"detector: expected a shipped network \(.*person-n"),
        ({"detector": "person-n.pt"}, ModelError, r"detector: no file 'person-n\.pt'"),
        ({"pose": "person-n"}, CardError, "expected a network of task 'pose'"),
        ({"pose": None}, OptionError, "pose: expected a shipped name"),
        ({"detector": 3}, OptionError, "detector: expected a shipped name"),
        ({"detector": dict}, OptionError, "detector: expected a shipped name"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        Estimator(**{"device": "cpu", **options})


def test_wrong_files(tmp_path):
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(CardError, match=r"pose: expected a card 'text\.json' beside"):
        Estimator(pose=tmp_path / "text.onnx", detector=None)
    with pytest.raises(ModelError, match=r"detector: '.*text\.onnx' \(5 bytes\): expected an ONNX network"):
        Estimator(detector=tmp_path / "text.onnx", device="cpu")


@pytest.mark.parametrize(
    ("image", "boxes", "error", "message"),
    [
        (None, None, ImageError, "image: expected"),
        ("missing.jpg", None, ImageError, "no such file"),
        ([np.zeros((4, 4, 3), np.uint8), None], None, ImageError, r"images\[1\]: expected"),
        (np.zeros((4, 4, 3)), None, ImageError, "got float64"),
        (np.zeros((4, 4, 3), np.uint8), [(0, 0, 1)], BoxError, r"boxes: expected shape"),
        (np.zeros((4, 4, 3), np.uint8), [(3, 0, 1, 1)], BoxError, r"boxes\[0\]: expected x1 < x2"),
        ([np.zeros((4, 4, 3), np.uint8)], [[], []], BoxError, "expected 1 arrays, one an image; got 2"),
        ([np.zeros((4, 4, 3), np.uint8)], [[(0, 0, float("inf"), 1)]], BoxError, r"boxes\[0\]\[0\]: expected finite"),
    ],
)
def test_wrong_calls(given_boxes, image, boxes, error, message):
    given = given_boxes if boxes is not None else Estimator(lambda images: [[]] * len(images), pose=given_boxes.pose.card)
    with pytest.raises(error, match=message):
        given.predict(image, boxes)


def test_a_network_that_gives_nan(tmp_path, spots):
    head = np.full((1, 5, 3), np.nan)
    head[0, 4] = 0.9
    path = constant_network(tmp_path / "n.onnx", {"output0": head}, (64, 64), names="{0: 'person'}", imgsz="[64, 64]")
    with pytest.raises(ModelError, match="detector 'n' gave numbers that are not finite"):
        Estimator(path, device="cpu").predict(spots)


def test_shared_by_threads(estimator, photo):
    pixels = cv2.imread(str(photo))
    images = [np.roll(pixels, 10 * i, 1) for i in range(4)]
    expected = [estimator(i) for i in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for got, wanted in zip(pool.map(estimator, images), expected, strict=True):
                np.testing.assert_array_equal(got, wanted)


def test_all_errors_are_toppose_errors():
    for name in toppose.__all__:
        thing = getattr(toppose, name)
        if isinstance(thing, type) and issubclass(thing, Exception):
            assert issubclass(thing, toppose.TopposeError)


def test_poses_of_a_list_keep_their_image(estimator, photo):
    blank = np.zeros((300, 300, 3), np.uint8)
    poses = estimator.predict([blank, photo, blank, photo])
    assert [len(p) for p in poses] == [0, 1, 0, 1]
    assert all(isinstance(p, Poses) for p in poses)
    np.testing.assert_allclose(poses[1].keypoints, estimator(photo), atol=0.01)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("engine", ["host", "device"])
def test_forked_after_use(engine):
    program = f"""
import os
from toppose import Estimator
estimator = Estimator(device="cpu", engine={engine!r})
expected = estimator("examples/astronaut.jpg")
child = os.fork()
same = (estimator("examples/astronaut.jpg") == expected).all()
if child == 0:
    os._exit(7 if same else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), same)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    assert done.stdout.split() == ["7", "True"]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("engine", ["host", "device"])
def test_memory_and_descriptors_do_not_grow(tmp_path, spots, engine):
    head = np.array([[32, 32, 20, 40, 0.9]], np.float32).T[None]
    detector = constant_network(tmp_path / "d.onnx", {"output0": head}, (64, 64), "batch", names="{0: 'person'}", imgsz="[64, 64]")
    estimator = Estimator(detector, heatmap_network(tmp_path / "n.onnx", decoder="dark"), device="cpu", engine=engine, threads=1)
    file = tmp_path / "spots.png"
    cv2.imwrite(str(file), spots)

    def used() -> tuple[int, int]:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") >> 20, len(os.listdir("/proc/self/fd"))

    for call in range(2001):
        people = [(10.0, 10, 60, 90)] * (call % 9)
        assert len(estimator.predict(file if call % 2 else spots, boxes=people or None)) in (1, len(people))
        if call == 500:
            before = used()
    after = used()
    assert after[0] - before[0] < 16  # MiB
    assert after[1] == before[1]
