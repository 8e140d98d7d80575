"""Runs a model in ONNX Runtime under each of its settings: what `sanderling compare` starts, with `kernels.py` beside it.

Takes a folder with `request.json` (model, how many inputs, outputs) and `frames.npz` (in0, in1, ...: frames first). Prints
one JSON object a line: {"setting"} when one begins, and last {"report"}. Answers go to `NAME.npz` in the folder (out0, ...).
"""

import json
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, numpy_helper

import kernels

INT8, PRECISION = "session.qdqisint8allowed", "session.x64quantprecision"
# Name of the answers' file, session options, and whether graphs are optimized.
SETTINGS = (
    ("default", (), True),
    ("int8", (INT8,), True),
    ("precision", (PRECISION,), True),
    ("int8-precision", (INT8, PRECISION), True),
    ("unoptimized", (), False),
)


def main():
    folder = Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text())
    ort.set_default_logger_severity(4)
    model = onnx.load(request["model"])
    with np.load(folder / "frames.npz") as file:
        arrays = [file[f"in{k}"] for k in range(request["inputs"])]
    settings = [_setting(folder, request, model, arrays, *setting) for setting in SETTINGS]
    if not any(setting["exact"] for setting in settings):
        settings.append(_widened(folder, request, model, arrays))
    report = {
        "onnxruntime": ort.__version__, "python": platform.python_version(), "numpy": np.__version__, "processor": _processor(),
        "steps": {value.name: _step(model.graph, value.name) for value in model.graph.output}, "settings": settings,
    }
    print(json.dumps({"report": report}), flush=True)


def _setting(folder, request, model, arrays, name, entries, optimized):
    options = _options(entries, optimized)
    found = {"name": name, "options": {entry: "1" for entry in entries} | ({} if optimized else {"graph_optimization_level": "ORT_DISABLE_ALL"})}
    return _tried(found, folder, request, model, arrays, lambda path: _started(request["model"], options, path))


def _widened(folder, request, model, arrays):
    found = {"name": "widened", "options": {INT8: "1"}}

    def start(path):
        plain = folder / "plain.onnx"
        _started(request["model"], _options((INT8,), True), plain)
        return _started(kernels.widened(onnx.load(plain)).SerializeToString(), _options((), False), path)

    return _tried(found, folder, request, model, arrays, start)


def _tried(found, folder, request, model, arrays, start):
    print(json.dumps({"setting": found["name"]}), flush=True)
    found |= {"error": None, "exact": False, "saturating": {}, "float_operators": [], "int8_as_uint8": []}
    try:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "executed.onnx"
            session = start(path)
            executed = onnx.load(path)
        saturating = kernels.inexact(executed)
        counted = kernels.kinds(executed)
        found["saturating"] = {str(kind): counted[kind] for kind in saturating}
        counted = kernels.operators(executed)
        found["float_operators"] = [f"{name} ({counted[name]})" for name in kernels.float_operators(executed)] if found["name"] != "widened" else []
        if _quantized(executed, TensorProto.UINT8) > _quantized(model, TensorProto.UINT8):
            found["int8_as_uint8"] = [f"{name} ({n})" for name, n in sorted(counted.items()) if name.split(":")[-1] in _BY_STORED_TYPE]
        found["exact"] = not (saturating or found["float_operators"] or found["int8_as_uint8"])
        _answer(folder / f"{found['name']}.npz", session, request, arrays)
    except Exception as error:  # ONNX Runtime raises classes of its own, without a common base
        found["error"], found["exact"] = (str(error).strip() or type(error).__name__).splitlines()[0], False
    return found


def _answer(path, session, request, arrays):
    """All frames through the session, one file with an array for each output that the engine gives."""
    entries = session.get_inputs()
    feeds = []
    for entry, array in zip(entries, arrays, strict=True):
        # An open dimension is the batch, of which the engine takes 1.
        shape = [n if isinstance(n, int) and n > 0 else 1 for n in entry.shape]
        feeds.append((entry.name, array.astype(_TYPES.get(entry.type, array.dtype), copy=False), shape))
    names = [value.name for value in session.get_outputs()]
    missing = [name for name in request["outputs"] if name not in names]
    if missing:
        raise ValueError(f"the model has no output {', '.join(missing)}")
    answers = {name: [] for name in request["outputs"]}
    for index in range(request["frames"]):
        given = session.run(list(answers), {name: array[index].reshape(shape) for name, array, shape in feeds})
        for name, value in zip(answers, given):
            answers[name].append(value)
    np.savez(path, **{f"out{k}": np.stack(values).reshape(request["frames"], -1) for k, values in enumerate(answers.values())})


# What rounds ties in another way when its values are stored 128 higher.
_BY_STORED_TYPE = {"QLinearAdd", "QLinearMul", "QLinearAveragePool"}
_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8}


def _options(entries, optimized):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    for entry in entries:
        options.add_session_config_entry(entry, "1")
    return options


def _started(source, options, path):
    options.optimized_model_filepath = str(path)
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _quantized(model, kind):
    """How many activations a graph stores in a type, by the zero points of what makes them."""
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    zero = {"QuantizeLinear": 2, "QLinearConv": 7, "QGemm": 8, "QLinearMatMul": 7, "QLinearAdd": 7, "QLinearMul": 7}
    return sum(types.get(node.input[zero[node.op_type]]) == kind for node in model.graph.node if node.op_type in zero and len(node.input) > zero[node.op_type])


def _step(graph, output):
    """The real value of one step of an output that a DequantizeLinear makes; None for others."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if output in node.output and node.op_type == "DequantizeLinear" and node.input[1] in constants:
            scale = numpy_helper.to_array(constants[node.input[1]])
            return float(scale.reshape(-1)[0]) if scale.size == 1 else None
    return None


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()}, {named[0]}" if named else platform.machine()


main()
