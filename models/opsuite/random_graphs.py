"""Writes random small quantized graphs with ONNX Runtime's answers, in the form of the operator suite.

Shapes, strides, pads, groups, scales, zero points, forms, and types are drawn; some outputs saturate, some take few steps,
some channels are dead. A graph that ONNX Runtime itself leaves partly in float, or refuses, is drawn anew and counted.
The same seed gives the same graphs.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

MOST_ELEMENTS = 6000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write to; made when it is missing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first graph")
    parser.add_argument("--count", type=int, default=100)
    args = parser.parse_args()
    try:
        from zoo import oracle
    except ImportError as error:
        sys.exit(f"random_graphs: {error}; install models/requirements.txt")
    args.out.mkdir(parents=True, exist_ok=True)
    index, redrawn, refused = [], 0, 0
    for number in range(args.first, args.first + args.count):
        for attempt in range(20):
            graph = draw(np.random.default_rng([args.seed, number, attempt]))
            name = f"random_{args.seed}_{number}"
            model = graph.model(name)
            try:
                opened = oracle.opened(model)
                output = opened.run(graph.frames)
            except (oracle.Inexact, oracle.Unproved):
                raise
            except Exception:  # ONNX Runtime refuses some pools that it merges itself; its classes have no common base
                refused += 1
                continue
            left = opened.float_operators()
            if not left:
                break
            redrawn += 1
        else:
            raise ValueError(f"seed {args.seed}, graph {number}: nothing in integers in 20 draws")
        (args.out / f"{name}.onnx").write_bytes(model.SerializeToString())
        np.savez(args.out / f"{name}.npz", input=graph.frames, output=output)
        operators = "+".join(node.op_type for node in model.graph.node if "quantize" not in node.op_type.lower())
        index.append({"name": name, "operator": operators, "tolerance": 0, "output_scale": graph.output_scale, "setting": opened.setting})
    (args.out / "index.json").write_text(json.dumps({"oracle": oracle.DESCRIPTION, "settings": oracle.settings(index), "seed": args.seed, "cases": index}) + "\n")
    print(f"{args.out}: {len(index)} graphs; drawn anew: {redrawn} because ONNX Runtime left something in float, {refused} because it refused them")


def draw(rng):
    """A graph of one to seven operators."""
    from opsuite.graph import Graph

    form = rng.choice(["qdq", "qdq", "qoperator"])
    graph = Graph(rng, str(form), str(rng.choice(["i8", "i8", "u8"])), int(rng.choice([13, 14, 17])))
    shape = (int(rng.integers(1, 20)), int(rng.integers(1, 14)), int(rng.integers(1, 14)))
    integer = bool(rng.random() < 0.3)
    x = graph.input(shape, integer=integer)
    known = [x]
    for _ in range(int(rng.integers(1, 8))):
        x = known[-1] if rng.random() < 0.8 else known[int(rng.integers(len(known)))]
        y = layer(graph, x, known)
        if y is not None and y.sample[0].size <= MOST_ELEMENTS:
            known.append(y)
    x = known[-1]
    if x is known[0]:
        x = _conv(graph, x) if x.sample.ndim == 5 else x
    if rng.random() < 0.15 and x.sample.ndim == 5:
        x = graph.op("Flatten", [graph.op("GlobalAveragePool", [x])], out="same", axis=1)
        x = graph.op("Softmax", [x], axis=1)
    # Only the last node's result can be given out as it is.
    graph.finish(x, integer=integer and graph.nodes[-1].output[0] == x.name)
    return graph


def layer(graph, x, known):
    """One more operator on `x`; None where the one that was drawn does not fit."""
    rng = graph.rng
    image = x.sample.ndim == 5
    fill = float(rng.choice([1.0, 1.0, 1.0, 4.0, 0.05]))
    kind = str(rng.choice(["conv", "conv", "conv", "depthwise", "depthwise", "pointwise", "add", "add", "mul", "max", "average", "global", "concat", "move", "activation", "dense", "compare", "pick", "matmul", "linear"]))
    if kind == "compare" and graph.form == "qdq" and rng.random() < 0.5:
        same = [y for y in known if y.sample.shape == x.sample.shape]
        return graph.op(str(rng.choice(["Max", "Min"])), [x, same[int(rng.integers(len(same)))]], fill=fill)
    if kind == "pick" and rng.random() < 0.4:
        axis = int(rng.integers(1, x.sample.ndim - 1))
        indices = rng.integers(-x.sample.shape[axis + 1], x.sample.shape[axis + 1], int(rng.integers(1, 9)))
        return graph.op("Gather", [x], plain=[indices], out="same", axis=axis)
    if kind == "matmul":
        if x.sample.ndim < 4:
            return None
        axes = list(range(x.sample.ndim - 1))
        turned = graph.op("Transpose", [x], out="same", perm=[*axes[:-2], axes[-1], axes[-2]])
        return graph.op("MatMul", [x, turned] if rng.random() < 0.5 else [turned, x], fill=fill)
    if kind == "dense":
        if image and rng.random() < 0.7:
            return None
        if image:
            x = graph.op("Flatten", [x], out="same", axis=1)
        if x.sample.ndim != 3:
            return None
        axis = 0 if graph.form == "qdq" and rng.random() < 0.7 else None
        return graph.linear("Gemm", x, graph.constant((int(rng.integers(1, 40)), x.sample.shape[-1]), "i8", axis), transB=1, fill=fill)
    if kind in ("add", "mul"):
        same = [y for y in known if y.sample.shape == x.sample.shape]
        other = same[int(rng.integers(len(same)))]
        return graph.op(kind.capitalize(), [x, other], fill=fill)
    if kind == "activation":
        which = str(rng.choice(["Sigmoid", "LeakyRelu"]))
        return graph.op(which, [x], **({} if which == "Sigmoid" else {"alpha": float(rng.choice([0.01, 0.1, 0.25]))}))
    if not image:
        return None
    if kind == "conv":
        return _conv(graph, x, fill)
    if kind == "depthwise":
        return _conv(graph, x, fill, depthwise=True)
    if kind == "pointwise":
        return _conv(graph, x, fill, point=True)
    if kind == "concat":
        same = [y for y in known if y.sample.ndim == 5 and y.sample.shape[3:] == x.sample.shape[3:]]
        return graph.op("Concat", [x, same[int(rng.integers(len(same)))]], axis=1)
    if kind == "global":
        return graph.op("GlobalAveragePool", [x], fill=fill) if rng.random() < 0.4 else None
    if kind == "compare":
        axes = sorted(int(n) for n in rng.choice([1, 2, 3], int(rng.integers(1, 3)), replace=False))
        return graph.op(str(rng.choice(["ReduceMax", "ReduceMin"])), [x], out="same", axes=axes, keepdims=1)
    if kind == "pick":
        return _blocks(graph, x)
    if kind == "linear":
        if graph.form == "qoperator":
            return None
        scales = np.array([1, 1, *rng.choice([0.5, 1.0, 1.5, 2.0, 3.0], 2)], np.float32)
        if min(x.sample.shape[3:]) < 2:
            return None
        mode = str(rng.choice(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]))
        return graph.op("Resize", [x], plain=[None, scales], fill=fill, mode="linear", coordinate_transformation_mode=mode)
    if kind in ("max", "average"):
        window = _window(rng, x.sample.shape[3:], most=4)
        if window is None:
            return None
        attrs = dict(kernel_shape=window["kernel"], strides=window["strides"], pads=window["pads"])
        if kind == "max":
            return graph.op("MaxPool", [x], out="same", **attrs)
        return graph.op("AveragePool", [x], fill=fill, count_include_pad=int(rng.integers(2)), **attrs)
    if rng.random() < 0.5:
        pads = [int(n) for n in rng.integers(0, 3, 4)]
        return graph.op("Pad", [x], plain=[np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64)], out="same")
    return graph.op("Resize", [x], plain=[None, np.array([1, 1, 2, int(rng.integers(1, 3))], np.float32)], out="same",
                    mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def _conv(graph, x, fill=1.0, depthwise=False, point=False):
    rng = graph.rng
    channels = x.sample.shape[2]
    window = None if point else _window(rng, x.sample.shape[3:], most=5, dilated=True)
    window = window or dict(kernel=[1, 1], strides=[int(n) for n in rng.integers(1, 3, 2)], pads=[0] * 4, dilations=[1, 1])
    group = channels if depthwise else 1
    if not depthwise and rng.random() < 0.2:
        group = int(rng.choice([n for n in range(1, channels + 1) if channels % n == 0]))
    outputs = group * int(rng.integers(1, 3 if depthwise else max(2, 40 // group)))
    weights, zero, axis = "i8", None, 0 if rng.random() < 0.75 else None
    if axis is None and rng.random() < 0.4:
        weights, zero = ("u8" if graph.dtype == "u8" and rng.random() < 0.7 else "i8"), "random"
    w = graph.constant((outputs, channels // group, *window["kernel"]), weights, axis, zero=zero, spread=float(rng.choice([0.4, 3, 40])) if rng.random() < 0.3 else None)
    if rng.random() < 0.3:
        w.values[-1 if rng.random() < 0.1 else 0] = -128 if weights == "i8" else 255
    if rng.random() < 0.3:
        # Channels that training has let die.
        dead = rng.random(outputs) < 0.5
        w.values[dead] = w.zero if axis is None else w.zero[0]
    relu = bool(rng.random() < 0.5)
    lowest = {"i8": -128, "u8": 0}[graph.dtype]
    then = [("Relu", (), {})] if relu and graph.form == "qdq" else ()
    return graph.linear("Conv", x, w, bias=bool(rng.random() < 0.85), then=then, zero=lowest if relu and not then else None, fill=fill,
                        group=group, strides=window["strides"], pads=window["pads"], dilations=window["dilations"])


def _blocks(graph, x):
    """Channels to pixels or the other way, where they divide."""
    rng = graph.rng
    channels, height, width = x.sample.shape[2:]
    block = int(rng.integers(2, 4))
    if channels % (block * block) == 0:
        return graph.op("DepthToSpace", [x], out="same", blocksize=block, mode=str(rng.choice(["DCR", "CRD"])))
    if height % block == 0 and width % block == 0 and graph.form == "qdq":
        return graph.op("SpaceToDepth", [x], out="same", blocksize=block)
    return None


def _window(rng, size, most, dilated=False):
    kernel, strides, before, after, dilations = [], [], [], [], []
    for extent in size:
        k = int(rng.integers(1, most + 1))
        d = int(rng.integers(1, 3)) if dilated and rng.random() < 0.2 else 1
        reach = (k - 1) * d + 1
        b, a = (int(n) for n in rng.integers(0, min(k, 3), 2))
        if extent + a + b < reach:
            return None
        kernel.append(k)
        strides.append(int(rng.integers(1, 4)))
        dilations.append(d)
        before.append(b)
        after.append(a)
    return dict(kernel=kernel, strides=strides, pads=before + after, dilations=dilations)


if __name__ == "__main__":
    main()
