"""Boxes -> joints. Knows crops and joints; not where boxes come from, nor where the network runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toppose import geometry
from toppose.errors import ModelError
from toppose.images import Pixels
from toppose.networks.card import ModelCard
from toppose.runtime import Runtime, Session, Stages
from toppose.skeleton import Skeleton
from toppose.topdown.readers import ABSURD, joint_reader

Single = NDArray[np.float32]
_FARTHEST = 1e6  # pixels from the crop's corner: beyond it a place is none


class TopDown:
    """Crops of people through a pose network in batches. May be shared by threads."""

    def __init__(
        self,
        runtime: Runtime,
        session: Session,
        card: ModelCard,
        decoder: str | None = None,
        flip_test: bool = False,
        batch_size: int | None = None,
        runs: int | None = None,
    ) -> None:
        """batch_size and runs are measured with `toppose bench` on two cores, pose-n and PP-TinyPose, where they are left open: batches of 4
        that share all threads are within 4 % of the best on one thread and on two; batches of 32 cost up to 40 % more. One run for every two
        cores, and 32 on a GPU, are not measured."""
        self.card = card
        reader, usual = joint_reader(card, decoder, flip_test), 4 if session.on_cpu else 32
        self.backend = runtime.backend(session, card.input.look, reader, f"network {card.name!r}", batch_size or usual, runs, flip_test)

    @property
    def skeleton(self) -> Skeleton:
        return self.card.joints

    def __call__(self, images: Sequence[Pixels], boxes: Sequence[geometry.Float], stages: Stages | None = None) -> tuple[Single, Single]:
        """`boxes`: (n,4) xyxy for each image -> keypoints (N,J,2) in pixels of each person's own image and scores (N,J), in the boxes' order."""
        spec, J = self.card.input, len(self.skeleton)
        index = np.repeat(np.arange(len(images)), [len(b) for b in boxes])
        matrices = geometry.crop_matrices(np.concatenate([np.zeros((0, 4)), *boxes]), spec.size, spec.padding, spec.warp)
        found = self.backend(images, index, matrices, stages=stages)
        points = np.concatenate([np.zeros((0, J, 2)), *(p for p, _ in found)])
        scores = np.concatenate([np.zeros((0, J), np.float32), *(s for _, s in found)])
        if np.abs(scores).max(initial=0) > ABSURD:
            worst = float(scores.flat[np.abs(scores).argmax()])
            raise ModelError(f"network {self.card.name!r} gave a score of {worst:g}; expected about 0 to 1, so its card or its file is wrong")
        if np.abs(points).max(initial=0) > _FARTHEST:
            worst = float(points.flat[np.abs(points).argmax()])
            raise ModelError(f"network {self.card.name!r} gave a place {worst:g} pixels across its crop, so its card or its file is wrong")
        return geometry.transform(points, geometry.invert(matrices)).astype(np.float32), scores.astype(np.float32, copy=False)
