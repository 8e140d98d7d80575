"""From trained weights to the files of one version: quantized ONNX, golden frames, figures for the card."""

import hashlib
from pathlib import Path

import numpy as np
import onnx

from zoo import oracle
from zoo.export import to_onnx
from zoo.forward import folded
from zoo.quantize import quantize


def release(folder, stem, net, trained, output_name, calibration, golden, judge, method="minmax"):
    """Writes `folder/stem.onnx` and `folder/stem.golden.npz`; gives the version's figures as a dict.

    `trained`: (params, statistics). `golden`: (inputs, labels or None, kind), where kind says in one
    word whether the inputs were "recorded" or are "synthetic". `judge(model)`: figures of one ONNX
    model on the held-out data; called for the float and for the int8 model.
    """
    path = Path(folder) / f"{stem}.onnx"
    model = to_onnx(net, folded(net, *trained), stem, output_name)
    quantized = quantize(model, calibration, path, method)
    onnx.checker.check_model(quantized, full_check=True)
    opened = oracle.opened(quantized)
    left = opened.float_operators()
    if left:
        raise ValueError(f"{stem}: ONNX Runtime leaves {', '.join(left)} in float; the oracle would not be an integer network")
    write_golden(path, *golden)
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "parameters": net.parameters(),
        "macs": net.macs(),
        "input": [1, *net.input_shape],
        "output": [1, *net.shape(net.output)],
        "float": judge(model),
        "int8": judge(quantized),
        "operators": dict(sorted(_counted(quantized).items())),
        "onnxruntime_graph": dict(sorted(opened.operators().items())),
    }


def write_golden(path, inputs, labels, kind):
    """Writes the frames and the oracle's outputs beside a model, for tests that have no data at hand."""
    inputs = np.ascontiguousarray(inputs, np.float32)
    arrays = {"input": inputs, "output": oracle.run(onnx.load(path), inputs), "kind": np.array(kind)}
    if labels is not None:
        arrays["label"] = np.asarray(labels, np.int64)
    np.savez(path.with_suffix(".golden.npz"), **arrays)


def _counted(model):
    counts = {}
    for node in model.graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return counts
