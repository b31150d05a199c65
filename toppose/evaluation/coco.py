"""Sets of annotated photographs in COCO's format, and files of detections: read, checked, and brought to one category, the person."""

from __future__ import annotations

import gzip
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from toppose.errors import EvaluationError
from toppose.networks.card import explain

Annotation = dict[str, Any]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Side = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)  # "1" is not 1: it would count as another category


class _Image(_Row):
    id: int
    file_name: Annotated[str, Field(min_length=1, pattern=r"^[^\x00]+$")]
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class _Person(_Row):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[Finite, Finite, Side, Side]
    area: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    keypoints: list[Finite] = []
    iscrowd: Literal[0, 1] = 0

    @model_validator(mode="after")
    def _is_measurable(self) -> _Person:
        visible = self.keypoints[2::3]
        if strange := sorted(set(visible) - {0, 1, 2}):
            raise ValueError(f"visibility of a joint is 0, 1 or 2, not {strange[0]:g}")
        if not self.area and any(visible):
            raise ValueError("area of a person with labelled joints must be above 0: similarity is measured in it")
        return self


class _Category(_Row):
    id: int
    name: str
    keypoints: list[str] = []


class _Set(_Row):
    images: list[_Image] = Field(min_length=1)
    annotations: list[_Person]
    categories: list[_Category]


class _Detection(BaseModel):
    model_config = ConfigDict(strict=True)

    image_id: int
    category_id: int = 1
    bbox: tuple[Finite, Finite, Side, Side]
    score: Finite


@dataclass(frozen=True)
class CocoSet:
    """Photographs with COCO person keypoints, category 1. `encoded` reads the bytes of an image by its id."""

    coco: dict[str, Any]
    encoded: Callable[[int], bytes]
    category: int = 1  # the number that the person has in the file
    joints: tuple[str, ...] = ()  # names of the joints, where the file has them

    @property
    def ids(self) -> list[int]:
        return [image["id"] for image in self.coco["images"]]

    def name(self, image: int) -> str:
        return str(self._images[image]["file_name"])

    def size(self, image: int) -> tuple[int, int]:
        """Width and height as the file has them."""
        return self._images[image]["width"], self._images[image]["height"]

    def people(self, image: int) -> list[Annotation]:
        """The annotated people of an image, crowds included."""
        return self._by_image.get(image, [])

    @cached_property
    def _images(self) -> dict[int, dict[str, Any]]:
        return {image["id"]: image for image in self.coco["images"]}

    @cached_property
    def _by_image(self) -> dict[int, list[Annotation]]:
        return group(self.coco["annotations"])


def read_coco(source: Path, images: Path | None = None) -> CocoSet:
    """A zip with annotations (.json or .json.gz) and photographs, or an annotation file and the folder of its photographs.

    Of several categories the one named "person" counts. EvaluationError says what is wrong in which annotation."""
    try:
        raw, load = _open(source, images)
        text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        checked = _Set.model_validate_json(text.removeprefix(b"\xef\xbb\xbf"))
    except EvaluationError:
        raise
    except ValidationError as e:
        raise EvaluationError(f"data: expected COCO keypoint annotations in {str(source)!r}: {_first(e)}") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as e:
        raise EvaluationError(f"data: expected COCO keypoint annotations in {str(source)!r}: {type(e).__name__} {e}") from None
    person = next((c for c in checked.categories if c.name == "person" or len(checked.categories) == 1), None)
    if person is None:
        raise EvaluationError(f"data: expected a category named 'person' in {str(source)!r}; got {[c.name for c in checked.categories]}")
    _check_ids(source, checked)
    coco = checked.model_dump(mode="json")  # validated, and lists again, which pycocotools wants
    rows = (a for a in coco["annotations"] if a["category_id"] == person.id)
    people = [{**a, "category_id": 1, "id": i, "source_id": a["id"]} for i, a in enumerate(rows, 1)]  # to pycocotools id 0 is "nobody"
    coco = {**coco, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    files = {image.id: image.file_name for image in checked.images}

    def encoded(image: int) -> bytes:
        try:
            return load(files[image])
        except (OSError, KeyError, ValueError) as e:
            raise EvaluationError(f"data: photograph {files[image]!r} of {str(source)!r} is not there: {e}") from None

    return CocoSet(coco, encoded, person.id, tuple(person.keypoints))


def read_detections(path: Path, data: CocoSet) -> dict[int, NDArray[Any]]:
    """A COCO results file of boxes -> (N,5) xyxy and score, by image id. Of other categories than the person none counts."""
    expected = f"boxes: expected 'gt', 'own' or a COCO results file with image_id, bbox, score; got {str(path)!r}"
    try:
        rows = [r.model_dump() for r in TypeAdapter(list[_Detection]).validate_json(path.read_bytes())]
    except ValidationError as e:
        raise EvaluationError(f"{expected}: {_first(e)}") from None
    except OSError as e:
        raise EvaluationError(f"{expected}: {e.strerror}") from None
    if strange := sorted({r["image_id"] for r in rows} - set(data.ids)):
        raise EvaluationError(f"boxes: {str(path)!r} has boxes of images that are not in the data: {strange[:5]}")
    found = group(r for r in rows if r["category_id"] == data.category)
    if rows and not found:
        raise EvaluationError(f"boxes: none of the {len(rows)} boxes of {str(path)!r} is of category {data.category}, the person")
    return {i: np.column_stack([corners(f), [r["score"] for r in f]]) for i, f in found.items()}


def group(rows: Iterable[Annotation]) -> dict[int, list[Annotation]]:
    """Annotations or results by the id of their image."""
    groups: dict[int, list[Annotation]] = {}
    for row in rows:
        groups.setdefault(row["image_id"], []).append(row)
    return groups


def corners(people: Iterable[Annotation]) -> NDArray[np.float64]:
    """COCO boxes x, y, w, h -> (N,4) xyxy."""
    boxes = np.array([a["bbox"] for a in people], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _open(source: Path, images: Path | None) -> tuple[bytes, Callable[[str], bytes]]:
    """The annotations, and what reads a photograph by its name."""
    if source.suffix != ".zip":
        folder = images or source.parent / "images"
        return source.read_bytes(), lambda name: (folder / name).read_bytes()
    archive = zipfile.ZipFile(source)
    members = [n for n in archive.namelist() if not n.startswith("__MACOSX/")]
    annotations = [n for n in members if n.endswith((".json", ".json.gz"))]
    if len(annotations) != 1:
        raise EvaluationError(f"data: expected one .json of annotations in {str(source)!r}, got {annotations or 'none'}")
    names = {Path(n).name: n for n in members}
    return archive.read(annotations[0]), lambda name: archive.read(name if name in members else names[Path(name).name])


def _check_ids(source: Path, data: _Set) -> None:
    for kind, rows in (("images", data.images), ("annotations", data.annotations)):
        twice = [i for i, count in Counter(r.id for r in rows).items() if count > 1]
        if twice:
            raise EvaluationError(f"data: {kind} of {str(source)!r} have ids that occur twice: {twice[:5]}")
    known = {image.id for image in data.images}
    if lost := next((a for a in data.annotations if a.image_id not in known), None):
        raise EvaluationError(f"data: annotation {lost.id} of {str(source)!r} is of image {lost.image_id}, which is not in it")
    kinds = {category.id for category in data.categories}
    if lost := next((a for a in data.annotations if a.category_id not in kinds), None):
        raise EvaluationError(f"data: annotation {lost.id} of {str(source)!r} is of category {lost.category_id}, which is not in it")


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, and how many more are."""
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return explain(error).split("; ")[0] + more
