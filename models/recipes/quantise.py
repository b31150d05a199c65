"""Makes an int8 network of an exported one, for processors that multiply bytes: static, by ONNX Runtime, with its sums stored as Q and DQ nodes.

    python models/recipes/quantise.py models/pose-n.onnx models/pose-n.int8.onnx --data people.zip --cache runs

With --bytes the network takes the pixels themselves, uint8 (N,3,h,w), so that nobody has to make floats of them: its normalisation lies in the
first weights, and zero padding means the grey next to the mean instead of the mean.

Activations are 8-bit unsigned, weights 8-bit signed with a scale a channel. Ranges are the least and the greatest value seen on photographs
to train on; percentiles were worse. What a detector does behind its last convolution, decoding boxes, stays float: pixels need more than a byte.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
from crops import Crops
from data import People, load
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from scenes import Photos
from train_pose import to_learn_from
from training import existing, network

OPERATORS = ["Conv", "Add", "Relu", "Resize"]


class Samples(CalibrationDataReader):
    """Feeds of one sample each for the input `name`; ONNX Runtime draws them with get_next."""

    def __init__(self, name: str, samples: Iterator[np.ndarray]) -> None:
        self.name, self.samples = name, samples

    def get_next(self) -> dict[str, np.ndarray] | None:
        sample = next(self.samples, None)
        return None if sample is None else {self.name: sample}


def samples(people: People, card: dict, count: int) -> Iterator[np.ndarray]:
    """`count` inputs (1,3,h,w) uint8 of the network of `card`: crops of people, or letterboxed photographs."""
    rng = np.random.default_rng(0)
    if card["task"] == "pose":
        source = Crops(to_learn_from(people)[0], train=False)
    else:
        source = Photos(people, np.flatnonzero(~people.photos.held), card["input"]["size"][0], train=False)
    for index in rng.choice(len(source), count, replace=False):
        yield source[int(index)][0][None]


def normalisation(card: dict) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (3,1,1) of the card."""
    mean, std = (np.array(card["input"][k], np.float32).reshape(3, 1, 1) for k in ("mean", "std"))
    return mean, std


def fold(graph: onnx.GraphProto, card: dict) -> int:
    """Makes the network take pixels less a grey instead of normalised ones, in place -> the grey, 0...255."""
    mean, std = normalisation(card)
    grey = round(float(mean.mean()))
    first = next(n for n in graph.node if graph.input[0].name in n.input)
    weight, bias = (next(i for i in graph.initializer if i.name == name) for name in first.input[1:3])
    w = onnx.numpy_helper.to_array(weight)
    shift = (w * ((grey - mean) / std)).sum((1, 2, 3))
    bias.CopyFrom(onnx.numpy_helper.from_array((onnx.numpy_helper.to_array(bias) + shift).astype(np.float32), bias.name))
    weight.CopyFrom(onnx.numpy_helper.from_array((w / std).astype(np.float32), weight.name))
    return grey


def take_bytes(graph: onnx.GraphProto) -> None:
    """Lets the network begin behind its first quantisation, whose scale is 1 and whose zero is the grey: there pixels are what they were."""
    name = graph.input[0].name
    first = next(n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == name)
    for node in graph.node:
        node.input[:] = [name if i == first.output[0] else i for i in node.input]
    graph.node.remove(first)
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8


def decoding(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes from which no way leads to a convolution: what is done with the last ones' output."""
    before: set[str] = set()  # tensors that a convolution needs
    for node in reversed(graph.node):
        if node.op_type == "Conv" or before & set(node.output):
            before |= set(node.input)
    return [n.name for n in graph.node if n.op_type != "Conv" and not before & set(n.output)]


def quantise(source: Path, out: Path, card: dict, pixels: Iterator[np.ndarray], takes_bytes: bool = False) -> None:
    """Writes the int8 network `out` of the float network `source`, with its metadata, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        ready, part = Path(folder) / "ready.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        model = onnx.load(ready)
        for i, node in enumerate(model.graph.node):
            node.name = node.name or f"node{i}"
        (mean, std), options, name = normalisation(card), {}, model.graph.input[0].name
        if takes_bytes:
            mean, std = np.float32(fold(model.graph, card)), np.float32(1)
            options = {"TensorQuantOverrides": {name: [{"scale": np.array(1, np.float32), "zero_point": np.array(mean, np.uint8)}]}}
        onnx.save(model, ready)
        feeds = (((p - mean) / std).astype(np.float32) for p in pixels)
        quantize_static(
            str(ready), str(part), Samples(name, feeds), quant_format=QuantFormat.QDQ, op_types_to_quantize=OPERATORS, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_exclude=decoding(model.graph),
            calibrate_method=CalibrationMethod.MinMax, extra_options=options,
        )  # fmt: skip
        made = onnx.load(part)
        if takes_bytes:
            take_bytes(made.graph)
        onnx.helper.set_model_props(made, {p.key: p.value for p in onnx.load(source, load_external_data=False).metadata_props})
        onnx.checker.check_model(made)
        onnx.save(made, part)
        part.replace(out)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("network", type=network, help="NAME.onnx with its card NAME.json beside it")
    p.add_argument("out", type=Path, help="the int8 network")
    p.add_argument("--data", type=existing, nargs="+", required=True, help="zips of photographs with COCO person annotations")
    p.add_argument("--cache", type=Path, required=True, help="folder with the decoded photographs, as beside a training's --run")
    p.add_argument("--samples", type=int, default=200, help="crops or photographs from which ranges are taken")
    p.add_argument("--bytes", action="store_true", help="let it take pixels, uint8, instead of normalised floats")
    a = p.parse_args()
    card = json.loads(a.network.with_suffix(".json").read_text())
    quantise(a.network, a.out, card, samples(load(a.data, a.cache), card, a.samples), a.bytes)


if __name__ == "__main__":
    main()
