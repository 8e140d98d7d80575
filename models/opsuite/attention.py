"""Cases of what transformers are made of: products of two activations, LayerNormalization, GELU in its many spellings."""

import numpy as np

from opsuite.case import single

F = np.float32


def cases():
    """All of them."""
    result = []
    for dtype in ("i8", "u8"):
        for form in ("qdq", "qoperator"):
            for name, shape, turn in (("rows", (5, 12), True), ("heads", (3, 6, 10), True), ("one_row", (1, 16), True)):
                result.append(single(f"matmul_two_{name}", "MatMul", shape, _scores, form=form, dtype=dtype))
            result.append(single("matmul_two_values", "MatMul", (3, 6, 6), _values, form=form, dtype=dtype))
            result.append(single("matmul_two_saturating", "MatMul", (5, 12), lambda g, x: _scores(g, x, 4.0), form=form, dtype=dtype))
            result.append(single("matmul_two_constant_first", "MatMul", (6, 5), _constant_first, form=form, dtype=dtype))
            result.append(single("matmul_two_batched_weights", "MatMul", (3, 4, 6), lambda g, x: g.op("MatMul", [x, g.constant((3, 6, 5), g.dtype, zero="random")]), form=form, dtype=dtype))
        result.append(single("matmul_two_broadcast", "MatMul", (3, 4, 6), _broadcast, dtype=dtype))
        for name, shape in (("16", (4, 16)), ("100", (3, 100)), ("384", (2, 384)), ("one_row", (64,)), ("pixels", (4, 3, 24))):
            result.append(single(f"layer_norm_{name}", "LayerNormalization", shape, _layer_norm(), dtype=dtype, opset=17, tolerance=1))
        result.append(single("layer_norm_two_axes", "LayerNormalization", (4, 3, 8), _layer_norm(axis=-2), dtype=dtype, opset=17, tolerance=1))
        result.append(single("layer_norm_no_bias", "LayerNormalization", (4, 20), _layer_norm(bias=False), dtype=dtype, opset=17, tolerance=1))
        result.append(single("layer_norm_large_epsilon", "LayerNormalization", (4, 20), _layer_norm(epsilon=0.1), dtype=dtype, opset=17, tolerance=1))
        result.append(single("layer_norm_saturating", "LayerNormalization", (4, 20), _layer_norm(fill=4.0), dtype=dtype, opset=17, tolerance=1))
        for name, opset, nodes in SPELLINGS:
            result.append(single(f"gelu_{name}", "Gelu", (4, 40), _chain(nodes), dtype=dtype, opset=opset, tolerance=1, scale=0.05))
        for kind, attrs in (("Erf", {}), ("Exp", {}), ("Softplus", {}), ("Mish", {}), ("Celu", {}), ("Elu", {}), ("Selu", {}), ("Softsign", {}), ("ThresholdedRelu", {}), ("Sin", {}), ("Cos", {}),
                            ("Atan", {}), ("Floor", {}), ("Ceil", {}), ("Round", {}), ("Sign", {}), ("Abs", {}), ("Neg", {})):
            result.append(single(f"unary_{kind.lower()}", kind, (4, 40), lambda g, x, k=kind, a=attrs: g.op(k, [x], **a), dtype=dtype, opset=18, tolerance=1, scale=0.03))
        result.append(single("unary_pow2", "Pow", (4, 40), lambda g, x: g.op("Pow", [x], plain=[F(2)]), dtype=dtype, tolerance=1, scale=0.03))
        result.append(single("unary_max", "Max", (4, 40), lambda g, x: g.op("Max", [x], plain=[F(0.3)]), dtype=dtype, scale=0.03))
        result.append(single("unary_prelu", "PRelu", (4, 40), lambda g, x: g.op("PRelu", [x], plain=[F(0.3)]), dtype=dtype, scale=0.03))
        for name, shape in (("image", (6, 5, 4)), ("row", (9,)), ("one_channel", (1, 5, 4)), ("signal", (5, 12))):
            result.append(single(f"batch_norm_{name}", "BatchNormalization", shape, _batch_norm, dtype=dtype, opset=15))
            result.append(single(f"batch_norm_{name}_relu", "BatchNormalization", shape, lambda g, x: _batch_norm(g, x, [("Relu", (), {})]), dtype=dtype, opset=15))
        for name, shape in (("image", (6, 5, 4)), ("signal", (5, 12))):
            result.append(single(f"prelu_channels_{name}", "PRelu", shape, _prelu, dtype=dtype))
        for kind, attrs in (("Identity", {}), ("Log", {}), ("Reciprocal", {}), ("Sqrt", {})):
            result.append(single(f"unary_{kind.lower()}", kind, (4, 40), lambda g, x, k=kind: g.op(k, [g.op("Exp", [x])]), dtype=dtype, opset=18, tolerance=1, scale=0.02))
        result.append(single("expand", "Expand", (1, 6), lambda g, x: g.op("Expand", [x], plain=[np.array([1, 5, 6], np.int64)], out="same"), dtype=dtype))
        result.append(single("div_constant", "Div", (4, 40), lambda g, x: g.op("Div", [x], plain=[F(1.7)]), dtype=dtype, tolerance=1))
        for kind in ("Max", "Min"):
            result.append(single(f"{kind.lower()}_two_branches", kind, (6, 5, 4), lambda g, x, k=kind: _two(g, x, k), dtype=dtype))
            result.append(single(f"{kind.lower()}_pooled_operand", kind, (6, 5, 4), lambda g, x, k=kind: g.op(k, [x, g.op("GlobalAveragePool", [x], fill=0.5)]), dtype=dtype))
        result.append(single("sub_two_branches", "Sub", (6, 5, 4), _difference, dtype=dtype))
        result.append(single("block_attention", "block", (6, 16), _attention, dtype=dtype, opset=17, tolerance=2))
        result.append(single("block_transformer", "block", (5, 16), _transformer, dtype=dtype, opset=20, tolerance=2))
    return result


# Each step: operator, its inputs ("x" is the start, "." what came before, numbers are constants), its attributes.
SPELLINGS = [
    ("operator", 20, [("Gelu", ["."], {})]),
    ("operator_tanh", 20, [("Gelu", ["."], dict(approximate="tanh"))]),
    ("erf_div", 17, [("Div", [".", 2**0.5], {}), ("Erf", ["."], {}), ("Add", [".", 1.0], {}), ("Mul", ["x", "."], {}), ("Mul", [".", 0.5], {})]),
    ("erf_mul_first", 17, [("Mul", [".", 0.5**0.5], {}), ("Erf", ["."], {}), ("Add", [1.0, "."], {}), ("Mul", [".", 0.5], {}), ("Mul", ["x", "."], {})]),
    ("tanh_spelled", 17, [("Pow", [".", 3.0], {}), ("Mul", [".", 0.044715], {}), ("Add", ["x", "."], {}), ("Mul", [".", (2 / np.pi) ** 0.5], {}), ("Tanh", ["."], {}),
                          ("Add", [".", 1.0], {}), ("Mul", ["x", "."], {}), ("Mul", [".", 0.5], {})]),
    ("quick", 17, [("Mul", [".", 1.702], {}), ("Sigmoid", ["."], {}), ("Mul", ["x", "."], {})]),
    ("silu", 17, [("Sigmoid", ["."], {}), ("Mul", ["x", "."], {})]),
    ("hard_swish_spelled", 17, [("Add", [".", 3.0], {}), ("Clip", [".", 0.0, 6.0], {}), ("Mul", ["x", "."], {}), ("Div", [".", 6.0], {})]),
]


def _chain(steps):
    """A function spelled out in several float operators between one DequantizeLinear and one QuantizeLinear."""

    def body(graph, x):
        start = value = graph._dequantize(x)
        first = sample = x.sample
        for kind, inputs, attrs in steps:
            names, reals, flags, plain = [], [], [], []
            for item in inputs:
                if isinstance(item, str):
                    names.append(start if item == "x" else value)
                    reals.append(first if item == "x" else sample)
                    flags.append(True)
                else:
                    names.append(graph.tensor(F(item)))
                    reals.append(np.asarray(item, F))
                    flags.append(False)
            sample = graph._evaluate(kind, reals, flags, plain, attrs)
            value = graph._emit(kind, names, **attrs)
        return graph.quantize(value, sample, *graph._range(sample, 1.0, None, None))

    return body


def _scores(graph, x, fill=1.0):
    axes = list(range(x.sample.ndim - 1))
    turned = graph.op("Transpose", [x], out="same", perm=[*axes[:-2], axes[-1], axes[-2]])
    return graph.op("MatMul", [x, turned], fill=fill)


def _values(graph, x):
    gate = graph.op("Add", [x, graph.constant((), graph.dtype, zero="random")])
    return graph.op("MatMul", [gate, x])


def _constant_first(graph, x):
    return graph.op("MatMul", [graph.constant((1, 4, 6), graph.dtype, zero="random"), x])


def _broadcast(graph, x):
    """One matrix of a batch against all of them."""
    one = graph.op("Slice", [x], plain=[np.array([0]), np.array([1]), np.array([1])], out="same")
    return graph.op("MatMul", [x, graph.op("Transpose", [one], out="same", perm=[0, 1, 3, 2])])


def _layer_norm(axis=-1, bias=True, fill=1.0, **attrs):
    def body(graph, x):
        shape = x.sample.shape[axis:]
        plain = [graph.rng.uniform(0.5, 1.5, shape).astype(F)]
        if bias:
            plain.append(graph.rng.normal(0, 0.3, shape).astype(F))
        return graph.op("LayerNormalization", [x], plain=plain, axis=axis, fill=fill, **attrs)

    return body


def _batch_norm(graph, x, then=()):
    channels = x.sample.shape[2]
    draw = lambda low, high: graph.rng.uniform(low, high, channels).astype(F)
    width = float(np.abs(x.sample).max())
    plain = [draw(0.5, 1.5), draw(-width, width), draw(-width, width) / 2, draw(0.3, 2.0)]
    return graph.op("BatchNormalization", [x], plain=plain, then=then)


def _prelu(graph, x):
    shape = [x.sample.shape[2]] + [1] * (x.sample.ndim - 3)
    return graph.op("PRelu", [x], plain=[graph.rng.uniform(-0.2, 0.9, shape).astype(F)])


def _difference(graph, x):
    return _two(graph, x, "Sub")


def _two(graph, x, kind):
    conv = lambda fill: graph.linear("Conv", x, graph.constant((6, 6, 1, 1), "i8", 0), fill=fill)
    return graph.op(kind, [conv(1.3), conv(0.8)])


def _project(graph, x, features):
    return graph.op("MatMul", [x, graph.constant((x.sample.shape[-1], features), "i8", spread=40)])


def _heads(graph, x, count):
    _, _, length, width = x.sample.shape
    split = graph.op("Reshape", [x], plain=[np.array([1, length, count, width // count])], out="same")
    return graph.op("Transpose", [split], out="same", perm=[0, 2, 1, 3])


def _attend(graph, x):
    """Two heads of self-attention."""
    q, k, v = (_heads(graph, _project(graph, x, 16), 2) for _ in range(3))
    scores = graph.op("MatMul", [q, graph.op("Transpose", [k], out="same", perm=[0, 1, 3, 2])])
    scores = graph.op("Mul", [scores, graph.constant((), graph.dtype, zero="random")])
    shares = graph.op("Softmax", [scores], axis=-1, scale=1 / 256, zero=0 if graph.dtype == "u8" else -128)
    mixed = graph.op("Transpose", [graph.op("MatMul", [shares, v])], out="same", perm=[0, 2, 1, 3])
    return graph.op("Reshape", [mixed], plain=[np.array([1, x.sample.shape[2], 16])], out="same")


def _attention(graph, x):
    return _project(graph, _attend(graph, x), 16)


def _transformer(graph, x):
    y = graph.op("Add", [x, _attention(graph, _layer_norm()(graph, x))])
    hidden = graph.op("Gelu", [_project(graph, _layer_norm()(graph, y), 32)])
    return graph.op("Add", [y, _project(graph, hidden, 16)])
