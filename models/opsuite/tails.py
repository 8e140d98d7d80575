"""Cases of models whose last operator is not quantized, so that they end in float."""

from opsuite.case import single


# The smallest normal float. Below it ONNX Runtime's exponential gives 0 on some processors and a subnormal number on others.
SMALLEST = 2.0**-126


def cases():
    """All tails."""
    result = []
    for dtype in ("i8", "u8"):
        for name, shape, axis in (("10", (10,), -1), ("1000", (1000,), 1), ("rows", (6, 9), -1), ("channels", (5, 3, 4), 1)):
            result.append(single(f"tail_softmax_{name}", "Softmax", shape, _softmax(axis), dtype=dtype, relative=1e-6, absolute=SMALLEST, scale=0.08))
        # Some shares are so small that ONNX Runtime's exponential loses digits.
        result.append(single("tail_softmax_coarse", "Softmax", (20,), _softmax(-1), dtype=dtype, relative=1e-6, absolute=1e-35, scale=0.4))
        for kind in ("Sigmoid", "Tanh", "Relu"):
            # ONNX Runtime's own approximations are that good, absolutely.
            result.append(single(f"tail_{kind.lower()}", kind, (5, 4, 6), lambda g, x, k=kind: g.end(k, [x], step=1e-7), dtype=dtype, tolerance=3, scale=0.05))
        result.append(single("tail_classifier", "Softmax", (3, 8, 8), _classifier, dtype=dtype, relative=1e-6, absolute=SMALLEST))
    return result


def _softmax(axis):
    return lambda graph, x: graph.end("Softmax", [x], axis=axis)


def _classifier(graph, x):
    x = graph.linear("Conv", x, graph.constant((8, 3, 3, 3), "i8", 0), strides=[2, 2])
    x = graph.op("Flatten", [graph.op("GlobalAveragePool", [x])], out="same", axis=1)
    graph.end("Softmax", [graph.linear("Gemm", x, graph.constant((5, 8), "i8", 0), transB=1)], axis=1)
