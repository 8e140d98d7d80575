"""Builds one small quantized graph, in QDQ or QOperator form, from the same calls.

Each operator also runs in float on a few random frames while the graph grows; the scale of its
output is chosen from what was seen there, so that deep graphs neither vanish nor saturate by accident.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zoo import oracle

FRAMES = 6
DTYPES = {"i8": (np.int8, TensorProto.INT8, -128, 127), "u8": (np.uint8, TensorProto.UINT8, 0, 255), "i16": (np.int16, TensorProto.INT16, -32768, 32767)}

# com.microsoft (or ai.onnx) operators of the QOperator form, with the order of their operands.
_ACTIVATION_FORMS = {
    "GlobalAveragePool": "QLinearGlobalAveragePool", "AveragePool": "QLinearAveragePool", "Sigmoid": "QLinearSigmoid",
    "LeakyRelu": "QLinearLeakyRelu", "Softmax": "QLinearSoftmax",
}
# These move or compare values; the QOperator form runs them on the integers themselves.
_ON_INTEGERS = {
    "MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Resize", "Pad", "ReduceMax", "ReduceMin", "Gather", "DepthToSpace",
}


@dataclass
class Quantized:
    """A quantized tensor of the graph; `sample` holds its float values: the frames, then the tensor's own axes."""

    name: str
    scale: np.float32
    zero: int
    dtype: str
    sample: np.ndarray


@dataclass
class Constant:
    """A quantized constant; `axis` is None for one scale, else the axis that the scales run along."""

    name: str
    values: np.ndarray
    scale: np.ndarray
    zero: np.ndarray
    axis: int | None

    def floats(self):
        """The values that the integers stand for."""
        shape = [1] * self.values.ndim
        if self.axis is not None:
            shape[self.axis] = -1
        steps = self.values.astype(np.int32) - self.zero.astype(np.int32).reshape(shape)
        return np.asarray(steps * self.scale.reshape(shape), np.float32)


@dataclass(frozen=True)
class Bias:
    """How a bias is stored: `factor` times the scale of the sums (or the power of two below that), and a zero point."""

    factor: float = 1.0
    zero: int = 0
    dtype: type = np.int32
    power_of_two: bool = False
    per_tensor: bool = False


class Graph:
    """A graph under construction. `form`: "qdq" or "qoperator"; `dtype`: that of the activations."""

    def __init__(self, rng, form="qdq", dtype="i8", opset=13):
        self.rng, self.form, self.dtype, self.opset = rng, form, dtype, opset
        self.nodes, self.constants, self.entry, self.exit, self.frames = [], [], None, None, None
        self.output_scale = 1.0
        self._serial = 0

    # The borders.

    def input(self, shape, scale=None, zero=None, integer=False):
        """The model's input, float (quantized in the graph) or integer; a few values lie beyond the range."""
        shape = (1, *shape)
        finer = 8 if self.dtype == "i16" else 0
        scale = np.float32(scale if scale is not None else 2.0 ** self.rng.uniform(-7 - finer, -2 - finer))
        zero = self.zero_point() if zero is None else zero
        numpy_type, onnx_type, low, high = DTYPES[self.dtype]
        if integer:
            self.frames = self.rng.integers(low, high + 1, (FRAMES, *shape[1:])).astype(numpy_type)
            self.entry = helper.make_tensor_value_info("input", onnx_type, shape)
            return Quantized("input", scale, zero, self.dtype, self._real(self.frames[:, None], scale, zero))
        beyond = (high - low) // 40
        steps = self.rng.uniform(low - zero - beyond, high - zero + beyond, (FRAMES, *shape[1:]))
        self.frames = (steps * scale).astype(np.float32)
        self.entry = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
        return self.quantize("input", self.frames[:, None], scale, zero)

    def finish(self, x, integer=False):
        """Names `x` as the model's output, in float or as the integers themselves."""
        shape = x.sample.shape[1:]
        self.output_scale = 1.0 if integer else float(x.scale)
        if integer:
            self.nodes[-1].output[0] = "output"
            self.exit = helper.make_tensor_value_info("output", DTYPES[x.dtype][1], shape)
        else:
            self._emit("DequantizeLinear", [x.name, *self._params(x)], "output")
            self.exit = helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)

    def end(self, kind, inputs, plain=(), step=1.0, **attrs):
        """One operator whose output, float or int64, is the model's without a quantization; `step` is its unit of tolerance."""
        index = kind.startswith("Arg")
        reals = [x.sample if isinstance(x, Quantized) else x.floats() for x in inputs]
        out_type = TensorProto.INT64 if index else TensorProto.FLOAT
        sample = self._evaluate(kind, reals, [isinstance(x, Quantized) for x in inputs], plain, attrs, out_type)
        names = [x.name if self.form == "qoperator" else self._dequantize(x) for x in inputs]
        self._emit(kind, [*names, *self._plain(plain)], "output", **attrs)
        self.output_scale = step
        self.exit = helper.make_tensor_value_info("output", out_type, sample.shape[1:])

    def indices(self, shape, extent, negative=False):
        """The model's input as int64 indices below `extent`."""
        self.frames = self.rng.integers(-extent if negative else 0, extent, (FRAMES, *shape))
        self.entry = helper.make_tensor_value_info("input", TensorProto.INT64, (1, *shape))
        return "input"

    def embedding(self, table, indices):
        """Rows of a quantized constant by index."""
        sample = np.stack([table.floats()[frame[None]] for frame in self.frames])
        names = [self._dequantize(table), indices]
        value = self._emit("Gather", names)
        return self.quantize(value, sample, np.float32(table.scale), int(table.zero))

    def model(self, name):
        """The finished ONNX model."""
        graph = helper.make_graph(self.nodes, name, [self.entry], [self.exit], self.constants)
        imports = [helper.make_opsetid("", self.opset)]
        if any(node.domain for node in self.nodes):
            imports.append(helper.make_opsetid("com.microsoft", 1))
        model = helper.make_model(graph, opset_imports=imports, producer_name="sanderling-opsuite")
        model.ir_version = 8 if self.opset < 19 else 10
        return model

    # Constants.

    def constant(self, shape, dtype="i8", axis=None, zero=None, spread=None):
        """Random quantized weights; `zero` "random" asks for zero points other than 0 (or 128)."""
        numpy_type, _, low, high = DTYPES[dtype]
        count = shape[axis] if axis is not None else 1
        middle = 0 if dtype == "i8" else 128
        if spread is None:
            values = self.rng.integers(max(low, -127) if dtype == "i8" else low, high + 1, shape)
        else:
            values = np.clip(np.rint(self.rng.normal(middle, spread, shape)), low, high)
        scale = (2.0 ** self.rng.uniform(-9, -5, count)).astype(np.float32)
        zeros = self.rng.integers(low // 2 if low else 64, high // 2 + 1 if not low else 192, count) if zero == "random" else np.full(count, middle)
        if axis is None:
            scale, zeros = scale[0], zeros[0]
        return Constant(self._label("w"), values.astype(numpy_type), np.asarray(scale), np.asarray(zeros, numpy_type), axis)

    def tensor(self, value, label=None):
        """Adds a plain initializer, as it is."""
        label = label or self._label("c")
        self.constants.append(numpy_helper.from_array(np.asarray(value), label))
        return label

    # Operators.

    def op(self, kind, inputs, out="auto", plain=(), then=(), fill=1.0, zero=None, scale=None, **attrs):
        """One operator on quantized tensors and constants.

        `plain`: further inputs that are not quantized (shapes, axes, limits). `then`: operators without a
        quantized tensor before them, as (kind, plain inputs, attributes). `out`: "auto" chooses scale and
        zero point from the sample, stretched by `fill` (above 1 the output saturates); "same" keeps the first input's.
        """
        reals = [x.sample if isinstance(x, Quantized) else x.floats() for x in inputs]
        sample = self._evaluate(kind, reals, [isinstance(x, Quantized) for x in inputs], plain, attrs)
        for follower, extra, more in then:
            sample = self._evaluate(follower, [sample], [True], extra, more)
        if out == "same":
            scale, zero = inputs[0].scale, inputs[0].zero
        else:
            scale, zero = self._range(sample, fill, scale, zero)
        if self.form == "qoperator":
            return self._integer_form(kind, inputs, plain, attrs, sample, scale, zero)
        names = [self._dequantize(x) for x in inputs]
        value = self._emit(kind, [*names, *self._plain(plain)], **attrs)
        for follower, extra, more in then:
            value = self._emit(follower, [value, *self._plain(extra)], **more)
        return self.quantize(value, sample, scale, zero)

    def linear(self, kind, x, weight, bias=True, then=(), fill=1.0, zero=None, **attrs):
        """Conv or Gemm with a quantized weight and an int32 bias whose scale is that of the sums, unless `bias` says otherwise."""
        reals, flags, extra = [x.sample, weight.floats()], [True, False], []
        if bias:
            count = weight.values.shape[0] if kind == "Conv" or attrs.get("transB") else weight.values.shape[1]
            if kind == "ConvTranspose":
                count *= attrs.get("group", 1)
            form = bias if isinstance(bias, Bias) else Bias()
            per_channel = np.resize(np.asarray(x.scale * weight.scale, np.float32), count)
            scale = per_channel if weight.axis is not None else np.float32(x.scale * weight.scale)
            if form != Bias():
                scale = np.float32(np.mean(scale) if form.per_tensor else scale) * np.float32(form.factor)
                scale = np.exp2(np.floor(np.log2(scale))).astype(np.float32) if form.power_of_two else np.asarray(scale, np.float32)
            low, high = (-128, 128) if form.dtype == np.int8 else (-8000, 8001)
            values = self.rng.integers(low, high, count).astype(form.dtype)
            axis = 0 if np.ndim(scale) else None
            constant = Constant(self._label("b"), values, np.asarray(scale), np.full(np.shape(scale), form.zero, form.dtype), axis)
            reals.append(constant.floats())
            flags.append(False)
            extra = [constant]
        sample = self._evaluate(kind, reals, flags, (), attrs)
        for follower, more_inputs, more in then:
            sample = self._evaluate(follower, [sample], [True], more_inputs, more)
        scale, zero = self._range(sample, fill, None, zero)
        if self.form == "qoperator":
            names = [x.name, *self._params(x), *self._constant(weight)]
            biases = [self.tensor(c.values) for c in extra]
            result = self._result(sample, scale, zero)
            if kind == "Conv":
                self._emit("QLinearConv", [*names, *self._params(result), *biases], result.name, **attrs)
            else:
                self._emit("QGemm", [*names, *(biases or [""]), *self._params(result)], result.name, domain="com.microsoft", **attrs)
            return result
        names = [self._dequantize(v) for v in (x, weight, *extra)]
        value = self._emit(kind, names, **attrs)
        for follower, more_inputs, more in then:
            value = self._emit(follower, [value, *self._plain(more_inputs)], **more)
        return self.quantize(value, sample, scale, zero)

    def quantize(self, name, sample, scale, zero):
        """A QuantizeLinear on a float tensor of the graph."""
        result = self._result(sample, scale, zero)
        self._emit("QuantizeLinear", [name, *self._params(result)], result.name)
        return result

    def requantize(self, x, scale, zero):
        """A DequantizeLinear and a QuantizeLinear with other parameters."""
        return self.quantize(self._dequantize(x), x.sample, np.float32(scale), zero)

    def narrow(self, x, dtype, scale=None, zero=0):
        """A DequantizeLinear and a QuantizeLinear to another type; what follows has that type."""
        value = self._dequantize(x)
        self.dtype = dtype
        low, high = DTYPES[dtype][2:]
        scale = scale or np.float32(np.abs(x.sample).max() * 2 / (high - low))
        return self.quantize(value, x.sample, scale, zero)

    def zero_point(self):
        """A random zero point; the ends of the range are as likely as all others together."""
        low, high = DTYPES[self.dtype][2:]
        return int(self.rng.choice([low, high, (low + high + 1) // 2, self.rng.integers(low, high + 1)], p=[0.25, 0.1, 0.25, 0.4]))

    # Inside.

    def _label(self, kind):
        self._serial += 1
        return f"{kind}{self._serial}"

    def _integer_form(self, kind, inputs, plain, attrs, sample, scale, zero):
        result = self._result(sample, scale, zero)
        first = inputs[0]
        operands = []
        for x in inputs:
            operands += self._constant(x) if isinstance(x, Constant) else [x.name, *self._params(x)]
        if kind in ("Add", "Mul"):
            self._emit(f"QLinear{kind}", [*operands, *self._params(result)], result.name, domain="com.microsoft")
        elif kind == "MatMul":
            self._emit("QLinearMatMul", [*operands, *self._params(result)], result.name)
        elif kind == "Concat":
            self._emit("QLinearConcat", [*self._params(result), *operands], result.name, domain="com.microsoft", **attrs)
        elif kind in _ACTIVATION_FORMS:
            more = {"channels_last": 0} if "Pool" in kind else {"opset": 13} if kind == "Softmax" else {}
            self._emit(_ACTIVATION_FORMS[kind], [*operands, *self._params(result)], result.name, domain="com.microsoft", **attrs, **more)
        elif kind in _ON_INTEGERS and (scale, zero) == (first.scale, first.zero):
            extra = list(self._plain(plain))
            if kind == "Pad" and len(plain) > 1:
                extra[1] = self.tensor(np.asarray(np.rint(plain[1] / scale) + zero, DTYPES[self.dtype][0]))
            elif kind == "Pad" and attrs.get("mode", "constant") == "constant":
                extra.append(self.tensor(np.asarray(zero, DTYPES[self.dtype][0])))
            self._emit(kind, [first.name, *extra], result.name, **attrs)
        else:
            raise ValueError(f"{kind} has no QOperator form here")
        return result

    def _result(self, sample, scale, zero):
        low, high = DTYPES[self.dtype][2:]
        steps = np.clip(np.rint(sample / scale) + zero, low, high)
        return Quantized(f"q{len(self.nodes)}", np.float32(scale), int(zero), self.dtype, self._real(steps, scale, zero))

    def _range(self, sample, fill, scale, zero):
        low, high = DTYPES[self.dtype][2:]
        top, bottom = float(sample.max()), float(min(sample.min(), 0.0))
        if scale is None:
            scale = np.float32(max(top - bottom, 1e-3) / (high - low) / fill)
        if zero is None:
            zero = int(np.clip(np.rint(low - bottom / scale / fill), low, high))
        return np.float32(scale), zero

    def _evaluate(self, kind, reals, per_frame, plain, attrs, out_type=TensorProto.FLOAT):
        names = [f"i{k}" for k in range(len(reals))]
        extra = [None if p is None else numpy_helper.from_array(np.asarray(p), f"p{k}") for k, p in enumerate(plain)]
        node = helper.make_node(kind, names + ["" if e is None else e.name for e in extra], ["o"], **attrs)
        infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, r.shape[1:] if f else r.shape) for n, r, f in zip(names, reals, per_frame)]
        graph = helper.make_graph([node], "one", infos, [helper.make_tensor_value_info("o", out_type, None)], [e for e in extra if e is not None])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 8 if self.opset < 19 else 10
        runner = oracle.session(model)
        outputs = []
        for k in range(FRAMES):
            feed = {n: (r[k] if f else r) for n, r, f in zip(names, reals, per_frame)}
            outputs.append(runner.run(None, feed)[0])
        return np.stack(outputs)

    def _dequantize(self, x):
        if isinstance(x, Constant):
            attrs = {} if x.axis is None else {"axis": x.axis}
            return self._emit("DequantizeLinear", self._constant(x), **attrs)
        return self._emit("DequantizeLinear", [x.name, *self._params(x)])

    def _constant(self, x):
        return [self.tensor(x.values, x.name), self.tensor(x.scale), self.tensor(x.zero)]

    def _params(self, x):
        return [self.tensor(np.asarray(x.scale, np.float32)), self.tensor(np.asarray(x.zero, DTYPES[x.dtype][0]))]

    def _plain(self, values):
        return ["" if v is None else self.tensor(v) for v in values]

    def _emit(self, kind, inputs, output=None, domain="", **attrs):
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=f"{kind}_{len(self.nodes)}", domain=domain, **attrs))
        return output

    @staticmethod
    def _real(steps, scale, zero):
        return ((np.asarray(steps, np.float64) - zero) * float(scale)).astype(np.float32)


def check(model):
    """Raises when the model is not valid ONNX (operators of com.microsoft are not known to the checker)."""
    if all(not node.domain for node in model.graph.node):
        onnx.checker.check_model(model, full_check=True)
