"""Heatmaps of a stronger network for every person, computed once and kept, and moved along with each augmented crop."""

from __future__ import annotations

import json
import os
from pathlib import Path

import augment
import cv2
import numpy as np
from data import People

BATCH = 16


class Teacher:
    """An ONNX heatmap network with its card (NAME.json beside it; classic convention), and its maps of `people`.

    The maps lie in `cache` as uint8 (P,H,W,J): 255 stands for 1. ValueError where the card is not such a network's."""

    def __init__(self, network: Path, people: People, cache: Path) -> None:
        card = json.loads(network.with_suffix(".json").read_text())
        if card["output"]["kind"] != "heatmap" or card["input"]["warp"] != "classic" or card["skeleton"] != "coco17":
            raise ValueError(f"{network}: expected a coco17 heatmap network of the classic convention, got {card['output']}, {card['input']}")
        self.card, self.size = card["input"], tuple(card["input"]["size"])
        path = cache / f"{network.stem}-{people.fingerprint(network)}.maps.npy"
        if not path.exists():
            self.compute(network, people, path)
        self.maps = np.load(path, mmap_mode="r")
        self.stride = self.size[0] / self.maps.shape[2]

    def matrix(self, box: np.ndarray) -> np.ndarray:
        """(2, 3): image pixels onto the teacher's crop of `box`."""
        region = augment.crop_region(box, self.size[0] / self.size[1], self.card["padding"])
        return augment.crop_matrix(*region, 0.0, self.size, False)

    def compute(self, network: Path, people: People, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(network, options)
        name, shape = session.get_inputs()[0].name, session.get_outputs()[0].shape
        part = path.with_suffix(".part")
        maps = np.lib.format.open_memmap(part, "w+", np.uint8, (len(people.image), *shape[2:], shape[1]))
        mean, std = (np.array(self.card[k], np.float32) for k in ("mean", "std"))
        for start in range(0, len(maps), BATCH):
            rows = range(start, min(start + BATCH, len(maps)))
            crops = [cv2.warpAffine(people.photo(people.image[i]), self.matrix(people.boxes[i]), self.size, flags=cv2.INTER_LINEAR) for i in rows]
            pixels = np.stack(crops)[..., :: -1 if self.card["color"] == "rgb" else 1]
            out = session.run(None, {name: np.ascontiguousarray(((pixels - mean) / std).transpose(0, 3, 1, 2), np.float32)})[0]
            maps[rows.start : rows.stop] = np.rint(out.clip(0, 1) * 255).transpose(0, 2, 3, 1)
        maps.flush()
        os.replace(part, path)

    def targets(self, person: int, box: np.ndarray, matrix: np.ndarray, flip: np.ndarray | None, size: tuple[int, int], stride: int) -> np.ndarray:
        """The maps of row `person`, whose box is `box`, as seen by the crop that `matrix` (2,3) cuts from the image: uint8 (J,h,w).

        `flip` names the joints' partners where the crop is mirrored; the maps asked for are `size` (w, h), a cell `stride` crop pixels."""
        whole = np.vstack([matrix, [0, 0, 1]]) @ np.linalg.inv(np.vstack([self.matrix(box), [0, 0, 1]]))
        cells = whole[:2] * [[self.stride / stride, self.stride / stride, 1 / stride]]
        maps = self.maps[person]
        moved = [cv2.warpAffine(maps[..., k : k + 4], cells, size, flags=cv2.INTER_LINEAR) for k in range(0, maps.shape[2], 4)]
        joined = np.concatenate([m.reshape(size[1], size[0], -1) for m in moved], 2).transpose(2, 0, 1)
        return np.ascontiguousarray(joined if flip is None else joined[flip])
