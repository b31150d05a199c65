"""What a network expects and gives, as a small JSON file beside it: NAME.onnx has the card NAME.json."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path, PureWindowsPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from toppose.errors import CardError
from toppose.geometry import Warp
from toppose.runtime import Look
from toppose.skeleton import SKELETONS, Skeleton


def _skeleton(value: Any) -> Any:
    if isinstance(value, str):
        if value not in SKELETONS:
            raise ValueError(f"unknown skeleton {value!r}; expected one of {sorted(SKELETONS)}, or an object with name, joints, edges, flip, sigmas")
        return SKELETONS[value]
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


DecoderName = Literal["argmax", "quarter", "dark", "udp-dark"]
LARGEST = 4096  # pixels of a side: beyond it a card is wrong, and its buffers would fill any memory
Side = Annotated[int, Field(gt=0, le=LARGEST)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Input(_Strict):
    """What the network's input is: a crop for pose networks, a letterboxed image for detectors."""

    size: tuple[Side, Side]  # w, h
    color: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[Finite, Finite, Finite] = (123.675, 116.28, 103.53)  # in the order of `color`, 0...255
    std: tuple[Positive, Positive, Positive] = (58.395, 57.12, 57.375)
    padding: float = Field(1.25, gt=0, le=10)  # how much a box grows before it is cropped
    warp: Warp = "classic"
    border: int = Field(0, ge=0, le=255)  # grey level outside the image
    centre: bool = True  # letterbox: picture in the middle, else in the top left corner

    @property
    def look(self) -> Look:
        """What a backend must know of it."""
        return Look(self.size, self.color, self.mean, self.std, self.border)


class _Output(_Strict):
    names: tuple[str, ...] = ()  # the outputs to read, in the order told below, where the file leaves open which


class _Detections(_Output):
    person: int = Field(0, ge=0)  # index of the class


class HeatmapOutput(_Output):
    """(N,J,H,W), one map a joint."""

    kind: Literal["heatmap"]
    decoder: DecoderName = "dark"
    blur: int = Field(11, ge=1, le=63)  # kernel of DARK's Gaussian, odd; 1 is none

    @model_validator(mode="after")
    def _odd(self) -> HeatmapOutput:
        if self.blur % 2 == 0:
            raise ValueError(f"blur must be odd, got {self.blur}")
        return self


class SimccOutput(_Output):
    """Two outputs, (N,J,w*split) and (N,J,h*split)."""

    kind: Literal["simcc"]
    split: float = Field(2.0, gt=0, le=16)
    score: Literal["min", "mean"] = "min"  # mmpose's or rtmlib's way to join the two peaks


class CoordinateOutput(_Output):
    """(N,J,2) or (N,J,3) with a score: x and y across the crop, in pixels or from 0 to 1."""

    kind: Literal["coordinates"]
    unit: Literal["pixels", "relative"] = "relative"


class YoloOutput(_Detections):
    """An Ultralytics head: raw (B,4+classes,anchors), or end to end (B,K,6). What follows the classes (joints, masks) is left aside."""

    kind: Literal["yolo"]
    head: Literal["raw", "end2end"] = "raw"
    classes: int | None = Field(None, ge=1)  # how many, where more than classes follows the box

    @model_validator(mode="after")
    def _has_a_person(self) -> YoloOutput:
        if self.classes is not None and self.person >= self.classes:
            raise ValueError(f"person must be below classes, {self.classes}; got {self.person}")
        return self


class DetsOutput(_Detections):
    """`dets` (B,K,5) as x1, y1, x2, y2, score and `labels` (B,K), as MMDeploy exports RTMDet."""

    kind: Literal["dets"]


Output = Annotated[HeatmapOutput | SimccOutput | CoordinateOutput | YoloOutput | DetsOutput, Field(discriminator="kind")]
_POSE = ("heatmap", "simcc", "coordinates")


class ModelCard(_Strict):
    """The description of one network. `file` lies in the card's own folder, or, for a card made in Python, anywhere from the current one on.

    Raises CardError that names the field."""

    name: str = Field(min_length=1)
    task: Literal["pose", "detect"]
    file: str = Field(min_length=1)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    license: str = "unknown"
    origin: str = ""
    skeleton: Annotated[Skeleton | None, BeforeValidator(_skeleton)] = None
    input: Input
    output: Output
    threshold: float | None = Field(None, ge=0, le=1)  # a detector's own default
    _folder: Path = PrivateAttr(default=Path())

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as e:
            raise CardError(explain(e)) from None

    @model_validator(mode="after")
    def _task_fits(self) -> ModelCard:
        if (self.task == "pose") != (self.output.kind in _POSE):
            raise ValueError(f"task {self.task!r} does not go with output kind {self.output.kind!r}")
        if self.task == "pose" and self.skeleton is None:
            raise ValueError("a pose network needs a skeleton")
        if self.task == "detect" and self.skeleton is not None:
            raise ValueError("a detector has no skeleton")
        if self.task == "pose" and self.threshold is not None:
            raise ValueError("threshold is a detector's")
        return self

    @property
    def path(self) -> Path:
        """Where the network lies."""
        return self._folder / self.file

    @property
    def joints(self) -> Skeleton:
        """The skeleton of a pose network."""
        assert self.skeleton is not None
        return self.skeleton

    @classmethod
    def load(cls, path: str | Path) -> ModelCard:
        """Reads a card; a CardError names the file and the field."""
        try:
            path = Path(path)
            data = json.loads(path.read_text("utf-8"))
        except TypeError:
            raise CardError(f"card: expected a path, got {type(path).__name__}") from None
        except OSError as e:
            raise CardError(f"card {str(path)!r} cannot be read: {e.strerror}") from None
        except (ValueError, RecursionError) as e:
            raise CardError(f"card {str(path)!r}: expected JSON, got {e}") from None
        if not isinstance(data, dict):
            raise CardError(f"card {str(path)!r}: expected a JSON object, got {type(data).__name__}")
        try:
            card = cls(**data)
        except CardError as e:
            raise CardError(f"card {str(path)!r}: {e}") from None
        if outside(card.file):
            raise CardError(f"card {str(path)!r}: file: expected a file in the card's own folder, got {card.file!r}")
        card._folder = path.parent
        return card

    def verify(self) -> None:
        """Raises CardError when the file's sha256 is not the card's."""
        if self.sha256 is None:
            return
        got = hashlib.sha256(self.path.read_bytes()).hexdigest()
        if got != self.sha256:
            raise CardError(f"{str(self.path)!r}: expected sha256 {self.sha256} as its card says, got {got}; the file is damaged or another one")


def outside(file: str) -> bool:
    """Whether a relative name leads out of its folder, on any system."""
    return ".." in re.split(r"[/\\\\]", file) or file.startswith(("/", "\\")) or PureWindowsPath(file).drive != "" or "\0" in file


def explain(error: ValidationError) -> str:
    """A pydantic error as one line: field, what was wrong, what came."""
    said = []
    for e in error.errors():
        field, wrong = ".".join(map(str, e["loc"])) or "value", e["msg"].removeprefix("Value error, ")
        said.append(f"{field}: {wrong} (got {repr(e.get('input'))[:80]})")
    return "; ".join(said)
