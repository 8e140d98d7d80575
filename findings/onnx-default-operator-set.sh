#!/usr/bin/env bash
# A quantized model that onnx 1.23.2 makes with its default operator set does not load in ONNX Runtime 1.32.0, the release beside it.
#
# onnx.helper.make_model writes operator set 28 unless told otherwise. ONNX Runtime loads such a file as long as its operators did not change in
# 28, so a float model runs; QuantizeLinear and DequantizeLinear did change, and the same habit fails with NOT_IMPLEMENTED. Write 27 or less.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(4)


def outcome(nodes, operator_set=None):
    """`runs`, or the error's kind, for a graph from int8 or float `x` to float `y`."""
    kind = TensorProto.INT8 if nodes[0].op_type == "DequantizeLinear" else TensorProto.FLOAT
    constants = [numpy_helper.from_array(np.float32(0.5), "scale"), numpy_helper.from_array(np.int8(0), "zero")]
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("x", kind, [2])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        constants if kind == TensorProto.INT8 else [],
    )
    chosen = {} if operator_set is None else {"opset_imports": [helper.make_opsetid("", operator_set)]}
    model = helper.make_model(graph, ir_version=10, **chosen)
    onnx.checker.check_model(model)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own, without a common base
        return model.opset_import[0].version, type(error).__name__
    session.run(None, {"x": np.ones(2, np.int8 if kind == TensorProto.INT8 else np.float32)})
    return model.opset_import[0].version, "runs"


relu, dequantize = [helper.make_node("Relu", ["x"], ["y"])], [helper.make_node("DequantizeLinear", ["x", "scale", "zero"], ["y"])]
seen = {"Relu": outcome(relu), "DequantizeLinear": outcome(dequantize), "DequantizeLinear, set 27": outcome(dequantize, 27)}
print(f"onnx {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}")
for name, (version, result) in seen.items():
    print(f"{name}: operator set {version}, {result}")
if list(seen.values()) != [(28, "runs"), (28, "NotImplemented"), (27, "runs")]:
    sys.exit("changed: this finding no longer holds")
print("as found: the default operator set suits float models only")
PYTHON
