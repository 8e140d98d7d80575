"""Walks the schemas of the `onnx` package: every operator, every operator set in which it changed, every attribute.

For each a small quantized model is written in which that attribute has a value other than its default, beside one in
which no attribute is set that need not be, with ONNX Runtime's answers. What an engine makes of one is either those
answers or a refusal that names the attribute. What ONNX Runtime itself does not take is listed in index.json as left out.
An attribute that this file knows no value for is an error, so that a new version of `onnx` is noticed.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# QuantizeLinear and DequantizeLinear are of operator set 10, and ONNX Runtime 1.32 reads up to 27.
OLDEST, NEWEST = 10, 27
SHAPE = (1, 4, 6, 6)
POOL = dict(kernel_shape=[3, 3])
WINDOW = dict(auto_pad=["SAME_UPPER", "SAME_LOWER", "VALID"], dilations=[[2, 2]], kernel_shape=[[3, 3]], pads=[[1, 0, 2, 1]], strides=[[2, 1]])
COORDINATES = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "tf_crop_and_resize", "half_pixel_symmetric", "tf_half_pixel_for_nn"]

# Values to try, by operator and attribute; what else must be set for a value, in `TOGETHER`.
VALUES = {
    "ArgMax": dict(axis=[1, -1], keepdims=[0], select_last_index=[1]),
    "ArgMin": dict(axis=[1, -1], keepdims=[0], select_last_index=[1]),
    "AveragePool": dict(WINDOW, ceil_mode=[1], count_include_pad=[1]),
    "BatchNormalization": dict(epsilon=[0.5], momentum=[0.5], training_mode=[1], spatial=[0]),
    "Cast": dict(to=[6, 7, 10, 11], saturate=[0], round_mode=["down", "nearest"]),
    "Celu": dict(alpha=[0.3]),
    "Clip": dict(max=[0.7], min=[-0.4]),
    "Concat": dict(axis=[1, 2, -1]),
    "Conv": dict(WINDOW, group=[2]),
    "ConvTranspose": dict(WINDOW, group=[2], output_padding=[[1, 1]], output_shape=[[7, 8]]),
    "DepthToSpace": dict(blocksize=[2], mode=["CRD"]),
    "DequantizeLinear": dict(axis=[0, 1, -1], block_size=[2], output_dtype=[1, 10]),
    "Dropout": dict(ratio=[0.9], seed=[3]),
    "Elu": dict(alpha=[0.3]),
    "Flatten": dict(axis=[0, 2, 4, -1]),
    "Gather": dict(axis=[1, 2, -1]),
    "Gelu": dict(approximate=["tanh"]),
    "Gemm": dict(alpha=[0.5], beta=[2.0], transA=[1], transB=[1]),
    "HardSigmoid": dict(alpha=[0.4], beta=[0.1]),
    "LayerNormalization": dict(axis=[1, 2], epsilon=[0.5], stash_type=[10, 16]),
    "LeakyRelu": dict(alpha=[0.3]),
    "MaxPool": dict(WINDOW, ceil_mode=[1], storage_order=[1]),
    "Pad": dict(mode=["edge", "reflect", "wrap"], pads=[[0, 0, 2, 1, 0, 0, 1, 0]], value=[0.2]),
    "QLinearConv": dict(WINDOW, group=[2]),
    "QuantizeLinear": dict(axis=[0, 1, -1], block_size=[2], output_dtype=[2, 3], precision=[1, 10], saturate=[0]),
    "ReduceMax": dict(axes=[[1], [2, 3], [-1]], keepdims=[0], noop_with_empty_axes=[1]),
    "ReduceMean": dict(axes=[[1], [2, 3], [-1]], keepdims=[0], noop_with_empty_axes=[1]),
    "ReduceMin": dict(axes=[[1], [2, 3], [-1]], keepdims=[0], noop_with_empty_axes=[1]),
    "ReduceSum": dict(axes=[[1], [2, 3], [-1]], keepdims=[0], noop_with_empty_axes=[1]),
    "Reshape": dict(allowzero=[1]),
    "Resize": dict(
        antialias=[1], axes=[[2, 3]], coordinate_transformation_mode=COORDINATES, cubic_coeff_a=[-0.5], exclude_outside=[1], extrapolation_value=[1.5],
        keep_aspect_ratio_policy=["not_larger", "not_smaller"], mode=["linear", "cubic"], nearest_mode=["round_prefer_ceil", "floor", "ceil"],
    ),
    "Selu": dict(alpha=[0.7], gamma=[2.0]),
    "Softmax": dict(axis=[0, 1, 2, 3, -1, -2]),
    "SpaceToDepth": dict(blocksize=[2], mode=["CRD"]),
    "Split": dict(axis=[1, 2, -1], num_outputs=[2, 3], split=[[1, 3]]),
    "Squeeze": dict(axes=[[0]]),
    "Swish": dict(alpha=[2.0]),
    "ThresholdedRelu": dict(alpha=[0.3]),
    "Transpose": dict(perm=[[0, 2, 3, 1], [0, 1, 3, 2]]),
    "Unsqueeze": dict(axes=[[0], [2]]),
}
# Attributes without which the operator does not stand.
REQUIRED = {
    "AveragePool": POOL, "MaxPool": POOL, "Cast": dict(to=1), "Concat": dict(axis=1), "DepthToSpace": dict(blocksize=2), "SpaceToDepth": dict(blocksize=2),
    "Pad": dict(pads=[0, 0, 1, 2, 0, 0, 2, 1]), "Split": dict(axis=1), "Transpose": {}, "Squeeze": {}, "Unsqueeze": dict(axes=[0]),
}
# Attributes that make another one count.
TOGETHER = {
    ("Split", "num_outputs"): dict(axis=2), ("AveragePool", "ceil_mode"): dict(strides=[2, 2]), ("MaxPool", "ceil_mode"): dict(strides=[2, 2]), ("AveragePool", "count_include_pad"): dict(pads=[1, 1, 1, 1]),
    ("ConvTranspose", "output_padding"): dict(strides=[2, 2]), ("Resize", "cubic_coeff_a"): dict(mode="cubic"), ("Resize", "exclude_outside"): dict(mode="cubic"),
    ("Resize", "antialias"): dict(mode="linear"), ("Resize", "extrapolation_value"): dict(coordinate_transformation_mode="tf_crop_and_resize"),
}
# One output more than the first.
INT64_OUT = {"ArgMax", "ArgMin"}


class Unknown(Exception):
    """An attribute or operator that this file says nothing about."""


def quantize(nodes, constants, value, label, scale, output):
    """QuantizeLinear and DequantizeLinear."""
    from onnx import helper

    constants[f"{label}_scale"], constants[f"{label}_zero"] = np.float32(scale), np.int8(0)
    nodes.append(helper.make_node("QuantizeLinear", [value, f"{label}_scale", f"{label}_zero"], [f"{label}_stored"], name=f"{label}_quantize"))
    nodes.append(helper.make_node("DequantizeLinear", [f"{label}_stored", f"{label}_scale", f"{label}_zero"], [output], name=f"{label}_dequantize"))


def weights(nodes, constants, rng, label, shape, axis=None, more=None):
    """A quantized constant behind a DequantizeLinear."""
    from onnx import helper

    scale = np.float32(0.02) if axis is None else (0.01 + 0.005 * np.arange(shape[axis])).astype(np.float32)
    constants[f"{label}_stored"] = rng.integers(-100, 101, shape).astype(np.int8)
    constants[f"{label}_scale"], constants[f"{label}_zero"] = scale, np.zeros(np.shape(scale), np.int8)
    nodes.append(helper.make_node("DequantizeLinear", [f"{label}_stored", f"{label}_scale", f"{label}_zero"], [label], name=f"{label}_dequantize", **(more or {})))
    return label


def extra_inputs(operator, opset, given, nodes, constants, rng):
    """What the operator reads beside its first input, and the attributes that stand for inputs in this operator set."""
    def const(label, value):
        constants[label] = np.asarray(value)
        return label

    group = given.get("group", 1)
    if operator == "Conv":
        return [weights(nodes, constants, rng, "w", (8, 4 // group, 3, 3))], {}
    if operator == "ConvTranspose":
        return [weights(nodes, constants, rng, "w", (4, 6 // group, 3, 3))], {}
    if operator == "Gemm":
        transposed = given.get("transB", 0)
        rows = 6 if not given.get("transA") else 4
        beside = [weights(nodes, constants, rng, "w", (5, rows) if transposed else (rows, 5))]
        return beside + [const("c", rng.integers(-50, 50, 5).astype(np.float32) / 8)], {}
    if operator == "MatMul":
        return [weights(nodes, constants, rng, "w", (6, 5))], {}
    if operator in ("Add", "Sub", "Mul", "Div", "Max", "Min"):
        return [weights(nodes, constants, rng, "w", SHAPE)], {}
    if operator == "Pow":
        return [const("exponent", np.float32(2))], {}
    if operator == "PRelu":
        return [const("slope", np.float32(0.3))], {}
    if operator == "BatchNormalization":
        return [const(k, (rng.random(4) + 0.5).astype(np.float32)) for k in ("gain", "shift", "mean", "variance")], {}
    if operator == "LayerNormalization":
        axis = given.get("axis", -1) % 4
        return [const("gain", (rng.random(SHAPE[axis:]) + 0.5).astype(np.float32))], {}
    if operator == "Clip":
        if opset < 11:
            return [], {}
        return [const("low", np.float32(-0.5)), const("high", np.float32(1.5))], {}
    if operator == "Concat":
        return [None], {}
    if operator == "Expand":
        return [const("shape", np.array([2, 4, 6, 6]))], {}
    if operator == "Gather":
        return [const("indices", np.array([0, -1]) if given.get("axis", 0) else np.array([0]))], {}
    if operator == "Reshape":
        return [const("shape", np.array([1, 4, 36] if given.get("allowzero") else [0, -1, 6]))], {}
    if operator == "Slice":
        return [const("starts", np.array([1])), const("ends", np.array([3])), const("axes", np.array([2]))], {}
    if operator == "Pad":
        if opset < 11:
            return [], {}
        return [const("pads", np.array([0, 0, 1, 2, 0, 0, 2, 1]))], {}
    if operator == "Split" and "num_outputs" not in given and opset >= 18:
        return [const("parts", np.array([1, SHAPE[given.get("axis", 1)] - 1]))], {}
    if operator in ("Squeeze", "Unsqueeze"):
        return ([], {}) if opset < 13 else ([const("axes", np.array([0]))], {"axes": None})
    if operator.startswith("Reduce") and given.get("noop_with_empty_axes") is None:
        since = 13 if operator == "ReduceSum" else 18
        return ([const("axes", np.array([2, 3]))], {}) if opset >= since else ([], {})
    if operator == "Resize":
        small = given.get("antialias", 0)
        axes = given.get("axes")
        if opset < 11:
            return [const("scales", np.array([1, 1, 1.5, 2], np.float32))], {}
        roi = const("roi", np.array([0, 0, 0.1, 0.2, 1, 1, 0.8, 0.7], np.float32)) if given.get("coordinate_transformation_mode") == "tf_crop_and_resize" else (
            const("roi", np.zeros(0, np.float32)) if opset < 13 else "")
        if "keep_aspect_ratio_policy" in given:
            return [roi, "", const("sizes", np.array([1, 4, 9, 14]))], {}
        scales = [0.5, 0.5] if small else [1.5, 2]
        return [roi, const("scales", np.array(scales if axes else [1, 1, *scales], np.float32))], {}
    return [], {}


def model_of(operator, opset, given, rng):
    """The model, and the frames for it."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], {}
    shape = {"Gemm": (4, 6) if not given.get("transA") else (4, 6), "Squeeze": SHAPE}.get(operator, SHAPE)
    if operator == "Softmax" and opset < 13:
        shape = (1, 4, 6, 6)
    entry = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    frames = (rng.normal(0, 1.5, (4, *shape))).astype(np.float32)
    if operator == "QuantizeLinear":
        return _quantize_model(opset, given, rng, entry, frames, nodes, constants)
    if operator == "DequantizeLinear":
        quantize(nodes, constants, "input", "x", 0.04, "real")
        shape = (6, 8)
        axis = given.get("axis", 1)
        w = _dequantized(given, rng, nodes, constants, shape, axis)
        nodes.append(helper.make_node("MatMul", ["real", w], ["plain"], name="node"))
        quantize(nodes, constants, "plain", "y", 0.2, "output")
        return _finish(nodes, constants, entry, opset, frames, ["output"])
    if operator == "QLinearConv":
        group = given.get("group", 1)
        constants |= {"xs": np.float32(0.04), "xz": np.int8(3), "ws": np.float32(0.02), "wz": np.int8(0), "ys": np.float32(0.2), "yz": np.int8(-5)}
        constants["w"] = rng.integers(-100, 101, (8, 4 // group, 3, 3)).astype(np.int8)
        nodes.append(helper.make_node("QuantizeLinear", ["input", "xs", "xz"], ["stored"], name="q"))
        nodes.append(helper.make_node("QLinearConv", ["stored", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["sum"], name="node", **given))
        nodes.append(helper.make_node("DequantizeLinear", ["sum", "ys", "yz"], ["output"], name="dq"))
        return _finish(nodes, constants, entry, opset, frames, ["output"])
    quantize(nodes, constants, "input", "x", 0.04, "real")
    extra, attributes = extra_inputs(operator, opset, given, nodes, constants, rng)
    attributes = {k: v for k, v in {**attributes, **given}.items() if not (k == "axes" and attributes.get("axes", 0) is None)}
    count = given.get("num_outputs", 2) if operator == "Split" else 1
    if operator == "BatchNormalization" and given.get("training_mode"):
        outputs = ["plain0", "running_mean", "running_variance"]
    else:
        outputs = [f"plain{i}" for i in range(count)]
    data = ["real"] + [("real" if e is None else e) for e in extra]
    nodes.append(helper.make_node(operator, data, outputs, name="node", **attributes))
    if operator in INT64_OUT:
        nodes[-1].output[0] = "output"
        return _finish(nodes, constants, entry, opset, frames, ["output"], TensorProto.INT64)
    results = []
    for i in range(count):
        name = "output" if i == 0 else f"output{i}"
        quantize(nodes, constants, f"plain{i}", f"y{i}", 0.03 if operator not in ("Conv", "ConvTranspose", "Gemm", "MatMul") else 0.2, name)
        results.append(name)
    return _finish(nodes, constants, entry, opset, frames, results)


def _dequantized(given, rng, nodes, constants, shape, axis):
    if "block_size" in given:
        constants["w_stored"] = rng.integers(-100, 101, shape).astype(np.int8)
        constants["w_scale"] = (0.01 + rng.random((shape[0] // 2, shape[1])) / 50).astype(np.float32)
        constants["w_zero"] = np.zeros((shape[0] // 2, shape[1]), np.int8)
        from onnx import helper

        nodes.append(helper.make_node("DequantizeLinear", ["w_stored", "w_scale", "w_zero"], ["w"], name="node_w", axis=0, block_size=2))
        return "w"
    per_axis = axis if "axis" in given else None
    return weights(nodes, constants, rng, "w", shape, per_axis, given)


def _quantize_model(opset, given, rng, entry, frames, nodes, constants):
    from onnx import helper

    constants |= {"s": np.float32(0.04), "z": np.int8(7)}
    inputs = ["input", "s", "z"]
    kind = given.get("output_dtype")
    if kind is not None:
        inputs = inputs[:2]
    more = dict(given)
    if "block_size" in given:
        constants["s"] = (0.03 + rng.random((1, 4, 6, 3)) / 50).astype(np.float32)
        constants["z"] = np.zeros((1, 4, 6, 3), np.int8)
        more["axis"] = 3
    nodes.append(helper.make_node("QuantizeLinear", inputs, ["stored"], name="node", **more))
    back = ["stored", "s"] + (["z"] if kind is None else [])
    if kind == 3:
        constants["zero"] = np.int8(0)
        back.append("zero")
    nodes.append(helper.make_node("DequantizeLinear", back, ["output"], name="back", **({k: more[k] for k in ("axis", "block_size") if k in more})))
    return _finish(nodes, constants, entry, opset, frames, ["output"])


def _finish(nodes, constants, entry, opset, frames, names, kind=1):
    import onnx
    from onnx import helper, numpy_helper

    exits = [helper.make_tensor_value_info(name, kind if name == "output" else 1, None) for name in names]
    graph = helper.make_graph(nodes, "attributes", [entry], exits, [numpy_helper.from_array(np.asarray(a), k) for k, a in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="sanderling-opsuite")
    model.ir_version = 8 if opset < 19 else 10
    inferred = {v.name: v for v in onnx.shape_inference.infer_shapes(model).graph.output}
    for value in model.graph.output:
        if inferred[value.name].type.tensor_type.HasField("shape"):
            value.CopyFrom(inferred[value.name])
        else:
            value.type.tensor_type.shape.SetInParent()
    return model, frames


def combinations(operators):
    """Operator, operator set, attribute (None for the one without), and all that is set."""
    from onnx import defs

    schemas = {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.name in operators and not schema.deprecated:
            schemas.setdefault(schema.name, []).append(schema)
    for operator in sorted(schemas):
        versions = sorted(schemas[operator], key=lambda s: s.since_version)
        for schema, after in zip(versions, [*versions[1:], None]):
            opset = max(schema.since_version, OLDEST)
            if opset > NEWEST or (after is not None and after.since_version <= opset):
                continue
            required = {k: v for k, v in REQUIRED.get(operator, {}).items() if k in schema.attributes}
            yield operator, opset, None, None, required
            for attribute in sorted(schema.attributes):
                if attribute not in VALUES.get(operator, {}):
                    raise Unknown(f"{operator} of operator set {opset} has the attribute {attribute}, for which opsuite/attributes.py has no value")
                for value in VALUES[operator][attribute]:
                    together = {k: v for k, v in TOGETHER.get((operator, attribute), {}).items() if k in schema.attributes}
                    yield operator, opset, attribute, value, {**required, **together, attribute: value}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write to; made when it is missing")
    parser.add_argument("--operators", required=True, help="operators of ONNX's domain, separated by commas")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    from zoo import oracle

    args.out.mkdir(parents=True, exist_ok=True)
    cases, left_out = [], []
    for number, (operator, opset, attribute, value, given) in enumerate(combinations(set(args.operators.split(",")))):
        name = f"{operator}_{opset}" + ("" if attribute is None else f"_{attribute}_{value}".replace(" ", ""))
        rng = np.random.default_rng([args.seed, number])
        try:
            model, frames = model_of(operator, opset, given, rng)
            runner = oracle.session(model)
            answers = [runner.run(None, {"input": frame}) for frame in frames]
        except Exception as error:
            left_out.append({"name": name, "why": str(error).splitlines()[0][:200]})
            continue
        if any(a.size == 0 for a in answers[0]):
            left_out.append({"name": name, "why": "an output is empty"})
            continue
        names = [o.name for o in runner.get_outputs()]
        arrays = {k: np.stack([a[i] for a in answers]) for i, k in enumerate(names)}
        narrow = {k: a.astype(np.int32) if a.dtype == np.int64 else a for k, a in arrays.items()}
        (args.out / f"{name}.onnx").write_bytes(model.SerializeToString())
        np.savez(args.out / f"{name}.npz", input=frames, **narrow)
        floats = oracle.float_operators(model)
        cases.append({"name": name, "operator": operator, "opset": opset, "attribute": attribute, "value": value, "fused": not floats})
    index = {"oracle": oracle.DESCRIPTION, "cases": cases, "left_out": left_out}
    (args.out / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    print(f"{args.out}: {len(cases)} models, {len(left_out)} that ONNX Runtime does not take")


if __name__ == "__main__":
    try:
        main()
    except Unknown as error:
        sys.exit(f"attributes: {error}")
