"""`Estimator`: image in, poses out. The one file that knows every room."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import Any, overload

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from toppose.detection import Detector, NetworkDetector, check_box_list, check_boxes, make_detector
from toppose.detection.boxes import BoxFormat, check_format
from toppose.errors import CardError, OptionError
from toppose.images import MAX_PIXELS, Color, ImageLike, is_several, read_image, read_images
from toppose.networks import ModelCard, zoo
from toppose.networks.card import DecoderName, explain
from toppose.poses import Poses
from toppose.runtime import Engine, Runtime
from toppose.runtime.providers import Precision, parse_device
from toppose.skeleton import Skeleton
from toppose.topdown import Pipeline, TopDown
from toppose.video import OneEuro, Tracker, open_source
from toppose.video.finding import BetweenDetections, EveryFrame
from toppose.video.sources import Reader
from toppose.video.stream import Follower, Stream

DETECTOR, POSE = "person-n", "pose-n"
BATCH_FRAMES = 2  # of a recording, in each of its workers: more bring little, and cost memory and latency
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
        o = self.options
        self._runtime = Runtime(device, o.engine, o.threads, o.precision)
        self._pipeline = self._load(self._runtime, o.runs)
        self._of_one_thread: Pipeline | None = None
        self._lock = Lock()

    def _load(self, runtime: Runtime, runs: int | None) -> Pipeline:
        (detector, pose, _, _), o = self._arguments, self.options
        path, card = zoo.find(pose, "pose", "pose")
        if card is None:
            raise CardError(f"pose: expected a card {path.with_suffix('.json').name!r} beside {str(path)!r}; toppose.ModelCard describes its fields")
        joints = TopDown(runtime, runtime.load(path, "pose"), card, o.decoder, o.flip_test, o.batch_size, runs)
        return Pipeline(make_detector(detector, runtime, o.detection_threshold, o.nms_iou, o.batch_size), joints, o.max_people)

    @property
    def pose(self) -> TopDown:
        """The network that finds joints in boxes."""
        return self._pipeline.joints

    @property
    def detector(self) -> Detector | None:
        """What finds boxes, if anything does."""
        return self._pipeline.detector

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the arguments it was made of, so that it can go to other processes: they load the networks anew."""
        return _rebuild, self._arguments

    def __repr__(self) -> str:
        found = self.detector
        name = found.card.name if isinstance(found, NetworkDetector) else getattr(found, "__name__", found)
        backend = self.pose.backend
        where = f"engine={backend.name!r}, running on {backend.session.providers[0]}"
        return f"Estimator(detector={name!r}, pose={self.pose.card.name!r}, {where})"

    def warmup(self) -> None:
        """Runs detector and pose network once at every batch size that they will use, so that no later call has to prepare anything."""
        self._pipeline.warmup()

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
        images = read_images(image, o.color, "images", o.max_pixels) if several else [read_image(image, o.color, max_pixels=o.max_pixels)]
        if boxes is None:
            poses = self._pipeline(images)
        else:
            given = check_box_list(boxes, len(images), box_format=box_format) if several else [check_boxes(boxes, box_format=box_format)]
            poses = self._pipeline.estimate(images, given)
        return poses if several else poses[0]

    def stream(
        self,
        source: Any,
        *,
        track: bool | Follower = False,
        smooth: bool | Follower = False,
        detect_every: int = 1,
        batch_frames: int | None = None,
        every: int = 1,
        start: float = 0.0,
        end: float = math.inf,
        live: bool | None = None,
        rate: float = 30.0,
        reader: Reader = "auto",
    ) -> Stream:
        """The people of a video, webcam, address, folder, list or iterator, frame by frame, while the next frames are read and looked at already.

        Gives `Frame`s in their order: index, time (seconds), image, path, poses. Leaving the loop ends its threads; so does `close()` or `with`.

        source: a video file, a webcam's number, an address (rtsp://, http://), a folder or pattern of photographs, a list, or any iterator of
        images or of (time, image). track: ids that stay with the people, True for a `Tracker()`, or anything that is called like one. smooth:
        less jitter, True for a `OneEuro()` (needs ids), or anything called like one; it delays nothing. batch_frames: frames that are looked at
        together, in each of the batches that run side by side (2; of a live source 1): a frame waits until so many are read, so at 25 frames/s
        each one more costs up to 40 ms of latency. detect_every: the detector looks at every so many-th frame, and the boxes come from the poses
        in between; who comes in is found that much later, unless a tenth of the picture changes; frames go one by one then. every, start, end,
        live, rate, reader: see `toppose.video.open_source`.

        A recording is looked at by one network of one thread a core, loaded once more at the first call; `threads=` or `runs=` keep it to the
        networks that are there. SourceError where the source cannot be opened, at once; what fails later is raised in the loop."""
        for name, value in (("detect_every", detect_every), ("batch_frames", 1 if batch_frames is None else batch_frames)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 1 <= value <= 4096:
                raise OptionError(f"{name}: expected a whole number from 1, got {value!r}")
        if self.detector is None:
            raise OptionError("stream: this Estimator has detector=None, and a stream has no boxes of its own")
        follow = followers(track, smooth)
        o = self.options
        opened = open_source(source, o.color, o.max_pixels, every=every, start=start, end=end, live=live, rate=rate, reader=reader)
        if detect_every > 1:
            between = BetweenDetections(self._pipeline.detect, self._pipeline.estimate, int(detect_every))
            return Stream(opened, between, follow, int(batch_frames or 1))
        pipeline, workers = (self._pipeline, 1) if opened.live else self._side_by_side()
        return Stream(opened, EveryFrame(pipeline), follow, int(batch_frames or (1 if opened.live else BATCH_FRAMES)), workers)

    def _side_by_side(self) -> tuple[Pipeline, int]:
        """What looks at the frames of a recording, and how many batches side by side. On the processor, a core a batch gets more done than all cores
        on one batch: networks of one thread, as many at a time as there are cores, where nothing was said of threads."""
        o, cores = self.options, os.cpu_count() or 1
        ours = self.pose.backend.session.on_cpu and self.pose.backend.name == "host" and isinstance(self.detector, NetworkDetector)
        if not ours or cores < 2 or o.threads is not None or o.runs is not None:
            return self._pipeline, 1
        with self._lock:
            if self._of_one_thread is None:
                self._of_one_thread = self._load(replace(self._runtime, threads=1), 1)
        return self._of_one_thread, cores


def followers(track: bool | Follower, smooth: bool | Follower) -> list[Follower]:
    """What is done with a stream's poses in their order. OptionError for what cannot be called."""
    steps: list[Follower] = []
    for name, given, ours in (("track", track, Tracker), ("smooth", smooth, OneEuro)):
        if not isinstance(given, bool) and (isinstance(given, type) or not callable(given)):
            raise OptionError(f"{name}: expected True, False or something called with poses and time, got {given!r}")
        if name == "smooth" and given is True and not steps:
            raise OptionError("smooth: joints are smoothed person by person, so it needs ids; say track=True too")
        if given:
            steps.append(ours() if isinstance(given, bool) else given)
    return steps


def _rebuild(detector: Any, pose: Any, device: str, options: dict[str, Any]) -> Estimator:
    return Estimator(detector, pose, device, **options)
