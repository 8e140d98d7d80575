#!/usr/bin/env bash
# What scale DynamicQuantizeLinear gives for a tensor of zeros: ONNX Runtime 1.32.0 says 1, the reference evaluator of onnx 1.23.2 says 1/255.
#
# The operator's text defines scale = (max - min) / 255, which is 0 here and cannot be divided by; it names no value for this case. A silent
# microphone or a covered camera gives such a tensor. The integers agree (all zero); only code that passes the scale on sees the difference.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

outputs = (("y", TensorProto.UINT8, [4]), ("scale", TensorProto.FLOAT, []), ("zero", TensorProto.UINT8, []))
graph = helper.make_graph(
    [helper.make_node("DynamicQuantizeLinear", ["x"], [name for name, _, _ in outputs])], "dynamic",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])], [helper.make_tensor_value_info(*output) for output in outputs],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
feed = {"x": np.zeros(4, np.float32)}
runtime = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feed)
reference = ReferenceEvaluator(model).run(None, feed)
for name, found in ((f"ONNX Runtime {onnxruntime.__version__}", runtime), (f"onnx {onnx.__version__} reference", reference)):
    print(f"{name}: y {found[0].tolist()}, scale {float(found[1])!r}, zero point {int(found[2])}")
if float(runtime[1]) != 1 or np.float32(reference[1]) != np.float32(1 / 255) or runtime[0].any() or reference[0].any():
    sys.exit("changed: this finding no longer holds")
print("as found: two scales for the same zeros")
PYTHON
