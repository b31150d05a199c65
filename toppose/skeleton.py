"""Joint layouts: names, edges to draw, left/right pairs, and the OKS sigmas."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toppose.errors import CardError


@dataclass(frozen=True)
class Skeleton:
    """A layout of J joints.

    `edges` are pairs of joint indices, `sigmas` the per-joint constants of object keypoint similarity (empty when unknown).
    `flip` tells for each joint which one takes its place in a mirror; without it, `left_*` and `right_*` names are paired.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...] = ()
    flip: tuple[int, ...] = ()
    sigmas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("joints", "edges", "flip", "sigmas"):
            given = getattr(self, name)
            if not isinstance(given, (tuple, list)):
                raise CardError(f"skeleton {self.name!r}: {name}: expected a list, got {type(given).__name__}")
            object.__setattr__(self, name, tuple(tuple(v) if isinstance(v, list) else v for v in given))
        if strange := [j for j in self.joints if not isinstance(j, str)]:
            raise CardError(f"skeleton {self.name!r}: joints: expected names, got {strange[0]!r}")
        J = len(self.joints)
        if J == 0 or len(set(self.joints)) != J:
            raise CardError(f"skeleton {self.name!r}: expected distinct joint names, got {list(self.joints)}")
        if not self.flip:
            partner = {joint: i for i, joint in enumerate(self.joints)}
            object.__setattr__(self, "flip", tuple(partner.get(_mirror(joint), i) for i, joint in enumerate(self.joints)))
        if sorted(self.flip) != list(range(J)) or any(self.flip[self.flip[i]] != i for i in range(J)):
            raise CardError(f"skeleton {self.name!r}: flip must pair each of {J} joints with one joint, got {list(self.flip)}")
        if self.sigmas and (len(self.sigmas) != J or not all(0 < s < math.inf for s in self.sigmas)):
            raise CardError(f"skeleton {self.name!r}: expected {J} positive sigmas, got {list(self.sigmas)}")
        wrong = [e for e in self.edges if len(e) != 2 or not all(isinstance(k, (int, np.integer)) and 0 <= k < J for k in e)]
        if wrong:
            raise CardError(f"skeleton {self.name!r}: edges name joints 0...{J - 1}, got {wrong}")

    def __len__(self) -> int:
        return len(self.joints)

    def sides(self) -> NDArray[np.int8]:
        """(J,) -1 for the person's left, 1 for the right, 0 for the middle."""
        return np.array([-1 if "left" in j.lower() else 1 if "right" in j.lower() else 0 for j in self.joints], np.int8)


def _mirror(joint: str) -> str:
    return joint.replace("left", "right") if "left" in joint else joint.replace("right", "left")


COCO17 = Skeleton(
    "coco17",
    (
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
        "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    (
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
        (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
    sigmas=(.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089),
)  # fmt: skip

HALPE26 = Skeleton(
    "halpe26",
    (
        *COCO17.joints,
        "head", "neck", "hip", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel",
    ),
    (
        (15, 13), (13, 11), (11, 19), (16, 14), (14, 12), (12, 19), (17, 18), (18, 19), (18, 5), (5, 7), (7, 9), (18, 6), (6, 8), (8, 10),
        (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (15, 20), (15, 22), (15, 24), (16, 21), (16, 23), (16, 25),
    ),
)  # fmt: skip

SKELETONS = {s.name: s for s in (COCO17, HALPE26)}
