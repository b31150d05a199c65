"""Top-down multi-person pose estimation: every person in an image and the pixel coordinates of their joints.

>>> from toppose import Estimator
>>> keypoints = Estimator()("street.jpg")     # float32 (N, 17, 2)
"""

from __future__ import annotations

from toppose.cli.stop import is_command as _is_command
from toppose.cli.stop import leave_at_once as _leave_at_once

if _is_command():  # which would answer Ctrl-C during the imports below with a traceback
    _leave_at_once()

try:
    import cv2 as _cv2  # noqa: F401
except ImportError as e:  # a slim Linux image has no libGL
    from toppose.errors import MissingDependency

    cure = "apt-get install -y libgl1 libglib2.0-0, or pip uninstall -y opencv-python && pip install opencv-python-headless"
    if "numpy" in str(e):  # an OpenCV older than this NumPy
        cure = "pip install --upgrade opencv-python"
    raise MissingDependency(f"OpenCV cannot be imported: {e}. Cure: {cure}") from e

from toppose.errors import (
    BoxError,
    CardError,
    DetectorError,
    DeviceError,
    EvaluationError,
    ImageError,
    MissingDependency,
    ModelError,
    OptionError,
    OutOfMemory,
    PoseError,
    ResultError,
    SourceError,
    TopposeError,
)
from toppose.estimator import Estimator, Options
from toppose.networks import ModelCard
from toppose.poses import Poses
from toppose.skeleton import COCO17, HALPE26, Skeleton
from toppose.video import Frame, OneEuro, Stream, Tracker, open_source, smooth_recording

__version__ = "0.1.0"
__all__ = [
    "COCO17",
    "HALPE26",
    "BoxError",
    "CardError",
    "DetectorError",
    "DeviceError",
    "Estimator",
    "EvaluationError",
    "Frame",
    "ImageError",
    "MissingDependency",
    "ModelCard",
    "ModelError",
    "OneEuro",
    "OptionError",
    "Options",
    "OutOfMemory",
    "PoseError",
    "Poses",
    "ResultError",
    "Skeleton",
    "SourceError",
    "Stream",
    "TopposeError",
    "Tracker",
    "open_source",
    "smooth_recording",
]
