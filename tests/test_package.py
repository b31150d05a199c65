from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import toppose

# the rooms from the ground up; each imports from rows before its own, or from its own
ROOMS = [
    ["errors", "geometry"],
    ["images", "skeleton"],
    ["poses", "draw"],
    ["runtime"],
    ["networks"],
    ["detection"],
    ["topdown"],
    ["video"],
    ["estimator"],
    ["results"],
    ["evaluation"],
    ["bench", "info"],
    ["cli"],
    ["__main__"],
]
ROW = {room: i for i, row in enumerate(ROOMS) for room in row}


def test_public_names():
    assert toppose.__all__ == sorted(toppose.__all__, key=lambda n: (not n.isupper() and n != "COCO17" and n != "HALPE26", n))
    assert {"Estimator", "Poses", "ModelCard", "TopposeError"} <= set(toppose.__all__)
    assert all(hasattr(toppose, name) for name in toppose.__all__)
    assert (Path(toppose.__file__).parent / "py.typed").exists()


def test_import_is_light():
    code = "import sys, toppose; print([m for m in ('torch', 'ultralytics', 'PIL', 'onnx') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def rooms_imported(path: Path) -> set[str]:
    """Rooms that a file imports from, anywhere in it; "" for the package's face."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            module = node.module or ""
            names |= {f"{module}.{a.name}" for a in node.names} if module == "toppose" else {module}
    mine = {(*n.split("."), "")[1] for n in names if n.split(".")[0] == "toppose"}
    return {name if name in ROW else "" for name in mine}


def test_no_module_imports_upwards():
    folder = ROOT / "toppose"
    files = [p for p in sorted(folder.rglob("*.py")) if p != folder / "__init__.py"]
    assert {p.relative_to(folder).parts[0].removesuffix(".py") for p in files} == set(ROW)
    for path in files:
        room = path.relative_to(folder).parts[0].removesuffix(".py")
        for other in rooms_imported(path):
            if other == "":
                assert ROW[room] > ROW["estimator"], f"{path} imports the face of the package"
            else:
                assert ROW[other] <= ROW[room], f"{path} imports {other}"


def test_an_import_upwards_is_seen(tmp_path):
    (tmp_path / "a.py").write_text("def f():\n    from toppose.cli import main\n    import toppose.bench\n    from toppose import geometry, Poses\n")
    assert rooms_imported(tmp_path / "a.py") == {"cli", "bench", "geometry", ""}


@pytest.mark.parametrize("missing", ["cv2", "onnxruntime"])
def test_a_package_that_cannot_be_imported_is_answered_with_its_cure(missing):
    code = f"import sys; sys.modules['{missing}'] = None\nimport toppose"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert "Cure: " in run.stderr.splitlines()[-1]
