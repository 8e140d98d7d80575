"""Times LiteRT (XNNPACK) on one quantized ONNX model with one thread; prints one JSON object.

LiteRT takes TensorFlow Lite models only. The layers of the ONNX file are written as one
first, with the same weights, biases, scales, and zero points: a QDQ graph of Conv, Gemm,
Add, GlobalAveragePool, Relu, Reshape, Softmax, and a Transpose of the input. Anything else
is refused. The answers are not compared: this is about time.

usage: litert_time.py MODEL.onnx FRAME.npz SECONDS
"""

import importlib.metadata
import json
import sys
import time

import flatbuffers
import numpy
import onnx
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from onnx import helper, numpy_helper

TYPES = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}


class Writer:
    """A TensorFlow Lite model that grows layer by layer; images are NHWC."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]
        self.codes: dict[int, int] = {}

    def tensor(self, name, shape, dtype, scale=None, zero=None, data=None, axis=0) -> int:
        one = schema.TensorT()
        one.name, one.shape, one.type = name, [int(d) for d in shape], TYPES[dtype]
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = numpy.frombuffer(numpy.ascontiguousarray(data).tobytes(), dtype=numpy.uint8)
            one.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        else:
            one.buffer = 0
        if scale is not None:
            one.quantization = schema.QuantizationParametersT()
            one.quantization.scale = [float(s) for s in numpy.atleast_1d(scale)]
            one.quantization.zeroPoint = [int(z) for z in numpy.atleast_1d(zero)]
            one.quantization.quantizedDimension = axis
        self.graph.tensors.append(one)
        return len(self.graph.tensors) - 1

    def operator(self, code, inputs, outputs, kind=0, options=None, version=3) -> None:
        if code not in self.codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), version
            self.codes[code] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(entry)
        one = schema.OperatorT()
        one.opcodeIndex, one.inputs, one.outputs = self.codes[code], inputs, outputs
        one.builtinOptionsType, one.builtinOptions = kind, options
        self.graph.operators.append(one)

    def bytes(self, inputs, outputs) -> bytes:
        self.graph.inputs, self.graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


class Importer:
    """Walks a QDQ graph; `places` maps a float tensor to the TensorFlow Lite tensor of its quantized form."""

    def __init__(self, model) -> None:
        graph = onnx.shape_inference.infer_shapes(model).graph
        self.graph, self.writer = graph, Writer()
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
                       for v in [*graph.value_info, *graph.input, *graph.output]}
        self.users: dict[str, list] = {}
        for node in graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.stored: dict[str, int] = {}   # quantized tensor of ONNX -> tensor
        self.weights: dict[str, tuple] = {}  # dequantized constant -> values, scale, zero
        self.places: dict[str, int] = {}

    def nhwc(self, shape):
        return [shape[0], shape[2], shape[3], shape[1]] if len(shape) == 4 else shape

    def result(self, name) -> int:
        """The quantized tensor that the float tensor `name` becomes, through Relu."""
        while True:
            (user,) = self.users[name]
            if user.op_type != "Relu":
                break
            name = user.output[0]
        if user.op_type != "QuantizeLinear":
            raise NotImplementedError(f"{user.op_type} after {name}")
        scale, zero = self.constants[user.input[1]], self.constants[user.input[2]]
        shape = self.nhwc(self.shapes[name])
        made = self.writer.tensor(name, shape, "int8", scale, zero)
        self.stored[user.output[0]] = made
        return made

    def run(self) -> bytes:
        for port in self.graph.input:
            users = self.users[port.name]
            for user in users:
                dequantizes = user if user.op_type == "DequantizeLinear" else self.users[user.output[0]][0]
                scale, zero = self.constants[dequantizes.input[1]], self.constants[dequantizes.input[2]]
                shape = self.shapes[port.name]
                if user.op_type == "DequantizeLinear":
                    shape = self.nhwc(shape)
                if port.name not in self.stored:
                    self.stored[port.name] = self.writer.tensor(port.name, shape, "int8", scale, zero)
        for node in self.graph.node:
            getattr(self, node.op_type, self.refused)(node)
        return self.writer.bytes([self.stored[p.name] for p in self.graph.input],
                                 [self.stored[p.name] for p in self.graph.output])

    def refused(self, node):
        raise NotImplementedError(f"{node.op_type} is not written as TensorFlow Lite here")

    def QuantizeLinear(self, node):
        if node.output[0] not in self.stored:
            self.refused(node)

    def Relu(self, node):
        pass  # The zero point of what follows clamps.

    def Transpose(self, node):
        if list(helper.get_attribute_value(node.attribute[0])) != [0, 3, 1, 2]:
            self.refused(node)
        self.stored[node.output[0]] = self.stored[node.input[0]]

    def DequantizeLinear(self, node):
        source, scale, zero = node.input
        if source in self.constants:
            self.weights[node.output[0]] = (self.constants[source], self.constants[scale], self.constants[zero])
        else:
            self.places[node.output[0]] = self.stored[source]

    def products(self, node, weights, axis):
        values, scale, zero = self.weights[node.input[1]]
        bias, bias_scale, bias_zero = self.weights[node.input[2]]
        w = self.writer.tensor(node.input[1], weights(values).shape, "int8", scale, zero, weights(values), axis)
        b = self.writer.tensor(node.input[2], bias.shape, "int32", bias_scale, bias_zero, bias.astype("int32"))
        return [self.places[node.input[0]], w, b]

    def Conv(self, node):
        a = {x.name: helper.get_attribute_value(x) for x in node.attribute}
        (sh, sw), group = a.get("strides", [1, 1]), a.get("group", 1)
        x = self.places[node.input[0]]
        channels, (_, h, w, _) = self.shapes[node.input[0]][1], self.writer.graph.tensors[x].shape
        depthwise = group == channels and group > 1
        if group not in (1, channels) or a.get("dilations", [1, 1]) != [1, 1]:
            self.refused(node)
        kh, kw = a["kernel_shape"]
        pads = a.get("pads", [0, 0, 0, 0])
        _, _, oh, ow = self.shapes[node.output[0]]
        same = [max((oh - 1) * sh + kh - h, 0), max((ow - 1) * sw + kw - w, 0)]
        total = [pads[0] + pads[2], pads[1] + pads[3]]
        halves = pads[:2] == [same[0] // 2, same[1] // 2]
        if depthwise:
            inputs = self.products(node, lambda v: v.transpose(1, 2, 3, 0), 3)
        else:
            inputs = self.products(node, lambda v: v.transpose(0, 2, 3, 1), 0)
        padding = schema.Padding.SAME if total == same and halves and -(-h // sh) == oh else schema.Padding.VALID
        if padding == schema.Padding.VALID and any(pads):
            amounts = numpy.array([[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]], dtype="int32")
            source = self.writer.graph.tensors[x]
            by = self.writer.tensor(node.name + "/pads", amounts.shape, "int32", data=amounts)
            shape = [1, h + total[0], w + total[1], source.shape[3]]
            padded = self.writer.tensor(node.name + "/padded", shape, "int8",
                                        source.quantization.scale, source.quantization.zeroPoint)
            self.writer.operator(schema.BuiltinOperator.PAD, [x, by], [padded],
                                 schema.BuiltinOptions.PadOptions, schema.PadOptionsT(), 2)
            inputs[0] = padded
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = padding, sh, sw
        options.dilationHFactor = options.dilationWFactor = 1
        if depthwise:
            options.depthMultiplier = self.weights[node.input[1]][0].shape[0] // channels
            code, kind = schema.BuiltinOperator.DEPTHWISE_CONV_2D, schema.BuiltinOptions.DepthwiseConv2DOptions
        else:
            code, kind = schema.BuiltinOperator.CONV_2D, schema.BuiltinOptions.Conv2DOptions
        self.writer.operator(code, inputs, [self.result(node.output[0])], kind, options)

    def Gemm(self, node):
        a = {x.name: helper.get_attribute_value(x) for x in node.attribute}
        inputs = self.products(node, (lambda v: v) if a.get("transB") else (lambda v: v.T), 0)
        self.writer.operator(schema.BuiltinOperator.FULLY_CONNECTED, inputs, [self.result(node.output[0])],
                             schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT(), 4)

    def Add(self, node):
        self.writer.operator(schema.BuiltinOperator.ADD, [self.places[i] for i in node.input],
                             [self.result(node.output[0])], schema.BuiltinOptions.AddOptions, schema.AddOptionsT(), 2)

    def GlobalAveragePool(self, node):
        axes = self.writer.tensor(node.name + "/axes", [2], "int32", data=numpy.array([1, 2], dtype="int32"))
        options = schema.ReducerOptionsT()
        options.keepDims = True
        self.writer.operator(schema.BuiltinOperator.MEAN, [self.places[node.input[0]], axes],
                             [self.result(node.output[0])], schema.BuiltinOptions.ReducerOptions, options, 2)

    def Reshape(self, node):
        to = self.result(node.output[0])
        shape = numpy.array(self.writer.graph.tensors[to].shape, dtype="int32")
        by = self.writer.tensor(node.name + "/shape", shape.shape, "int32", data=shape)
        options = schema.ReshapeOptionsT()
        options.newShape = [int(d) for d in shape]
        self.writer.operator(schema.BuiltinOperator.RESHAPE, [self.places[node.input[0]], by], [to],
                             schema.BuiltinOptions.ReshapeOptions, options, 1)

    def Softmax(self, node):
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        self.writer.operator(schema.BuiltinOperator.SOFTMAX, [self.places[node.input[0]]],
                             [self.result(node.output[0])], schema.BuiltinOptions.SoftmaxOptions, options, 2)


def main(path: str, frame: str, seconds: float) -> None:
    model = Importer(onnx.load(path)).run()
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    (port,) = interpreter.get_input_details()
    interpreter.set_tensor(port["index"], numpy.load(frame)["input"].reshape(port["shape"]))
    for _ in range(20):
        interpreter.invoke()
    # Inputs stay where they are: what is timed is the run.
    invoke, times = interpreter.invoke, []
    start = time.perf_counter_ns()
    while not times or time.perf_counter_ns() - start < seconds * 1e9:
        one = time.perf_counter_ns()
        invoke()
        times.append(time.perf_counter_ns() - one)
    times.sort()
    answer = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).flatten()[:12].tolist()
    print(json.dumps({"median_us": times[len(times) // 2] / 1e3, "runs": len(times), "answer": answer,
                      "version": importlib.metadata.version("ai-edge-litert")}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
