from __future__ import annotations

import os
import subprocess
import sys

import pytest

from toppose.errors import OutOfMemory
from toppose.runtime.batching import Batches


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_has_threads_of_its_own():
    program = """
import os
from toppose.runtime.batching import Batches
batches = Batches(2, runs=2)
batches(6, lambda first, last: None)
child = os.fork()
rows = []
batches(6, lambda first, last: rows.extend(range(first, last)))
if child == 0:
    os._exit(7 if sorted(rows) == list(range(6)) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["7"]
