"""Cut, run and read where the network is: only uint8 images go up, only what was found comes down. Runs on any provider, the CPU's too.

The results are those of `host.py`, to a tenth of a pixel."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from threading import RLock

import numpy as np
from numpy.typing import DTypeLike, NDArray

from toppose import geometry
from toppose.errors import ModelError, OptionError
from toppose.images import Pixels
from toppose.runtime.backend import Backend, Stages
from toppose.runtime.graphs import Graphs
from toppose.runtime.providers import ort
from toppose.runtime.reader import Array, Found, Reading
from toppose.runtime.session import Feeds, Place, Session, Value

_MOST_BUFFERS = 32  # batch sizes and shapes whose buffers are kept
_NAMES = {np.float32: "float", np.float16: "half", np.float64: "double", np.uint8: "uint8", np.int32: "int32"}  # as the graphs are called


class Frames(list[Pixels]):
    """The images of one call; each goes to a device but once, for all networks alike."""

    def __init__(self, images: Sequence[Pixels]) -> None:
        super().__init__(images)
        self._up: dict[tuple[Place, int], Value] = {}

    def on(self, session: Session, index: int) -> Value:
        """Image `index` as (1,H,W,3) where `session` runs."""
        key = session.place, index
        if key not in self._up:
            self._up[key] = upload(session, self[index][None])
        return self._up[key]


def upload(session: Session, array: Array) -> Value:
    """A copy where `session` runs."""
    return Value.of(ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), *session.place), array.dtype)


@dataclass
class Buffers:
    """What one batch size and shape needs, allocated once. `number` is that of its CUDA graph."""

    number: int
    crops: Value
    plain: dict[str, Value] | None = None
    mirrored: dict[str, Value] | None = None
    reading: tuple[Reading | None, Feeds] | None = None


class Kept(OrderedDict[Hashable, Buffers]):
    """The buffers used last, at most `most`: pictures of many shapes must not fill the memory. Numbers are never given twice."""

    def __init__(self, most: int = _MOST_BUFFERS) -> None:
        super().__init__()
        self.most, self._next = most, 0

    def find(self, key: Hashable, make: Callable[[], Value]) -> Buffers:
        if key not in self:
            while len(self) >= self.most:
                self.popitem(last=False)
            self[key] = Buffers(self._next, make())
            self._next += 2  # one for plain input, one for mirrored
        self.move_to_end(key)
        return self[key]


class DeviceBackend(Backend[Found]):
    """Threads take turns. Batches are filled up to buckets (1, 2, 4, ..., `batch_size`), so that the device meets few shapes."""

    name = "device"

    def _set_up(self) -> None:
        self._process, self.lock, self.graphs, self.kept = os.getpid(), RLock(), Graphs(self.session), Kept()
        mean, std = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (self.look.mean, self.look.std))
        order = np.array([2, 1, 0] if self.look.color == "rgb" else [0, 1, 2], np.int64)
        open_axes = [d for name in self.outputs for d in self.session.outputs[name][1:] if d is None]
        # how many boxes a list has may depend on the picture; what a graph reads does not
        self._steady = not open_axes or self.reader.dense
        self._look: Feeds = {"border": np.array([self.look.border], np.uint8), "mean": mean, "std": std, "order": order}

    def frames(self, images: Sequence[Pixels]) -> Frames:
        return images if isinstance(images, Frames) else Frames(images)

    def warmup(self) -> None:
        """Runs every bucket, so that nothing is tuned, allocated or recorded at a later call."""
        for count in self.buckets():
            for _ in range(3):  # allocates, records, replays
                self._run_blank(count)

    def bucket(self, count: int) -> int:
        """The batch that `count` rows are filled up to."""
        return self.session.batch or min(max(self.batches.size, count), 1 << (count - 1).bit_length())

    def buckets(self) -> list[int]:
        return sorted({self.bucket(n) for n in range(1, self.batches.size + 1)})

    def _runs(self, runs: int | None) -> int:
        if runs not in (None, 1):
            raise OptionError(f"runs: engine 'device' runs one batch at a time; got {runs}")
        return 1

    def _batch(self, frames: Frames, index: NDArray[np.intp], matrices: geometry.Float, size: geometry.Size, stages: Stages) -> Found:
        if self._process != os.getpid():  # forked: whoever held the lock stayed behind
            self._process, self.lock, self.kept = os.getpid(), RLock(), Kept()
        with self.lock:  # until the outputs are read: the next batch writes over them
            count, bucket = len(index), self.bucket(len(index))
            buffers = self.kept.find((bucket, size), lambda: self.allocate((bucket, 3, size[1], size[0]), np.float32))
            outputs, mirrored = self._look_once(buffers, frames, index, matrices, stages), None
            if self.flip_test:
                mirrored = self._look_once(buffers, frames, index, matrices, stages, mirror=True)
            with stages.timed("read"):
                return self._read(buffers, outputs, mirrored, count, size)

    def _look_once(
        self, buffers: Buffers, frames: Frames, index: NDArray[np.intp], matrices: geometry.Float, stages: Stages, mirror: bool = False
    ) -> list[Value]:
        with stages.timed("cut"):
            self.cut(buffers.crops, frames, index, matrices, mirror)
        with stages.timed("run"):
            return self.run(buffers, mirror)

    def allocate(self, shape: tuple[int, ...], dtype: DTypeLike) -> Value:
        return Value.of(ort.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype, *self.session.place), dtype)

    def cut(self, crops: Value, frames: Frames, index: NDArray[np.intp], matrices: geometry.Float, mirror: bool = False) -> None:
        """Fills `crops` (bucket,3,h,w): row n from frames[index[n]] by matrices[n] (2,3), upright; rows beyond them repeat the last.

        Mirrored ones hold the same pixels in the other order."""
        bucket, _, h, w = crops.shape
        columns = np.arange(w, dtype=np.float32)
        back = geometry.invert(matrices).astype(np.float32)
        filled = np.minimum(np.arange(bucket), len(index) - 1)
        for image, run in groupby(range(bucket), key=lambda n: int(index[filled[n]])):
            rows = list(run)
            frame = frames.on(self.session, image)
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

    def run(self, buffers: Buffers, mirror: bool = False) -> list[Value]:
        """The chosen outputs for the crops, as float32, in buffers of their own for the mirrored ones."""
        feed = self._cast(buffers.crops, self.session.dtype)
        known = (buffers.mirrored if mirror else buffers.plain) if self._steady else None
        # a CUDA graph is recorded once the buffers stand; an input that was cast is new at every call
        number = buffers.number + mirror if known and feed is buffers.crops else None
        outputs = self.session.bound({self.session.input: feed}, known or dict.fromkeys(self.outputs), number)
        if wrong := {name: v.shape for name, v in outputs.items() if v.shape[:1] != feed.shape[:1]}:
            raise ModelError(f"{self.called}: expected {feed.shape[0]} rows for a batch of {feed.shape[0]} images, got {wrong}")
        if mirror:
            buffers.mirrored = outputs
        else:
            buffers.plain = outputs
        return [self._cast(v, np.float32) if v.dtype.kind == "f" else v for v in outputs.values()]

    def _cast(self, value: Value, dtype: DTypeLike) -> Value:
        source, target = np.dtype(value.dtype), np.dtype(dtype)
        if source == target:
            return value
        flat = value.view(int(np.prod(value.shape)))
        return self.graphs.get(f"{_NAMES[source.type]}-to-{_NAMES[target.type]}").bound({"x": flat}, {"y": None})["y"].view(*value.shape)

    def _read(self, buffers: Buffers, outputs: list[Value], mirrored: list[Value] | None, count: int, size: geometry.Size) -> Found:
        """What is found in the first `count` rows."""
        if buffers.reading is None:
            new = self.reader.reading([o.shape for o in outputs], size)
            buffers.reading = new, {name: upload(self.session, array) for name, array in new.constants.items()} if new else {}
        reading, constants = buffers.reading
        if reading is None:
            arrays = [o.numpy()[:count] for o in outputs]
            others = [m.numpy()[:count] for m in mirrored or []]
            self._check_numbers([*arrays, *others])
            with np.errstate(all="ignore"):
                return self.reader.read(self.reader.mean(arrays, others) if mirrored else arrays, size)
        if mirrored:
            outputs = [self._mean(i, a, b) for i, (a, b) in enumerate(zip(outputs, mirrored, strict=True))]
        feeds: Feeds = {**dict(zip(reading.takes, outputs, strict=True)), **constants}
        found = self.graphs.get(reading.graph).bound(feeds, dict.fromkeys(reading.gives))
        arrays = [found[name].numpy()[:count] for name in reading.gives]
        self._check_numbers(arrays)  # the graphs pass on what is not finite, wherever it was
        return self.reader.collect(arrays)

    def _mean(self, output: int, maps: Value, mirrored: Value) -> Value:
        shape = maps.shape if len(maps.shape) == 4 else (*maps.shape[:2], 1, maps.shape[2])
        swap, columns = self.reader.mirror(output, shape[-1])
        feeds: Feeds = {"maps": maps.view(*shape), "mirrored": mirrored.view(*shape), "swap": swap, "columns": np.ascontiguousarray(columns)}
        return self.graphs.get("average").bound(feeds, {"mean": None})["mean"].view(*maps.shape)
