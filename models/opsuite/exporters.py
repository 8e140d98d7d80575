"""Constants as exporters write them: weights that are quantized, clipped, cast, reshaped, sliced, split, joined, turned, or scaled in the
graph; Gemm with every factor and bias; functions, and branches with a constant condition.

ONNX Runtime evaluates what depends on no input, except DequantizeLinear: what follows that runs in float, and may round otherwise."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from opsuite.case import Case, single

F, I = np.float32, np.int64
# The first with float16 scales.
OPSET = 19


def cases():
    """All cases of constants, functions, and branches."""
    result = []
    for dtype in ("i8", "u8"):
        for axis in (None, 0):
            base = single("", "constant", (4, 6, 6), _conv(axis), dtype=dtype, opset=OPSET)
            gemm = single("", "constant", (12,), _gemm(axis), dtype=dtype, opset=OPSET)
            label = f"{'' if axis is None else '_per_channel'}_{dtype}"
            for kind, network in (("conv", base), ("gemm", gemm)):
                for name, rewrite, loose in _FORMS:
                    result.append(_rewritten(network, f"constant_{name}_{kind}{label}", rewrite, loose))
        for name, model in _NESTED:
            result.append(_rewritten(single("", "constant", (12,), _gemm(0), dtype=dtype, opset=OPSET), f"constant_{name}_{dtype}", model, 0))
    for name, shape in (("clip_4_bits", (4, 6, 6)), ("clip_2_bits", (4, 6, 6))):
        low, high = (-8, 7) if "4" in name else (-2, 1)
        for dtype in ("i8", "u8"):
            base = single("", "Clip", shape, _conv(None, relu=True), dtype=dtype, opset=OPSET)
            bounds = (low, high) if dtype == "i8" else (low + 128, high + 128)
            result.append(_rewritten(base, f"stored_{name}_{dtype}", _clip_stored(*bounds), 1))
    for dtype in ("i8", "u8"):
        base = single("", "Cast", (4, 6, 6), _conv(0), dtype=dtype, opset=OPSET)
        result.append(_rewritten(base, f"stored_cast_{dtype}", _cast_stored, 0))
    for dtype in ("i8", "u8"):
        # Beside int8 activations ONNX Runtime leaves uint8 weights in float.
        tolerance = int(dtype == "i8")
        for reach, spread in (("narrow", 15), ("wide", None)):
            for kind, shape, network in _ZERO_POINTS:
                case = single(f"zero_points_{reach}_{kind}", "constant", shape, network(spread), dtype=dtype, opset=OPSET, tolerance=tolerance)
                result.append(case)
    for rows, columns, inner in ((1, 5, 7), (4, 4, 6), (3, 5, 6)):
        for form, attrs in _FACTORS:
            for shape in dict.fromkeys(((columns,), (1, columns), (rows, 1), (rows, columns), (1, 1), (1,), (), None)):
                label = "none" if shape is None else "x".join(map(str, shape)) or "scalar"
                case = single(f"gemm_{form}_{rows}x{columns}_bias_{label}", "Gemm", (rows, inner), _factored(attrs, rows, columns, inner, shape), tolerance=1)
                result.append(case)
    return result


def _rewritten(base, name, rewrite, tolerance=0):
    def build(rng):
        graph = base.build(rng)
        plain = graph.model
        graph.model = lambda label: rewrite(plain(label))
        return graph

    return Case(name, base.operator, build, tolerance)


def _conv(axis, relu=False):
    then = [("Relu", (), {})] if relu else []
    return lambda graph, x: graph.linear("Conv", x, graph.constant((5, 4, 3, 3), "i8", axis, spread=30), pads=[1] * 4, then=then)


def _gemm(axis):
    return lambda graph, x: graph.linear("Gemm", x, graph.constant((6, 12), "i8", axis, spread=30), transB=1)


def _asymmetric(shape, group=1):
    def network(spread):
        def body(graph, x):
            return graph.linear("Conv", x, graph.constant(shape, "u8", 0, "random", spread), pads=[1] * 4, group=group)

        return body

    return network


def _asymmetric_product(kind, axis):
    def network(spread):
        def body(graph, x):
            shape = (6, 12) if axis == 0 else (12, 6)
            w = graph.constant(shape, "u8", axis, "random", spread)
            return graph.linear(kind, x, w, transB=1 - axis) if kind == "Gemm" else graph.op(kind, [x, w])

        return body

    return network


_ZERO_POINTS = (
    ("conv", (4, 6, 6), _asymmetric((5, 4, 3, 3))), ("grouped", (6, 6, 6), _asymmetric((4, 3, 3, 3), 2)), ("depthwise", (4, 6, 6), _asymmetric((4, 1, 3, 3), 4)),
    ("gemm", (12,), _asymmetric_product("Gemm", 0)), ("gemm_columns", (12,), _asymmetric_product("Gemm", 1)), ("matmul", (3, 12), _asymmetric_product("MatMul", 1)),
)


def _factored(attrs, rows, columns, inner, shape):
    def body(graph, x):
        x = graph.op("Reshape", [x], plain=[np.array([inner, rows] if attrs.get("transA") else [rows, inner], I)], out="same")
        w = graph.constant((columns, inner) if attrs.get("transB") else (inner, columns), "i8", spread=30)
        operands = [x, w]
        if shape is not None:
            bias = graph.constant(shape, "i8")
            bias.values = graph.rng.integers(-8000, 8001, shape).astype(np.int32)
            bias.scale, bias.zero = np.asarray(x.scale * w.scale, F), np.asarray(0, np.int32)
            operands.append(bias)
        y = graph.op("Gemm", operands, **attrs)
        return graph.op("Reshape", [y], plain=[np.array([1, rows, columns], I)], out="same")

    return body


_FACTORS = (
    ("plain", {}), ("trans_a", {"transA": 1}), ("trans_both", {"transA": 1, "transB": 1}), ("alpha", {"alpha": 0.5}), ("beta", {"beta": 2.0}),
    ("beta_0", {"beta": 0.0}), ("factors", {"alpha": 0.3, "beta": 1.7, "transB": 1}),
)


class _Weights:
    """The weights of a finished model: the DequantizeLinear of its constant with most dimensions."""

    def __init__(self, model):
        self.model, self.graph = model, model.graph
        self.constants = {t.name: t for t in self.graph.initializer}
        weighted = [n for n in self.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in self.constants]
        self.node = max(weighted, key=lambda n: len(self.constants[n.input[0]].dims))
        self.values, self.scale, self.zero = (numpy_helper.to_array(self.constants[n]) for n in self.node.input)
        self.axis = next((a.i for a in self.node.attribute if a.name == "axis"), None)
        self.serial = 0

    def name(self):
        self.serial += 1
        return f"made{self.serial}"

    def tensor(self, value):
        name = self.name()
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def before(self, kind, inputs, outputs=1, **attrs):
        """A node before the DequantizeLinear."""
        names = [self.name() for _ in range(outputs)]
        self.graph.node.insert(list(self.graph.node).index(self.node), helper.make_node(kind, inputs, names, name=names[0], **attrs))
        return names[0] if outputs == 1 else names

    def reads(self, name, axis=None, scale=None, zero=None):
        """The DequantizeLinear reads `name` instead."""
        axis = self.axis if axis is None else axis
        inputs = [name, self.node.input[1] if scale is None else self.tensor(scale), self.node.input[2] if zero is None else self.tensor(zero)]
        del self.node.attribute[:], self.node.input[:]
        self.node.input.extend(inputs)
        if self.axis is not None:
            self.node.attribute.append(helper.make_attribute("axis", axis))
        return self.model

    def after(self, kind, plain=(), outputs=1, take=0, extra=(), **attrs):
        """A node between the DequantizeLinear and what reads it."""
        result, inner = self.node.output[0], self.name()
        self.node.output[0] = inner
        names = [self.name() for _ in range(outputs)]
        names[take] = result
        node = helper.make_node(kind, [inner, *extra, *(self.tensor(p) for p in plain)], names, name=self.name(), **attrs)
        self.graph.node.insert(list(self.graph.node).index(self.node) + 1, node)
        return self.model

    def floats(self):
        """The real weights, moved a little off the steps."""
        shape = [1] * self.values.ndim
        if self.axis is not None:
            shape[self.axis] = -1
        reals = (self.values.astype(F) - self.zero.astype(F).reshape(shape)) * self.scale.reshape(shape)
        wobble = np.random.default_rng(5).uniform(-0.49, 0.49, self.values.shape).astype(F)
        return (reals + wobble * self.scale.reshape(shape)).astype(F)

    def axis_attribute(self):
        return {} if self.axis is None else {"axis": self.axis}

    def quantized(self, reals):
        return self.before("QuantizeLinear", [reals, self.node.input[1], self.node.input[2]], **self.axis_attribute())


def _quantize(model):
    w = _Weights(model)
    return w.reads(w.quantized(w.tensor(w.floats())))


def _quantize_ties(model):
    """Every weight halfway between two steps."""
    w = _Weights(model)
    shape = [1] * w.values.ndim
    if w.axis is not None:
        shape[w.axis] = -1
    # Scales are powers of two, so that the halves are exact.
    scale = np.exp2(np.round(np.log2(w.scale))).astype(F)
    halves = ((w.values.astype(F) + F(0.5)) * scale.reshape(shape)).astype(F)
    name, zero = w.tensor(scale), w.node.input[2]
    stored = w.before("QuantizeLinear", [w.tensor(halves), name, zero], **w.axis_attribute())
    w.node.input[1] = name
    # The bias stays in the unit of the sums, for ONNX Runtime's Gemm takes its integers as they are.
    bias = next(n for n in w.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in w.constants and w.constants[n.input[0]].data_type == TensorProto.INT32)
    bias.input[1] = w.tensor((numpy_helper.to_array(w.constants[bias.input[1]]) * (scale / w.scale)).astype(F))
    return w.reads(stored)


def _quantize_clip(model):
    w = _Weights(model)
    stored = w.quantized(w.tensor(w.floats()))
    return w.reads(w.before("Clip", [stored, w.tensor(np.int8(-40)), w.tensor(np.int8(40))]))


def _quantize_transposed(model):
    """Float weights turned, scaled by a number, then quantized."""
    w = _Weights(model)
    reals = w.floats()
    back = np.argsort(np.roll(np.arange(reals.ndim), 1))
    turned = w.before("Transpose", [w.tensor(np.ascontiguousarray(reals.transpose(back)) / F(3))], perm=[int(i) for i in np.argsort(back)])
    return w.reads(w.quantized(w.before("Mul", [turned, w.tensor(F(3))])))


def _clip(model):
    w = _Weights(model)
    return w.reads(w.before("Clip", [w.node.input[0], w.tensor(np.int8(-50)), w.tensor(np.int8(50))]))


def _cast(model):
    w = _Weights(model)
    return w.reads(w.before("Cast", [w.before("Cast", [w.tensor(w.values.astype(np.float32))], to=TensorProto.INT32)], to=TensorProto.INT8))


def _reshape_before(model):
    w = _Weights(model)
    flat = w.before("Reshape", [w.tensor(w.values.ravel()), w.tensor(np.array([-1, 2], I))])
    return w.reads(w.before("Reshape", [flat, w.tensor(np.array(w.values.shape, I))]))


def _concat_before(model):
    w = _Weights(model)
    cut = w.values.shape[0] // 2
    return w.reads(w.before("Concat", [w.tensor(w.values[:cut]), w.tensor(w.values[cut:])], axis=0))


def _slice_before(model):
    w = _Weights(model)
    wide = np.concatenate([w.values[::-1], w.values], 0)
    n = w.values.shape[0]
    ends = [w.tensor(np.array(v, I)) for v in ([n - 1], [-3 * n], [0], [-1])]
    return w.reads(w.before("Slice", [w.tensor(wide), *ends]))


def _split_before(model):
    w = _Weights(model)
    wide = np.concatenate([w.values + 1, w.values], 1)
    return w.reads(w.before("Split", [w.tensor(wide)], 2, axis=1, num_outputs=2)[1])


def _gather_before(model):
    w = _Weights(model)
    order = np.random.default_rng(3).permutation(w.values.shape[0])
    return w.reads(w.before("Gather", [w.tensor(w.values[order]), w.tensor(np.argsort(order).astype(I))], axis=0))


def _negative_axis(model):
    w = _Weights(model)
    return w.reads(w.node.input[0], axis=None if w.axis is None else w.axis - w.values.ndim)


def _half_scale(model):
    w = _Weights(model)
    name = w.before("Cast", [w.tensor(w.scale.astype(np.float16))], to=TensorProto.FLOAT)
    w.node.input[1] = name
    return w.reads(w.node.input[0])


def _half_weights(model):
    """Behind a scale that is a power of two, float16 holds every weight exactly."""
    w = _Weights(model)
    model = w.reads(w.node.input[0], scale=np.exp2(np.round(np.log2(w.scale))).astype(np.float16))
    return w.after("Cast", to=TensorProto.FLOAT)


def _reshape_after(model):
    w = _Weights(model)
    shape = w.values.shape
    w.reads(w.tensor(w.values.reshape(shape[0], -1)))
    return w.after("Reshape", [np.array(shape, I)])


def _transpose_after(model):
    w = _Weights(model)
    turn = np.arange(w.values.ndim)[::-1]
    w.reads(w.tensor(np.ascontiguousarray(w.values.transpose(turn))), axis=None if w.axis is None else w.values.ndim - 1 - w.axis)
    return w.after("Transpose", perm=[int(i) for i in turn])


def _split_after(model):
    w = _Weights(model)
    n = w.values.shape[0]
    scale, zero = (np.concatenate([p, p]) if p.ndim else p for p in (w.scale, w.zero))
    w.reads(w.tensor(np.concatenate([w.values[::-1], w.values])), scale=scale, zero=zero)
    return w.after("Split", [np.array([n, n], I)], outputs=2, take=1, axis=0)


def _slice_after(model):
    w = _Weights(model)
    scale, zero = (np.concatenate([p[:2], p]) if p.ndim else p for p in (w.scale, w.zero))
    w.reads(w.tensor(np.concatenate([w.values[:2], w.values])), scale=scale, zero=zero)
    return w.after("Slice", [np.array([2], I), np.array([1000], I), np.array([0], I)])


def _unsqueeze_after(model):
    w = _Weights(model)
    w.reads(w.tensor(w.values[None]), axis=None if w.axis is None else w.axis + 1)
    w.after("Identity")
    return w.after("Squeeze", [np.array([0], I)])


def _concat_after(model):
    """Two halves, each behind its own DequantizeLinear with scales of its own."""
    w = _Weights(model)
    cut, model = w.values.shape[0] // 2, w.model
    other = lambda p, part: np.ascontiguousarray(p[part]) if p.ndim else p
    halves = []
    for k, part in enumerate((slice(None, cut), slice(cut, None))):
        scale = (other(w.scale, part) * F(1 + k)).astype(F)
        halves.append(w.before("DequantizeLinear", [w.tensor(w.values[part]), w.tensor(scale), w.tensor(other(w.zero, part))], **w.axis_attribute()))
    result = w.node.output[0]
    at = list(w.graph.node).index(w.node)
    w.graph.node.remove(w.node)
    w.graph.node.insert(at, helper.make_node("Concat", halves, [result], name="joined", axis=0))
    return model


def _mul_after(model):
    return _Weights(model).after("Mul", [F(2)])


def _mul_channels_after(model):
    w = _Weights(model)
    shape = [1] * w.values.ndim
    shape[0] = -1
    return w.after("Mul", [np.exp2(np.arange(w.values.shape[0]) % 4 - 2).astype(F).reshape(shape)])


def _div_after(model):
    return _Weights(model).after("Div", [F(4)])


# Name, rewriting, and by how many steps ONNX Runtime's float answer may differ.
_FORMS = (
    ("quantize", _quantize, 0), ("quantize_ties", _quantize_ties, 0), ("quantize_clip", _quantize_clip, 0), ("quantize_transposed", _quantize_transposed, 0),
    ("clip", _clip, 0), ("cast", _cast, 0), ("reshape_before", _reshape_before, 0), ("concat_before", _concat_before, 0), ("slice_before", _slice_before, 0),
    ("split_before", _split_before, 0), ("gather_before", _gather_before, 0), ("negative_axis", _negative_axis, 0), ("half_scale", _half_scale, 0),
    ("half_weights", _half_weights, 1), ("reshape_after", _reshape_after, 1), ("transpose_after", _transpose_after, 1), ("split_after", _split_after, 1),
    ("slice_after", _slice_after, 1), ("unsqueeze_after", _unsqueeze_after, 1), ("concat_after", _concat_after, 1), ("mul_after", _mul_after, 1),
    ("mul_channels_after", _mul_channels_after, 1), ("div_after", _div_after, 1),
)


# Quantized activations.


def _clip_stored(low, high):
    """Clip on the integers behind both QuantizeLinear nodes of activations."""

    def rewrite(model):
        kind = next(t for t in model.graph.initializer if t.name == model.graph.node[0].input[2])
        for number, value in enumerate((low, high)):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, numpy_helper.to_array(kind).dtype), f"bound{number}"))
        return _behind_quantize(model, "Clip", ["bound0", "bound1"])

    return rewrite


def _cast_stored(model):
    kind = next(t for t in model.graph.initializer if t.name == model.graph.node[0].input[2])
    return _behind_quantize(model, "Cast", [], to=kind.data_type)


def _behind_quantize(model, kind, inputs, **attrs):
    for node in [n for n in model.graph.node if n.op_type == "QuantizeLinear"]:
        result = node.output[0]
        node.output[0] = f"{result}_stored"
        at = list(model.graph.node).index(node)
        model.graph.node.insert(at + 1, helper.make_node(kind, [node.output[0], *inputs], [result], name=f"{result}_{kind}", **attrs))
    return model


# Functions and branches.


def _in_function(model):
    """The Gemm with its operands' DequantizeLinear nodes as a function, with an attribute, that another function calls."""
    gemm = next(n for n in model.graph.node if n.op_type == "Gemm")
    inner = helper.make_node("Gemm", ["x", "w", "b"], ["inside"], name="gemm")
    attribute = inner.attribute.add()
    attribute.name, attribute.ref_attr_name, attribute.type = "transB", "turned", onnx.AttributeProto.INT
    twice = helper.make_node("Identity", ["inside"], ["y"])
    opsets = [helper.make_opsetid("", OPSET)]
    linear = helper.make_function("local", "Linear", ["x", "w", "b"], ["y"], [inner, twice], opsets, ["turned"])
    call = helper.make_node("Linear", ["a", "c", "d"], ["inside"], domain="local", turned=1)
    layer = helper.make_function("local", "Relu", ["a", "c", "d"], ["z"], [call, helper.make_node("Neg", ["inside"], ["n"]), helper.make_node("Neg", ["n"], ["z"])],
                                 [*opsets, helper.make_opsetid("local", 1)])
    at = list(model.graph.node).index(gemm)
    model.graph.node.remove(gemm)
    model.graph.node.insert(at, helper.make_node("Relu", list(gemm.input), list(gemm.output), name="layer", domain="local"))
    model.functions.extend([linear, layer])
    model.opset_import.append(helper.make_opsetid("local", 1))
    return model


def _in_branch(model):
    """The Gemm in the branch of an If that is taken, and another network in the branch that is not."""
    gemm = next(n for n in model.graph.node if n.op_type == "Gemm")
    at = list(model.graph.node).index(gemm)
    model.graph.node.remove(gemm)
    branches = {}
    for name, factor in (("then_branch", 0.5), ("else_branch", 1.0)):
        factor = numpy_helper.from_array(np.asarray(factor, F), "factor")
        body = helper.make_node("Gemm", list(gemm.input), ["product"], name="gemm", transB=1)
        nodes = [body, helper.make_node("Mul", ["product", "factor"], ["branched"], name="mul")]
        branches[name] = helper.make_graph(nodes, name, [], [helper.make_tensor_value_info("branched", TensorProto.FLOAT, None)], [factor])
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(3, np.int32), "three"))
    condition = helper.make_node("Cast", ["three_minus_three"], ["condition"], name="cast", to=TensorProto.BOOL)
    model.graph.node.insert(at, helper.make_node("If", ["condition"], list(gemm.output), name="choose", **branches))
    model.graph.node.insert(at, condition)
    model.graph.node.insert(at, helper.make_node("Sub", ["three", "three"], ["three_minus_three"], name="sub"))
    return model


_NESTED = (("in_function", _in_function), ("in_branch", _in_branch))
