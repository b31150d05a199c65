from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import toppose

# who may import whom, in order: each room only what stands before it
ROOMS = [
    "errors", "skeleton", "geometry", "images", "decode", "boxes", "draw", "card", "poses", "crop", "providers", "session", "batching",
    "engine", "host", "zoo",
    "chain", "device", "yolo", "detector",
    "coco", "_ultralytics", "estimator", "files", "evaluate", "bench", "info", "cli", "__main__",
]  # fmt: skip


def test_public_names():
    assert toppose.__all__ == sorted(toppose.__all__, key=lambda n: (not n.isupper() and n != "COCO17" and n != "HALPE26", n))
    assert {"Estimator", "Poses", "ModelCard", "TopposeError"} <= set(toppose.__all__)
    assert all(hasattr(toppose, name) for name in toppose.__all__)
    assert (Path(toppose.__file__).parent / "py.typed").exists()


def test_import_is_light():
    code = "import sys, toppose; print([m for m in ('torch', 'ultralytics', 'PIL', 'onnx') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_no_module_imports_upwards():
    folder = ROOT / "toppose"
    assert {p.stem for p in folder.glob("*.py")} == {*ROOMS, "__init__"}
    for i, room in enumerate(ROOMS):
        tree = ast.parse((folder / f"{room}.py").read_text())
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("toppose"):
                names = [node.module.removeprefix("toppose").removeprefix(".")] if node.module != "toppose" else [a.name for a in node.names]
                late = [n for n in names if n in ROOMS and ROOMS.index(n) >= i]
                assert not late, f"{room} imports {late}"


@pytest.mark.parametrize("missing", ["cv2", "onnxruntime"])
def test_a_package_that_cannot_be_imported_is_answered_with_its_cure(missing):
    code = f"import sys; sys.modules['{missing}'] = None\nimport toppose"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert "Cure: " in run.stderr.splitlines()[-1]
