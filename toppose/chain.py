"""Images to a network's outputs without leaving its device: uploaded once, cut, normalised and run there. For people and letterboxes alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose import geometry, zoo
from toppose.card import Input
from toppose.errors import ModelError
from toppose.images import Pixels
from toppose.providers import ort
from toppose.session import Feeds, Network, Place, Session, Value


class Frames(list[Pixels]):
    """The images of one call; each goes to a device but once, for the detector and the pose network alike."""

    def __init__(self, images: Sequence[Pixels]) -> None:
        super().__init__(images)
        self._up: dict[tuple[Place, int], Value] = {}

    def on(self, place: Place, index: int) -> Value:
        """Image `index` as (1,H,W,3) on the device."""
        key = place, index
        if key not in self._up:
            image = np.ascontiguousarray(self[index])[None]
            self._up[key] = Value.of(ort.OrtValue.ortvalue_from_numpy(image, *place), np.uint8)
        return self._up[key]


class Graphs:
    """The small networks of models/graphs on the device of `session`, loaded when they are first asked for."""

    def __init__(self, session: Session) -> None:
        kind, index = session.place
        self._device, self._threads = ("cpu" if kind == "cpu" else f"{kind}:{index}"), session.threads
        self.get = cache(self._load)

    def _load(self, name: str) -> Network:
        return Network(zoo.graph(name), self._device, self._threads)


class Chain:
    """One network behind the crop graph, both on one device.

    Batches are filled up to buckets (1, 2, 4, ..., `batch_size`), so that the device meets few shapes, and what a bucket needs is allocated
    once. Whoever calls must hold `lock` until the outputs are read: the next call writes over them."""

    def __init__(self, session: Session, spec: Input) -> None:
        if session.dtype not in (np.float32, np.float16):
            raise ModelError(f"{str(session.path)!r}: expected a network of float or half for engine 'device', got {session.dtype}")
        self.session, self.graphs, self.lock = session, Graphs(session), RLock()
        mean, std = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (spec.mean, spec.std))
        order = np.array([2, 1, 0] if spec.color == "rgb" else [0, 1, 2], np.int64)
        self._look: Feeds = {"border": np.array([spec.border], np.uint8), "mean": mean, "std": std, "order": order}
        self._crops: dict[tuple[int, geometry.Size], Value] = {}
        self._outputs: dict[tuple[int, geometry.Size, bool], dict[str, Value]] = {}

    def bucket(self, count: int, largest: int) -> int:
        """The batch that `count` rows are filled up to."""
        return self.session.batch or min(max(largest, count), 1 << (count - 1).bit_length())

    def buckets(self, largest: int) -> list[int]:
        return sorted({self.bucket(n, largest) for n in range(1, largest + 1)})

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Value:
        return Value.of(ort.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype, *self.session.place), dtype)

    def cut(self, frames: Frames, index: NDArray[np.intp], matrices: geometry.Float, size: geometry.Size, bucket: int, mirror: bool = False) -> Value:
        """Crops (bucket,3,h,w) on the device: row n from frames[index[n]] by matrices[n] (2,3), upright; rows beyond them repeat the last.

        Mirrored ones hold the same pixels in the other order."""
        w, h = size
        columns = np.arange(w, dtype=np.float32)
        key = bucket, size
        if key not in self._crops:
            self._crops[key] = self.allocate((bucket, 3, h, w), np.float32)
        crops, back = self._crops[key], geometry.invert(matrices).astype(np.float32)
        filled = np.minimum(np.arange(bucket), len(index) - 1)
        for image, run in groupby(range(bucket), key=lambda n: int(index[filled[n]])):
            rows = list(run)
            frame = frames.on(self.session.place, image)
            _, height, width, _ = frame.shape
            self.graphs.get("crop").bound(
                {
                    "images": frame,
                    "matrices": back[filled[rows]],
                    "index": np.zeros(len(rows), np.int64),
                    "columns": np.ascontiguousarray(columns[::-1]) if mirror else columns,
                    "rows": np.arange(h, dtype=np.float32),
                    "size": np.array([width, height], np.int64),
                    **self._look,
                },
                {"crops": crops.rows(rows[0], rows[-1] + 1)},
            )
        return crops

    def run(self, crops: Value, size: geometry.Size, mirror: bool = False) -> list[Value]:
        """The outputs for crops, as float32, in buffers of their own for the mirrored ones."""
        key = crops.shape[0], size, mirror
        feed = crops
        if self.session.dtype == np.float16:
            flat = self.graphs.get("to-half").bound({"x": crops.view(int(np.prod(crops.shape)))}, {"y": None})["y"]
            feed = flat.view(*crops.shape)
        known = self._outputs.get(key)
        # a CUDA graph is recorded once the buffers stand; a half network's input is new at every call
        number = list(self._outputs).index(key) if known and feed is crops else None
        outputs = self.session.bound({self.session.input: feed}, known or dict.fromkeys(self.session.outputs), number)
        self._outputs[key] = outputs
        return [self._single(v) for v in outputs.values()]

    def _single(self, value: Value) -> Value:
        if value.dtype != np.float16:
            return value
        return self.graphs.get("to-single").bound({"x": value.view(int(np.prod(value.shape)))}, {"y": None})["y"].view(*value.shape)

    def up(self, array: NDArray[Any]) -> Value:
        """A copy on the device."""
        return Value.of(ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), *self.session.place), array.dtype)
