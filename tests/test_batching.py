from __future__ import annotations

import pytest

from toppose.batching import Batches
from toppose.errors import OutOfMemory


@pytest.mark.parametrize("runs", [1, 3])
def test_every_row_is_done_once_and_a_size_that_failed_is_not_tried_again(runs):
    done, failed = [], []

    def work(first, last):
        if last - first > 5:
            failed.append(last - first)
            raise OutOfMemory("full")
        done.extend(range(first, last))

    batches = Batches(32, runs)
    batches(97, work)
    assert sorted(done) == list(range(97))
    assert batches.size == 4
    if runs == 1:
        assert failed == [32, 16, 8]


def test_one_row_that_does_not_fit_is_an_error():
    def work(first, last):
        raise OutOfMemory("full")

    with pytest.raises(OutOfMemory, match="full"):
        Batches(8)(3, work)
    Batches(8)(0, work)  # nobody, nothing to do
