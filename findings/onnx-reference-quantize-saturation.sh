#!/usr/bin/env bash
# The reference evaluator of onnx 1.23.2 quantizes a large positive value to the lowest integer.
#
# QuantizeLinear saturates: 3e9 at scale 1 is 127 in int8, as ONNX Runtime answers. The reference casts the rounded quotient to int32 first,
# which is out of range beyond 2^31, and saturates what comes out. Whoever takes the reference as the oracle for outliers is misled.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import platform
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

if platform.machine() != "x86_64":
    sys.exit("seen on x86-64 only: what an integer cast gives out of range is the processor's")
x = np.array([100, 2e9, 3e9, 1e20, -3e9], np.float32)
values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [len(x)]), helper.make_tensor_value_info("y", TensorProto.INT8, [len(x)])]
constants = [numpy_helper.from_array(np.float32(1), "scale"), numpy_helper.from_array(np.int8(0), "zero")]
graph = helper.make_graph([helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])], "quantize", values[:1], values[1:], constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
reference = ReferenceEvaluator(model).run(None, {"x": x})[0].tolist()
runtime = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0].tolist()
print(f"QuantizeLinear to int8 at scale 1 of {x.tolist()}")
print(f"ONNX Runtime {onnxruntime.__version__}: {runtime}")
print(f"onnx {onnx.__version__} reference: {reference}")
if runtime != [100, 127, 127, 127, -128] or reference != [100, 127, -128, -128, -128]:
    sys.exit("changed: this finding no longer holds")
print("as found: beyond 2^31 the reference saturates to the wrong end")
PYTHON
