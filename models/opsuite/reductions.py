"""Cases of reductions other than the mean: maxima, minima, sums, and the index of an extreme."""

import numpy as np

from opsuite.case import single

AXES = [("last", [-1], 1), ("last_flat", [-1], 0), ("channels", [1], 1), ("space", [2, 3], 1), ("space_flat", [2, 3], 0), ("apart", [1, 3], 1), ("all", [1, 2, 3], 0)]


def cases():
    """All reductions."""
    result = []
    for dtype in ("i8", "u8"):
        for kind, label in (("ReduceMax", "reduce_max"), ("ReduceMin", "reduce_min")):
            for name, axes, keep in AXES:
                result.append(single(f"{label}_{name}", kind, (6, 4, 5), _op(kind, axes=axes, keepdims=keep), dtype=dtype))
            result.append(single(f"{label}_integers", kind, (6, 4, 5), _op(kind, axes=[2], keepdims=0), form="qoperator", dtype=dtype))
            result.append(single(f"{label}_opset18", kind, (6, 4, 5), _op(kind, [np.array([2], np.int64)], keepdims=1), dtype=dtype, opset=18))
            result.append(single(f"{label}_requantized", kind, (6, 4, 5), lambda g, x, k=kind: g.op(k, [x], axes=[3]), dtype=dtype))
            result.append(single(f"{label}_after_conv", kind, (6, 4, 5), _after_conv(kind), dtype=dtype))
        result.append(single("global_max_pool", "GlobalMaxPool", (6, 4, 5), _op("GlobalMaxPool"), dtype=dtype))
        for name, axes, keep in AXES[:5]:
            result.append(single(f"reduce_sum_{name}", "ReduceSum", (6, 4, 5), _sum(axes, keep), dtype=dtype, tolerance=1))
        for kind, label in (("ArgMax", "arg_max"), ("ArgMin", "arg_min")):
            for axis, last, keep in ((1, 0, 1), (-1, 0, 0), (2, 1, 1), (3, 1, 0)):
                name = f"{label}_axis_{axis}{'_last' if last else ''}{'' if keep else '_flat'}".replace("-", "minus_")
                for form in ("qdq", "qoperator"):
                    result.append(single(name, kind, (6, 4, 5), _arg(kind, axis, last, keep), form=form, dtype=dtype))
            result.append(single(f"{label}_ties", kind, (3, 400), _arg(kind, 2, 0, 0), dtype=dtype))
            result.append(single(f"{label}_after_conv", kind, (6, 4, 5), _segmented(kind), dtype=dtype))
    return result


def _op(kind, plain=(), **attrs):
    return lambda graph, x: graph.op(kind, [x], plain=plain, out="same", **attrs)


def _sum(axes, keep):
    return lambda graph, x: graph.op("ReduceSum", [x], plain=[np.array(axes, np.int64)], keepdims=keep)


def _after_conv(kind):
    def body(graph, x):
        y = graph.linear("Conv", x, graph.constant((7, 6, 3, 3), "i8", 0), pads=[1] * 4)
        return graph.op(kind, [y], out="same", axes=[2, 3], keepdims=0)

    return body


def _arg(kind, axis, last, keep):
    return lambda graph, x: graph.end(kind, [x], axis=axis, select_last_index=last, keepdims=keep)


def _segmented(kind):
    """The class of each pixel, as a segmentation network ends."""

    def body(graph, x):
        y = graph.linear("Conv", x, graph.constant((5, 6, 1, 1), "i8", 0))
        graph.end(kind, [y], axis=1, keepdims=0)

    return body
