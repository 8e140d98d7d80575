"""The `onnx` package's own node tests, discovered, for every operator that the compiler knows.

Each float test gives two cases: the model as it is, with what ONNX expects, for the float executor; and the same
operator quantized (QuantizeLinear and DequantizeLinear around it), with what ONNX Runtime answers, for the engine. Tests
of quantization operators go to both as they are. Scales, weights, and everything else but the data become constants.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, defs, helper, numpy_helper

from zoo import oracle

QUANTIZATION = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "MatMulInteger", "ConvInteger", "DynamicQuantizeLinear"}
# All inputs are data; of other operators only the first.
_ALL_DATA = {"Add", "Sub", "Mul", "Div", "MatMul", "Concat", "Max", "Min", "Pow"}
_WEIGHTED = {"Conv", "ConvTranspose", "Gemm"}
# The newest operator set that every executor here reads.
OPSET = 21


@dataclass
class NodeCase:
    """A finished case: `inputs` and `outputs` by name, `steps` the tolerance's unit by output."""

    name: str
    operator: str
    executor: str
    model: object
    inputs: dict
    outputs: dict
    steps: dict
    tolerance: float = 0.0
    relative: float = 0.0
    absolute: float = 0.0
    fused: bool = False
    setting: str = ""


def cases(operators):
    """All cases of `operators`, and the number of tests that have none, by reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        tests = collect_testcases(None)
    wanted = set(operators) | QUANTIZATION
    result, left_out = [], []
    for test in sorted(tests, key=lambda test: test.name):
        nodes = test.model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in wanted or nodes[0].domain:
            continue
        for number, (inputs, outputs) in enumerate(test.data_sets or []):
            name = f"{test.name}{f'_{number}' if number else ''}"
            try:
                result += list(_of(test, name, inputs, outputs))
            except Unsuited as why:
                left_out.append((nodes[0].op_type, name, str(why)))
    return result, left_out


class Unsuited(Exception):
    """A test that says nothing about these executors."""


def _of(test, name, inputs, outputs):
    node = test.model.graph.node[0]
    named = {value.name: np.asarray(array) for value, array in zip(test.model.graph.input, inputs)}
    expected = {value.name: np.asarray(array) for value, array in zip(test.model.graph.output, outputs)}
    if any(array.dtype == object or 0 in array.shape for array in (*named.values(), *expected.values())):
        raise Unsuited("no tensors of fixed size")
    if not node.input or node.input[0] not in named:
        raise Unsuited("no input")
    data = [node.input[0]]
    if node.op_type in _ALL_DATA:
        data = [i for i in dict.fromkeys(node.input) if i in named]
    kinds = {named[i].dtype.name for i in data}
    if node.op_type in QUANTIZATION:
        if not kinds <= {"float32", "int8", "uint8", "int16", "int32"}:
            raise Unsuited(f"a type that no executor here reads: {', '.join(sorted(kinds))}")
    elif kinds != {"float32"}:
        raise Unsuited("its data is not float32")
    if not all(np.isfinite(array).all() for array in named.values() if array.dtype == np.float32):
        raise Unsuited("its data is not finite")
    if node.op_type == "Dropout" and any(array.dtype == bool and array.all() for array in named.values()):
        raise Unsuited("training")
    opset = _opset(node, test.model)
    constants = {key: array for key, array in named.items() if key not in data}
    # Means and masks beside the answer are not what an inference is for; a part of a Split is.
    if node.op_type != "Split" and node.op_type not in QUANTIZATION and len(expected) > 1:
        first = node.output[0]
        expected = {first: expected[first]}
    model = _model(name, [node], {i: named[i] for i in data}, expected, constants, opset)
    exact = node.op_type in QUANTIZATION and not any(a.dtype.kind == "f" for a in expected.values())
    loose = {} if exact else dict(relative=max(test.rtol, 1e-4), absolute=max(test.atol, 1e-6))
    plain = dict(operator=node.op_type, model=model, inputs={i: named[i] for i in data}, outputs=expected, steps={k: 1.0 for k in expected})
    yield NodeCase(name=f"node_{name}", executor="tract", **plain, **loose)
    if node.op_type in QUANTIZATION:
        yield NodeCase(name=f"node_{name}_engine", executor="engine", fused=True, **plain, **loose)
    else:
        try:
            yield _quantized(name, node, data, named, expected, opset)
        except Unsuited:
            # ONNX Runtime's quantization lags behind the newest operator sets.
            yield _quantized(name, node, data, named, expected, min(opset, OPSET))


def _opset(node, model):
    """The operator set of the model, or an older one with the same operator."""
    imported = next(entry.version for entry in model.opset_import if not entry.domain)
    since = defs.get_schema(node.op_type, imported, "").since_version
    return min(imported, max(OPSET, since))


def _model(name, nodes, inputs, outputs, constants, opset):
    kind = lambda array: helper.np_dtype_to_tensor_dtype(array.dtype)
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info(k, kind(a), a.shape) for k, a in inputs.items()],
        [helper.make_tensor_value_info(k, kind(a), a.shape) for k, a in outputs.items()],
        [numpy_helper.from_array(a, k) for k, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8 if opset < 19 else 10
    return model


def _quantized(name, node, data, named, expected, opset):
    """The same operator between quantized tensors, with ONNX Runtime's answers."""
    nodes, constants, renamed = [], {}, {}
    scales = {}

    def pair(source, target, low, high):
        low, high = min(float(low), 0.0), max(float(high), 0.0)
        scale = np.float32(max(high - low, 1e-3) / 255)
        zero = np.int8(np.clip(np.rint(-128 - low / scale), -128, 127))
        constants[f"{target}_scale"], constants[f"{target}_zero"] = np.asarray(scale), np.asarray(zero)
        parameters = [f"{target}_scale", f"{target}_zero"]
        nodes.append(helper.make_node("QuantizeLinear", [source, *parameters], [f"{target}_stored"], name=f"{target}_quantize"))
        nodes.append(helper.make_node("DequantizeLinear", [f"{target}_stored", *parameters], [target], name=f"{target}_dequantize"))
        return scale

    for value in data:
        renamed[value] = f"{value}_real"
        scales[value] = pair(value, renamed[value], named[value].min(), named[value].max())
    for place, value in enumerate(node.input):
        if value in renamed or value not in named:
            continue
        array = named[value]
        if node.op_type in _WEIGHTED and array.dtype == np.float32 and place in (1, 2):
            renamed[value] = f"{value}_real"
            scale = np.float32(max(np.abs(array).max(), 1e-3) / 127)
            kind = np.int8
            if place == 2:
                scale, kind = np.float32(scales[node.input[0]] * scales[node.input[1]]), np.int32
            scales[value] = scale
            constants[f"{value}_stored"] = np.rint(array / scale).astype(kind)
            constants[f"{value}_scale"] = np.asarray(scale)
            constants[f"{value}_zero"] = np.zeros((), kind)
            nodes.append(helper.make_node("DequantizeLinear", [f"{value}_stored", f"{value}_scale", f"{value}_zero"], [renamed[value]], name=f"{value}_dequantize"))
        else:
            constants[value] = array
    renamed |= {o: f"{o}_plain" for o in node.output if o in expected and expected[o].dtype == np.float32}
    centre = helper.make_node(node.op_type, [renamed.get(i, i) for i in node.input], [renamed.get(o, o) for o in node.output], name=node.op_type)
    centre.attribute.extend(node.attribute)
    nodes.append(centre)
    # Scales of the outputs from what the float operator gives, as a quantizer would choose them.
    steps = {}
    outputs = dict(expected)
    for output, array in expected.items():
        steps[output] = 1.0
        if array.dtype == np.float32:
            finite = array[np.isfinite(array)]
            low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
            steps[output] = float(pair(renamed[output], f"{output}", low, high))
    inputs = {i: named[i] for i in data}
    model = _model(name, nodes, inputs, outputs, constants, opset)
    try:
        opened = oracle.opened(model)
        answers = opened.session.run(list(outputs), inputs)
    except (oracle.Inexact, oracle.Unproved):
        raise
    except Exception as error:
        raise Unsuited(f"ONNX Runtime does not run it quantized: {str(error)[:90]}") from error
    left = opened.float_operators()
    return NodeCase(
        name=f"node_{name}_engine", operator=node.op_type, executor="engine", model=model, inputs=inputs, outputs=dict(zip(outputs, answers)), steps=steps,
        tolerance=1.0 if left else 0.0, fused=not left, setting=opened.setting,
    )


def write(case, folder, narrow):
    """Writes a case and gives its entry in the index."""
    (folder / f"{case.name}.onnx").write_bytes(case.model.SerializeToString())
    arrays = {k: narrow(np.ascontiguousarray(a))[None] for k, a in (*case.inputs.items(), *case.outputs.items())}
    np.savez(folder / f"{case.name}.npz", **arrays)
    return {
        "name": case.name, "operator": case.operator, "executors": [case.executor], "source": "onnx", "tolerance": case.tolerance,
        "relative": case.relative, "absolute": case.absolute, "steps": case.steps, "fused": case.fused, "setting": case.setting,
    }
