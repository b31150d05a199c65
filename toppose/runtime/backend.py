"""Cut, run, read: what both backends share.

Comes in: images (uint8 BGR), an index and a matrix for each row. Goes out: what the reader makes of the network's outputs. A backend does not
care what is on the images, nor what the network is for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Generic, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from toppose.errors import CardError, ModelError
from toppose.geometry import Float, Size
from toppose.images import Pixels
from toppose.runtime.batching import Batches
from toppose.runtime.reader import Array, Found, Reader
from toppose.runtime.session import Session

_ROWS = 3  # with which a network is tried at least: some answer two and not three


@dataclass(frozen=True)
class Look:
    """How pixels become a network's input: (pixel - mean) / std in the order of `color`; `border` is the grey level outside the image."""

    size: Size
    color: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    border: int = 0


@dataclass
class Stages:
    """Seconds spent in each step of one call, for `toppose bench`."""

    cut: float = 0.0
    run: float = 0.0
    read: float = 0.0

    @contextmanager
    def timed(self, stage: Literal["cut", "run", "read"]) -> Iterator[None]:
        start = perf_counter()
        yield
        setattr(self, stage, getattr(self, stage) + perf_counter() - start)


class Backend(ABC, Generic[Found]):
    """One network behind its three steps. `name` is what users call the backend, `called` what errors call the network."""

    name: str

    def __init__(
        self, session: Session, look: Look, reader: Reader[Found], called: str, batch_size: int, runs: int | None = None, flip_test: bool = False
    ) -> None:
        """batch_size: rows a network call, unless the network's own batch is fixed. runs: calls side by side, by default what suits the backend."""
        self.session, self.look, self.reader, self.called, self.flip_test = session, look, reader, called, flip_test
        self._check_input()
        self.outputs = self._check_outputs()
        self.batches = Batches(session.batch or batch_size, self._runs(runs))
        self._set_up()

    def __call__(
        self, images: Sequence[Pixels], index: NDArray[np.intp], matrices: Float, size: Size | None = None, stages: Stages | None = None
    ) -> list[Found]:
        """Row n is cut from images[index[n]] by matrices[n] (2,3), which lead from that image to the network's input of `size` (w, h).

        What was found, a batch an entry, rows in their order."""
        frames, size, stages = self.frames(images), size or self.look.size, stages or Stages()
        parts: dict[int, Found] = {}

        def work(first: int, last: int) -> None:
            parts[first] = self._batch(frames, index[first:last], matrices[first:last], size, stages)

        self.batches(len(index), work)
        return [parts[first] for first in sorted(parts)]

    def frames(self, images: Sequence[Pixels]) -> Sequence[Pixels]:
        """The images of one call, as every backend on that device takes them."""
        return images

    def warmup(self) -> None:
        """Runs one full batch, so that the first call is as fast as the others."""
        self._run_blank(self.batches.size)

    def _set_up(self) -> None:  # not every backend has more to set up
        """What a backend of one kind needs besides."""

    @abstractmethod
    def _batch(self, frames: Any, index: NDArray[np.intp], matrices: Float, size: Size, stages: Stages) -> Found:
        """What is found in one batch."""

    @abstractmethod
    def _runs(self, runs: int | None) -> int:
        """Batches side by side, where `runs` is what the user asked for."""

    def _run_blank(self, rows: int) -> None:
        w, h = self.look.size
        self([np.zeros((h, w, 3), np.uint8)], np.zeros(rows, np.intp), np.tile(np.eye(2, 3), (rows, 1, 1)))

    def _check_input(self) -> None:
        """Raises CardError where the network takes whole numbers and the card wants others."""
        plain = not any(self.look.mean) and all(s == 1 for s in self.look.std)
        if self.session.dtype.kind in "iu" and not plain:
            raise CardError(
                f"{self.called}: takes {self.session.dtype} pixels as they are, so its card must say mean [0, 0, 0] and std [1, 1, 1]; "
                f"it says mean {list(self.look.mean)} and std {list(self.look.std)}"
            )

    def _check_outputs(self) -> list[str]:
        """The outputs that the reader chooses, tried with unlike rows. N rows in must be N rows out, each what it is in other company: a network of
        free batch that breaks this runs one by one, one of a fixed batch is refused."""
        size, session = self.look.size, self.session
        says = f"{self.called}: its card"
        session.check_size(says, size)
        rows = self._unlike(max(_ROWS, session.batch or 0) + 1)
        found = session.probe(says, rows[:-1])
        names = self.reader.choose(found, size)
        if strange := {name: str(found[name].dtype) for name in names if found[name].dtype.kind not in "fiu"}:
            raise CardError(f"{self.called}: expected outputs of numbers, got {strange}")
        if session.batch != 1 and not self._is_honest({name: found[name] for name in names}, rows):
            if session.batch is not None:
                raise CardError(
                    f"{self.called}: expected rows that do not depend on the others of their batch of {session.batch}; export it with batch 1"
                )
            session.one_by_one()
            found = session.probe(says, rows[:-1])
        if wrong := {name: found[name].shape for name in names if found[name].shape[:1] != (len(rows) - 1,)}:
            expected = f"expected a row for each image of a batch, got {wrong} for a batch of {len(rows) - 1}"
            raise CardError(f"{self.called}: {expected}; export it with a batch axis")
        return names

    def _is_honest(self, found: dict[str, Array], rows: Array) -> bool:
        """Whether outputs for all rows but the last have a row for each, the same that it gets one place further up with another neighbour."""
        if any(array.shape[:1] != (len(rows) - 1,) for array in found.values()):
            return False
        again = self.session.run(rows[1:], list(found))
        tolerance = 0.03 if any(self.session.types[name] == np.float16 for name in (*found, self.session.input)) else 0.002
        return all(_same(array[1:], other[:-1], tolerance) for array, other in zip(found.values(), again, strict=True))

    def _unlike(self, rows: int) -> Array:
        """(rows,3,h,w) of noise as a picture of it would come in; each row another."""
        w, h = self.look.size
        return normalise(np.random.default_rng(0).integers(0, 256, (rows, h, w, 3), np.uint8), self.look, self.session.dtype)

    def _check_numbers(self, arrays: Sequence[Array]) -> None:
        """Raises ModelError where a network gave what is no number."""
        for array in arrays:
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ModelError(f"{self.called} gave numbers that are not finite (NaN or infinity)")


def _same(rows: Array, others: Array, tolerance: float) -> bool:
    """Whether two outputs are the same but for rounding, which may also swap boxes of a list that score alike."""
    if rows.shape != others.shape:
        return False
    if rows.ndim in (2, 3):
        rows, others = np.sort(rows, 1), np.sort(others, 1)
    finite = rows[np.isfinite(rows)]
    spread = float(finite.max() - finite.min()) if finite.size else 0.0
    return np.allclose(rows, others, rtol=0, atol=tolerance * spread + 1e-30, equal_nan=True)


def normalise(crops: Pixels, look: Look, dtype: DTypeLike = np.float32) -> Array:
    """uint8 BGR (N,h,w,3) -> (N,3,h,w) of `dtype` in the network's colour order: (x - mean) / std, reckoned in float32; whole numbers as they are."""
    N, h, w, _ = crops.shape
    planes = (crops[..., ::-1] if look.color == "rgb" else crops).transpose(0, 3, 1, 2)
    if np.dtype(dtype).kind in "iu":
        return np.array(planes, dtype, order="C")
    scale = 1 / np.asarray(look.std, np.float32)
    blob = np.empty((N, 3, h, w), np.float32)
    np.multiply(planes, scale[:, None, None], out=blob, dtype=np.float32, casting="unsafe")
    blob -= (np.asarray(look.mean, np.float32) * scale)[:, None, None]
    return blob.astype(dtype, copy=False)
