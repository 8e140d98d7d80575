#!/usr/bin/env bash
# ONNX Runtime 1.32.0's quantizer raises a ValueError on a grouped ConvTranspose with a bias when weights are quantized per channel.
#
# The weights of a ConvTranspose are [C, M/group, kH, kW], so they get M/group scales along axis 1, while the bias has M values.
# Without groups, without a bias, or per tensor the same network is quantized. The error names neither the node nor the option.
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


class Frames(CalibrationDataReader):
    def __init__(self):
        random = np.random.default_rng(1)
        self.frames = iter([{"x": random.normal(size=(1, 4, 6, 6)).astype(np.float32)} for _ in range(4)])

    def get_next(self):
        return next(self.frames, None)


def outcome(group, bias, per_channel):
    random = np.random.default_rng(2)
    constants = {"w": random.normal(size=(4, 4 // group, 2, 2)).astype(np.float32)}
    if bias:
        constants["b"] = random.normal(size=4).astype(np.float32)
    node = helper.make_node("ConvTranspose", ["x", *constants], ["y"], group=group)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 6, 6])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 7, 7])
    graph = helper.make_graph([node], "up", [x], [y], [numpy_helper.from_array(value, name) for name, value in constants.items()])
    before = f"{sys.argv[1]}/float.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), before)
    try:
        quantize_static(
            before, f"{sys.argv[1]}/int8.onnx", Frames(), quant_format=QuantFormat.QDQ, per_channel=per_channel,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
        )
    except ValueError as error:
        return f"ValueError: {error}"
    return "quantized"


print(f"onnxruntime {onnxruntime.__version__}, quantize_static of one ConvTranspose, 4 channels in and out")
seen = {}
for case in ((2, True, True), (1, True, True), (2, False, True), (2, True, False)):
    seen[case] = outcome(*case)
    group, bias, per_channel = case
    print(f"group {group}, {'with' if bias else 'without'} bias, per {'channel' if per_channel else 'tensor'}: {seen[case]}")
failed = [case for case, text in seen.items() if text != "quantized"]
if failed != [(2, True, True)] or not seen[2, True, True].startswith("ValueError"):
    sys.exit("changed: this finding no longer holds")
print("as found: only groups, bias, and per-channel weights together fail")
PYTHON
