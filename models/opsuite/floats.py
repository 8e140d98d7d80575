"""Cases with float steps between an operator and its quantization, and models that end in float, as exporters write them."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper

from opsuite.case import single
from opsuite.graph import Constant


@dataclass
class Real:
    """A float tensor of the graph: its name and its values, frame by frame."""

    name: str
    sample: np.ndarray


def cases():
    """All of them, for both types of activations."""
    result = []
    for dtype in ("i8", "u8"):
        result += [single(name, operator, shape, body, dtype=dtype, **more) for name, operator, shape, body, more in _middles() + _ends()]
    return result


def _middles():
    """A float step, then QuantizeLinear: the same bits."""
    image, row, rows = (4, 6, 6), (24,), (5, 16)
    return [
        ("float_conv_relu_maxpool", "MaxPool", image, _after(_conv(pads=[1] * 4), ("Relu", {}), ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]})), {}),
        ("float_conv_maxpool_relu", "MaxPool", image, _after(_conv(), ("MaxPool", {"kernel_shape": [3, 3], "pads": [1] * 4}), ("Relu", {})), {}),
        ("float_conv_relu_flatten", "Flatten", image, _after(_conv(), ("Relu", {}), ("Flatten", {})), {}),
        ("float_conv_transpose", "Transpose", image, _after(_conv(), ("Transpose", {"perm": [0, 2, 3, 1]})), {}),
        ("float_conv_reshape", "Reshape", image, _after(_conv(), ("Reshape", {}, np.array([1, 4, 16]))), {}),
        ("float_conv_resize", "Resize", image, _after(_conv(), ("Resize", _NEAREST, None, np.array([1, 1, 2, 2], np.float32))), {}),
        ("float_conv_transpose_relu", "Transpose", image, _after(_conv(), ("Transpose", {"perm": [0, 2, 1, 3]}), ("Relu", {})), {}),
        ("float_conv_batchnorm", "BatchNormalization", image, _conv_batch_norm, {}),
        ("float_conv_vectors", "Mul", image, _conv_vectors, {}),
        ("float_shortcut", "Add", image, _shortcut, {}),
        ("float_shortcut_plain", "Add", image, lambda g, x: _quantized(g, _add(g, _conv(pads=[1] * 4)(g, _real(g, x)), _real(g, x))), {}),
        ("float_two_convs", "Add", image, _two_convs, {}),
        ("float_conv_mean", "ReduceMean", image, _conv_mean, {"tolerance": 1}),
        ("float_conv_global", "GlobalAveragePool", image, _after(_conv(), ("GlobalAveragePool", {})), {"tolerance": 1}),
        ("float_conv_split", "Split", image, _conv_split, {}),
        ("float_conv_concat", "Concat", image, _conv_concat, {}),
        ("float_matmul_bias", "MatMul", rows, _matmul_bias, {}),
        ("float_matmul_bias_first", "MatMul", row, lambda g, x: _matmul_bias(g, x, first=True), {}),
        ("float_vector_mul", "Mul", image, lambda g, x: _quantized(g, _node(g, "Mul", [_real(g, x), _vector(g, 4)])), {}),
        ("float_vector_add", "Add", image, lambda g, x: _quantized(g, _node(g, "Add", [_vector(g, 4), _real(g, x)])), {}),
        ("float_vector_mul_add", "Add", image, _vector_mul_add, {}),
        ("float_vector_sub", "Sub", image, lambda g, x: _quantized(g, _node(g, "Sub", [_vector(g, 4), _real(g, x)])), {}),
        ("float_vector_div", "Div", image, lambda g, x: _quantized(g, _node(g, "Div", [_real(g, x), _vector(g, 4)])), {}),
        ("float_number_sub", "Sub", image, lambda g, x: _quantized(g, _node(g, "Sub", [np.float32(0.75), _real(g, x)])), {}),
        ("float_plane_mul", "Mul", image, lambda g, x: _quantized(g, _node(g, "Mul", [_real(g, x), _values(g, (6, 6))])), {}),
        ("float_concat_constant", "Concat", image, lambda g, x: _quantized(g, _node(g, "Concat", [_real(g, x), _values(g, (1, 2, 6, 6))], axis=1)), {}),
        ("float_concat_weights", "Concat", image, _concat_weights, {}),
        ("float_normalized_input", "Div", image, _normalized, {}),
    ]


def _ends():
    """A model whose last operators are float. Where ONNX Runtime runs them on integers (Gemm, MatMul without a float bias) the bits
    are the same; where it sums floats, within some roundings of the largest value, which `step` counts."""
    image, row, rows = (4, 6, 6), (24,), (5, 16)
    # A sigmoid's values are smaller than the sums whose roundings it passes on.
    exact, summed, squashed = {}, {"tolerance": 4}, {"tolerance": 16}
    return [
        ("float_end_gemm", "Gemm", row, lambda g, x: _end(g, _gemm(g, x)), exact),
        ("float_end_gemm_bias", "Gemm", row, lambda g, x: _end(g, _gemm(g, x, "int32")), exact),
        ("float_end_gemm_float_bias", "Gemm", row, lambda g, x: _end(g, _gemm(g, x, "float")), summed),
        ("float_end_gemm_long", "Gemm", (144,), lambda g, x: _end(g, _node(g, "Gemm", [_real(g, x), _weights(g, (144, 3)), _values(g, (3,))])), summed),
        ("float_end_matmul_long", "MatMul", (4, 160), lambda g, x: _end(g, _node(g, "MatMul", [_real(g, x), _weights(g, (160, 5))])), summed),
        ("float_end_matmul", "MatMul", rows, lambda g, x: _end(g, _node(g, "MatMul", [_real(g, x), _weights(g, (16, 7))])), exact),
        ("float_end_matmul_bias", "MatMul", rows, lambda g, x: _end(g, _node(g, "Add", [_node(g, "MatMul", [_real(g, x), _weights(g, (16, 7))]), _values(g, (7,))])), summed),
        ("float_end_conv", "Conv", image, lambda g, x: _end(g, _conv()(g, _real(g, x))), summed),
        ("float_end_conv_grouped", "Conv", image, lambda g, x: _end(g, _conv(group=2)(g, _real(g, x))), summed),
        ("float_end_conv_relu", "Conv", image, lambda g, x: _end(g, _node(g, "Relu", [_conv()(g, _real(g, x))])), summed),
        ("float_end_conv_sigmoid", "Sigmoid", image, lambda g, x: _end(g, _node(g, "Sigmoid", [_conv()(g, _real(g, x))])), squashed),
        ("float_end_conv_tanh", "Tanh", image, lambda g, x: _end(g, _node(g, "Tanh", [_conv()(g, _real(g, x))])), squashed),
        ("float_end_conv_leaky", "LeakyRelu", image, lambda g, x: _end(g, _node(g, "LeakyRelu", [_conv()(g, _real(g, x))], alpha=0.3)), summed),
        ("float_end_conv_hardswish", "HardSwish", image, lambda g, x: _end(g, _node(g, "HardSwish", [_conv()(g, _real(g, x))])), {**summed, "opset": 14}),
        ("float_end_gemm_softmax", "Softmax", row, lambda g, x: _end(g, _node(g, "Softmax", [_gemm(g, x, "int32")], axis=1)), summed),
        ("float_end_concat", "Concat", image, lambda g, x: _end(g, _node(g, "Concat", [_real(g, x), _conv(kernel=1, pads=[0] * 4)(g, _real(g, x))], axis=1)), summed),
        ("float_end_mean", "ReduceMean", image, lambda g, x: _end(g, _node(g, "ReduceMean", [_shortcut_sum(g, x)], axes=[2, 3], keepdims=0)), summed),
        ("float_end_head", "Gemm", image, _head, summed),
        ("float_end_pool", "GlobalAveragePool", image, lambda g, x: _end(g, _node(g, "GlobalAveragePool", [_real(g, x)])), summed),
        ("float_end_add", "Add", image, lambda g, x: _end(g, _add(g, _real(g, x), _node(g, "Mul", [_real(g, x), _vector(g, 4)]))), exact),
    ]


_NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


# Builders.


def _real(graph, x):
    return Real(graph._dequantize(x), x.sample)


def _weights(graph, shape, axis=None):
    """Weights within half of the range, as exporters' int8 weights of trained networks mostly lie."""
    return graph.constant(shape, "i8", axis, spread=30)


def _vector(graph, channels):
    return (graph.rng.uniform(0.25, 2, (1, channels, 1, 1)) * graph.rng.choice([-1, 1], (1, channels, 1, 1))).astype(np.float32)


def _values(graph, shape):
    return graph.rng.normal(0, 1, shape).astype(np.float32)


def _node(graph, kind, inputs, plain=(), **attrs):
    """One float node over float tensors, quantized constants, and float constants."""
    reals, names = [], []
    for x in inputs:
        if isinstance(x, Real):
            reals.append((x.sample, True))
            names.append(x.name)
        elif isinstance(x, Constant):
            reals.append((x.floats(), False))
            names.append(graph._dequantize(x))
        else:
            value = np.asarray(x)
            reals.append((value, False))
            names.append(graph.tensor(value))
    sample = graph._evaluate(kind, [r for r, _ in reals], [f for _, f in reals], plain, attrs)
    return Real(graph._emit(kind, [*names, *graph._plain(plain)], **attrs), sample)


def _add(graph, a, b):
    return _node(graph, "Add", [a, b])


def _quantized(graph, real, fill=1.0):
    scale, zero = graph._range(real.sample, fill, None, None)
    return graph.quantize(real.name, real.sample, scale, zero)


def _end(graph, real):
    """Ends the model with a float tensor; a step of the tolerance is a rounding of its largest value."""
    graph.nodes[-1].output[0] = "output"
    graph.exit = helper.make_tensor_value_info("output", TensorProto.FLOAT, real.sample.shape[1:])
    graph.output_scale = float(np.abs(real.sample).max()) * 2.0**-23


def _conv(outputs=4, kernel=3, group=1, **attrs):
    def build(graph, x):
        channels = x.sample.shape[2]
        weights = _weights(graph, (outputs, channels // group, kernel, kernel), 0)
        extra = {"group": group} if group > 1 else {}
        return _node(graph, "Conv", [x, weights], **attrs, **extra)

    return build


def _after(build, *steps):
    """A convolution, then steps of (operator, attributes, further inputs)."""

    def body(graph, x):
        y = build(graph, _real(graph, x))
        for kind, attrs, *plain in steps:
            y = _node(graph, kind, [y], plain, **attrs)
        return _quantized(graph, y)

    return body


def _gemm(graph, x, bias=None):
    weights = _weights(graph, (24, 7))
    inputs = [_real(graph, x), weights]
    if bias == "int32":
        scale = np.float32(x.scale * weights.scale)
        values = graph.rng.integers(-3000, 3001, 7).astype(np.int32)
        inputs.append(Constant(graph._label("b"), values, np.asarray(scale), np.zeros((), np.int32), None))
    if bias == "float":
        inputs.append(_values(graph, (7,)))
    return _node(graph, "Gemm", inputs)


def _matmul_bias(graph, x, first=False):
    product = _node(graph, "MatMul", [_real(graph, x), _weights(graph, (x.sample.shape[-1], 7))])
    bias = _values(graph, (7,))
    return _quantized(graph, _node(graph, "Add", [bias, product] if first else [product, bias]))


def _conv_batch_norm(graph, x):
    y = _conv()(graph, _real(graph, x))
    gain, bias, mean = (_values(graph, (4,)) for _ in range(3))
    variance = graph.rng.uniform(0.2, 2, 4).astype(np.float32)
    return _quantized(graph, _node(graph, "BatchNormalization", [y], [gain, bias, mean, variance]))


def _conv_vectors(graph, x):
    y = _node(graph, "Mul", [_conv()(graph, _real(graph, x)), _vector(graph, 4)])
    return _quantized(graph, _add(graph, y, _vector(graph, 4)))


def _shortcut_sum(graph, x):
    return _add(graph, _conv(pads=[1] * 4)(graph, _real(graph, x)), _real(graph, x))


def _shortcut(graph, x):
    return _quantized(graph, _node(graph, "Relu", [_shortcut_sum(graph, x)]))


def _two_convs(graph, x):
    a = _conv(pads=[1] * 4)(graph, _real(graph, x))
    b = _conv(kernel=1)(graph, _real(graph, x))
    return _quantized(graph, _node(graph, "Relu", [_add(graph, a, b)]))


def _conv_mean(graph, x):
    return _quantized(graph, _node(graph, "ReduceMean", [_shortcut_sum(graph, x)], axes=[2, 3], keepdims=0))


def _conv_split(graph, x):
    """Both halves of a convolution's float output, which meet again."""
    y = _conv(outputs=6)(graph, _real(graph, x))
    names = [f"half{k}" for k in range(2)]
    graph.nodes.append(helper.make_node("Split", [y.name], names, name="Split", axis=1))
    low, high = (Real(name, part) for name, part in zip(names, np.split(y.sample, 2, axis=2)))
    a, b = _quantized(graph, low), _quantized(graph, high)
    return graph.op("Concat", [a, b], axis=1)


def _conv_concat(graph, x):
    parts = [_conv(kernel=1)(graph, _real(graph, x)), _real(graph, x), _values(graph, (1, 1, 6, 6))]
    return _quantized(graph, _node(graph, "Concat", parts, axis=1))


def _concat_weights(graph, x):
    return _quantized(graph, _node(graph, "Concat", [_real(graph, x), _weights(graph, (1, 3, 6, 6))], axis=1))


def _vector_mul_add(graph, x):
    return _quantized(graph, _add(graph, _node(graph, "Mul", [_real(graph, x), _vector(graph, 4)]), _vector(graph, 4)))


def _normalized(graph, x):
    """Mean and deviation of a camera's channels, taken off in float before the first quantization."""
    graph.nodes.clear()
    y = Real("input", graph.frames[:, None])
    y = _node(graph, "Div", [_node(graph, "Sub", [y, _vector(graph, 4)]), np.abs(_vector(graph, 4))])
    return graph.linear("Conv", _quantized(graph, y), _weights(graph, (3, 4, 3, 3), 0))


def _head(graph, x):
    """A shortcut, the mean of each channel, and a classifier with float weights, all of it left in float."""
    mean = _node(graph, "ReduceMean", [_shortcut_sum(graph, x)], axes=[2, 3], keepdims=0)
    _end(graph, _node(graph, "Gemm", [mean, _values(graph, (7, 4)), _values(graph, (7,))], transB=1))
