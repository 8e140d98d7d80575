"""Cases of a bias whose own scale, zero point, or type is not that of the sums: ONNX Runtime then dequantizes it and adds it in float.

(Its fused Gemm takes an int32 bias for one of the sums whatever its scale says, so the biases of Gemm here are int8.)
"""

import numpy as np

from opsuite.case import single
from opsuite.graph import Bias

# A power of two as one exporter writes it; finer and coarser than the sums; per tensor where the weights are per channel.
BIASES = {
    "coarse": Bias(factor=10.0), "fine": Bias(factor=0.3), "power_of_two": Bias(power_of_two=True), "zero_point": Bias(zero=5),
    "zero_point_and_scale": Bias(factor=3.7, zero=-40), "int8": Bias(factor=60.0, dtype=np.int8), "int8_zero_point": Bias(factor=60.0, dtype=np.int8, zero=-9),
    "one_scale": Bias(factor=2.0, per_tensor=True),
}


def cases():
    """All of them; where ONNX Runtime adds in float, the nearest of two steps may be the other one."""
    result = []
    for name, bias in BIASES.items():
        for axis in (None, 0):
            label = f"{name}{'' if axis is None else '_per_channel'}"
            for dtype in ("i8", "u8", "i16"):
                opset = 21 if dtype == "i16" else 13
                # A step of 16 bits is not much more than the last bit of a float output.
                result.append(_case(f"bias_{label}", "Conv", bias, axis, tolerance=1.01 if dtype == "i16" else 1, dtype=dtype, opset=opset, pads=[1, 1, 1, 1]))
            result.append(_case(f"bias_{label}_leaky", "Conv", bias, axis, then=[("LeakyRelu", (), {"alpha": 0.1})]))
            result.append(_case(f"bias_{label}_transposed", "ConvTranspose", bias, axis, strides=[2, 2]))
            if bias.dtype == np.int8:
                result.append(_case(f"bias_{label}_gemm", "Gemm", bias, axis, transB=1))
    # So near to the scale of the sums that ONNX Runtime takes it for that.
    result.append(_case("bias_nearly", "Conv", Bias(factor=1.004), 0, tolerance=0))
    return result


def _case(name, kind, bias, axis, then=(), tolerance=1, dtype="i8", opset=13, **attrs):
    def body(graph, x):
        if kind == "ConvTranspose":
            weight = graph.constant((4, 6, 3, 3), "i8", None if axis is None else 1)
        else:
            weight = graph.constant((6, 40) if kind == "Gemm" else (6, 4, 3, 3), "i8", axis)
        return graph.linear(kind, x, weight, bias=bias, then=then, **attrs)

    return single(name, kind, (40,) if kind == "Gemm" else (4, 7, 6), body, dtype=dtype, opset=opset, tolerance=tolerance)
