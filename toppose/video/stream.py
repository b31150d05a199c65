"""Frames through an estimator without waiting for each other: reading, networks and whoever looks work side by side, in bounded queues.

Knows neither networks nor trackers: it is given what finds poses, and what is done with them in their order."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Protocol

from toppose.poses import Poses
from toppose.video.frame import Frame
from toppose.video.sources import Picture, Source

_TICK = 0.2  # seconds after which a thread that waits looks whether it is to stop
_PATIENCE = 10.0  # seconds that a thread has to end: an iterator of somebody's may wait for ever


class Finder(Protocol):
    """Poses of pictures that follow each other."""

    def __call__(self, pictures: Sequence[Picture]) -> list[Poses]: ...


class Follower(Protocol):
    """What may be done with the poses of a stream, one picture after the other: a tracker, a smoother. time: seconds."""

    def __call__(self, poses: Poses, time: float) -> Poses: ...


class Stream(Iterator[Frame]):
    """An iterator of `Frame`s in their order. Leaving the loop, `close`, or the end of a `with` ends its threads and lets go of the source.

    source: where the frames come from; its `lost` and `dropped` say how many it could not read, and had no time for. workers: batches that are
    looked at side by side."""

    def __init__(self, source: Source, find: Finder, follow: Sequence[Follower] = (), batch_frames: int = 1, workers: int = 1) -> None:
        self.source = source
        self._frames = _Pipeline(source, find, follow, batch_frames, workers)
        self.close: Callable[[], Any] = weakref.finalize(self, self._frames.close)  # its threads know the pipeline, not the stream

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Frame:
        try:
            return self._frames.next()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@dataclass(frozen=True)
class _Failed:
    error: BaseException


class _Pipeline:
    """One thread reads, several find, one follows in order. A batch begins when a place for it is free: of a live source, that is when
    nothing else is in work, so that it holds the newest picture."""

    def __init__(self, source: Source, find: Finder, follow: Sequence[Follower], batch_frames: int, workers: int) -> None:
        self._source, self._find, self._follow, self._batch = source, find, follow, batch_frames
        self._stop = threading.Event()
        self._free = threading.Semaphore(1 if source.live else 2 * workers)
        self._pool = ThreadPoolExecutor(workers, "toppose finder")
        self._found: queue.Queue[Any] = queue.Queue()  # what `_free` lets in
        self._frames: queue.Queue[Any] = queue.Queue(1 if source.live else 2 * batch_frames)
        runs = ((self._read, self._found), (self._order, self._frames))
        self._threads = [threading.Thread(target=self._guarded, args=run, name=f"toppose {run[0].__name__}", daemon=True) for run in runs]
        for thread in self._threads:
            thread.start()

    def next(self) -> Frame:
        item = self._take(self._frames)
        if isinstance(item, Frame):
            return item
        if isinstance(item, _Failed):
            raise item.error
        raise StopIteration

    def close(self) -> None:
        self._stop.set()
        self._source.stop()
        for thread in self._threads:
            thread.join(_PATIENCE)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._source.close()

    def _guarded(self, run: Callable[[], None], out: queue.Queue[Any]) -> None:
        """What ends a thread is passed on: its error, or None for the end."""
        end: Any = None
        try:
            run()
        except BaseException as e:
            end = _Failed(e)
        self._put(out, end)

    def _read(self) -> None:
        pictures = iter(self._source)
        while self._has_place():
            batch: list[Picture] = []
            try:
                for picture in islice(pictures, self._batch):
                    batch.append(picture)
                    if self._stop.is_set():
                        return
            finally:  # what was read before an error comes before it
                if batch and not self._stop.is_set():
                    self._found.put((batch, self._pool.submit(self._find, batch)))
            if len(batch) < self._batch:
                return

    def _order(self) -> None:
        while (item := self._take(self._found)) is not None:
            if isinstance(item, _Failed):
                raise item.error
            batch, found = item
            poses = found.result()
            self._free.release()
            for picture, of_it in zip(batch, poses, strict=True):
                for step in self._follow:
                    of_it = step(of_it, picture.time)
                if not self._put(self._frames, Frame(picture.index, picture.time, picture.image, picture.path, of_it)):
                    return

    def _has_place(self) -> bool:
        while not self._stop.is_set():
            if self._free.acquire(timeout=_TICK):
                return True
        return False

    def _put(self, out: queue.Queue[Any], item: Any) -> bool:
        """False where nobody wants it any more."""
        while not self._stop.is_set():
            try:
                out.put(item, timeout=_TICK)
                return True
            except queue.Full:
                continue
        return False

    def _take(self, of: queue.Queue[Any]) -> Any:
        while not self._stop.is_set():
            try:
                return of.get(timeout=_TICK)
            except queue.Empty:
                continue
        return None
