#!/usr/bin/env bash
# ONNX Runtime 1.32.0 on the CPU: what a quantized Gemm answers depends on the optimization level when its bias has a scale of its own.
#
# A QDQ Gemm whose int32 bias is dequantized with twice sx * sw is valid ONNX. Unfused, the bias counts double, as the file says.
# With all optimizations the graph becomes one QGemm, which takes the bias as if its scale were sx * sw. No warning is printed.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(3)


def gemm(bias_scale):
    constants = {
        "sx": np.float32(0.125), "sw": np.float32(0.125), "sb": np.float32(bias_scale), "sy": np.float32(0.125), "zero": np.int8(0),
        "weights": np.zeros((4, 4), np.int8), "bias": np.array([64, 128, 192, 256], np.int32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "sx", "zero"], ["real_x"]),
        helper.make_node("DequantizeLinear", ["weights", "sw", "zero"], ["real_weights"]),
        helper.make_node("DequantizeLinear", ["bias", "sb"], ["real_bias"]),
        helper.make_node("Gemm", ["real_x", "real_weights", "real_bias"], ["real_y"]),
        helper.make_node("QuantizeLinear", ["real_y", "sy", "zero"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.INT8, [1, 4]) for name in "xy"]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "gemm", values[:1], values[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def answer(model, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.zeros((1, 4), np.int8)})[0][0].tolist()


levels = onnxruntime.GraphOptimizationLevel
print(f"ONNX Runtime {onnxruntime.__version__}; int32 bias 64, 128, 192, 256; sx * sw = 1/64, output scale 1/8")
seen = {}
for name, scale in (("sx * sw", 1 / 64), ("2 * sx * sw", 1 / 32)):
    model = gemm(scale)
    seen[name] = (answer(model, levels.ORT_DISABLE_ALL), answer(model, levels.ORT_ENABLE_ALL))
    print(f"bias scale {name}: without optimizations {seen[name][0]}, with all of them {seen[name][1]}")
once, twice = [8, 16, 24, 32], [16, 32, 48, 64]
if seen != {"sx * sw": (once, once), "2 * sx * sw": (twice, once)}:
    sys.exit("changed: this finding no longer holds")
print("as found: the fused QGemm ignores the scale of the bias")
PYTHON
