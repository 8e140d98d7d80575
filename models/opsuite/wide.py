"""Cases of 16-bit activations with 8-bit weights, which ONNX Runtime runs in float between DequantizeLinear and QuantizeLinear."""

import numpy as np

from opsuite.case import single

RELU = [("Relu", (), {})]


def cases():
    """All of them; an output may be one of 65,536 steps off."""
    result = []

    def add(name, kind, shape, body, **more):
        result.append(single(name, kind, shape, body, dtype="i16", opset=21, tolerance=1, **more))

    for name, shape, out, kernel, attrs in (
        ("1x1", (8, 6, 6), 12, (1, 1), {}), ("3x3", (4, 7, 6), 6, (3, 3), dict(pads=[1, 1, 1, 1])), ("3x3_stride2", (6, 9, 9), 10, (3, 3), dict(strides=[2, 2], pads=[0, 1, 1, 0])),
        ("dilated", (4, 9, 9), 5, (3, 3), dict(dilations=[2, 2])), ("groups2", (6, 6, 7), 8, (3, 3), dict(group=2)), ("depthwise", (7, 8, 8), 7, (3, 3), dict(group=7, pads=[1, 1, 1, 1])),
        ("deep", (200, 3, 3), 4, (3, 3), {}), ("1d", (5, 24), 7, (3,), dict(pads=[1, 1])),
    ):
        for zero in (0, None):
            add(f"conv_{name}{'' if zero == 0 else '_zero_points'}", "Conv", shape, _conv(out, kernel, attrs), zero=zero)
        add(f"conv_{name}_relu", "Conv", shape, _conv(out, kernel, attrs, then=RELU), zero=0)
    add("conv_integer_io", "Conv", (4, 7, 6), _conv(6, (3, 3), {}), zero=0, integer=True)
    add("conv_saturating", "Conv", (4, 7, 6), _conv(6, (3, 3), {}, fill=4.0), zero=0)
    add("gemm", "Gemm", (24,), lambda g, x: g.linear("Gemm", x, g.constant((9, 24), "i8", 0), transB=1), zero=0)
    add("gemm_relu", "Gemm", (24,), lambda g, x: g.linear("Gemm", x, g.constant((9, 24), "i8", 0), transB=1, then=RELU), zero=0)
    result.append(single("matmul", "MatMul", (5, 12), lambda g, x: g.op("MatMul", [x, g.constant((12, 7), "i8")]), dtype="i16", opset=21, tolerance=1))
    for kind in ("Add", "Sub", "Mul"):
        add(f"{kind.lower()}_two_branches", kind, (6, 5, 4), lambda g, x, k=kind: g.op(k, [_one(g, x, 1.3), _one(g, x, 0.8)]))
        add(f"{kind.lower()}_itself_relu", kind, (6, 5, 4), lambda g, x, k=kind: g.op(k, [x, _one(g, x, 0.8)], then=RELU))
    add("relu", "Relu", (6, 5, 4), lambda g, x: g.op("Relu", [x]))
    add("clip", "Clip", (6, 5, 4), lambda g, x: g.op("Clip", [x], plain=(np.float32(-1), np.float32(1))))
    add("concat", "Concat", (4, 5, 6), lambda g, x: g.op("Concat", [x, _one(g, x, 0.7)], axis=1))
    add("transpose", "Transpose", (4, 5, 6), lambda g, x: g.op("Transpose", [x], out="same", perm=[0, 2, 3, 1]))
    add("requantized", "DequantizeLinear", (4, 5, 6), lambda g, x: g.requantize(x, x.scale * 1.7, 90))
    add("wide_to_narrow", "DequantizeLinear", (4, 5, 6), lambda g, x: g.narrow(x, "i8"), zero=0)
    add("wide_to_unsigned", "DequantizeLinear", (4, 5, 6), lambda g, x: g.narrow(x, "u8", zero=100), zero=0)
    result.append(single("narrow_to_wide", "DequantizeLinear", (4, 5, 6), lambda g, x: g.narrow(x, "i16"), opset=21, tolerance=1))
    result.append(single("mixed_widths", "block", (4, 7, 6), _mixed, opset=21, tolerance=1))
    result.append(single("block_residual", "block", (6, 7, 7), _residual, dtype="i16", opset=21, tolerance=2, zero=0))
    return result


def _conv(out, kernel, attrs, then=(), fill=1.0):
    def body(graph, x):
        w = graph.constant((out, x.sample.shape[2] // attrs.get("group", 1), *kernel), "i8", 0)
        return graph.linear("Conv", x, w, then=then, fill=fill, **attrs)

    return body


def _one(graph, x, fill):
    channels = x.sample.shape[2]
    return graph.linear("Conv", x, graph.constant((channels, channels, 1, 1), "i8", 0), fill=fill)


def _residual(graph, x):
    y = graph.linear("Conv", x, graph.constant((6, 6, 3, 3), "i8", 0), pads=[1] * 4, then=RELU)
    y = graph.linear("Conv", y, graph.constant((6, 6, 3, 3), "i8", 0), pads=[1] * 4)
    return graph.op("Add", [x, y], then=RELU)


def _mixed(graph, x):
    """8 bits in and out, 16 bits where the sums are."""
    wide = graph.narrow(_one(graph, x, 1.0), "i16")
    wide = _one(graph, wide, 1.0)
    return _one(graph, graph.narrow(wide, "i8"), 1.0)
