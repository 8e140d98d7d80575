"""The same networks as other exporters would write them: Constant nodes, shared or missing quantization parameters, older
operator sets, shapes computed in the graph, dynamic batch sizes."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from opsuite import blocks
from opsuite.case import Case, single


def cases():
    """All patterns of exporters."""
    bases = [case for case in blocks.cases() if case.name in ("block_classifier", "block_residual_u8", "block_encoder_decoder_qop")]
    result = []
    for base in bases:
        for name, rewrite in (
            ("constant_nodes", _constant_nodes), ("constants_are_inputs", _constants_are_inputs), ("shared_dequantize", _shared_dequantize),
            ("no_names", _no_names), ("dynamic_batch", _dynamic_batch), ("shapes_written", _shapes_written),
            ("scales_of_one_element", _scales_of_one_element),
        ):
            # ONNX Runtime takes these two for float networks, so that it rounds in other places.
            loose = name in ("constants_are_inputs", "scales_of_one_element")
            result.append(_rewritten(base, f"pattern_{name}_{base.name.removeprefix('block_')}", rewrite, base.tolerance + loose))
    for opset in (11, 12, 13, 15, 17, 19, 21):
        result.append(single(f"pattern_opset{opset}", "pattern", (3, 8, 8), _plain_network, opset=opset, tolerance=1))
    result.append(_rewritten(single("", "", (3, 8, 8), _zero_free, dtype="u8", zero=0), "pattern_no_zero_points", _no_zero_points))
    result.append(_rewritten(single("", "", (4, 6, 6), _one_conv), "pattern_float_bias", _float_bias, tolerance=1))
    result.append(_rewritten(single("", "", (6, 4, 4), _flatten_gemm), "pattern_computed_shape", _computed_shape))
    result.append(single("pattern_pad_then_conv", "pattern", (3, 9, 9), _pad_then_conv))
    result.append(single("pattern_shared_weights", "pattern", (6, 6, 6), _shared_weights))
    result.append(single("pattern_three_readers", "pattern", (6, 6, 6), _three_readers))
    result.append(single("pattern_hard_swish_spelled_out", "pattern", (6, 6, 6), _hard_swish_spelled_out, tolerance=1))
    result.append(single("pattern_relu_quantized_alone", "pattern", (6, 6, 6), _relu_quantized_alone))
    return result


def _rewritten(base, name, rewrite, tolerance=None):
    def build(rng):
        graph = base.build(rng)
        plain = graph.model
        graph.model = lambda label: rewrite(plain(label))
        return graph

    return Case(name, "pattern", build, base.tolerance if tolerance is None else tolerance)


# Rewritings of a finished model.


def _constant_nodes(model):
    nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in model.graph.initializer]
    rest = list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes + rest)
    return model


def _constants_are_inputs(model):
    """As before IR version 4: every initializer is listed among the inputs, and could be overridden."""
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return model


def _shared_dequantize(model):
    """One DequantizeLinear for all readers of a tensor."""
    first, renamed, kept = {}, {}, []
    for node in model.graph.node:
        inputs = [renamed.get(i, i) for i in node.input]
        del node.input[:]
        node.input.extend(inputs)
        if node.op_type == "DequantizeLinear" and node.output[0] != "output":
            if node.input[0] in first:
                renamed[node.output[0]] = first[node.input[0]]
                continue
            first[node.input[0]] = node.output[0]
        kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


def _no_names(model):
    for node in model.graph.node:
        node.name = ""
    return model


def _dynamic_batch(model):
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def _shapes_written(model):
    return onnx.shape_inference.infer_shapes(model)


def _scales_of_one_element(model):
    """Scales and zero points of shape [1] instead of scalars, where they belong to activations."""
    used = {name for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear") and not node.attribute for name in node.input[1:]}
    for tensor in model.graph.initializer:
        if tensor.name in used and len(tensor.dims) == 0:
            tensor.dims.append(1)
    return model


def _no_zero_points(model):
    """A zero point of 0 may be left out."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) == 3 and not np.any(constants[node.input[2]]):
            del node.input[2]
    return model


def _float_bias(model):
    """The bias of a convolution as floats, not quantized."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    conv = next(n for n in model.graph.node if n.op_type == "Conv")
    dequantize = next(n for n in model.graph.node if n.output[0] == conv.input[2])
    bias = constants[dequantize.input[0]] * constants[dequantize.input[1]]
    model.graph.node.remove(dequantize)
    model.graph.initializer.append(numpy_helper.from_array(bias.astype(np.float32), conv.input[2]))
    return model


def _computed_shape(model):
    """Flatten as Shape, Gather, Concat and Reshape."""
    flatten = next(n for n in model.graph.node if n.op_type == "Flatten")
    index = list(model.graph.node).index(flatten)
    tensors = [("zero_index", np.array(0, np.int64)), ("unsqueeze_axes", np.array([0], np.int64)), ("minus_one", np.array([-1], np.int64))]
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in tensors)
    source, target = flatten.input[0], flatten.output[0]
    chain = [
        helper.make_node("Shape", [source], ["its_shape"], name="shape"),
        helper.make_node("Gather", ["its_shape", "zero_index"], ["its_batch"], name="gather", axis=0),
        helper.make_node("Unsqueeze", ["its_batch", "unsqueeze_axes"], ["its_batch_1"], name="unsqueeze"),
        helper.make_node("Concat", ["its_batch_1", "minus_one"], ["new_shape"], name="concat", axis=0),
        helper.make_node("Reshape", [source, "new_shape"], [target], name="reshape"),
    ]
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(rest[:index] + chain + rest[index + 1 :])
    return model


# Networks.


def _conv(graph, x, out, kernel=3, axis=None, **options):
    w = options.pop("weight", None) or graph.constant((out, x.sample.shape[2], kernel, kernel), "i8", axis)
    return graph.linear("Conv", x, w, pads=[kernel // 2] * 4, **options)


def _plain_network(graph, x):
    """Per tensor, and only operators whose form did not change since operator set 11."""
    x = _conv(graph, x, 6, then=[("Relu", (), {})], zero=-128)
    x = graph.op("MaxPool", [x], out="same", kernel_shape=[2, 2], strides=[2, 2])
    x = graph.op("Flatten", [graph.op("GlobalAveragePool", [x])], out="same", axis=1)
    x = graph.linear("Gemm", x, graph.constant((4, 6), "i8"), transB=1)
    return graph.op("Softmax", [x], scale=1 / 256, zero=-128, axis=1)


def _zero_free(graph, x):
    """All zero points are 0: u8 after Relu, i8 weights."""
    x = _conv(graph, x, 6, axis=0, then=[("Relu", (), {})], zero=0)
    return _conv(graph, x, 4, kernel=1, axis=0, then=[("Relu", (), {})], zero=0)


def _one_conv(graph, x):
    return _conv(graph, x, 5, axis=0)


def _flatten_gemm(graph, x):
    x = graph.op("Flatten", [_conv(graph, x, 4, kernel=1)], out="same", axis=1)
    return graph.linear("Gemm", x, graph.constant((7, 64), "i8", 0), transB=1)


def _pad_then_conv(graph, x):
    """TensorFlow's way to pad before a strided convolution."""
    x = graph.op("Pad", [x], plain=[np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64)], out="same")
    return graph.linear("Conv", x, graph.constant((5, 3, 3, 3), "i8", 0), strides=[2, 2])


def _shared_weights(graph, x):
    """One weight tensor, read by two convolutions."""
    w = graph.constant((6, 6, 3, 3), "i8", 0)
    x = graph.linear("Conv", x, w, bias=False, pads=[1] * 4)
    again = graph.op("MaxPool", [x], out="same", kernel_shape=[2, 2], strides=[2, 2])
    names = [t.name for t in graph.constants]
    y = graph.linear("Conv", again, w, bias=False, pads=[1] * 4)
    # The second use added the same initializers once more under the same name: keep one.
    graph.constants = [t for k, t in enumerate(graph.constants) if k < len(names) or t.name not in names]
    return y


def _three_readers(graph, x):
    a, b = _conv(graph, x, 6, axis=0), _conv(graph, x, 6, kernel=1, axis=0)
    return graph.op("Add", [graph.op("Add", [a, x]), graph.op("Mul", [b, x])])


def _hard_swish_spelled_out(graph, x):
    """x * Clip(x + 3, 0, 6) / 6, as exporters without HardSwish write it, each step quantized."""
    three, sixth = graph.constant((), "i8"), graph.constant((), "i8")
    for constant, value in ((three, 3.0), (sixth, 1 / 6)):
        constant.values, constant.scale = np.array(127, np.int8), np.array(value / 127, np.float32)
    gate = graph.op("Clip", [graph.op("Add", [x, three])], plain=(np.float32(0), np.float32(6)))
    return graph.op("Mul", [graph.op("Mul", [x, gate]), sixth])


def _relu_quantized_alone(graph, x):
    """A quantization between the convolution and its activation, and one after it."""
    return graph.op("Relu", [_conv(graph, x, 6, axis=0)])
