#!/usr/bin/env bash
# ONNX Runtime 1.32.0 on the CPU rounds float activations to 8 bits when only the weights of a MatMul are quantized.
#
# int8 weights -> DequantizeLinear -> MatMul with a float input is a float product by the file. With all optimizations the two nodes become one
# MatMulNBits whose default accuracy level lets it quantize the activations too, in blocks. session.qdq_matmulnbits_accuracy_level=1 keeps them.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - "$folder/optimized.onnx" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(3)
K, N = 128, 3
random = np.random.default_rng(1)
weights, x = random.integers(-127, 128, (K, N)).astype(np.int8), random.normal(size=(1, K)).astype(np.float32)
nodes = [helper.make_node("DequantizeLinear", ["weights", "scale", "zero"], ["real"]), helper.make_node("MatMul", ["x", "real"], ["y"])]
constants = {"weights": weights, "scale": np.float32(0.01), "zero": np.int8(0)}
graph = helper.make_graph(
    nodes, "product", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, K])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, N])],
    [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
exact = x.astype(np.float64) @ (weights * np.float64(np.float32(0.01)))


def error(level, **entries):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = sys.argv[1]
    for name, value in entries.items():
        options.add_session_config_entry(f"session.{name}", value)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    operators = ", ".join(node.op_type for node in onnx.load(sys.argv[1]).graph.node)
    return float(np.abs(session.run(None, {"x": x})[0] - exact).max()), operators


levels = onnxruntime.GraphOptimizationLevel
rows = {
    "without optimizations": error(levels.ORT_DISABLE_ALL),
    "with all of them": error(levels.ORT_ENABLE_ALL),
    "... and qdq_matmulnbits_accuracy_level=1": error(levels.ORT_ENABLE_ALL, qdq_matmulnbits_accuracy_level="1"),
}
print(f"ONNX Runtime {onnxruntime.__version__}, float x [1, {K}] times int8 weights [{K}, {N}] at scale 0.01")
for name, (difference, operators) in rows.items():
    print(f"{name}: {operators}, at most {difference:.1e} from the exact product")
plain, optimized, levelled = (difference for difference, _ in rows.values())
if rows["with all of them"][1] != "MatMulNBits" or not (plain < 1e-5 and levelled < 1e-5 and optimized > 1e-3):
    sys.exit("changed: this finding no longer holds")
print("as found: a weight-only product loses its activations' precision unless asked not to")
PYTHON
