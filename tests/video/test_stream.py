"""Order, ends and errors of a stream, with a finder that says which frame it saw."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from toppose import Poses
from toppose.video import Stream
from toppose.video.sources import PictureSource, Span


def grey(level: int) -> np.ndarray:
    return np.full((8, 8, 3), level % 256, np.uint8)


def seen(picture) -> Poses:
    """One person whose nose is at (index, grey level)."""
    keypoints = np.zeros((1, 17, 2))
    keypoints[0, 0] = picture.index, picture.image[0, 0, 0]
    return Poses(keypoints, np.ones((1, 17)), [(0, 0, 1, 1)], np.ones(1))


def find(pictures):
    return [seen(p) for p in pictures]


class Counting(PictureSource):
    """Pictures without end, or so many; counts how many were asked for, and whether it was closed."""

    def __init__(self, count=10**9, live=False):
        self.asked, self.closed, self.live = 0, 0, live
        super().__init__(self._pictures(count), "bgr", 10.0, Span())

    def _pictures(self, count):
        for i in range(count):
            self.asked += 1
            yield grey(i)

    def close(self):
        self.closed += 1


def ours() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("toppose ")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    assert ours() == []


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("batch", [1, 3, 4, 100])
@pytest.mark.parametrize("count", [0, 1, 10])
def test_frames_come_in_their_order(batch, count, workers):
    sizes = []

    def look(pictures):
        time.sleep(0.01 * (pictures[0].index % 3))
        sizes.append(len(pictures))
        return find(pictures)

    frames = list(Stream(Counting(count), look, batch_frames=batch, workers=workers))
    assert [(f.index, round(f.time, 3), *f.poses.keypoints[0, 0]) for f in frames] == [(i, i / 10, i, i) for i in range(count)]
    assert sum(sizes) == count
    assert max(sizes, default=0) <= batch
    assert sum(s != batch for s in sizes) <= 1


def test_steps_follow_in_order_with_the_frames_time():
    calls = []

    def add(name):
        return lambda poses, time: calls.append((name, round(time, 1))) or poses.replace(keypoints=poses.keypoints + 1)

    frames = list(Stream(Counting(3), find, [add("a"), add("b")], batch_frames=2))
    assert calls == [("a", 0.0), ("b", 0.0), ("a", 0.1), ("b", 0.1), ("a", 0.2), ("b", 0.2)]
    assert [f.poses.keypoints[0, 0, 0] for f in frames] == [2, 3, 4]


def test_leaving_the_loop_ends_the_threads_and_the_source():
    source = Counting()
    for frame in Stream(source, find, batch_frames=2):
        if frame.index == 5:
            break
    gc.collect()
    assert ours() == []
    assert source.closed == 1
    assert source.asked < 40  # nothing runs away: the queues are bounded


def test_an_error_in_the_callers_loop_ends_them_too():
    source = Counting()
    with pytest.raises(ZeroDivisionError), Stream(source, find) as stream:  # noqa: PT012  # it is the loop that raises
        for _ in stream:
            raise ZeroDivisionError
    assert source.closed == 1


@pytest.mark.parametrize("where", ["source", "finder", "follower"])
def test_an_error_in_a_thread_reaches_the_caller_after_what_was_done_before(where):
    def fail(index):
        if index == 7:
            raise ValueError("the seventh")

    class Failing(Counting):
        def _pictures(self, count):
            for i, picture in enumerate(super()._pictures(count)):
                if where == "source":
                    fail(i)
                yield picture

    def finder(pictures):
        for p in pictures:
            if where == "finder":
                fail(p.index)
        return find(pictures)

    def follower(poses, time):
        if where == "follower":
            fail(round(time * 10))
        return poses

    source, got = Failing(), []
    with pytest.raises(ValueError, match="the seventh"):  # noqa: PT012  # it is the loop that raises
        for frame in Stream(source, finder, [follower], batch_frames=1):
            got.append(frame.index)
    assert got == list(range(7))
    assert source.closed == 1


def test_after_the_end_it_stays_ended():
    stream = Stream(Counting(2), find)
    assert len(list(stream)) == 2
    assert list(stream) == []
    stream.close()
    stream.close()
    assert list(stream) == []


def test_reading_finding_and_looking_overlap():
    def slow(thing, seconds):
        time.sleep(seconds)
        return thing

    class Slow(Counting):
        def _pictures(self, count):
            return (slow(p, 0.03) for p in super()._pictures(count))

    begin = time.perf_counter()
    for _ in Stream(Slow(20), lambda p: slow(find(p), 0.03 * len(p)), batch_frames=1):
        time.sleep(0.03)
    assert time.perf_counter() - begin < 0.75 * 20 * 0.09  # one after the other: 1.8 s


def test_of_a_live_source_the_newest_is_looked_at():
    class Live(Counting):
        """A picture every 5 ms, the newest for whoever asks."""

        def __iter__(self):
            begin = time.monotonic()
            for picture in super().__iter__():
                if (index := int((time.monotonic() - begin) / 0.005)) > 100:
                    return
                yield replace(picture, index=index)

    def slow(pictures):
        time.sleep(0.05)
        assert len(pictures) == 1
        return find(pictures)

    indices = [f.index for f in Stream(Live(live=True), slow)]
    assert 5 <= len(indices) <= 12
    assert all(b - a >= 9 for a, b in pairwise(indices))


def test_memory_does_not_grow_with_the_video():
    source = Counting(2000)
    most = 0
    for frame in Stream(source, find, batch_frames=4):
        most = max(most, source.asked - frame.index)
    assert most <= 2 * 4 + 2 * 4 + 4 + 1  # batches in work or done, frames that wait, the one that is read
