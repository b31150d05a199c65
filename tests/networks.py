"""Small ONNX networks written by hand, so that every test knows what its network computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = (48, 64)  # w, h of the test networks' crops
PIXELS = {"size": list(SIZE), "mean": [0, 0, 0], "std": [1, 1, 1]}


def save(path: Path, nodes: list[Any], inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], constants: dict[str, Any], **meta: str) -> Path:
    def values(entries: dict[str, list[Any]]) -> list[Any]:
        return [helper.make_tensor_value_info(n, TensorProto.INT64 if n == "labels" else TensorProto.FLOAT, shape) for n, shape in entries.items()]

    tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "test", values(inputs), values(outputs), tensors), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    helper.set_model_props(model, meta)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def retyped(path: Path, dtype: Any) -> Path:
    """The network in `path` taking and giving another type, reckoning in it too (whole numbers are cast to float first)."""
    model = onnx.load(path)
    graph, element = model.graph, helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph.input[0].type.tensor_type.elem_type = element
    if np.dtype(dtype).kind == "f":
        for value in graph.output:
            if value.type.tensor_type.elem_type == TensorProto.FLOAT:
                value.type.tensor_type.elem_type = element
        for constant in graph.initializer:
            array = numpy_helper.to_array(constant)
            if array.dtype == np.float32 and constant.name != "scales":
                constant.CopyFrom(numpy_helper.from_array(array.astype(dtype), constant.name))
    else:
        name = graph.input[0].name
        for node in graph.node:
            node.input[:] = ["as_float" if n == name else n for n in node.input]
        graph.node.insert(0, helper.make_node("Cast", [name], ["as_float"], to=TensorProto.FLOAT))
    onnx.save(model, path)
    return path


def sliced(path: Path, keep: str) -> Path:
    """The network in `path` with a batch axis that lies. keep: "first" answers the first row alone, "repeated" gives it for all rows,
    "refused" fails on more than one, "reversed" answers in the other order, "mean" adds the batch's mean to every row."""
    model = onnx.load(path)
    graph = model.graph
    output = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["honest" if n == output else n for n in node.output]
    shape = [d.dim_value for d in graph.output[0].type.tensor_type.shape.dim][1:]
    constants = {"from": np.array([0]), "to": np.array([1]), "axis": np.array([0]), "one": np.array([1, *shape])}
    constants |= {"last": np.array([-1]), "before": np.array([-(1 << 40)]), "back": np.array([-1])}
    nodes = {
        "first": [helper.make_node("Slice", ["honest", "from", "to", "axis"], [output])],
        "repeated": [
            helper.make_node("Slice", ["honest", "from", "to", "axis"], ["one_row"]),
            helper.make_node("Shape", ["honest"], ["rows"]),
            helper.make_node("Expand", ["one_row", "rows"], [output]),
        ],
        "refused": [helper.make_node("Reshape", ["honest", "one"], [output])],
        "reversed": [helper.make_node("Slice", ["honest", "last", "before", "axis", "back"], [output])],
        "mean": [helper.make_node("ReduceMean", ["honest"], ["mean_row"], axes=[0]), helper.make_node("Add", ["honest", "mean_row"], [output])],
    }[keep]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    onnx.save(model, path)
    return path


def write_card(path: Path, output: dict[str, Any], joints: list[str] | None = None, task: str = "pose", **spec: Any) -> Path:
    card: dict[str, Any] = {"name": path.stem, "task": task, "file": path.name, "input": {**PIXELS, **spec}, "output": output}
    if task == "pose":
        card["skeleton"] = {"name": "test", "joints": joints or ["nose", "left_eye", "right_eye"]}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


def heatmap_network(path: Path, batch: int | str = "batch", corners: bool = False, decoder: str = "quarter", warp: str = "classic") -> Path:
    """Joint 0 sees red, joints 1 and 2 see green: every fourth pixel (classic), or with `corners` 12x16 points from corner to corner (udp)."""
    weights = np.zeros((3, 3, 1, 1), np.float32)
    weights[0, 0], weights[1:, 1] = 1 / 255, 1 / 255
    constants: dict[str, Any] = {"weights": weights}
    if corners:
        nodes = [
            helper.make_node("Conv", ["images", "weights"], ["maps"]),
            helper.make_node("Resize", ["maps", "", "scales"], ["heatmaps"], mode="linear", coordinate_transformation_mode="align_corners"),
        ]
        constants["scales"] = np.array([1, 1, 0.25, 0.25], np.float32)
    else:
        nodes = [helper.make_node("Conv", ["images", "weights"], ["heatmaps"], strides=[4, 4])]
    save(path, nodes, {"images": [batch, 3, SIZE[1], SIZE[0]]}, {"heatmaps": [batch, 3, SIZE[1] // 4, SIZE[0] // 4]}, constants)
    return write_card(path, {"kind": "heatmap", "decoder": decoder}, warp=warp)


def simcc_network(path: Path) -> Path:
    """Brightest column and row of red, red and green, each twice as fine as the crop (every value stands twice)."""
    nodes, outputs = [], {}
    for name, axis, length in (("simcc_x", 2, SIZE[0]), ("simcc_y", 3, SIZE[1])):
        nodes += [
            helper.make_node("Gather", ["images", "channels"], [f"c{name}"], axis=1),
            helper.make_node("ReduceMax", [f"c{name}"], [f"r{name}"], axes=[axis], keepdims=0),
            helper.make_node("Gather", [f"r{name}", f"twice{name}"], [name], axis=2),
        ]
        outputs[name] = ["batch", 3, 2 * length]
    constants = {
        "channels": np.array([0, 1, 1]),
        "twicesimcc_x": np.arange(2 * SIZE[0]) // 2,
        "twicesimcc_y": np.arange(2 * SIZE[1]) // 2,
    }
    save(path, nodes, {"images": ["batch", 3, SIZE[1], SIZE[0]]}, outputs, constants)
    return write_card(path, {"kind": "simcc", "split": 2.0, "score": "min"})


def coordinate_network(path: Path, columns: int = 3) -> Path:
    """Always the same three joints: the middle of the crop, a quarter across, and the lower right corner; score 0.5 or none."""
    points = np.array([[[0.5, 0.5, 0.5], [0.25, 0.25, 0.5], [1, 1, 0.5]]], np.float32)[..., :columns]
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Squeeze", ["mean", "last"], ["flat"]),
        helper.make_node("Mul", ["flat", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "points"], ["coordinates"]),
    ]
    constants = {"last": np.array([3]), "zero": np.float32(0), "points": points}
    save(path, nodes, {"images": ["batch", 3, SIZE[1], SIZE[0]]}, {"coordinates": ["batch", 3, columns]}, constants)
    return write_card(path, {"kind": "coordinates", "unit": "relative"})


def constant_network(
    path: Path, outputs: dict[str, np.ndarray], size: tuple[int, int], batch: int | str = 1, free: bool = False, **meta: str
) -> Path:
    """Gives `outputs`, each (1, ...), for every image, whatever is on it."""
    w, h = ("w", "h") if free else size
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["nothing4"]),
        helper.make_node("Squeeze", ["nothing4", "last"], ["nothing"]),
    ]
    constants: dict[str, Any] = {"last": np.array([3]), "zero": np.float32(0)}
    for name, value in outputs.items():
        constants[f"c_{name}"] = value.astype(np.float32)
        axes = {3: ["nothing"], 2: ["flat"]}[value.ndim]
        if value.ndim == 2 and not any("flat" in n.output for n in nodes):
            nodes.append(helper.make_node("Squeeze", ["nothing", "two"], ["flat"]))
            constants["two"] = np.array([2])
        sum_ = f"sum_{name}" if name == "labels" else name
        nodes.append(helper.make_node("Add", [axes[0], f"c_{name}"], [sum_]))
        if name == "labels":
            nodes.append(helper.make_node("Cast", [sum_], [name], to=TensorProto.INT64))
    shapes = {name: [batch, *value.shape[1:]] for name, value in outputs.items()}
    return save(path, nodes, {"images": [batch, 3, h, w]}, shapes, constants, **meta)
