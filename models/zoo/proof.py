"""Small networks whose sums saturate 16 bits, with answers by integer arithmetic in NumPy: what an oracle must get right."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from zoo.kernels import sums_of_products

CHANNELS, SIDE, FRAMES = 16, 6, 4
_TYPES = {"uint8": (np.uint8, 128), "int8": (np.int8, 0)}
_node = helper.make_node


def networks():
    """(name, model, frames, answers): two convolutions, their activations in uint8, in int8, and one in each."""
    for types in (("uint8", "uint8"), ("int8", "int8"), ("uint8", "int8")):
        yield f"two convolutions of {types[0]} and {types[1]}", *_network(types)


def _network(types):
    rng = np.random.default_rng(32)
    # Values and weights at the ends of their types, with signs that make the sums large; scales are powers of two, so that
    # requantizing rounds nothing but ties.
    frames = rng.choice([-128, 127], (FRAMES, CHANNELS, SIDE, SIDE), p=[0.2, 0.8]).astype(np.float32)
    weights = [rng.choice([-127, 127], (CHANNELS, CHANNELS, size, size), p=[0.45, 0.55]).astype(np.int8) for size in (3, 1)]
    shifts = (11, 11)
    nodes, constants, steps, x = [], {"one": np.float32(1)}, frames.astype(np.int64), "input"
    for number, (kind, weight, shift) in enumerate(zip(types, weights, shifts)):
        numpy_type, middle = _TYPES[kind]
        before, after = ("one" if number == 0 else f"step{number}"), f"step{number + 1}"
        constants[after] = np.float32(2.0 ** sum(shifts[: number + 1]))
        constants |= {f"zero{number}": numpy_type(middle), f"result{number}": numpy_type(middle), f"w{number}": weight, f"w_zero{number}": np.int8(0)}
        nodes += [
            _node("QuantizeLinear", [x, before, f"zero{number}"], [f"q{number}"]),
            _node("DequantizeLinear", [f"q{number}", before, f"zero{number}"], [f"x{number}"]),
            _node("DequantizeLinear", [f"w{number}", "one", f"w_zero{number}"], [f"real_w{number}"]),
            _node("Conv", [f"x{number}", f"real_w{number}"], [f"y{number}"]),
            _node("QuantizeLinear", [f"y{number}", after, f"result{number}"], [f"stored{number}"]),
            _node("DequantizeLinear", [f"stored{number}", after, f"result{number}"], [x := f"out{number}"]),
        ]
        products = np.concatenate([sums_of_products(frame[None], weight, 1) for frame in steps])
        steps = np.clip(np.rint(products / 2.0**shift), -128, 127).astype(np.int64)
    nodes[-1].output[0] = "output"
    answers = (steps * 2.0 ** sum(shifts)).astype(np.float32)
    return _model(nodes, constants, {"input": frames[:1]}, {"output": answers[:1]}), frames, answers


def graphs():
    """(name, model, feed, answer): forms in which saturating operands reach a kernel in other ways than through a weight of its own."""
    rng = np.random.default_rng(33)
    ends = lambda shape, numpy_type: rng.choice([np.iinfo(numpy_type).min, np.iinfo(numpy_type).max], shape).astype(numpy_type)
    requantized = lambda sums: np.clip(np.rint(sums / 2048.0) + 128, 0, 255).astype(np.uint8)
    common = {"one": np.float32(1), "none": np.uint8(0), "no": np.int8(0), "scale": np.float32(2048), "middle": np.uint8(128)}

    a, b = ends((1, 6, 32), np.uint8), ends((1, 32, 8), np.int8)
    sums = a.astype(np.int64) @ b.astype(np.int64)
    nodes = [
        _node("DequantizeLinear", ["a", "one", "none"], ["real_a"]), _node("DequantizeLinear", ["b", "one", "no"], ["real_b"]),
        _node("MatMul", ["real_a", "real_b"], ["y"]), _node("QuantizeLinear", ["y", "scale", "middle"], ["output"]),
    ]
    yield "MatMul of two activations", *_case(nodes, common, {"a": a, "b": b}, requantized(sums))
    nodes = [_node("MatMulInteger", ["a", "b"], ["output"])]
    yield "MatMulInteger of two activations, no zero points", *_case(nodes, {}, {"a": a, "b": b}, sums.astype(np.int32))
    yield "MatMulInteger with a weight, no zero points", *_case(nodes, {"b": b[0]}, {"a": a}, (a.astype(np.int64) @ b[0].astype(np.int64)).astype(np.int32))

    unsigned, signed = ends((1, 8, 5, 5), np.uint8), ends((1, 8, 5, 5), np.int8)
    weight, unsigned_weight = ends((4, 8, 3, 3), np.int8), ends((4, 8, 3, 3), np.uint8)
    sums, sums_signed = sums_of_products(unsigned, weight, 1), sums_of_products(signed, weight, 1)
    nodes = [_node("ConvInteger", ["x", "w"], ["output"])]
    yield "ConvInteger of int8 and uint8", *_case(nodes, {"w": unsigned_weight}, {"x": signed}, sums_of_products(signed, unsigned_weight, 1).astype(np.int32))

    nodes = [
        _node("DequantizeLinear", ["u", "one", "none"], ["real_u"]), _node("DequantizeLinear", ["s", "one", "no"], ["real_s"]),
        _node("DequantizeLinear", ["w", "one", "no"], ["w_u"]), _node("DequantizeLinear", ["w", "one", "no"], ["w_s"]),
        _node("Conv", ["real_u", "w_u"], ["y_u"]), _node("Conv", ["real_s", "w_s"], ["y_s"]),
        _node("QuantizeLinear", ["y_u", "scale", "middle"], ["q_u"]), _node("QuantizeLinear", ["y_s", "scale", "no"], ["q_s"]),
        _node("DequantizeLinear", ["q_u", "scale", "middle"], ["d_u"]), _node("DequantizeLinear", ["q_s", "scale", "no"], ["d_s"]),
        _node("Concat", ["d_u", "d_s"], ["output"], axis=1),
    ]
    steps = np.concatenate([requantized(s).astype(np.float32) - 128 for s in (sums, sums_signed)], axis=1)
    yield "one weight with activations of both types", *_case(nodes, common | {"w": weight}, {"u": unsigned, "s": signed}, steps * np.float32(2048))

    inner = [_node("QLinearConv", ["u", "one", "none", "w", "one", "no", "scale", "middle"], ["taken"])]
    typed = lambda name: helper.make_tensor_value_info(name, TensorProto.UINT8, sums.shape)
    taken = helper.make_graph(inner, "taken", [], [typed("taken")])
    other = helper.make_graph([_node("Identity", ["zeros"], ["other"])], "other", [], [typed("other")])
    nodes = [_node("If", ["condition"], ["output"], then_branch=taken, else_branch=other)]
    constants = common | {"w": weight, "zeros": np.zeros(sums.shape, np.uint8)}
    yield "a convolution inside If", *_case(nodes, constants, {"u": unsigned, "condition": np.array(True)}, requantized(sums))


def _case(nodes, constants, feed, answer):
    return _model(nodes, constants, feed, {"output": answer}), feed, answer


def _model(nodes, constants, inputs, outputs):
    typed = lambda arrays: [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for k, a in arrays.items()]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = helper.make_model(helper.make_graph(nodes, "proof", typed(inputs), typed(outputs), initializers), opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model
