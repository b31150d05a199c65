from __future__ import annotations

import sys
import types

import numpy as np

from toppose import Estimator
from toppose.bench import calls as bench


def test_rtmlib_is_measured_where_it_is_installed(monkeypatch, capsys):
    made, seen = [], []

    class ViTPose:
        def __init__(self, *arguments, **options):
            print("load")  # as rtmlib does: nothing of it may reach stdout
            made.append((arguments, options))

        def __call__(self, image, bboxes):
            seen.append((image.shape, len(bboxes)))

    monkeypatch.setitem(sys.modules, "rtmlib", types.SimpleNamespace(ViTPose=ViTPose))
    monkeypatch.setattr(bench, "version", lambda name: "1.2")
    estimator = Estimator(detector=None, device="cpu", threads=1)
    figures = bench.measure(estimator, np.zeros((120, 160, 3), np.uint8), 2, 2)
    assert capsys.readouterr().out == ""
    assert made[0][0][:2] == (str(estimator.pose.backend.session.path), (192, 256))
    assert made[0][1] == {"backend": "onnxruntime", "device": "cpu"}
    assert seen == [((120, 160, 3), 2)] * 3
    assert figures["rtmlib"]["version"] == "1.2"
    assert figures["rtmlib"]["ratio"] == figures["rtmlib"]["ms"] / figures["whole"]
    assert "rtmlib 1.2" in bench.describe(figures)


def test_without_rtmlib_it_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    figures = bench.measure(Estimator(detector=None, device="cpu", threads=1), np.zeros((120, 160, 3), np.uint8), 1, 1)
    assert figures["rtmlib"] is None
    assert figures["other_engine"]["engine"] == "device"
    assert "rtmlib" not in bench.describe(figures)
