"""Static int8 quantization by onnxruntime.quantization: QDQ, per-channel weights, scalar activation scales."""

import logging
import tempfile
from pathlib import Path

import zoo.oracle  # noqa: F401  (sets ORT_DISABLE_TELEMETRY before onnxruntime loads)
import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

# The advice to preprocess first does not apply: `zoo.export` folds batch normalization itself.
logging.getLogger().setLevel(logging.ERROR)


class _Frames(CalibrationDataReader):
    def __init__(self, name, frames):
        self._feeds = iter([{name: frame[None]} for frame in frames])

    def get_next(self):
        return next(self._feeds, None)


def quantize(model, frames, path, method="minmax", form="qdq", activations="i8", per_channel=True):
    """Quantizes the float `model` with ranges seen on `frames` (first axis: frames) and writes `path`.

    `method`: "minmax", "entropy" or "percentile" (99.99 %). `form`: "qdq" or "qoperator".
    `activations`: "i8" or "u8"; weights are always i8.
    """
    methods = {"minmax": CalibrationMethod.MinMax, "entropy": CalibrationMethod.Entropy, "percentile": CalibrationMethod.Percentile}
    extra = {"CalibPercentile": 99.99} if method == "percentile" else {}
    frames = np.ascontiguousarray(frames, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        onnx.save(model, source)
        quantize_static(
            str(source), str(path), _Frames(model.graph.input[0].name, frames),
            quant_format={"qdq": QuantFormat.QDQ, "qoperator": QuantFormat.QOperator}[form], per_channel=per_channel,
            activation_type={"i8": QuantType.QInt8, "u8": QuantType.QUInt8}[activations], weight_type=QuantType.QInt8,
            calibrate_method=methods[method], extra_options=extra,
        )
    result = onnx.load(path)
    _check_scalars(result)
    return result


def _check_scalars(model):
    """Every activation scale must be a scalar: ONNX Runtime 1.30 and later fuse nothing else."""
    constants = {t.name: t for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and len(constants[node.input[1]].dims) != 0:
            raise ValueError(f"{node.name}: activation scale has shape {list(constants[node.input[1]].dims)}, not a scalar")
