#!/usr/bin/env bash
# ONNX Runtime 1.32.0's quantizer: "per channel" for a batched MatMul means one scale for each row of K, the axis that is summed over.
#
# For MatMul weights [K, N] quantize_static gives each of the N output channels its scale. For weights [B, K, N] it writes K scales (axis 1),
# which no integer kernel can use: products of different scales cannot be added before they are scaled.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import logging
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

logging.disable(logging.WARNING)
K, N = 8, 5


class Frames(CalibrationDataReader):
    def __init__(self, shape):
        random = np.random.default_rng(1)
        self.frames = iter([{"x": random.normal(size=shape).astype(np.float32)} for _ in range(4)])

    def get_next(self):
        return next(self.frames, None)


def scales(batch):
    """Count of the weights' scales, and the axis that they lie along."""
    weights = np.random.default_rng(2).normal(size=(*batch, K, N)).astype(np.float32)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [*batch, 4, K])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [*batch, 4, N])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "matmul", [x], [y], [numpy_helper.from_array(weights, "w")])
    before, after = f"{sys.argv[1]}/float.onnx", f"{sys.argv[1]}/int8.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), before)
    quantize_static(
        before, after, Frames((*batch, 4, K)), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
    )
    graph = onnx.load(after).graph
    (node,) = (n for n in graph.node if n.op_type == "DequantizeLinear" and "w_quantized" in n.input)
    (scale,) = (i for i in graph.initializer if i.name == node.input[1])
    (axis,) = (a.i for a in node.attribute if a.name == "axis")
    return scale.dims[0], axis


plain, batched = scales(()), scales((2,))
print(f"onnxruntime {onnxruntime.__version__}, quantize_static(per_channel=True), K = {K}, N = {N}")
print(f"weights [K, N]:    {plain[0]} scales along axis {plain[1]}")
print(f"weights [2, K, N]: {batched[0]} scales along axis {batched[1]}")
if plain != (N, 1) or batched != (K, 1):
    sys.exit("changed: this finding no longer holds")
print("as found: a batched MatMul gets its scales along K")
PYTHON
