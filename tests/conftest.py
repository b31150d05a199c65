from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
ROOT = Path(__file__).parents[1]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and (reason := no_gpu()):
        pytest.skip(reason)


@cache
def no_gpu() -> str:
    """Why no network runs on CUDA here, or "" where one does."""
    from toppose import DeviceError
    from toppose.runtime.session import Network

    try:
        Network(ROOT / "models" / "pose-n.onnx", "cuda")
    except DeviceError as e:
        return f"needs a GPU: {e}"
    return ""


@pytest.fixture(scope="session")
def photo() -> Path:
    """The photograph that ships: one woman, upright, facing the camera, cut off at the hips."""
    return ROOT / "examples" / "astronaut.jpg"


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames, ten a second, of the photograph that ships, as a camera sees it that moves two pixels a frame."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    photo = cv2.resize(cv2.imread(str(ROOT / "examples" / "astronaut.jpg")), (320, 320))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (288, 320))
    for i in range(8):
        writer.write(np.ascontiguousarray(photo[:, 2 * i : 2 * i + 288]))
    writer.release()
    return path


@pytest.fixture
def spots() -> np.ndarray:
    """160x120 BGR: a red spot whose middle is at (60, 50), a green one at (90.5, 70.25); both fall off smoothly."""
    return draw_spots(160, 120, red=(60.0, 50.0), green=(90.5, 70.25))


def draw_spots(width: int, height: int, red: tuple[float, float], green: tuple[float, float]) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3), np.uint8)
    for channel, (cx, cy) in ((2, red), (1, green)):
        image[..., channel] = np.round(255 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 12.0**2)))
    return image
