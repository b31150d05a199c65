"""Networks in ONNX Runtime: loading, values that stay on a device, and batches through networks whose batch is fixed."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose.errors import CardError, DeviceError, ModelError, OutOfMemory
from toppose.runtime.providers import Precision, Provider, capturing, check_running, choose_providers, ort, parse_device, preload

log = logging.getLogger("toppose")

_DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
_PIXELS = (np.float32, np.float16, np.float64, np.uint8, np.int32)  # what pictures can be handed over as
_FULL = re.compile(r"out of memory|failed to allocate memory|bad_alloc|STATUS_ALLOC_FAILED", re.IGNORECASE)
_told: set[str] = set()  # what `auto` has said
_failed: set[str] = set()  # what did not start in this process, and `auto` need not try again


Place = tuple[str, int]  # where values lie, as ONNX Runtime names it: ("cpu", 0) or ("cuda", index)


@dataclass(frozen=True)
class Value:
    """An array on a device. `keep` owns the memory; a view shares it under another shape or from another row on."""

    keep: Any
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, value: Any, dtype: Any) -> Value:
        return cls(value, value.data_ptr(), tuple(value.shape()), np.dtype(dtype))

    def view(self, *shape: int) -> Value:
        return Value(self.keep, self.address, shape, self.dtype)

    def rows(self, first: int, last: int) -> Value:
        row = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        return Value(self.keep, self.address + first * row, (last - first, *self.shape[1:]), self.dtype)

    def numpy(self) -> NDArray[Any]:
        """A copy on the host, of the whole of what it is a view of."""
        return np.array(self.keep.numpy()).reshape(self.shape)


Feeds = dict[str, Value | NDArray[Any]]


class Network:
    """An ONNX file, loaded on a device; any number of threads may call `bound`."""

    def __init__(self, path: Path, device: str = "auto", threads: int | None = None, precision: Precision = "fp32", capture: bool = False) -> None:
        self.path, self.threads = path, threads
        available = [p for p in ort.get_available_providers() if device != "auto" or p not in _failed]
        providers = choose_providers(device, available, path, precision)
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what matters is said by check_running, once and with the cure
        # a pool that goes on spinning after its run takes cores from the next network's run: detector and pose network take turns
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
        self._session, self.captures = self._create(options, providers, device, capture and providers[0][0] == "CUDAExecutionProvider")
        self.providers: list[str] = self._session.get_providers()
        check_running(device, self.providers)
        _failed.update(p for p, _ in providers if p not in self.providers)
        self.captures = self.captures and self.providers[0] == "CUDAExecutionProvider"
        self.place: Place = ("cpu", 0) if self.on_cpu else ("cuda", parse_device(device)[1])
        if device == "auto" and self.providers[0] not in _told:
            _told.add(self.providers[0])
            missing = f" ({', '.join(sorted(_failed))} did not start; `toppose info` says why)" if _failed else ""
            log.info("device auto: running on %s%s", self.providers[0], missing)
        self.outputs: dict[str, list[int | None]] = {
            o.name: [d if isinstance(d, int) and d > 0 else None for d in o.shape] for o in self._session.get_outputs()
        }
        self.types = {v.name: _DTYPES.get(v.type) for v in (*self._session.get_inputs(), *self._session.get_outputs())}

    @property
    def on_cpu(self) -> bool:
        return self.providers[0] == "CPUExecutionProvider"

    def bound(self, feeds: Mapping[str, Value | NDArray[Any]], results: Mapping[str, Value | None], graph: int | None = None) -> dict[str, Value]:
        """Runs on values that stay where they are. Arrays of `feeds` go up; a result of None is allocated on the device.

        graph: number of a CUDA graph, recorded at first and then replayed: the same feeds and results at every call."""
        binding = self._session.io_binding()
        kind, index = self.place
        for name, feed in feeds.items():
            if isinstance(feed, Value):
                binding.bind_input(name, kind, index, feed.dtype, feed.shape, feed.address)
            else:
                binding.bind_cpu_input(name, np.ascontiguousarray(feed))
        for name, value in results.items():
            if value is None:
                binding.bind_output(name, kind, index)
            else:
                binding.bind_output(name, kind, index, value.dtype, value.shape, value.address)
        self._guarded(lambda: self._session.run_with_iobinding(binding, self._run_options(graph)), feeds)
        got = binding.get_outputs()
        return {name: Value.of(got[i], self.types[name]) if value is None else value for i, (name, value) in enumerate(results.items())}

    def _run_options(self, graph: int | None = None) -> Any:
        if not self.captures:
            return None
        options = ort.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(-1 if graph is None else graph))  # -1: neither recorded nor replayed
        return options

    def _guarded(self, run: Callable[[], Any], feeds: Mapping[str, Any]) -> Any:
        """No exception of ONNX Runtime's reaches the user bare."""
        try:
            return run()
        except Exception as e:
            message = (str(e).strip() or type(e).__name__).splitlines()[0]
            shapes = ", ".join(f"{name} {f.shape}" for name, f in feeds.items())
            if isinstance(e, MemoryError) or _FULL.search(str(e)):
                cure = "Cure: a smaller batch_size, or free memory"
                raise OutOfMemory(f"{str(self.path)!r}: no memory left on {self.providers[0]} for {shapes}. {cure}") from None
            raise ModelError(f"{str(self.path)!r} failed on {shapes}: {message}") from None

    def _create(self, options: Any, providers: list[Provider], device: str, capture: bool) -> tuple[Any, bool]:
        """The session, and whether it captures CUDA graphs: a network with a node on the CPU cannot, and runs node by node."""
        if len(providers) > 1:
            preload()
        check_readable(self.path)
        try:
            if len(providers) > 1:
                ort.set_default_logger_severity(4)  # else a CUDA that does not start prints a screenful; check_running says it in a sentence
            source = str(self.path.absolute())  # by its path: weights in other files are looked for beside it, not in the working folder
            if capture:
                with contextlib.suppress(Exception):
                    return ort.InferenceSession(source, options, providers=capturing(providers), enable_fallback=0), True
            return ort.InferenceSession(source, options, providers=providers, enable_fallback=0), False
        except Exception as e:  # onnxruntime has no common base for its exceptions
            message = _reason(e)
            if parse_device(device)[0] in ("cuda", "tensorrt") and ("CUDA" in message or "TensorRT" in message or "Tensorrt" in message):
                cure = " Cure: install TensorRT 10, so that libnvinfer.so.10 is found." if "tensorrt" in message.lower() else ""
                raise DeviceError(f"device {device!r}: {message.rstrip('.')}.{cure} `toppose info` says what is found") from None
            size = self.path.stat().st_size
            raise ModelError(f"{str(self.path)!r} ({size} bytes): expected an ONNX network, but it cannot be loaded: {message}") from None
        finally:
            if len(providers) > 1:
                ort.set_default_logger_severity(2)  # ONNX Runtime's own default


class Session(Network):
    """A network of images. `batch` is how many rows a call must have, or None; any number of threads may call `run`."""

    def __init__(self, path: Path, device: str = "auto", threads: int | None = None, precision: Precision = "fp32", capture: bool = False) -> None:
        super().__init__(path, device, threads, precision, capture)
        if len(self._session.get_inputs()) != 1:
            names = [i.name for i in self._session.get_inputs()]
            raise ModelError(f"{str(path)!r}: expected a network with one input, got {names}")
        entry = self._session.get_inputs()[0]
        self.input = str(entry.name)
        self.shape: list[int | None] = [d if isinstance(d, int) and d > 0 else None for d in entry.shape]
        self.batch = self.shape[0] if self.shape else None
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        if len(self.shape) != 4 or self.shape[1] not in (3, None):
            raise ModelError(f"{str(path)!r}: expected an image input (B, 3, H, W), got {entry.name} {entry.type} {entry.shape}")
        if self.types[self.input] not in _PIXELS:
            raise ModelError(f"{str(path)!r}: expected an input of float32, float16, float64, uint8 or int32; got {entry.name} {entry.type}")
        self.dtype: np.dtype[Any] = np.dtype(self.types[self.input])

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> list[NDArray[Any]]:
        """(N,3,H,W) -> the outputs `names`, each with N rows, floats as float32. A fixed batch is filled up and looped over.

        ModelError where a call's outputs have other rows than its input: nothing is broadcast."""
        parts = [self._call(part, names) for part in self._filled(batch)]
        size = self.batch or len(batch)
        if wrong := {name: o.shape for part in parts for name, o in zip(names, part, strict=True) if o.shape[:1] != (size,)}:
            raise ModelError(f"{str(self.path)!r}: expected {size} rows for a batch of {size} images, got {wrong}")
        return [_single(np.concatenate(outputs) if len(parts) > 1 else outputs[0])[: len(batch)] for outputs in zip(*parts, strict=True)]

    def check_size(self, called: str, size: tuple[int, int]) -> None:
        """Raises CardError, saying both, when an input of `size` (w, h) is not what the file has."""
        w, h = size
        if any(is_ not in (None, wanted) for is_, wanted in zip(self.shape[1:], (3, h, w), strict=True)):
            raise CardError(f"{called} says input {(3, h, w)} (channels, height, width); the network takes {self.shape[1:]}")

    def probe(self, called: str, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """All that the network gives for a batch (N,3,h,w): what the file's shapes leave open. One that fails on several images but not on one runs
        one by one from now on; one that cannot take the input at all is a CardError."""
        try:
            return self._whole(batch)
        except ModelError as e:
            if self.batch is None:
                with contextlib.suppress(ModelError):
                    self._whole(batch[:1])
                    self.one_by_one()
                    return self._whole(batch)
            raise CardError(f"{called} says input {batch.shape[1:]} (channels, height, width); the network cannot take it: {e}") from None

    def one_by_one(self) -> None:
        """From now on one row a call: what the file says of its batch is not true."""
        self.batch = 1
        log.warning("%r answers for one image a call, whatever its batch axis says: its batches run one by one", str(self.path))

    def _whole(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Outputs of all calls joined; of an output that has not a row for each image, the first call's with a row too few or too many."""
        names = [name for name in self.outputs if self.types[name] is not None]
        parts = [self._call(part, names) for part in self._filled(batch)]
        found = {}
        for name, outputs in zip(names, zip(*parts, strict=True), strict=True):
            fits = all(o.shape[:1] == (self.batch or len(batch),) for o in outputs)
            rows = len(outputs[0]) if outputs[0].ndim else 0
            wrong = outputs[0] if rows != len(batch) else outputs[0][:1]  # two rows for one image are not a row for each of two
            found[name] = _single(np.concatenate(outputs)[: len(batch)] if fits else wrong)
        return found

    def _filled(self, batch: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """The batch in parts as large as a call must have; the last filled up with zeros."""
        feed = batch.astype(self.dtype, copy=False)
        size = self.batch or len(feed)
        for first in range(0, len(feed), size):
            part = feed[first : first + size]
            missing = size - len(part)
            yield np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)]) if missing else part

    def _call(self, feed: NDArray[Any], names: Sequence[str]) -> list[NDArray[Any]]:
        feeds = {self.input: feed}
        outputs: list[NDArray[Any]] = self._guarded(lambda: self._session.run(list(names), feeds, self._run_options()), feeds)
        return outputs


def _single(output: NDArray[Any]) -> NDArray[Any]:
    return output.astype(np.float32, copy=False) if output.dtype.kind == "f" else output


def check_readable(path: Path) -> None:
    """Raises ModelError for what cannot be opened, before ONNX Runtime says it in its own words."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as e:
        raise ModelError(f"network {str(path)!r} cannot be read: {e.strerror}") from None


def _reason(error: Exception) -> str:
    """What ONNX Runtime says of a network that it cannot load, in one line and without the places in its own source."""
    lines = str(error).strip().splitlines()
    message = lines[0] if lines else type(error).__name__
    if lost := re.search(r'(?:External data path does not exist: |No such file or directory \[|open file )"?([^"\]\n]+)', str(error)):
        return f"its weights lie in {lost[1].strip()!r}, and there is no such file"
    if "External initializer" in message and "out of bounds" in message:
        return "the file of its weights is too short: " + message.partition("External initializer: ")[2]
    return re.sub(r"^\S*\.cc:\d+ .*\) (?=[A-Z])", "", message)
