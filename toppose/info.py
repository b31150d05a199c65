"""What `toppose info` says: which ONNX Runtime, what of it really runs here, and why the rest does not."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

import toppose
from toppose import zoo
from toppose.session import check_running, choose_providers, preload

_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "ultralytics", "opencv-python", "opencv-python-headless", "pydantic")
_LIBRARIES = {
    "Linux": ("libcuda.so.1", "libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13", "libcufft.so.12", "libcudnn.so.9", "libnvinfer.so.10"),
    "Windows": ("nvcuda.dll", "cudart64_13.dll", "cublas64_13.dll", "cublasLt64_13.dll", "cufft64_12.dll", "cudnn64_9.dll", "nvinfer_10.dll"),
}


def collect() -> dict[str, Any]:
    """Everything, JSON-ready."""
    preload()
    packages = {name: v for name in _PACKAGES if (v := _version(name))}
    both = [name for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml") if name in packages]
    return {
        "toppose": toppose.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "onnxruntime": ort.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "packages": packages,
        "conflict": both if len(both) > 1 else [],
        "providers": {p: _starts(p) for p in ort.get_available_providers()},
        "libraries": {name: _loads(name) for name in _LIBRARIES.get(platform.system(), ())},
        "networks": [{"name": c.name, "task": c.task, "size": list(c.input.size), "license": c.license, "file": str(c.path)} for c in zoo.shipped()],
    }


def describe(facts: dict[str, Any]) -> str:
    """The same as a text."""
    lines = [
        f"toppose {facts['toppose']} on Python {facts['python']}, {facts['platform']}, {facts['cores']} cores",
        f"ONNX Runtime {facts['onnxruntime']} ({', '.join(n for n in facts['packages'] if n.startswith('onnxruntime'))}), "
        f"NumPy {facts['numpy']}, OpenCV {facts['opencv']}",
    ]
    if facts["conflict"]:
        names = " ".join(facts["conflict"])
        lines.append(f"PROBLEM: {names} are installed together and overwrite each other.")
        lines.append(f"  Cure: pip uninstall -y {names}; pip install --force-reinstall one of them")
    lines.append("\nProviders")
    for name, reason in facts["providers"].items():
        lines.append(f"  {name:28} {'runs' if not reason else 'does not start: ' + reason}")
    if facts["libraries"]:
        lines.append("\nCUDA libraries (the driver brings the first, pip install 'toppose[cuda]' the others, TensorRT the last)")
        lines += [f"  {name:28} {'found' if found else 'not found'}" for name, found in facts["libraries"].items()]
    lines.append("\nNetworks that ship")
    lines += [f"  {n['name']:12} {n['task']:8} {n['size'][0]}x{n['size'][1]}  {n['license']}  {n['file']}" for n in facts["networks"]]
    return "\n".join(lines)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _starts(provider: str) -> str:
    """ "" when a session with this provider really runs on it, else why not."""
    device = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "tensorrt", "CPUExecutionProvider": "cpu"}.get(provider)
    card = next(iter(zoo.shipped("pose")), None)
    if device is None or card is None:
        return "toppose does not use it" if device is None else "no network to try it with"
    options = ort.SessionOptions()
    options.log_severity_level = 3
    with _stderr() as said:
        try:
            running = ort.InferenceSession(
                str(card.path), options, providers=choose_providers(device, ort.get_available_providers()), enable_fallback=0
            ).get_providers()
            check_running(device, running)
            return ""
        except Exception as e:
            reason = str(e)
    causes = [line for line in said if "with error:" in line or "CUDA failure" in line]
    return causes[0].split("with error:")[-1].strip() if causes else reason.splitlines()[0]


@contextmanager
def _stderr() -> Iterator[list[str]]:
    """Collects what native code writes to standard error: ONNX Runtime tells causes nowhere else."""
    lines: list[str] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()
