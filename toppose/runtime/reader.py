"""The third step, as both backends know it: what a network's outputs mean. They know no joints and no boxes, only a `Reader`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from toppose.geometry import Size

Single = NDArray[np.float32]
Array = NDArray[Any]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Reading:
    """How a device reads outputs: a graph of models/graphs. `takes` names its inputs for the network's outputs, in their order; `constants`
    are its other inputs, the same at every call; `gives` names its outputs, in the order in which `Reader.collect` wants them."""

    graph: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    constants: Mapping[str, Array] = field(default_factory=dict)


class Reader(ABC, Generic[Found]):
    """Outputs of a batch -> what was found, in pixels of the network's input.

    dense: the outputs' shapes depend on the input's alone, so that a device may keep their buffers."""

    dense = True

    @abstractmethod
    def choose(self, outputs: Mapping[str, Array], size: Size) -> list[str]:
        """Names of the outputs that it reads, in the order in which it reads them; others are left aside.

        `outputs` are what the network gave for noise of `size` (w, h). CardError, saying both, where they are not what the card says."""

    @abstractmethod
    def read(self, outputs: Sequence[Array], size: Size) -> Found:
        """The chosen outputs, each with N rows and floats as float32 -> what was found for the N rows."""

    def reading(self, shapes: Sequence[tuple[int, ...]], size: Size) -> Reading | None:
        """The same on a device, for chosen outputs of these shapes; None: they are small, and come to the host as they are."""
        return None

    def collect(self, arrays: Sequence[Array]) -> Found:
        """What the graph of `reading` gave, rows cut to the N that were asked for -> what `read` gives."""
        raise AssertionError(f"{type(self).__name__} reads on the host")

    def mirror(self, output: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """For the flip test: the channels (J) of the mirrored image's output that stand for each channel, and the columns (W) for each column."""
        raise AssertionError(f"{type(self).__name__} has no mirror")

    def mean(self, outputs: Sequence[Single], mirrored: Sequence[Single]) -> list[Single]:
        """The mean of outputs (N,J,...,W) with what the network said of the mirrored input, un-mirrored and with left and right exchanged."""
        means = []
        for i, (plain, other) in enumerate(zip(outputs, mirrored, strict=True)):
            swap, columns = self.mirror(i, other.shape[-1])
            means.append(half_way(plain, other[:, swap][..., columns]))
        return means


def half_way(a: Single, b: Single) -> Single:
    """The mean of two arrays as float32."""
    mean: Single = (a + b) * np.float32(0.5)
    return mean
