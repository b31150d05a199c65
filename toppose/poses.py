"""What comes out: the people of one image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from inspect import signature
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from toppose.draw import check_number, draw_poses
from toppose.errors import CardError, MissingDependency, PoseError
from toppose.images import Color, ImageLike, Pixels, read_image
from toppose.skeleton import COCO17, SKELETONS, Skeleton

Single = NDArray[np.float32]
FIELDS = ("keypoints", "scores", "boxes", "box_scores")
_KEYS = ("keypoints", "scores", "box", "box_score")  # of one person in `to_dict`


@dataclass(frozen=True, eq=False)
class Poses:
    """N people with J joints each, best box first as the detector gave them. The arrays are read-only.

    keypoints (N,J,2) float32 x, y in image pixels, low-scoring joints included; scores (N,J) float32, the height of the joint's peak,
    usually 0...1; boxes (N,4) float32 x1, y1, x2, y2; box_scores (N,) float32; skeleton names the J joints; ids (N,) int64 from 0, where a
    tracker gave some, else None. Two are equal when skeleton and all numbers are. What does not make people is a PoseError.

    >>> len(Poses.empty())
    0
    >>> Poses.empty()["left_wrist"].shape
    (0, 2)
    """

    keypoints: Single
    scores: Single
    boxes: Single
    box_scores: Single
    skeleton: Skeleton = COCO17
    ids: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.skeleton, Skeleton):
            raise PoseError(f"skeleton: expected a Skeleton, got {self.skeleton!r}")
        arrays = {name: _numbers(name, getattr(self, name)) for name in FIELDS}
        N, J = len(np.atleast_1d(arrays["keypoints"])), len(self.skeleton)
        for name, shape in zip(FIELDS, ((N, J, 2), (N, J), (N, 4), (N,)), strict=True):
            if arrays[name].shape != shape:
                raise PoseError(f"{name}: expected shape {shape} for {N} people and {J} joints, got {arrays[name].shape}")
            arrays[name].setflags(write=False)
            object.__setattr__(self, name, arrays[name])
        if self.ids is not None:
            object.__setattr__(self, "ids", _ids(self.ids, N))

    @classmethod
    def empty(cls, skeleton: Skeleton = COCO17) -> Poses:
        """Nobody."""
        J = len(skeleton)
        return cls(np.zeros((0, J, 2)), np.zeros((0, J)), np.zeros((0, 4)), np.zeros(0), skeleton)  # type: ignore[arg-type]  # made float32 at birth

    @classmethod
    def concatenate(cls, poses: Iterable[Poses]) -> Poses:
        """The people of all of them, in that order. They must have one skeleton, and there must be one at least, which says which. Their ids
        stay where all have some."""
        given = list(poses) if isinstance(poses, Iterable) else [poses]
        if not given or not all(isinstance(p, Poses) for p in given):
            wrong = next((type(p).__name__ for p in given if not isinstance(p, Poses)), "none")
            raise PoseError(f"poses: expected a list of one Poses or more, got {wrong}")
        skeleton = given[0].skeleton
        if other := next((p.skeleton for p in given if _layout(p.skeleton) != _layout(skeleton)), None):
            raise PoseError(f"poses: expected one skeleton, got {skeleton.name!r} ({len(skeleton)} joints) and {other.name!r} ({len(other)} joints)")
        ids = [p.ids for p in given if p.ids is not None]
        joined: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in given]) for name in FIELDS}
        return cls(**joined, skeleton=skeleton, ids=np.concatenate(ids) if len(ids) == len(given) else None)

    def replace(self, **fields: Any) -> Poses:
        """The same with other `keypoints`, `scores`, `boxes`, `box_scores`, `skeleton` or `ids`."""
        return replace(self, **fields)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Poses:
        """What `to_dict` gave, exactly. Other keys are left aside, so that a photograph of the command line's JSON can be read too:
        `Poses.from_dict({**document, **document["images"][0]})`."""
        if not isinstance(document, Mapping) or not isinstance(people := document.get("people"), (list, tuple)):
            raise PoseError(f"document: expected a dict with skeleton, joints and a list of people, got {_short(document)}")
        skeleton = _read_layout(document)
        if not people:
            return cls.empty(skeleton)
        for i, person in enumerate(people):
            if not isinstance(person, Mapping) or not set(_KEYS) <= set(person):
                raise PoseError(f"people[{i}]: expected a dict with box, box_score, keypoints and scores, got {_short(person)}")
        columns: dict[str, Any] = {name: [person[key] for person in people] for name, key in zip(FIELDS, _KEYS, strict=True)}
        ids = [person["id"] for person in people if person.get("id") is not None]
        if ids and len(ids) != len(people):
            raise PoseError(f"people: expected an id of each person or of none, got {len(ids)} of {len(people)}")
        return cls(**columns, skeleton=skeleton, ids=ids or None)  # type: ignore[arg-type]  # made int64 at birth

    @classmethod
    def from_coco(cls, people: Iterable[Mapping[str, Any]], skeleton: Skeleton = COCO17) -> Poses:
        """COCO keypoint results or annotations of one image.

        Results (with `score`): the third number of a joint is its score, `score` becomes the box score. Annotations (without): its
        visibility 0, 1, 2 (not labelled, hidden, visible) becomes 0, 0.5, 1, the box score 1; crowds are left out. `bbox` is x, y, w, h;
        without it the box is the smallest round the joints that score above 0."""
        if isinstance(people, (str, bytes, Mapping)) or not isinstance(people, Iterable):
            raise PoseError(f"people: expected a list of COCO results or annotations, got {_short(people)}")
        if not isinstance(skeleton, Skeleton):
            raise PoseError(f"skeleton: expected a Skeleton, got {skeleton!r}")
        given = list(people)
        for i, person in enumerate(given):
            if not isinstance(person, Mapping) or "keypoints" not in person:
                raise PoseError(f"people[{i}]: expected a COCO result or annotation with keypoints, got {_short(person)}")
        if len(ids := sorted({str(person["image_id"]) for person in given if "image_id" in person})) > 1:
            raise PoseError(f"people: expected those of one image, got {len(ids)} image_ids, {ids[0]} and {ids[1]} among them")
        rows = [_read_coco(person, f"people[{i}]", len(skeleton)) for i, person in enumerate(given) if person.get("iscrowd") not in (1, True)]
        if not rows:
            return cls.empty(skeleton)
        columns: dict[str, Any] = dict(zip(FIELDS, map(list, zip(*rows, strict=True)), strict=True))
        return cls(**columns, skeleton=skeleton)

    def __reduce__(self) -> tuple[Any, ...]:
        return Poses, (self.keypoints, self.scores, self.boxes, self.box_scores, self.skeleton, self.ids)

    def __len__(self) -> int:
        return len(self.keypoints)

    def __iter__(self) -> Iterator[Poses]:
        """One `Poses` of length 1 a person."""
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, key: str) -> Single: ...
    @overload
    def __getitem__(self, key: int | slice | NDArray[Any] | list[int] | list[bool]) -> Poses: ...
    def __getitem__(self, key: Any) -> Any:
        """People by int (a `Poses` of length 1), slice, index array or mask (N,); one joint's keypoints (N,2) by its name."""
        if isinstance(key, str):
            return self.keypoints[:, self._joint(key)]
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            if not -len(self) <= key < len(self):
                raise IndexError(f"person {key} of {len(self)}")
            key = slice(int(key) % len(self), int(key) % len(self) + 1)
        elif not isinstance(key, slice):
            try:
                key = np.asarray(key)
            except ValueError:
                raise IndexError(f"expected an int, a slice, a mask or indices of one axis, got {_short(key)}") from None
            if key.size == 0 and key.dtype != bool:
                key = key.astype(int)
            if key.ndim != 1 or key.dtype.kind not in "biu":
                raise IndexError(f"expected an int, a slice, a mask or indices of one axis, got {key.dtype} {key.shape}")
        ids = None if self.ids is None else self.ids[key]
        return Poses(self.keypoints[key], self.scores[key], self.boxes[key], self.box_scores[key], self.skeleton, ids)

    def _joint(self, name: str) -> int:
        joints = self.skeleton.joints
        if name not in joints:
            near = get_close_matches(name.lower(), joints, 2)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"its joints are {', '.join(joints)}"
            raise PoseError(f"joint: expected a name of the skeleton {self.skeleton.name!r}, got {name!r}; {hint}")
        return joints.index(name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Poses):
            return NotImplemented
        same = all(np.array_equal(getattr(self, name), getattr(other, name)) for name in (*FIELDS, "ids"))  # None equals None alone
        return same and _layout(self.skeleton) == _layout(other.skeleton)

    __hash__ = None  # type: ignore[assignment]  # equal by their numbers, as arrays and lists are

    def __repr__(self) -> str:
        return f"Poses({len(self)} people, {self.skeleton.name})"

    def pose_scores(self, threshold: float = 0.2) -> Single:
        """(N,) box score times the mean of the joint scores above `threshold`, 0 where there are none: what COCO's AP ranks by."""
        sure = self.scores > check_number("threshold", threshold, 0, 1)
        total = (self.scores * sure).sum(1)
        return np.asarray(self.box_scores * total / np.maximum(sure.sum(1), 1), np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for `json.dumps`: skeleton, joints, people, each with its id where there are ids. Of a skeleton that does not
        ship also edges, flip and sigmas."""
        people: list[dict[str, Any]] = [
            {"box": box.tolist(), "box_score": float(box_score), "keypoints": keypoints.tolist(), "scores": scores.tolist()}
            for box, box_score, keypoints, scores in zip(self.boxes, self.box_scores, self.keypoints, self.scores, strict=True)
        ]
        if self.ids is not None:
            people = [{"id": int(i), **person} for i, person in zip(self.ids, people, strict=True)]
        return {**_layout(self.skeleton), "people": people}

    def to_coco(self, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
        """COCO keypoint results, one a person: `keypoints` as x, y, score for each joint, `bbox` as x, y, w, h, `score` as `pose_scores`."""
        ids = {"image_id": _id("image_id", image_id), "category_id": _id("category_id", category_id)}
        triples = np.concatenate([self.keypoints, self.scores[..., None]], -1).reshape(len(self), 3 * len(self.skeleton))
        boxes = self.boxes.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        return [
            {**ids, "keypoints": row.tolist(), "bbox": box.tolist(), "score": float(score)}
            for row, box, score in zip(triples, boxes, self.pose_scores(), strict=True)
        ]

    def to_supervision(self) -> Any:
        """`supervision.KeyPoints`: xy; class_id 0, the person; keypoint_confidence; detection_confidence, the box scores (which supervision before
        0.29 has no place for); and as data class_name, xyxy (the boxes) and, where there are ids, tracker_id. Needs the extra `supervision`."""
        try:
            import supervision
        except ImportError as e:
            raise MissingDependency(f"supervision cannot be imported ({e}). Cure: pip install 'toppose[supervision]'") from None
        data = {"class_name": np.array(["person"] * len(self), str), "xyxy": self.boxes.copy()}
        if self.ids is not None:
            data["tracker_id"] = self.ids.copy()
        confidences = {"keypoint_confidence": self.scores.copy(), "detection_confidence": self.box_scores.copy()}
        if "keypoint_confidence" not in signature(supervision.KeyPoints).parameters:
            confidences = {"confidence": self.scores.copy()}
        return supervision.KeyPoints(xy=self.keypoints.copy(), class_id=np.zeros(len(self), int), data=data, **confidences)

    def draw(self, image: ImageLike, threshold: float = 0.3, boxes: bool = False, color: Color = "bgr", line_width: float | None = None) -> Pixels:
        """A copy of the image (whatever `Estimator` takes) with the skeletons on it, (H,W,3) uint8.

        `color` is the order of the picture that comes back, and of the array that is given; files and PIL images know their own. The
        person's left is blue, the right red, the middle yellow; joints below `threshold` are left out; a person with an id has it written above
        the box, both in a colour of its own. `line_width` in pixels: by default as suits each person."""
        given = (self.keypoints, self.scores, self.boxes, self.skeleton)
        drawn = draw_poses(read_image(image, color), *given, threshold, boxes, line_width, self.ids)
        return np.ascontiguousarray(drawn[:, :, ::-1]) if color == "rgb" else drawn


def is_masked(value: Any, depth: int = 4) -> bool:
    """A masked array, or a list that holds one: NumPy would drop the mask without a word."""
    if isinstance(value, (list, tuple)):
        return depth > 0 and any(is_masked(v, depth - 1) for v in value)
    return isinstance(value, np.ma.MaskedArray)


def _numbers(name: str, value: Any) -> Single:
    """A float32 copy of what must be finite numbers of one shape."""
    if is_masked(value):
        raise PoseError(f"{name}: expected an array without a mask, got a masked one; take .filled() or leave the people out")
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"of dtype {array.dtype}")
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused below
            array = np.array(array, np.float32)
    except Exception as e:  # whatever a foreign array raises when it is turned into ours
        raise PoseError(f"{name}: expected an array of numbers, got {type(value).__name__} ({e})") from None
    if not np.isfinite(array).all():
        raise PoseError(f"{name}: expected finite numbers, got NaN or infinity")
    return array


def _ids(value: Any, N: int) -> NDArray[np.int64]:
    """A read-only copy of what must be N whole numbers from 0."""
    try:
        ids = np.asarray(value)
    except (TypeError, ValueError):
        raise PoseError(f"ids: expected {N} whole numbers, one a person, got {_short(value)}") from None
    if ids.shape != (N,) or (ids.dtype.kind not in "iu" and N) or is_masked(value):
        raise PoseError(f"ids: expected {N} whole numbers, one a person, got {ids.dtype} {ids.shape}")
    ids = ids.astype(np.int64)
    if (ids < 0).any():
        raise PoseError(f"ids: expected whole numbers from 0, got {ids.tolist()}")
    ids.setflags(write=False)
    return ids


def _layout(skeleton: Skeleton) -> dict[str, Any]:
    """A skeleton as plain Python: where its name alone does not tell, with edges, flip and sigmas."""
    plain: dict[str, Any] = {"skeleton": skeleton.name, "joints": list(skeleton.joints)}
    if SKELETONS.get(skeleton.name) != skeleton:
        plain["edges"] = [[int(a), int(b)] for a, b in skeleton.edges]
        plain |= {"flip": [int(i) for i in skeleton.flip], "sigmas": [float(s) for s in skeleton.sigmas]}
    return plain


def _read_layout(document: Mapping[str, Any]) -> Skeleton:
    name, joints = document.get("skeleton"), document.get("joints")
    if not isinstance(name, str) or not isinstance(joints, (list, tuple)) or not all(isinstance(j, str) for j in joints):
        raise PoseError(f"skeleton: expected its name and a list of joints, got {name!r} and {_short(joints)}")
    own = document.keys() & {"edges", "flip", "sigmas"}
    if not own and name in SKELETONS and SKELETONS[name].joints == tuple(joints):
        return SKELETONS[name]
    try:
        edges = tuple((int(a), int(b)) for a, b in document.get("edges", ()))
        flip, sigmas = tuple(map(int, document.get("flip", ()))), tuple(map(float, document.get("sigmas", ())))
        return Skeleton(name, tuple(joints), edges, flip, sigmas)
    except (CardError, TypeError, ValueError, OverflowError) as e:
        raise PoseError(f"skeleton {name!r}: expected edges as pairs of joints, flip and sigmas with one number a joint ({e})") from None


def _read_coco(person: Mapping[str, Any], name: str, J: int) -> tuple[Single, Single, NDArray[np.float64], float]:
    """One person: keypoints (J,2), scores (J,), box (4,) and its score."""
    triples = _numbers(f"{name}.keypoints", person["keypoints"])
    if triples.shape != (3 * J,):
        raise PoseError(f"{name}.keypoints: expected {3 * J} numbers, x, y and score or visibility of {J} joints; got shape {triples.shape}")
    keypoints, scores = triples.reshape(J, 3)[:, :2], triples[2::3]
    if "score" not in person:
        if not np.isin(scores, (0, 1, 2)).all():
            raise PoseError(
                f"{name}.keypoints: expected visibility 0, 1 or 2, as there is no score; got {float(scores[~np.isin(scores, (0, 1, 2))][0])}"
            )
        scores = scores / np.float32(2)
    if "bbox" in person:
        _numbers(f"{name}.bbox", person["bbox"])
        box = np.array(person["bbox"], np.float64)  # so that x + w is x2 to the last bit
        if box.shape != (4,) or (box[2:] < 0).any():
            raise PoseError(f"{name}.bbox: expected x, y, w, h with w and h from 0; got {_short(person['bbox'])}")
        box[2:] += box[:2]
    else:
        seen = keypoints[scores > 0] if (scores > 0).any() else np.zeros((1, 2))
        box = np.concatenate([seen.min(0), seen.max(0)]).astype(np.float64)
    return keypoints, scores, box, person.get("score", 1.0)


def _id(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise PoseError(f"{name}: expected an int, got {value!r}")
    return int(value)


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} of lists in lists without end"
    return text if len(text) <= 80 else f"{text[:77]}..."
