"""Two QDQ pairs with an operator between them that does nothing: ONNX Runtime takes some of these operators out and then merges the
pairs, and keeps others, so that the same real numbers come out with different bits."""

import numpy as np
from onnx import TensorProto, helper

from opsuite.case import Case, single

F, I, M = np.float32, np.int64, 2**63 - 1
SHAPE = (4, 6, 6)


def cases():
    """All cases of pairs."""
    between = {
        # Taken out.
        "identity": ("Identity", (), {}),
        "dropout": ("Dropout", (), {}),
        "dropout_ratio": ("Dropout", (F(0.3),), {}),
        "expand_ones": ("Expand", (np.ones(4, I),), {}),
        "expand_same": ("Expand", (np.array([1, *SHAPE], I),), {}),
        "expand_last": ("Expand", (np.array([6], I),), {}),
        "cast": ("Cast", (), {"to": TensorProto.FLOAT}),
        "slice_all": ("Slice", (np.array([0, 0], I), np.array([M, M], I)), {}),
        "slice_all_stepping": ("Slice", (np.array([0], I), np.array([M], I), np.array([-1], I), np.array([1], I)), {}),
        # Kept.
        "expand_nothing": ("Expand", (np.zeros(0, I),), {}),
        "slice_exact": ("Slice", (np.array([0], I), np.array([6], I), np.array([2], I)), {}),
        "slice_int32": ("Slice", (np.array([0], np.int32), np.array([2**31 - 1], np.int32)), {}),
        "reshape_same": ("Reshape", (np.array([1, *SHAPE], I),), {}),
        "transpose_none": ("Transpose", (), {"perm": [0, 1, 2, 3]}),
        "pow_1": ("Pow", (F(1),), {}),
        "clip_wide": ("Clip", (F(-1000), F(1000)), {}),
        "pad_0": ("Pad", (np.zeros(8, I),), {}),
        "max_pool_1": ("MaxPool", (), {"kernel_shape": [1, 1]}),
    }
    for kind, number in (("Add", 0), ("Sub", 0), ("Mul", 1), ("Div", 1)):
        # The last is kept: it is more than one number.
        for name, value in (("scalar", F(number)), ("one", np.full(1, number, F)), ("ones", np.full((1, 1, 1, 1), number, F)), ("row", np.full(6, number, F))):
            between[f"{kind.lower()}_{name}"] = (kind, (value,), {})
    result = []
    for dtype in ("i8", "u8"):
        for name, (kind, plain, attrs) in between.items():
            result.append(single(f"pairs_{name}", kind, SHAPE, _pair(kind, plain, attrs), dtype=dtype, opset=17))
        result.append(single("pairs_chain", "Identity", SHAPE, _chain, dtype=dtype, opset=17))
        result.append(single("pairs_before_conv", "Dropout", SHAPE, _before_conv, dtype=dtype, opset=17))
        for name, rewrite in (("cast", _cast_stored), ("identity", _identity_stored), ("expand", _expand_stored)):
            result.append(_rewritten(single("", "Identity", SHAPE, _two, dtype=dtype, opset=17), f"pairs_stored_{name}_{dtype}", rewrite))
        # One DequantizeLinear for each of the two.
        result.append(single("pairs_two_readers", "Add", SHAPE, _two_readers, dtype=dtype, opset=17))
        for name, rewrite in (("between", _turn_between), ("around_second", _turn_around_second), ("around_first", _turn_around_first)):
            result.append(_rewritten(single("", "Transpose", SHAPE, _two, dtype=dtype, opset=17), f"pairs_transposes_{name}_{dtype}", rewrite))
    return result


def _second(x):
    """Parameters near those of `x`: most of the range overlaps, none of the steps."""
    low = -128 if x.dtype == "i8" else 0
    return dict(scale=F(x.scale * 0.74), zero=int(np.clip(x.zero - 10, low, low + 255)))


def _pair(kind, plain, attrs):
    return lambda graph, x: graph.op(kind, [x], plain=plain, **_second(x), **attrs)


def _two(graph, x):
    return graph.op("Identity", [x], **_second(x))


def _chain(graph, x):
    x = graph.op("Mul", [x], plain=(F(1),), then=[("Dropout", (), {}), ("Cast", (), {"to": TensorProto.FLOAT}), ("Add", (F(0),), {})], **_second(x))
    return graph.op("Identity", [x], scale=F(x.scale * 1.6), zero=x.zero)


def _before_conv(graph, x):
    x = graph.op("Dropout", [x], **_second(x))
    return graph.linear("Conv", x, graph.constant((5, 4, 3, 3), "i8", 0), pads=[1] * 4)


def _two_readers(graph, x):
    y = graph.op("Identity", [x], **_second(x))
    return graph.op("Add", [graph.op("Relu", [y]), y])


# Rewritings of a finished model, `input → Q₁ → DQ₁ → Identity → Q₂ → DQ₂ → output`.


def _rewritten(base, name, rewrite):
    def build(rng):
        graph = base.build(rng)
        plain = graph.model
        graph.model = lambda label: rewrite(plain(label))
        return graph

    return Case(name, base.operator, build)


def _insert(model, producer, kind, inputs=(), **attrs):
    """Puts an operator behind the first output of the node at `producer`."""
    node = model.graph.node[producer]
    old, new = node.output[0], f"{node.output[0]}_{kind.lower()}"
    for reader in model.graph.node:
        for k, name in enumerate(reader.input):
            if name == old:
                reader.input[k] = new
    model.graph.node.insert(producer + 1, helper.make_node(kind, [old, *inputs], [new], name=new, **attrs))


def _find(model, kind, number):
    return [i for i, node in enumerate(model.graph.node) if node.op_type == kind][number]


def _stored_type(model):
    zero = model.graph.node[0].input[2]
    return next(t.data_type for t in model.graph.initializer if t.name == zero)


def _cast_stored(model):
    for number in (0, 1):
        _insert(model, _find(model, "QuantizeLinear", number), "Cast", to=_stored_type(model))
    return model


def _identity_stored(model):
    _insert(model, _find(model, "QuantizeLinear", 1), "Identity")
    return model


def _expand_stored(model):
    model.graph.initializer.append(helper.make_tensor("ones", TensorProto.INT64, [1], [1]))
    _insert(model, _find(model, "QuantizeLinear", 0), "Expand", ["ones"])
    return model


def _turn_between(model):
    """To channels last and back, with only the Identity between."""
    at = _find(model, "Identity", 0)
    _insert(model, at, "Transpose", perm=[0, 3, 1, 2])
    _insert(model, _find(model, "DequantizeLinear", 0), "Transpose", perm=[0, 2, 3, 1])
    return model


def _turn_around_second(model):
    _insert(model, _find(model, "Identity", 0), "Transpose", perm=[0, 2, 3, 1])
    last = _find(model, "DequantizeLinear", 1)
    model.graph.node[last].output[0] = "channels_last"
    model.graph.node.append(helper.make_node("Transpose", ["channels_last"], ["output"], name="back", perm=[0, 3, 1, 2]))
    return model


def _turn_around_first(model):
    first = model.graph.node[0]
    first.input[0] = "channels_last"
    model.graph.node.insert(0, helper.make_node("Transpose", ["input"], ["channels_last"], name="turn", perm=[0, 2, 3, 1]))
    _insert(model, _find(model, "DequantizeLinear", 0), "Transpose", perm=[0, 3, 1, 2])
    return model
