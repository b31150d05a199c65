"""ONNX Runtime's execution providers: what to ask for, with which options, and whether it really runs."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from toppose.errors import DeviceError, ModelError, OptionError

try:
    import onnxruntime

    ort: Any = onnxruntime
    ort.InferenceSession  # noqa: B018  two half-overwritten builds import without it
except (ImportError, AttributeError) as e:
    from toppose.errors import MissingDependency

    raise MissingDependency(
        f"onnxruntime cannot be imported ({e}). Cure: pip uninstall -y onnxruntime onnxruntime-gpu; "
        "pip install --force-reinstall onnxruntime-gpu (or onnxruntime where there is no NVIDIA GPU)"
    ) from e

Provider = tuple[str, dict[str, Any]]
Precision = Literal["fp32", "fp16"]
_NEEDED = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


def parse_device(device: str) -> tuple[str, int]:
    """ "cuda:1" -> ("cuda", 1). OptionError for what is no device."""
    kind, colon, index = str(device).partition(":")
    numbered = kind in ("cuda", "tensorrt") and index.isascii() and index.isdecimal() and len(index) <= 3
    if kind not in ("auto", "cpu", "cuda", "tensorrt") or (colon and not numbered):
        raise OptionError(f"device: expected 'auto', 'cpu', 'cuda', 'cuda:1' or 'tensorrt'; got {device!r}")
    return kind, int(index or 0)


def choose_providers(device: str, available: Sequence[str], network: Path | None = None, precision: Precision = "fp32") -> list[Provider]:
    """The providers to ask for, best first, with their options. `available` is what this ONNX Runtime was built with.

    A named device that was not compiled in raises DeviceError; `auto` takes CUDA where it was, and always ends with the CPU. TensorRT
    computes in `precision`, and keeps what it builds for `network`. Not measured on a GPU yet: that convolutions are searched in full (once
    for each of the few batch sizes), and that the arena grows by no more than it is asked for."""
    kind, index = parse_device(device)
    if precision != "fp32" and kind != "tensorrt":
        raise OptionError(f"precision: {precision!r} is for device 'tensorrt'; elsewhere a network of that precision does it; got device {device!r}")
    cpu: Provider = ("CPUExecutionProvider", {})
    # TF32 keeps 10 bits of a factor: too few for coordinates
    searched = {"cudnn_conv_algo_search": "EXHAUSTIVE", "arena_extend_strategy": "kSameAsRequested", "use_tf32": 0}
    cuda: Provider = ("CUDAExecutionProvider", {"device_id": index, **searched})
    if kind == "cpu":
        return [cpu]
    if kind == "auto":
        return [cuda, cpu] if cuda[0] in available else [cpu]
    if _NEEDED[kind] not in available:
        raise DeviceError(
            f"device {device!r}: this onnxruntime was built without {_NEEDED[kind]} (it has {', '.join(available)}). "
            "Cure: pip uninstall -y onnxruntime; pip install --force-reinstall 'toppose[cuda]'"
        )
    return [(_NEEDED[kind], {"device_id": index, **tensorrt_options(network, index, precision)}), cuda, cpu] if kind == "tensorrt" else [cuda, cpu]


def capturing(providers: Sequence[Provider]) -> list[Provider]:
    """The same with CUDA graphs."""
    return [(name, {**options, "enable_cuda_graph": 1} if name == "CUDAExecutionProvider" else options) for name, options in providers]


def tensorrt_options(network: Path | None, index: int, precision: Precision) -> dict[str, Any]:
    """Where TensorRT keeps engines and timings: a folder of this network, ONNX Runtime, GPU and precision alone."""
    half = {"trt_fp16_enable": precision == "fp16"}
    if network is None:
        return half
    try:
        digest = hashlib.sha256(network.read_bytes()).hexdigest()[:16]
    except OSError as e:
        raise ModelError(f"network {str(network)!r} cannot be read: {e.strerror}") from None
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "toppose" / "tensorrt" / "-".join((digest, f"ort{ort.__version__}", gpu_name(index), precision))
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"trt_engine_cache_enable": True, "trt_timing_cache_enable": True}
    return {**half, **kept, "trt_engine_cache_path": str(folder), "trt_timing_cache_path": str(folder)}


def gpu_name(index: int) -> str:
    """What the NVIDIA driver calls GPU `index`, fit for a file name; "gpu" where it does not say."""
    name = ctypes.create_string_buffer(256)
    with contextlib.suppress(OSError, AttributeError):
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        if driver.cuInit(0) == 0:
            driver.cuDeviceGetName(name, len(name), index)
    return re.sub(r"\W+", "-", name.value.decode(errors="replace")) or "gpu"


def check_running(device: str, running: Sequence[str]) -> None:
    """Raises DeviceError when the provider that `device` stands for is not among those that really run."""
    kind, _ = parse_device(device)
    if kind in _NEEDED and _NEEDED[kind] not in running:
        raise DeviceError(
            f"device {device!r}: {_NEEDED[kind]} did not start, ONNX Runtime is on {', '.join(running)}. "
            "Cause: the NVIDIA driver, CUDA 13 or cuDNN 9 is missing or not found. "
            "Cure: install the driver, then pip install 'toppose[cuda]'; `toppose info` says what is found"
        )


def preload() -> None:
    """Lets ONNX Runtime find CUDA libraries that pip installed. It prints what it misses; `check_running` says that better."""
    if not hasattr(ort, "preload_dlls"):
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.suppress(Exception):
        ort.preload_dlls()
