"""Any Ultralytics network as a detector, through the `ultralytics` package (an extra; AGPL-3.0)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from toppose.errors import MissingDependency, ModelError
from toppose.geometry import Float
from toppose.images import Pixels


class UltralyticsDetector:
    """A `.pt` or `.yaml` network -> person boxes (N,5) x1, y1, x2, y2, score. Never goes online, never installs anything."""

    def __init__(self, path: Path, threshold: float, nms_iou: float, device: str = "auto", batch_size: int | None = None) -> None:
        if not path.exists():  # else Ultralytics would go and look for it on the network
            raise ModelError(f"detector: no file {str(path)!r}")
        os.environ["YOLO_OFFLINE"], os.environ["YOLO_AUTOINSTALL"] = "1", "false"
        os.environ.setdefault("YOLO_VERBOSE", "false")
        try:
            import ultralytics
            from ultralytics.utils import checks
        except ImportError as e:
            raise MissingDependency(f"detector {str(path)!r} needs the ultralytics package ({e}). Cure: pip install 'toppose[ultralytics]'") from None
        # where ultralytics was imported before the settings above, it has not read them
        for module, name in ((ultralytics.utils, "ONLINE"), (checks, "ONLINE"), (ultralytics.utils, "AUTOINSTALL"), (checks, "AUTOINSTALL")):
            if hasattr(module, name):
                setattr(module, name, False)
        try:
            self._model: Any = ultralytics.YOLO(str(path), verbose=False)
            names: dict[int, str] = dict(self._model.names)
        except Exception as e:  # whatever unpickling or building raises
            raise ModelError(f"detector {str(path)!r} cannot be loaded by ultralytics: {e}") from None
        people = [k for k, v in names.items() if v.lower() == "person"]
        if self._model.task not in ("detect", "pose", "segment") or not (people or len(names) == 1):
            got = f"task {self._model.task!r}, classes {list(names.values())[:12]}"
            raise ModelError(f"detector {str(path)!r}: expected a detection network with a class 'person', got {got}")
        self._options = {
            "conf": threshold,
            "iou": nms_iou,
            "classes": people or list(names),
            "device": None if device == "auto" else device.replace("tensorrt", "cuda"),
            "verbose": False,
            "batch": batch_size or 8,
        }
        self.__name__ = path.name
        self._one_at_a_time = Lock()  # its predictor keeps state

    def __call__(self, images: Sequence[Pixels]) -> list[Float]:
        if not images:
            return []
        with self._one_at_a_time:
            results = self._model.predict(list(images), **self._options)
        return [np.column_stack([r.boxes.xyxy.cpu().numpy(), r.boxes.conf.cpu().numpy()]).astype(np.float64).reshape(-1, 5) for r in results]
