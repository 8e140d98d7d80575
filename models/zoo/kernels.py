"""Which of ONNX Runtime's integer kernels compute exactly on this processor, found by running them.

On x86-64 without VNNI the kernels for uint8 activations and int8 weights add two products in 16 bits and clamp the sum:
255 * 127 + 255 * 127 becomes 32,767. Instruction sets do not decide here: each kind of kernel (an operator and the
types of its two operands) is run on operands that saturate and is held against integer arithmetic in NumPy.
The command `sanderling compare` carries this file with it: it needs onnx, onnxruntime and NumPy, and nothing else.
"""

import functools
from collections import Counter
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

NAMES = {TensorProto.UINT8: "uint8", TensorProto.INT8: "int8"}
_NUMPY = {TensorProto.UINT8: np.uint8, TensorProto.INT8: np.int8}


@dataclass(frozen=True)
class Operands:
    """Where an operator that sums products has its operands and their zero points; None where it has none."""

    a: int
    a_zero: int | None
    b: int
    b_zero: int


PRODUCTS = {
    "QLinearConv": Operands(0, 2, 3, 5),
    "QLinearMatMul": Operands(0, 2, 3, 5),
    "QGemm": Operands(0, 2, 3, 5),
    "ConvInteger": Operands(0, 2, 1, 3),
    "MatMulInteger": Operands(0, 2, 1, 3),
    "MatMulIntegerToFloat": Operands(0, 4, 1, 5),
    # Quantizes its float operand to uint8 by itself.
    "DynamicQuantizeMatMul": Operands(0, None, 1, 3),
}
# These take operands of both types and multiply none with another.
_NO_PRODUCTS = {"QLinearConcat"}


@dataclass(frozen=True)
class Kind:
    """One kind of kernel: the operator, the element types (of `TensorProto`) of its two operands, and whether the second
    is a constant within -64 and 64, as quantizers write it with `reduce_range`."""

    operator: str
    a: int
    b: int
    reduced: bool = False

    def __str__(self):
        return f"{self.operator} of {NAMES.get(self.a, self.a)} and {'reduced ' if self.reduced else ''}{NAMES.get(self.b, self.b)}"


class Unproved(Exception):
    """A kernel of which nobody can say here whether it is exact."""


def kinds(model):
    """Counter of the kinds of kernels in a graph that ONNX Runtime optimized."""
    return Counter(kind for _, kind, _ in _products(model))


def inexact(model):
    """The kinds of kernels in an optimized graph that do not compute exactly on this processor."""
    return sorted((kind for kind in kinds(model) if not exact(kind)), key=str)


def _products(model):
    """(scope, kind, node) for each node that sums products, subgraphs included."""
    typed = onnx.shape_inference.infer_shapes(model)
    yield from _products_of(model.graph, typed.graph, [], {})


def _products_of(graph, typed, around, known):
    scope = [*around, graph]
    known = known | {t.name: t.data_type for t in graph.initializer}
    known |= {v.name: v.type.tensor_type.elem_type for v in (*typed.value_info, *typed.input, *typed.output)}
    for node, twin in zip(graph.node, typed.node, strict=True):
        operands = PRODUCTS.get(node.op_type)
        if operands:
            types = _type(node, operands.a, operands.a_zero, known), _type(node, operands.b, operands.b_zero, known)
            yield scope, Kind(node.op_type, *types, _reduced(scope, node.input[operands.b])), node
        elif {known.get(name) for name in node.input} >= {TensorProto.UINT8, TensorProto.INT8} and node.op_type not in _NO_PRODUCTS:
            raise Unproved(f"{node.op_type} has operands in uint8 and in int8, and nothing here says how it computes")
        for own, other in zip(node.attribute, twin.attribute, strict=True):
            if own.type == onnx.AttributeProto.GRAPH:
                yield from _products_of(own.g, other.g, scope, known)


def _type(node, place, zero, known):
    """The element type of an operand. ONNX Runtime writes no types into its optimized graphs; zero points have their operand's."""
    if zero is None:
        return TensorProto.UINT8
    for name in (node.input[place], node.input[zero] if zero < len(node.input) else ""):
        if known.get(name) in NAMES:
            return known[name]
    raise Unproved(f"{node.op_type} {node.name}: nothing says which type its operand {node.input[place]} has")


def _reduced(scope, name):
    tensor = _constant(scope, name)
    return tensor is not None and tensor.data_type == TensorProto.INT8 and bool((np.abs(numpy_helper.to_array(tensor).astype(np.int16)) <= 64).all())


def _constant(scope, name):
    """The initializer that a name stands for in a graph or around it."""
    return next((tensor for graph in reversed(scope) for tensor in graph.initializer if tensor.name == name), None)


def operators(model):
    """Counter of (domain:)operator in an optimized graph."""
    return Counter(f"{n.domain}:{n.op_type}" if n.domain else n.op_type for n in model.graph.node)


def float_operators(model):
    """Names of the operators that an optimized graph leaves in float arithmetic (empty when it is integer throughout)."""
    return sorted(op for op in operators(model) if op not in _BORDER | _INTEGER | _MOVES)

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


# Each kind against integer arithmetic.


@functools.cache
def exact(kind):
    """Whether this processor's kernels of a kind compute exactly: run on operands that saturate, against integers."""
    return all(_agrees(kind, *case) for case in _cases(kind))


def _cases(kind):
    """Shapes that reach different loops: one row and many, odd and even depths, windows, groups; all at the ends of their types."""
    rng = np.random.default_rng(8)
    if "Conv" in kind.operator:
        shapes = [
            ((1, 8, 5, 5), (6, 8, 3, 3), 1), ((1, 32, 4, 4), (17, 32, 1, 1), 1), ((1, 3, 6, 6), (5, 3, 3, 3), 1), ((1, 12, 5, 5), (6, 6, 3, 3), 2),
            ((1, 64, 1, 1), (16, 64, 1, 1), 1), ((1, 8, 5, 5), (8, 1, 3, 3), 8), ((1, 67, 3, 3), (40, 67, 3, 3), 1),
        ]
    else:
        shapes = [((rows, depth), (depth, columns), 1) for rows, depth, columns in ((1, 4, 1), (1, 24, 10), (1, 67, 16), (3, 5, 7), (6, 32, 16), (9, 64, 33))]
    ends_a, ends_b = ((np.iinfo(_NUMPY[t]).min, np.iinfo(_NUMPY[t]).max) for t in (kind.a, kind.b))
    ends_b = (-64, 64) if kind.reduced else ends_b
    for a, b, group in shapes:
        yield np.full(a, ends_a[1], _NUMPY[kind.a]), np.full(b, ends_b[1], _NUMPY[kind.b]), group
        yield rng.choice(ends_a, a).astype(_NUMPY[kind.a]), rng.choice(ends_b, b).astype(_NUMPY[kind.b]), group


def _agrees(kind, a, b, group):
    # Zero points of uint8 operands are set to 0, where nothing is subtracted before the products.
    sums = sums_of_products(a, b, group) if "Conv" in kind.operator else a.astype(np.int64) @ b.astype(np.int64)
    # A scale of the outputs at which no sum is clamped by the output's own range.
    scale = np.float32(2.0 ** np.ceil(np.log2(max(np.abs(sums).max(), 1) / 100)))
    low, high, middle = (0, 255, 128) if kind.a == TensorProto.UINT8 else (-128, 127, 0)
    steps = np.clip(np.rint(sums.astype(np.float32) / scale) + middle, low, high).astype(_NUMPY[kind.a])
    one, zero_a, zero_b = np.float32(1), np.zeros((), _NUMPY[kind.a]), np.zeros((), _NUMPY[kind.b])
    quantized = {"a": a, "one": one, "zero_a": zero_a, "b": b, "zero_b": zero_b, "scale": scale, "middle": np.array(middle, _NUMPY[kind.a])}
    domain, attributes = "", {}
    match kind.operator:
        case "QLinearConv" | "QLinearMatMul":
            names, values, expected = ["a", "one", "zero_a", "b", "one", "zero_b", "scale", "middle"], quantized, steps
            attributes = {"group": group} if kind.operator == "QLinearConv" else {}
        case "QGemm":
            names, values, expected, domain = ["a", "one", "zero_a", "b", "one", "zero_b", "", "scale", "middle"], quantized, steps, "com.microsoft"
        case "ConvInteger" | "MatMulInteger":
            names, values, expected = ["a", "b", "zero_a", "zero_b"], {"a": a, "b": b, "zero_a": zero_a, "zero_b": zero_b}, sums.astype(np.int32)
            attributes = {"group": group} if kind.operator == "ConvInteger" else {}
        case "MatMulIntegerToFloat":
            names, values, domain = ["a", "b", "one", "one", "zero_a", "zero_b"], {"a": a, "b": b, "one": one, "zero_a": zero_a, "zero_b": zero_b}, "com.microsoft"
            expected = sums.astype(np.float32)
        case "DynamicQuantizeMatMul":
            # With one 0 and one 255 among them the operator quantizes these floats in steps of 1 from 0.
            a = a.copy()
            a[:, 0], a[:, -1] = 0, 255
            names, values, domain = ["a", "b", "one", "zero_b"], {"a": a.astype(np.float32), "b": b, "one": one, "zero_b": zero_b}, "com.microsoft"
            expected = (a.astype(np.int64) @ b.astype(np.int64)).astype(np.float32)
        case _:
            raise Unproved(f"nothing here knows what {kind.operator} computes")
    # Optimized, convolutions lie with their channels last, and run in other loops.
    levels = (ort.GraphOptimizationLevel.ORT_ENABLE_ALL, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    return all(np.array_equal(_ran(kind.operator, names, values, expected, domain, attributes, level), expected) for level in levels)


def sums_of_products(a, b, group):
    """Sums of products of a convolution without padding, in 64 bits."""
    windows = np.lib.stride_tricks.sliding_window_view(a.astype(np.int64), b.shape[2:], axis=(2, 3))[0]
    inputs, outputs = a.shape[1] // group, b.shape[0] // group
    parts = [
        np.einsum("chwyx,ocyx->ohw", windows[g * inputs : (g + 1) * inputs], b[g * outputs : (g + 1) * outputs].astype(np.int64))
        for g in range(group)
    ]
    return np.concatenate(parts)[None]


def _ran(operator, names, values, expected, domain, attributes, level):
    """What one operator gives in ONNX Runtime, its first operand the model's input and all others constants."""
    node = helper.make_node(operator, names, ["y"], domain=domain, **attributes)
    typed = lambda name, array: helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items() if name != "a"]
    graph = helper.make_graph([node], operator, [typed("a", values["a"])], [typed("y", expected)], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)])
    model.ir_version = 8
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = level
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"a": values["a"]})[0]


# The same network on kernels that are exact.


def widened(model):
    """A copy of an optimized graph in which each int8 operand that an inexact kernel multiplies with uint8 is uint8 too.

    A value and its zero point both grow by 128, so every product is the same integer. `session.x64quantprecision` does it to
    all int8 weights, also to those whose activations are int8, for which no kernel is left then.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for scope, kind, node in list(_products(model)):
        if exact(kind):
            continue
        if {kind.a, kind.b} != {TensorProto.UINT8, TensorProto.INT8}:
            raise Unproved(f"{kind} is not exact on this processor, and no other kernel takes its place")
        operands = PRODUCTS[node.op_type]
        places = (operands.b, operands.b_zero) if kind.b == TensorProto.INT8 else (operands.a, operands.a_zero)
        while len(node.input) <= max(places):
            node.input.append("")
        for place in places:
            node.input[place] = _raised(scope, node, node.input[place])
    return model


def _raised(scope, node, name):
    """The name of a tensor that is `name` plus 128, added to the graph once."""
    raised = f"{name or 'absent_zero_point'}_raised_by_128"
    graph = scope[-1]
    if any(t.name == raised for t in graph.initializer) or any(raised in n.output for n in graph.node):
        return raised
    if not name:
        graph.initializer.append(numpy_helper.from_array(np.array(128, np.uint8), raised))
        return raised
    tensor = _constant(scope, name)
    if tensor is not None:
        value = numpy_helper.to_array(tensor).astype(np.int16) + 128
        graph.initializer.append(numpy_helper.from_array(value.astype(np.uint8), raised))
        return raised
    offset = f"{raised}_offset"
    graph.initializer.append(numpy_helper.from_array(np.array(128, np.int32), offset))
    steps = [
        helper.make_node("Cast", [name], [f"{raised}_wide"], to=TensorProto.INT32),
        helper.make_node("Add", [f"{raised}_wide", offset], [f"{raised}_sum"]),
        helper.make_node("Cast", [f"{raised}_sum"], [raised], to=TensorProto.UINT8),
    ]
    at = next(k for k, other in enumerate(graph.node) if other is node or other == node)
    for step in reversed(steps):
        graph.node.insert(at, step)
    return raised
