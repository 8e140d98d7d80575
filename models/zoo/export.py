"""Writes a trained `Net` as a float ONNX model with a batch of 1, opset 13."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zoo.net import LEAKY_SLOPE

OPSET = 13
IR_VERSION = 8


def to_onnx(net, weights, name, output_name):
    """ONNX model of `net` with `weights` = {node: (weight, bias)} from `zoo.forward.folded`."""
    nodes, constants = [], []

    def constant(label, value):
        constants.append(numpy_helper.from_array(value, label))
        return label

    def emit(op, inputs, output, **attrs):
        nodes.append(helper.make_node(op, inputs, [output], name=f"{output}_{op}", **attrs))

    for node in net.nodes:
        out = output_name if node.name == net.output else node.name
        if node.op in ("conv", "dense"):
            weight, bias = weights[node.name]
            inputs = [node.inputs[0], constant(f"{node.name}_weight", weight), constant(f"{node.name}_bias", bias)]
        if node.op == "conv":
            emit("Conv", inputs, out, kernel_shape=node.attrs["kernel"], strides=node.attrs["stride"],
                 pads=node.attrs["pad"], group=node.attrs["groups"])
        elif node.op == "dense":
            emit("Gemm", inputs, out, transB=1)
        elif node.op == "relu6":
            limits = [constant(f"{node.name}_{side}", np.array(v, np.float32)) for side, v in (("min", 0), ("max", 6))]
            emit("Clip", [node.inputs[0], *limits], out)
        elif node.op == "leaky":
            emit("LeakyRelu", node.inputs, out, alpha=LEAKY_SLOPE)
        elif node.op == "concat":
            emit("Concat", node.inputs, out, axis=1)
        elif node.op in ("max_pool", "average_pool"):
            op = {"max_pool": "MaxPool", "average_pool": "AveragePool"}[node.op]
            emit(op, node.inputs, out, kernel_shape=node.attrs["kernel"], strides=node.attrs["stride"])
        elif node.op == "upsample":
            scales = constant(f"{node.name}_scales", np.array([1, 1, node.attrs["factor"], node.attrs["factor"]], np.float32))
            emit("Resize", [node.inputs[0], "", scales], out, mode="nearest",
                 coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        elif node.op == "flatten":
            emit("Flatten", node.inputs, out, axis=1)
        elif node.op == "softmax":
            emit("Softmax", node.inputs, out, axis=1)
        else:
            emit({"relu": "Relu", "add": "Add", "global_average_pool": "GlobalAveragePool", "sigmoid": "Sigmoid"}[node.op],
                 node.inputs, out)

    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info(net.input_name, TensorProto.FLOAT, (1, *net.input_shape))],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, (1, *net.shape(net.output)))],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="sanderling-zoo")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model
