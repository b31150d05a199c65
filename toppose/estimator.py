"""`Estimator`: image in, poses out. The one file that knows every room."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, overload

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from toppose.detection import Detector, NetworkDetector, check_box_list, check_boxes, detect, make_detector
from toppose.detection.boxes import BoxFormat, check_format
from toppose.errors import CardError, OptionError
from toppose.images import MAX_PIXELS, Color, ImageLike, is_several, read_image, read_images
from toppose.networks import ModelCard, zoo
from toppose.networks.card import DecoderName, explain
from toppose.poses import Poses
from toppose.runtime import Engine, Runtime
from toppose.runtime.providers import Precision, parse_device
from toppose.skeleton import Skeleton
from toppose.topdown import TopDown

DETECTOR, POSE = "person-n", "pose-n"
Single = NDArray[np.float32]


class Options(BaseModel):
    """What an `Estimator` can be told, checked.

    detection_threshold: least score of a person's box (default: the detector card's, else 0.25). nms_iou: overlap from which the lesser of
    two boxes goes. max_people: at most so many an image, best first. batch_size: persons a network call; runs: calls side by side (both by
    measurement). flip_test: look at the mirror image too, for twice the time. decoder: another than the card's. color: order of array images.
    max_pixels: an encoded image that claims more is refused (2^28). threads: for ONNX Runtime and, in the whole process, OpenCV; by default
    both are left alone. engine: where crops are cut and maps decoded, on the "host" or on the "device" (default: on the device where that is
    a GPU). precision: "fp16" for TensorRT to compute in half precision."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    detection_threshold: float | None = Field(None, ge=0, le=1)
    nms_iou: float = Field(0.6, ge=0, le=1)
    max_people: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1, le=4096)
    runs: int | None = Field(None, ge=1, le=256)
    flip_test: bool = False
    decoder: DecoderName | None = None
    color: Color = "bgr"
    max_pixels: int = Field(MAX_PIXELS, ge=1)
    threads: int | None = Field(None, ge=1, le=1024)
    engine: Engine = "auto"
    precision: Precision = "fp32"

    @field_validator("*", mode="before")
    @classmethod
    def _as_python(cls, value: Any) -> Any:
        """NumPy's numbers are numbers."""
        return value.item() if isinstance(value, np.generic) else value

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ValidationError as e:
            known = f"; options are {', '.join(type(self).model_fields)}" if any(x["type"] == "extra_forbidden" for x in e.errors()) else ""
            raise OptionError(explain(e) + known) from None


class Estimator:
    """Finds every person of an image and the pixel coordinates of their joints. May be shared by threads.

    detector: a shipped name, a path to an .onnx file (Ultralytics exports need no card), a `ModelCard`, an Ultralytics .pt (extra
    `ultralytics`), any callable `images -> boxes`, or None when you bring the boxes. pose: a shipped name, a path with its card beside
    it, or a `ModelCard`. device: "auto" (CUDA where it really runs, else the CPU), "cpu", "cuda", "cuda:1" or "tensorrt". The other
    options: see `Options`. Raises subclasses of `TopposeError`.

    >>> from toppose import Estimator
    >>> keypoints = Estimator()("examples/astronaut.jpg")     # float32 (N, 17, 2)
    """

    def __init__(
        self,
        detector: str | os.PathLike[str] | ModelCard | Detector | None = DETECTOR,
        pose: str | os.PathLike[str] | ModelCard = POSE,
        device: str = "auto",
        **options: Any,
    ) -> None:
        parse_device(device)
        self.options = Options(**options)
        if self.options.threads is not None:
            cv2.setNumThreads(self.options.threads)
        self._arguments = (detector, pose, device, options)
        path, card = zoo.find(pose, "pose", "pose")
        if card is None:
            raise CardError(f"pose: expected a card {path.with_suffix('.json').name!r} beside {str(path)!r}; toppose.ModelCard describes its fields")
        o = self.options
        runtime = Runtime(device, o.engine, o.threads, o.precision)
        self.pose = TopDown(runtime, runtime.load(path, "pose"), card, o.decoder, o.flip_test, o.batch_size, o.runs)
        self.detector = make_detector(detector, runtime, o.detection_threshold, o.nms_iou, o.batch_size)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the arguments it was made of, so that it can go to other processes: they load the networks anew."""
        return _rebuild, self._arguments

    def __repr__(self) -> str:
        detector = getattr(self.detector, "card", None)
        name = detector.name if detector else getattr(self.detector, "__name__", self.detector)
        backend = self.pose.backend
        where = f"engine={backend.name!r}, running on {backend.session.providers[0]}"
        return f"Estimator(detector={name!r}, pose={self.pose.card.name!r}, {where})"

    def warmup(self) -> None:
        """Runs detector and pose network once at every batch size that they will use, so that no later call has to prepare anything."""
        self.pose.backend.warmup()
        if isinstance(self.detector, NetworkDetector):
            self.detector.backend.warmup()

    @property
    def skeleton(self) -> Skeleton:
        """Names and order of the joints."""
        return self.pose.skeleton

    @overload
    def __call__(
        self, image: list[ImageLike] | tuple[ImageLike, ...], boxes: Sequence[ArrayLike | Poses] | None = None, box_format: BoxFormat = "xyxy"
    ) -> list[Single]: ...
    @overload
    def __call__(self, image: ImageLike, boxes: ArrayLike | Poses | None = None, box_format: BoxFormat = "xyxy") -> Single: ...
    def __call__(self, image: Any, boxes: Any = None, box_format: BoxFormat = "xyxy") -> Any:
        """Keypoints (N,J,2) float32 in pixels of the image, (0,J,2) when nobody is there; for a list of images a list."""
        poses = self.predict(image, boxes, box_format)
        return [p.keypoints.copy() for p in poses] if isinstance(poses, list) else poses.keypoints.copy()

    @overload
    def predict(
        self, image: list[ImageLike] | tuple[ImageLike, ...], boxes: Sequence[ArrayLike | Poses] | None = None, box_format: BoxFormat = "xyxy"
    ) -> list[Poses]: ...
    @overload
    def predict(self, image: ImageLike, boxes: ArrayLike | Poses | None = None, box_format: BoxFormat = "xyxy") -> Poses: ...
    def predict(self, image: Any, boxes: Any = None, box_format: BoxFormat = "xyxy") -> Any:
        """`Poses` of an image, or a list of them for a list (a tuple, an array (B,H,W,3)) of images, whose people then share batches.

        image: a path, encoded bytes, a PIL image or a uint8/uint16 array. boxes: (N,4) in pixels, or (N,5) with scores from 0 to 1, or
        another `Poses`; for a list of images a list of these; thresholds and max_people do not touch them. box_format: "xyxy", or "xywh" for
        arrays of left, top, width, height. Without boxes the detector looks for people."""
        check_format(box_format)
        several, o = is_several(image), self.options
        read = read_images(image, o.color, "images", o.max_pixels) if several else [read_image(image, o.color, max_pixels=o.max_pixels)]
        images = self.pose.backend.frames(read)
        if boxes is not None:
            people = check_box_list(boxes, len(images), box_format=box_format) if several else [check_boxes(boxes, box_format=box_format)]
        elif self.detector is None:
            raise OptionError("boxes: this Estimator has detector=None, so predict needs boxes; got None")
        else:
            people = detect(self.detector, images, self.options.max_people) if images else []
        keypoints, scores = self.pose(images, [b for b, _ in people])
        poses, first = [], 0
        for b, box_scores in people:
            rows = slice(first, first + len(b))
            poses.append(Poses(keypoints[rows], scores[rows], b.astype(np.float32), box_scores, self.skeleton))
            first += len(b)
        return poses if several else poses[0]


def _rebuild(detector: Any, pose: Any, device: str, options: dict[str, Any]) -> Estimator:
    return Estimator(detector, pose, device, **options)
