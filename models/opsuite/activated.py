"""Cases of a convolution or product whose activation stands before the quantization: ONNX Runtime runs both in float."""

import numpy as np

from opsuite.case import single

NUMBERS = {"three": 3.0, "six": 6.0, "sixth": 1 / 6}
FOLLOWERS = [
    ("leaky", [("LeakyRelu", (), dict(alpha=0.1))], {}),
    ("sigmoid", [("Sigmoid", (), {})], {}),
    ("tanh", [("Tanh", (), {})], {}),
    ("elu", [("Elu", (), dict(alpha=1.0))], {}),
    ("hard_swish", [("HardSwish", (), {})], dict(opset=14)),
    ("hard_sigmoid", [("HardSigmoid", (), dict(alpha=0.2, beta=0.5))], {}),
    ("gelu", [("Gelu", (), {})], dict(opset=20)),
    ("leaky_clip", [("LeakyRelu", (), dict(alpha=0.2)), ("Clip", (np.float32(-1), np.float32(4)), {})], {}),
]


def cases():
    """Each function after each kind of linear operator."""
    result = []
    for dtype in ("i8", "u8"):
        for name, then, more in FOLLOWERS:
            result.append(single(f"conv_activated_{name}", "Conv", (4, 6, 6), _conv(then), dtype=dtype, tolerance=1, scale=0.02, **more))
        result.append(single("conv_activated_silu", "Conv", (4, 6, 6), _silu, dtype=dtype, tolerance=1, scale=0.02))
        result.append(single("conv_activated_depthwise", "Conv", (6, 7, 6), _conv(FOLLOWERS[0][1], group=6, pads=[1, 1, 1, 1]), dtype=dtype, tolerance=1, scale=0.02))
        result.append(single("conv_activated_strided", "Conv", (6, 9, 8), _conv(FOLLOWERS[1][1], group=2, strides=[2, 2], pads=[0, 1, 1, 0]), dtype=dtype, tolerance=1, scale=0.02))
        result.append(single("gemm_activated_leaky", "Gemm", (24,), _gemm(FOLLOWERS[0][1]), dtype=dtype, tolerance=1, scale=0.02))
        result.append(single("gemm_activated_sigmoid", "Gemm", (24,), _gemm(FOLLOWERS[1][1]), dtype=dtype, tolerance=1, scale=0.02))
    return result


def _conv(then, group=1, **attrs):
    def body(graph, x):
        w = graph.constant((6, x.sample.shape[2] // group, 3, 3), "i8", 0, spread=30)
        return graph.linear("Conv", x, w, then=then, group=group, **attrs)

    return body


def _gemm(then):
    return lambda graph, x: graph.linear("Gemm", x, graph.constant((9, 24), "i8", 0, spread=30), then=then, transB=1)


def _silu(graph, x):
    """x · sigmoid(x) of the float output of a convolution, as exporters of detectors leave it."""
    w = graph.constant((6, 4, 3, 3), "i8", 0, spread=30)
    y = graph.linear("Conv", x, w, pads=[1, 1, 1, 1])
    quantize = graph.nodes.pop()
    real = quantize.input[0]
    gate = graph._emit("Sigmoid", [real])
    swish = graph._emit("Mul", [real, gate])
    sample = y.sample / (1 + np.exp(-y.sample))
    return graph.quantize(swish, sample, *graph._range(sample, 1.0, None, None))
