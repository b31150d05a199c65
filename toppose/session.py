"""ONNX Runtime: which provider, is it really running, and batches through networks whose batch is fixed."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toppose.errors import CardError, DeviceError, ModelError, OptionError

try:
    import onnxruntime as ort

    ort.InferenceSession  # noqa: B018  two half-overwritten builds import without it
except (ImportError, AttributeError) as e:
    from toppose.errors import MissingDependency

    raise MissingDependency(
        f"onnxruntime cannot be imported ({e}). Cure: pip uninstall -y onnxruntime onnxruntime-gpu; "
        "pip install --force-reinstall onnxruntime-gpu (or onnxruntime where there is no NVIDIA GPU)"
    ) from e

log = logging.getLogger("toppose")

Provider = tuple[str, dict[str, Any]]
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(uint8)": np.uint8}
_NEEDED = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
_told: set[str] = set()  # what `auto` has said
_failed: set[str] = set()  # what did not start in this process, and `auto` need not try again


def parse_device(device: str) -> tuple[str, int]:
    """ "cuda:1" -> ("cuda", 1). OptionError for what is no device."""
    kind, colon, index = str(device).partition(":")
    if (colon and not index) or kind not in ("auto", "cpu", "cuda", "tensorrt") or (index and (not index.isdigit() or kind in ("auto", "cpu"))):
        raise OptionError(f"device: expected 'auto', 'cpu', 'cuda', 'cuda:1' or 'tensorrt'; got {device!r}")
    return kind, int(index or 0)


def choose_providers(device: str, available: Sequence[str]) -> list[Provider]:
    """The providers to ask for, best first. Pure: `available` is what this ONNX Runtime was built with.

    A named device that was not compiled in raises DeviceError; `auto` takes CUDA where it was, and always ends with the CPU."""
    kind, index = parse_device(device)
    cpu: Provider = ("CPUExecutionProvider", {})
    cuda: Provider = ("CUDAExecutionProvider", {"device_id": index})
    if kind == "cpu":
        return [cpu]
    if kind == "auto":
        return [cuda, cpu] if cuda[0] in available else [cpu]
    if _NEEDED[kind] not in available:
        raise DeviceError(
            f"device {device!r}: this onnxruntime was built without {_NEEDED[kind]} (it has {', '.join(available)}). "
            "Cure: pip uninstall -y onnxruntime; pip install --force-reinstall 'toppose[cuda]'"
        )
    return [(_NEEDED[kind], {"device_id": index}), cuda, cpu] if kind == "tensorrt" else [cuda, cpu]


def check_running(device: str, running: Sequence[str]) -> None:
    """Raises DeviceError when the provider that `device` stands for is not among those that really run."""
    kind, _ = parse_device(device)
    if kind in _NEEDED and _NEEDED[kind] not in running:
        raise DeviceError(
            f"device {device!r}: {_NEEDED[kind]} did not start, ONNX Runtime is on {', '.join(running)}. "
            "Cause: the NVIDIA driver, CUDA 13 or cuDNN 9 is missing or not found. "
            "Cure: install the driver, then pip install 'toppose[cuda]'; `toppose info` says what is found"
        )


class Session:
    """One network, loaded. `batch` is the fixed batch size of its input, or None; any number of threads may call `run`."""

    def __init__(self, path: Path, device: str = "auto", threads: int | None = None) -> None:
        self.path, self.threads = path, threads
        available = [p for p in ort.get_available_providers() if device != "auto" or p not in _failed]
        providers = choose_providers(device, available)
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what matters is said by check_running, once and with the cure
        # a pool that goes on spinning after its run takes cores from the next network's run: detector and pose network take turns
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
        self._session = self._create(options, providers, device)
        self.providers: list[str] = self._session.get_providers()
        check_running(device, self.providers)
        _failed.update(p for p, _ in providers if p not in self.providers)
        if device == "auto" and self.providers[0] not in _told:
            _told.add(self.providers[0])
            missing = f" ({', '.join(sorted(_failed))} did not start; `toppose info` says why)" if _failed else ""
            log.info("device auto: running on %s%s", self.providers[0], missing)
        if len(self._session.get_inputs()) != 1:
            names = [i.name for i in self._session.get_inputs()]
            raise ModelError(f"{str(path)!r}: expected a network with one input, got {names}")
        entry = self._session.get_inputs()[0]
        self.input = str(entry.name)
        self.shape: list[int | None] = [d if isinstance(d, int) and d > 0 else None for d in entry.shape]
        self.outputs: dict[str, list[int | None]] = {
            o.name: [d if isinstance(d, int) and d > 0 else None for d in o.shape] for o in self._session.get_outputs()
        }
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        if len(self.shape) != 4 or self.shape[1] not in (3, None) or entry.type not in _DTYPES:
            raise ModelError(f"{str(path)!r}: expected an image input (B, 3, H, W), got {entry.name} {entry.type} {entry.shape}")
        self._dtype = _DTYPES[entry.type]

    def _create(self, options: Any, providers: list[Provider], device: str) -> Any:
        if len(providers) > 1:
            preload()
        try:
            data = self.path.read_bytes()
        except OSError as e:
            raise ModelError(f"network {str(self.path)!r} cannot be read: {e.strerror}") from None
        try:
            if len(providers) > 1:
                ort.set_default_logger_severity(4)  # else a CUDA that does not start prints a screenful; check_running says it in a sentence
            return ort.InferenceSession(data if not _external(self.path) else str(self.path), options, providers=providers, enable_fallback=0)
        except Exception as e:  # onnxruntime has no common base for its exceptions
            message = re.sub(r"^\S*\.cc:\d+ .*\) (?=[A-Z])", "", str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__)
            if parse_device(device)[0] in _NEEDED and ("CUDA" in message or "TensorRT" in message or "Tensorrt" in message):
                raise DeviceError(f"device {device!r}: {message.rstrip('.')}. `toppose info` says what is found") from None
            raise ModelError(f"{str(self.path)!r} ({len(data)} bytes): expected an ONNX network, but it cannot be loaded: {message}") from None
        finally:
            if len(providers) > 1:
                ort.set_default_logger_severity(2)  # ONNX Runtime's own default

    @property
    def batch(self) -> int | None:
        return self.shape[0]

    @property
    def on_cpu(self) -> bool:
        return self.providers[0] == "CPUExecutionProvider"

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[Any]]:
        """(N,3,H,W) -> the outputs, each with N rows, floats as float32. A fixed batch is filled up and looped over."""
        feed = batch.astype(self._dtype, copy=False)
        size = self.batch
        if size is None or size == len(feed):
            return [_single(o) for o in self._call(feed)]
        parts = []
        for i in range(0, len(feed), size):
            part = feed[i : i + size]
            missing = size - len(part)
            whole = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)]) if missing else part
            parts.append([_single(o)[: len(part)] for o in self._call(whole)])
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def probe(self, card: str, size: tuple[int, int]) -> list[NDArray[Any]]:
        """The outputs for one blank input of `size` (w, h), which tell what the file's shapes leave open.

        CardError, saying both, when the input is not what the card of that name says."""
        w, h = size
        if any(is_ not in (None, wanted) for is_, wanted in zip(self.shape[1:], (3, h, w), strict=True)):
            raise CardError(f"card {card!r} says input {(3, h, w)} (channels, height, width); the network takes {self.shape[1:]}")
        return self.run(np.zeros((1, 3, h, w), np.float32))

    def _call(self, feed: NDArray[Any]) -> list[NDArray[Any]]:
        try:
            outputs: list[NDArray[Any]] = self._session.run(None, {self.input: feed})
        except Exception as e:
            raise ModelError(f"{str(self.path)!r} failed on an input of shape {feed.shape}: {str(e).strip().splitlines()[0]}") from None
        return outputs


def _single(output: NDArray[Any]) -> NDArray[Any]:
    return output.astype(np.float32, copy=False) if output.dtype.kind == "f" else output


def _external(path: Path) -> bool:
    """Whether big weights lie in a file of their own, which only a load by path finds."""
    return any(path.with_name(path.name + s).exists() for s in (".data", "_data"))


def preload() -> None:
    """Lets ONNX Runtime find CUDA libraries that pip installed. It prints what it misses; `check_running` says that better."""
    if not hasattr(ort, "preload_dlls"):
        return
    import contextlib

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.suppress(Exception):
        ort.preload_dlls()
