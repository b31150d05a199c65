"""Builds the small ONNX graphs of the device engine: crops, decoders and boxes, so that only images go up and only results come down.

    python models/recipes/graphs.py models/graphs

Opset 17, whose operators all have CUDA kernels. No graph asks for a shape: what depends on one comes in as an input, since ONNX Runtime moves
arithmetic on shapes to the CPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    "float": TensorProto.FLOAT,
    "double": TensorProto.DOUBLE,
    "half": TensorProto.FLOAT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
}
NEAR = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1), (2, 0), (-2, 0), (0, 2), (0, -2)]
Shape = tuple[str | int, ...]


class Graph:
    """Nodes under way to a model; calling it with an operator adds a node and gives the name of its output."""

    def __init__(self, **inputs: tuple[str, Shape]) -> None:
        self.inputs, self.nodes, self.constants = inputs, [], []

    def __call__(self, op: str, *inputs: str, **attributes: Any) -> str:
        out = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [out], name=out, **attributes))
        return out

    def two(self, op: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """A node of two outputs."""
        out = self(op, *inputs, **attributes)
        self.nodes[-1].output.append(f"{out}_second")
        return out, f"{out}_second"

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def cast(self, x: str, to: str) -> str:
        return self("Cast", x, to=TYPES[to])

    def save(self, path: Path, **outputs: tuple[str, str, Shape]) -> None:
        """outputs: name=(inner name, type, shape)."""
        nodes = [*self.nodes, *(helper.make_node("Identity", [inner], [name]) for name, (inner, _, _) in outputs.items())]
        ins = [helper.make_tensor_value_info(n, TYPES[t], s) for n, (t, s) in self.inputs.items()]
        outs = [helper.make_tensor_value_info(n, TYPES[t], s) for n, (_, t, s) in outputs.items()]
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(nodes, path.stem, ins, outs, [c for c in self.constants if c.name in used])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="toppose")
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)


def crop(folder: Path) -> None:
    """images (B,H,W,3), matrices (N,2,3) from crop to image pixels, index (N) -> crops (N,3,h,w) = (pixel - mean) / std, bilinear.

    Crops are upright: matrices[:, 0, 1] and matrices[:, 1, 0] are 0, so that rows and columns are reckoned apart. Only the four pixels around
    each point are taken from the images, as bytes: no image is copied, whatever its size. The arithmetic is that of OpenCV 5's warpAffine,
    so that crops are the host's but for some rounding of ties. columns (w) and rows (h): 0, 1, 2, ... of the crop; size (2): W, H."""
    g = Graph(
        images=("uint8", ("B", "H", "W", 3)),
        matrices=("float", ("N", 2, 3)),
        index=("int64", ("N",)),
        columns=("float", ("w",)),
        rows=("float", ("h",)),
        size=("int64", (2,)),
        border=("uint8", (1,)),
        mean=("float", (1, 3, 1, 1)),
        std=("float", (1, 3, 1, 1)),
        order=("int64", (3,)),
    )
    i64 = lambda *v: g.constant(v, np.int64)  # noqa: E731
    pixels = g("Reshape", "images", i64(-1, 3))
    width, height = (g("Gather", "size", i64(i), axis=0) for i in (0, 1))
    first = g("Unsqueeze", g("Mul", "index", g("Mul", width, height)), i64(1))  # pixels before each one's image
    entry = lambda i, j: g("Gather", g("Gather", "matrices", g.constant(i, np.int64), axis=1), i64(j), axis=1)  # noqa: E731
    scaled = g("Mul", g.cast(entry(0, 0), "double"), g.cast("columns", "double"))
    x = g.cast(g("Add", scaled, g.cast(entry(0, 2), "double")), "float")  # rounded once, as a fused multiply-add is
    y = g("Add", g("Mul", entry(1, 1), "rows"), entry(1, 2))
    (left, right, across), (upper, lower, down) = around(g, x, width, (1, 2)), around(g, y, height, (1, 3))

    def pixel(column: tuple[str, str], row: tuple[str, str]) -> str:
        """(N,3,h,w): the images' pixels, the border outside of them."""
        lines = g("Add", g("Mul", row[0], width), g("Unsqueeze", first, i64(2, 3)))
        where = g("Squeeze", g("Add", lines, column[0]), i64(1))
        taken = g("Transpose", g("Gather", pixels, where, axis=0), perm=[0, 3, 1, 2])
        return g.cast(g("Where", g("And", row[1], column[1]), taken, "border"), "float")

    def between(a: str, b: str, share: str) -> str:
        return g("Add", a, g("Mul", share, g("Sub", b, a)))

    over, under = (between(pixel(left, row), pixel(right, row), across) for row in (upper, lower))
    grey = g("Round", between(over, under, down))  # whole grey levels: networks were trained on them
    scale = g("Div", g.constant(1.0), "std")  # and on in the host's order of roundings
    crops = g("Sub", g("Mul", g("Gather", grey, "order", axis=1), scale), g("Mul", "mean", scale))
    g.save(folder / "crop.onnx", crops=(crops, "float", ("N", 3, "h", "w")))


def around(g: Graph, points: str, limit: str, axes: tuple[int, int]) -> tuple[tuple[str, str], tuple[str, str], str]:
    """Points (N,P) along one axis -> the pixels before and after each, int64 and held inside 0...limit - 1, with whether they were inside;
    and how far the points lie beyond the first. All with `axes` of length 1 put in."""
    points = g("Unsqueeze", points, g.constant(axes, np.int64))
    last = g("Sub", g.cast(limit, "float"), g.constant(1.0))
    low = g("Floor", points)
    sides = []
    for pixel in (low, g("Add", low, g.constant(1.0))):
        held = g("Min", g("Max", pixel, g.constant(0.0)), last)
        sides.append((g.cast(held, "int64"), g("Equal", held, pixel)))
    return sides[0], sides[1], g("Sub", points, low)


def placed(g: Graph, cells: str) -> str:
    """Cells (N,J,2) double times scale (2) double, as float."""
    return g.cast(g("Mul", cells, "scale"), "float")


def poisoned(g: Graph, scores: str, maps: str, axes: list[int]) -> str:
    """Scores that are not finite where any number of `maps` is not: a difference with itself is 0 of all others."""
    return g("Add", scores, g("ReduceSum", g("Sub", maps, maps), g.constant(axes, np.int64), keepdims=0))


class Peaks:
    """The maximum of every heatmap: column and row, float (N,J,1), and its value (N,J)."""

    def __init__(self, g: Graph) -> None:
        self.g, self.flat = g, g("Reshape", "heatmaps", g.constant([0, 0, -1], np.int64))
        top = g("ArgMax", self.flat, axis=2, keepdims=1)
        cell = g.cast(top, "float")
        self.W, self.H = (g("Gather", "size", g.constant([i], np.int64), axis=0) for i in (0, 1))
        self.y = g("Floor", g("Div", cell, self.W))
        self.x = g("Sub", cell, g("Mul", self.y, self.W))
        self.scores = poisoned(g, g("Squeeze", g("GatherElements", self.flat, top, axis=2), g.constant([2], np.int64)), self.flat, [2])

    def cells(self) -> str:
        return self.g.cast(self.g("Concat", self.x, self.y, axis=2), "double")

    def near(self, maps: str, offsets: list[tuple[int, int]]) -> str:
        """Values (N,J,K) of flat maps at the peak's neighbours, edges repeated."""
        g, one, zero = self.g, self.g.constant(1.0), self.g.constant(0.0)
        dx, dy = (g.constant([o[i] for o in offsets]) for i in (0, 1))
        x = g("Min", g("Max", g("Add", self.x, dx), zero), g("Sub", self.W, one))
        y = g("Min", g("Max", g("Add", self.y, dy), zero), g("Sub", self.H, one))
        return g("GatherElements", maps, g.cast(g("Add", g("Mul", y, self.W), x), "int64"), axis=2)

    def inside(self, margin: int) -> str:
        """1 where 1 < x < W - margin and 1 < y < H - margin, else 0; double (N,J,1)."""
        g, one, far = self.g, self.g.constant(1.0), self.g.constant(float(margin))
        both = [g("And", g("Greater", v, one), g("Less", v, g("Sub", limit, far))) for v, limit in ((self.x, self.W), (self.y, self.H))]
        return g.cast(g("And", *both), "double")


def smooth(g: Graph, peaks: Peaks) -> str:
    """Heatmaps times banded matrices from both sides, a separable blur with zeros outside; each map back to its old maximum, flat."""
    blurred = g("MatMul", "blur_y", g("MatMul", "heatmaps", "blur_x"))
    flat = g("Reshape", blurred, g.constant([0, 0, -1], np.int64))
    old, new = (g("ReduceMax", m, axes=[2], keepdims=1) for m in (peaks.flat, flat))
    some = g.cast(g("Greater", new, g.constant(0.0)), "float")
    none = g("Sub", g.constant(1.0), some)
    gain = g("Add", g("Div", g("Mul", old, some), g("Add", g("Mul", new, some), none)), none)
    return g("Mul", flat, gain)


def newton(g: Graph, dx: str, dy: str, dxx: str, dyy: str, dxy: str, eps: float) -> str:
    """One step (N,J,2); none where the determinant is 0."""
    dxx, dyy = (g("Add", d, g.constant(eps, np.float64)) for d in (dxx, dyy))
    det = g("Sub", g("Mul", dxx, dyy), g("Mul", dxy, dxy))
    flat = g.cast(g("Equal", det, g.constant(0.0, np.float64)), "double")
    safe = g("Add", det, flat)
    step = [g("Sub", g("Mul", dxy, b), g("Mul", c, a)) for a, b, c in ((dx, dy, dyy), (dy, dx, dxx))]
    return g("Mul", g("Concat", *(g("Div", s, safe) for s in step), axis=2), g("Sub", g.constant(1.0, np.float64), flat))


def heatmap_decoder(name: str, folder: Path) -> None:
    """heatmaps (N,J,H,W), size (W, H), scale (2) from cells to crop pixels -> keypoints (N,J,2), scores (N,J). As toppose/topdown/decode.py."""
    blurs = {"blur_y": ("float", ("H", "H")), "blur_x": ("float", ("W", "W"))} if "dark" in name else {}
    g = Graph(heatmaps=("float", ("N", "J", "H", "W")), size=("float", (2,)), scale=("double", (2,)), **blurs)
    peaks = Peaks(g)
    cells = peaks.cells()
    if name == "quarter":
        values = peaks.near(peaks.flat, NEAR[1:5])
        right, left, down, up = split(g, values, 4)
        shift = g("Concat", g("Sign", g("Sub", right, left)), g("Sign", g("Sub", down, up)), axis=2)
        shift = g("Mul", g.cast(shift, "double"), g.constant(0.25, np.float64))
        cells = g("Add", cells, g("Mul", shift, peaks.inside(1)))
    elif "dark" in name:
        cells = g("Add", cells, dark_step(g, peaks, udp=name == "udp-dark"))
    g.save(folder / f"{name}.onnx", keypoints=(placed(g, cells), "float", ("N", "J", 2)), scores=(peaks.scores, "float", ("N", "J")))


def split(g: Graph, values: str, parts: int) -> list[str]:
    """(N,J,K) -> K times (N,J,1)."""
    return [g("Gather", values, g.constant([i], np.int64), axis=2) for i in range(parts)]


def dark_step(g: Graph, peaks: Peaks, udp: bool) -> str:
    near = g.cast(peaks.near(smooth(g, peaks), NEAR), "double")
    near = g("Max", near, g.constant(1e-3 if udp else 1e-10, np.float64))
    near = g("Log", g("Min", near, g.constant(50.0, np.float64)) if udp else near)
    c, right, left, down, up, se, ne, sw, nw, right2, left2, down2, up2 = split(g, near, len(NEAR))
    half, quarter = g.constant(0.5, np.float64), g.constant(0.25, np.float64)
    sub = lambda a, b: g("Sub", a, b)  # noqa: E731
    dx, dy = g("Mul", sub(right, left), half), g("Mul", sub(down, up), half)
    if udp:
        dxx, dyy = (g("Add", sub(sub(a, c), c), b) for a, b in ((right, left), (down, up)))
        dxy = g("Mul", g("Add", sub(sub(g("Add", sub(sub(se, right), down), g("Add", c, c)), left), up), nw), half)
        return newton(g, dx, dy, dxx, dyy, dxy, float(np.finfo(np.float32).eps))
    dxx, dyy = (g("Mul", g("Add", sub(sub(a, c), c), b), quarter) for a, b in ((right2, left2), (down2, up2)))
    dxy = g("Mul", g("Add", sub(sub(se, ne), sw), nw), quarter)
    return g("Mul", newton(g, dx, dy, dxx, dyy, dxy, 0.0), peaks.inside(2))


def simcc(folder: Path) -> None:
    """x_maps (N,J,X), y_maps (N,J,Y), scale (2) from entries to crop pixels -> keypoints (N,J,2), and the peaks (N,J,2) of both vectors."""
    g = Graph(x_maps=("float", ("N", "J", "X")), y_maps=("float", ("N", "J", "Y")), scale=("double", (2,)))
    tops, peaks = [], []
    for maps in ("x_maps", "y_maps"):
        tops.append(g("ArgMax", maps, axis=2, keepdims=1))
        peak = poisoned(g, g("Squeeze", g("GatherElements", maps, tops[-1], axis=2), g.constant([2], np.int64)), maps, [2])
        peaks.append(g("Unsqueeze", peak, g.constant([2], np.int64)))
    cells = g.cast(g("Concat", *tops, axis=2), "double")
    both = g("Concat", *peaks, axis=2)
    g.save(folder / "simcc.onnx", keypoints=(placed(g, cells), "float", ("N", "J", 2)), peaks=(both, "float", ("N", "J", 2)))


def average(folder: Path) -> None:
    """The mean of maps (N,J,H,W) and the mirrored crop's, whose joints are exchanged by `swap` (J) and columns taken from `columns` (W)."""
    shape = ("N", "J", "H", "W")
    g = Graph(maps=("float", shape), mirrored=("float", shape), swap=("int64", ("J",)), columns=("int64", ("W",)))
    back = g("Gather", g("Gather", "mirrored", "swap", axis=1), "columns", axis=-1)
    g.save(folder / "average.onnx", mean=(g("Mul", g("Add", "maps", back), g.constant(0.5)), "float", shape))


def casts(folder: Path) -> None:
    """Numbers (n) from one type to another, for networks that take or give others than float."""
    for source, target in (("float", "half"), ("float", "double"), ("float", "uint8"), ("float", "int32"), ("half", "float"), ("double", "float")):
        g = Graph(x=(source, ("n",)))
        g.save(folder / f"{source}-to-{target}.onnx", y=(g.cast("x", target), target, ("n",)))


def best(folder: Path) -> None:
    """predictions (B,R,A): rows cx, cy, w, h, then classes up to row `end` (1) -> the `most` (1) best boxes (B,K,4) xyxy and scores (B,K) of
    class `person` (1), best first; 0 is the score of what is rather something else. range (B,2): the least and the most of all classes."""
    g = Graph(predictions=("float", ("B", "R", "A")), person=("int64", (1,)), end=("int64", (1,)), most=("int64", (1,)))
    i64 = lambda *v: g.constant(v, np.int64)  # noqa: E731
    classes = g("Slice", "predictions", i64(4), "end", i64(1))
    scores = g("Gather", classes, "person", axis=1)  # (B,1,A)
    rather = g("Not", g("Less", scores, g("ReduceMax", classes, axes=[1], keepdims=1)))
    of_a_person = g("Mul", scores, g.cast(rather, "float"))
    values, cells = g.two("TopK", of_a_person, "most", axis=2)  # (B,1,K)
    cx, cy, w, h = (g("GatherElements", g("Gather", "predictions", i64(row), axis=1), cells, axis=2) for row in range(4))
    w, h = (g("Mul", side, g.constant(0.5)) for side in (w, h))
    corners = g("Concat", g("Sub", cx, w), g("Sub", cy, h), g("Add", cx, w), g("Add", cy, h), axis=1)  # (B,4,K)
    extremes = [g(op, classes, axes=[1, 2], keepdims=0) for op in ("ReduceMin", "ReduceMax")]  # (B)
    told = poisoned(g, g("Squeeze", values, i64(1)), g("Reshape", "predictions", i64(0, 1, -1)), [2])
    g.save(
        folder / "best.onnx",
        boxes=(g("Transpose", corners, perm=[0, 2, 1]), "float", ("B", "K", 4)), scores=(told, "float", ("B", "K")),
        range=(g("Concat", *(g("Unsqueeze", e, i64(1)) for e in extremes), axis=1), "float", ("B", 2)),
    )  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path, help="where the graphs are written")
    folder = p.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    crop(folder)
    for name in ("argmax", "quarter", "dark", "udp-dark"):
        heatmap_decoder(name, folder)
    for build in (simcc, average, casts, best):
        build(folder)


if __name__ == "__main__":
    main()
