"""Cases of a few operators together, as they stand in real networks."""

import numpy as np

from opsuite.case import single

RELU = [("Relu", (), {})]


def cases():
    """All blocks."""
    result = []
    for dtype in ("i8", "u8"):
        for form in ("qdq", "qoperator"):
            result.append(single("block_residual", "block", (8, 7, 7), _residual, form=form, dtype=dtype))
            result.append(single("block_classifier", "block", (3, 12, 10), _classifier, form=form, dtype=dtype, tolerance=1))
            result.append(single("block_encoder_decoder", "block", (2, 8, 8), _encoder_decoder, form=form, dtype=dtype))
            result.append(single("block_inception", "block", (4, 6, 6), _inception, form=form, dtype=dtype))
        result.append(single("block_separable_relu", "block", (6, 9, 8), _separable, dtype=dtype))
        result.append(single("block_squeeze_excite", "block", (6, 5, 5), _squeeze_excite, dtype=dtype, tolerance=2))
        result.append(single("block_inverted_residual_hard_swish", "block", (6, 6, 6), _hard_swish, dtype=dtype, opset=14, tolerance=2))
        result.append(single("block_nhwc_in", "block", (9, 8, 3), _nhwc, dtype=dtype, integer=True))
    return result


def _conv(graph, x, out, kernel=1, relu=False, fill=1.0, **attrs):
    channels = x.sample.shape[2]
    w = graph.constant((out, channels // attrs.get("group", 1), kernel, kernel), "i8", 0)
    lowest = {"i8": -128, "u8": 0}[graph.dtype]
    side = kernel // 2
    then, zero = ((), lowest) if relu and graph.form == "qoperator" else (RELU if relu else (), None)
    return graph.linear("Conv", x, w, then=then, zero=zero, fill=fill, pads=[side] * 4, **attrs)


def _residual(graph, x):
    y = _conv(graph, x, 8, 3, relu=True)
    y = _conv(graph, y, 8, 3)
    return graph.op("Add", [y, x])


def _separable(graph, x):
    x = _conv(graph, x, 6, 3, relu=True, group=6, strides=[2, 2])
    return _conv(graph, x, 11, relu=True)


def _classifier(graph, x):
    x = _conv(graph, x, 8, 3, relu=True, strides=[2, 2])
    x = _conv(graph, x, 8, 3, relu=True, group=8)
    x = _conv(graph, x, 12, relu=True)
    x = graph.op("GlobalAveragePool", [x])
    x = graph.op("Flatten", [x], out="same", axis=1)
    x = graph.linear("Gemm", x, graph.constant((5, 12), "i8", 0 if graph.form == "qdq" else None), transB=1)
    return graph.op("Softmax", [x], axis=1)


def _encoder_decoder(graph, x):
    skip = _conv(graph, x, 6, 3, relu=True)
    y = _conv(graph, skip, 10, 3, relu=True, strides=[2, 2])
    y = graph.op("Resize", [y], plain=[None, np.array([1, 1, 2, 2], np.float32)], out="same",
                 mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    y = graph.op("Concat", [y, skip], axis=1)
    return _conv(graph, y, 2, 3)


def _inception(graph, x):
    pooled = graph.op("AveragePool", [x], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    parts = [_conv(graph, x, 3, 1, relu=True), _conv(graph, x, 4, 3, relu=True), _conv(graph, pooled, 2, 1)]
    return graph.op("Concat", parts, axis=1)


def _squeeze_excite(graph, x):
    gate = graph.op("GlobalAveragePool", [x])
    gate = _conv(graph, gate, 3, relu=True)
    gate = graph.op("Sigmoid", [_conv(graph, gate, 6)])
    return graph.op("Mul", [x, gate])


def _hard_swish(graph, x):
    y = graph.op("HardSwish", [_conv(graph, x, 12)])
    y = graph.op("HardSwish", [_conv(graph, y, 12, 3, group=12)])
    return graph.op("Add", [x, _conv(graph, y, 6)])


def _nhwc(graph, x):
    x = graph.op("Transpose", [x], out="same", perm=[0, 3, 1, 2])
    x = _conv(graph, x, 7, 3, relu=True)
    return graph.op("Transpose", [x], out="same", perm=[0, 2, 3, 1])
