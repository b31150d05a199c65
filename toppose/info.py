"""What `toppose info` says: which ONNX Runtime, what of it really runs here, and why the rest does not."""

from __future__ import annotations

import ctypes
import os
import platform
import re
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
from toppose.networks import zoo
from toppose.runtime.graphs import graph_files
from toppose.runtime.providers import check_running, choose_providers, preload

_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "ultralytics", "opencv-python", "opencv-python-headless", "pydantic")
_DEVICES = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "tensorrt", "CPUExecutionProvider": "cpu"}  # best first, for info
_LIBRARIES = {
    "Linux": ("libcuda.so.1", "libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13", "libcufft.so.12", "libcudnn.so.9", "libnvinfer.so.10"),
    "Windows": ("nvcuda.dll", "cudart64_13.dll", "cublas64_13.dll", "cublasLt64_13.dll", "cufft64_12.dll", "cudnn64_9.dll", "nvinfer_10.dll"),
}


def collect(verbose: bool = False) -> dict[str, Any]:
    """Everything, JSON-ready. `verbose`: also where every node of the shipped networks and graphs runs, on the best provider that starts."""
    preload()
    packages = {name: v for name in _PACKAGES if (v := _version(name))}
    both = [name for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml") if name in packages]
    starting = {p: _starts(p) for p in ort.get_available_providers()}
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
        "providers": starting,
        "libraries": {name: _loads(name) for name in _LIBRARIES.get(platform.system(), ())},
        "networks": [{"name": c.name, "task": c.task, "size": list(c.input.size), "license": c.license, "file": str(c.path)} for c in zoo.shipped()],
        "nodes": _nodes(next(_DEVICES[p] for p in _DEVICES if starting.get(p) == "")) if verbose else None,
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
    if facts["nodes"]:
        lines.append(f"\nNodes, on device {facts['nodes']['device']!r}")
        lines += [f"  {name:12} {_told(found)}" for name, found in facts["nodes"]["files"].items()]
    return "\n".join(lines)


def placements(said: list[str]) -> dict[str, list[str]]:
    """ONNX Runtime's verbose log of one load -> the nodes ("Conv (name)") of each provider; one name, "all N", where there is but one provider."""
    found: dict[str, list[str]] = {}
    nodes: list[str] | None = None
    for line in said:
        text = line.partition("VerifyEachNodeIsAssignedToAnEp]")[2].strip()
        if match := re.match(r"(All nodes|Node\(s\)) placed on \[(\w+)\]. Number of nodes: (\d+)", text):
            nodes = found.setdefault(match[2], [f"all {match[3]}"] if match[1] == "All nodes" else [])
        elif nodes is not None and re.fullmatch(r"\w+ \(.*\)", text):
            nodes.append(text)
    return found


def _nodes(device: str) -> dict[str, Any]:
    """Where the nodes of every shipped file run on `device`."""
    options = ort.SessionOptions()
    options.log_severity_level = 0
    files = {}
    for path in (*(c.path for c in zoo.shipped()), *graph_files()):
        with _stderr() as said:
            ort.InferenceSession(str(path), options, providers=choose_providers(device, ort.get_available_providers()))
        files[path.stem] = placements(said)
    return {"device": device, "files": files}


def _told(found: dict[str, list[str]]) -> str:
    """One file's nodes: how many on each provider, and those by name that fell back to the CPU."""
    text = ", ".join(f"{nodes[0] if nodes[0].startswith('all ') else len(nodes)} on {provider}" for provider, nodes in found.items())
    fallen = found.get("CPUExecutionProvider", []) if len(found) > 1 else []
    return text + (f": {', '.join(fallen)}" if fallen else "")


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
    device = _DEVICES.get(provider)
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
