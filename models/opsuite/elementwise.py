"""Cases of operators that work element by element, of activations, and of the borders."""

import numpy as np

from opsuite.case import single


def cases():
    """All elementwise cases."""
    result = []
    for kind in ("Add", "Mul"):
        low = kind.lower()
        for form in ("qdq", "qoperator"):
            for dtype in ("i8", "u8"):
                result.append(single(f"{low}_two_branches", kind, (6, 5, 4), _branches(kind), form=form, dtype=dtype))
                result.append(single(f"{low}_residual", kind, (5, 6, 6), _residual(kind), form=form, dtype=dtype))
                for name, shape in (("scalar", ()), ("per_channel", (5, 1, 1)), ("last_axis", (4,)), ("whole", (1, 5, 3, 4))):
                    result.append(single(f"{low}_constant_{name}", kind, (5, 3, 4), _constant(kind, shape), form=form, dtype=dtype))
            result.append(single(f"{low}_constant_first", kind, (5, 3, 4), _constant(kind, (5, 1, 1), first=True), form=form))
            result.append(single(f"{low}_saturating", kind, (6, 5, 4), _branches(kind, fill=4.0), form=form))
            result.append(single(f"{low}_few_steps", kind, (6, 5, 4), _branches(kind, fill=0.03), form=form))
            result.append(single(f"{low}_itself", kind, (6, 5, 4), lambda g, x, kind=kind: g.op(kind, [x, x]), form=form))
            result.append(single(f"{low}_pooled_operand", kind, (6, 5, 4), _pooled(kind), form=form))
        result.append(single(f"{low}_relu", kind, (6, 5, 4), _branches(kind, then=[("Relu", (), {})])))
        result.append(single(f"{low}_i8io", kind, (6, 5, 4), _branches(kind), integer=True))

    for dtype in ("i8", "u8"):
        result += _activations(dtype) + _borders(dtype) + _ties(dtype)
    return result


def _ties(dtype):
    """Sums of which every sixth is a tie but for rounding, so that the order of the operands shows: it is the other one where
    the first operand is repeated along the innermost axis, which is that of the channels between two convolutions."""
    result = []
    for name, shape in (("scalar", ()), ("per_channel", (5, 1, 1)), ("column", (1, 5, 6, 1)), ("row", (8,)), ("plane", (6, 8)), ("whole", (1, 5, 6, 8))):
        for place, before, behind in (("", False, False), ("_behind_conv", True, False), ("_between_convs", True, True), ("_before_conv", False, True)):
            for first in (True, False):
                label = f"add_ties_{name}{place}{'_first' if first else ''}"
                result.append(single(label, "Add", (5, 6, 8), _tied(shape, first, before, behind), dtype=dtype))
    # ONNX Runtime has no quantized kernel for a difference, nor where types differ: it computes these in float.
    for kind in ("Add", "Mul", "Sub"):
        result.append(single(f"{kind.lower()}_ties_in_float", kind, (5, 6, 8), _in_float(kind), dtype=dtype))
    # Axes of extent 1 do not count.
    result.append(single("add_ties_long_and_thin", "Add", (5, 40, 1), _tied((5, 1, 1), True, False, False), dtype=dtype))
    for gate_first in (True, False):
        for behind in (True, False):
            label = f"add_ties_gate{'_first' if gate_first else ''}{'_before_conv' if behind else ''}"
            result.append(single(label, "Add", (5, 6, 8), _gated(gate_first, behind), dtype=dtype))
    return result


def _tied(shape, first, before, behind):
    def body(graph, x):
        x = _conv(graph, x, 5) if before else x
        c = graph.constant(shape, graph.dtype, zero="random")
        c.scale = np.asarray(x.scale * np.float32(2))
        y = graph.op("Add", [c, x] if first else [x, c], scale=x.scale * np.float32(6))
        return _conv(graph, y, 5) if behind else y

    return body


def _in_float(kind):
    def body(graph, x):
        y = _conv(graph, x, 5)
        graph.dtype = "i8" if graph.dtype == "u8" else "u8"
        y = graph.requantize(y, x.scale * np.float32(2), 77)
        return graph.op(kind, [x, y], scale=x.scale * np.float32(6))

    return body


def _gated(gate_first, behind):
    def body(graph, x):
        x = _conv(graph, x, 5)
        pooled = graph.op("GlobalAveragePool", [x])
        gate = graph.linear("Conv", pooled, graph.constant((5, 5, 1, 1), "i8", 0))
        gate = graph.requantize(gate, x.scale * np.float32(2), gate.zero)
        y = graph.op("Add", [gate, x] if gate_first else [x, gate], scale=x.scale * np.float32(6))
        return _conv(graph, y, 5) if behind else y

    return body


def _conv(graph, x, out, fill=1.0):
    return graph.linear("Conv", x, graph.constant((out, x.sample.shape[2], 1, 1), "i8", 0), fill=fill)


def _branches(kind, fill=1.0, then=()):
    """Two convolutions of the input, with scales of their own, so that all pairs of values occur."""

    def body(graph, x):
        a, b = _conv(graph, x, 6, fill=1.3), _conv(graph, x, 6, fill=0.8)
        return graph.op(kind, [a, b], fill=fill, then=then)

    return body


def _residual(kind):
    return lambda graph, x: graph.op(kind, [x, _conv(graph, x, x.sample.shape[2])])


def _pooled(kind):
    """One operand is 1x1 in space and is spread over the other, as in a squeeze-and-excitation block."""

    def body(graph, x):
        gate = graph.op("GlobalAveragePool", [_conv(graph, x, x.sample.shape[2], fill=2.0)])
        return graph.op(kind, [x, gate])

    return body


def _constant(kind, shape, first=False):
    def body(graph, x):
        c = graph.constant(shape, graph.dtype, zero="random")
        return graph.op(kind, [c, x] if first else [x, c])

    return body


def _activations(dtype):
    result = []
    shape = (5, 4, 6)
    wide = 8.0 / 128

    def add(name, kind, tolerance, forms=("qdq",), opset=13, scale=wide, **op):
        for form in forms:
            result.append(single(name, kind, shape, lambda g, x: g.op(kind, [x], **op), form=form, dtype=dtype, opset=opset, tolerance=tolerance, scale=scale))

    both = ("qdq", "qoperator")
    lowest = 0 if dtype == "u8" else -128
    add("relu", "Relu", 0)
    add("relu_same_scale", "Relu", 0, out="same")
    add("relu_middle_zero", "Relu", 0, zero=lowest + 100)
    add("clip_0_6", "Clip", 0, plain=(np.float32(0), np.float32(6)))
    add("clip_symmetric", "Clip", 0, plain=(np.float32(-2), np.float32(2)), zero=lowest + 128)
    add("clip_crossed", "Clip", 0, plain=(np.float32(2), np.float32(-1)))
    add("clip_only_low", "Clip", 0, plain=(np.float32(-1),))
    add("clip_only_high", "Clip", 0, plain=(None, np.float32(1.5)))
    for alpha in (0.01, 0.125, 0.3):
        add(f"leaky_relu_{alpha}".replace(".", "_"), "LeakyRelu", 0, both, alpha=alpha)
    add("sigmoid", "Sigmoid", 1, both, out=None, scale=wide)
    add("sigmoid_usual_scale", "Sigmoid", 1, both, zero=lowest, **{"fill": 1.0})
    add("tanh", "Tanh", 1, scale=0.03)
    add("tanh_middle_zero", "Tanh", 1, scale=0.03, zero=lowest + 128)
    add("hard_swish", "HardSwish", 1, opset=14)
    add("hard_sigmoid", "HardSigmoid", 1, alpha=1 / 6, beta=0.5)
    return result


def _borders(dtype):
    result = [
        single("quantize_dequantize", "QuantizeLinear", (3, 5, 7), lambda g, x: x, dtype=dtype),
        single("quantize_dequantize_coarse", "QuantizeLinear", (40,), lambda g, x: x, dtype=dtype, scale=0.5),
        single("requantize_finer", "DequantizeLinear", (3, 5, 7), lambda g, x: g.requantize(x, x.scale * 0.37, 3), dtype=dtype),
        single("requantize_coarser", "DequantizeLinear", (3, 5, 7), lambda g, x: g.requantize(x, x.scale * 2.9, 90), dtype=dtype),
        single("requantize_zero_point_only", "DequantizeLinear", (3, 5, 7), lambda g, x: g.requantize(x, x.scale, 11), dtype=dtype),
        single("requantize_integer_io", "DequantizeLinear", (3, 5, 7), lambda g, x: g.requantize(x, x.scale * 1.7, 5), dtype=dtype, integer=True),
    ]
    return result
