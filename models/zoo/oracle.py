"""ONNX Runtime as the oracle: the one place where its settings are written down.

CPU provider, 1 thread, all optimizations, `session.qdqisint8allowed=1`: without the last one
x86-64 turns signed int8 into uint8 and leaves convolutions beside a residual in float.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

ort.set_default_logger_severity(3)


DESCRIPTION = "ONNX Runtime 1.32.0, CPU provider, x86-64, 1 thread, all optimizations, `session.qdqisint8allowed=1`, batch 1."


def session(model, optimized_path=None):
    """An inference session on a path, or on a model's bytes, with the oracle's settings."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    if optimized_path is not None:
        options.optimized_model_filepath = str(optimized_path)
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    return ort.InferenceSession(source if isinstance(source, bytes) else str(source), options, providers=["CPUExecutionProvider"])


def run(model, frames):
    """First output for each of `frames` (first axis: frames, each fed as a batch of 1), stacked the same way."""
    return run_session(session(model), frames)


def run_session(runner, frames):
    """As `run`, on a session that is open already."""
    (entry,) = runner.get_inputs()
    return np.concatenate([runner.run(None, {entry.name: frame[None]})[0] for frame in frames])


def operators(model):
    """Counter of (domain:)operator in the graph that ONNX Runtime really executes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        session(model, path)
        return Counter(f"{n.domain}:{n.op_type}" if n.domain else n.op_type for n in onnx.load(path).graph.node)


# What may stay between float and integer without any arithmetic of the network in float.
_BORDER = {"QuantizeLinear", "DequantizeLinear"}
_INTEGER = {
    "QLinearConv", "com.microsoft:QLinearConv", "QLinearMatMul", "com.microsoft:QLinearAdd", "com.microsoft:QLinearMul", "com.microsoft:QGemm",
    "com.microsoft:QLinearGlobalAveragePool", "com.microsoft:QLinearAveragePool", "com.microsoft:QLinearSoftmax",
    "com.microsoft:QLinearSigmoid", "com.microsoft:QLinearLeakyRelu", "com.microsoft:QLinearConcat",
}
# Operators that only move or compare values, so that they give the same bits on int8 as on float.
_MOVES = {
    "MaxPool", "com.microsoft:NhwcMaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Resize", "Identity", "Pad", "Concat",
    "Relu", "Clip", "Split", "Gather", "Cast", "DepthToSpace", "SpaceToDepth", "Max", "Min", "ReduceMax", "ReduceMin", "ArgMax", "ArgMin", "GlobalMaxPool",
}


def float_operators(model):
    """Names of the operators that ONNX Runtime leaves in float arithmetic (empty when the graph is integer throughout)."""
    return sorted(op for op in operators(model) if op not in _BORDER | _INTEGER | _MOVES)
