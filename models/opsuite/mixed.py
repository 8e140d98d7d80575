"""Writes the suite of partly float models: one .onnx and one .npz for each case, and index.json.

The .npz holds `input` (first axis the frames, each fed with a batch of 1) and one array for each
output, what ONNX Runtime gives. index.json says for each case how many integer regions the model has
and by how many steps each output may differ; a step is `scale`, 1 for integers. A float part in which
ONNX Runtime and tract add in different orders cannot agree to the bit; an integer part must.
The same seed gives the same files.
"""

import argparse
import json
import sys
import zlib
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import onnx
from onnx import TensorProto, helper

from opsuite.graph import DTYPES, FRAMES, Graph, Quantized
from zoo import oracle


class Real:
    """A float tensor of the graph; `sample` as in `Quantized`."""

    def __init__(self, name, sample):
        self.name, self.sample = name, sample


class Mixed(Graph):
    """A graph with float parts, and any number of outputs."""

    def __init__(self, rng, dtype="i8", opset=17):
        super().__init__(rng, "qdq", dtype, opset)
        self.exits, self.entries = [], []

    def float_input(self, shape, low=-2.0, high=2.0):
        """The model's input, in float."""
        self.frames = self.rng.uniform(low, high, (FRAMES, *shape)).astype(np.float32)
        self.entries = [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, *shape))]
        return Real("input", self.frames[:, None])

    def integer_input(self, shape, scale):
        """The model's input, in integers."""
        x = self.input(shape, scale=scale, zero=3 if self.dtype == "i8" else 120, integer=True)
        self.entries = [self.entry]
        return x

    def real(self, kind, inputs, plain=(), **attrs):
        """One operator in float; `inputs` are tensors of the graph, `plain` constants."""
        reals = [self.dequantized(x) if isinstance(x, Quantized) else x for x in inputs]
        sample = self._evaluate(kind, [x.sample for x in reals], [True] * len(reals), plain, attrs)
        return Real(self._emit(kind, [*(x.name for x in reals), *self._plain(plain)], **attrs), sample)

    def dequantized(self, x):
        """A DequantizeLinear."""
        return Real(self._dequantize(x), x.sample)

    def quantized(self, x, fill=1.0):
        """A QuantizeLinear that fits what was seen."""
        return self.quantize(x.name, x.sample, *self._range(x.sample, fill, None, None))

    def requantized(self, x, kind, plain=(), **attrs):
        """An operator between a DequantizeLinear and a QuantizeLinear."""
        return self.quantized(self.real(kind, [x], plain, **attrs))

    def output(self, x, steps=0, scale=None):
        """Makes `x` an output that may differ by so many steps of that scale."""
        integer = isinstance(x, Quantized)
        kind = DTYPES[x.dtype][1] if integer else TensorProto.FLOAT
        self.exits.append((x.name, kind, x.sample.shape[1:], steps, float(scale or 1.0)))

    def model(self, name):
        exits = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape, _, _ in self.exits]
        graph = helper.make_graph(self.nodes, name, self.entries, exits, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], producer_name="sanderling-opsuite")
        model.ir_version = 8
        return model


def conv(graph, x, channels, size=3, relu=True):
    """A convolution of the quantized `x`, with scales per channel."""
    weight = graph.constant((channels, x.sample.shape[2], size, size), axis=0, spread=40)
    then = (("Relu", (), {}),) if relu else ()
    return graph.linear("Conv", x, weight, then=then, pads=[size // 2] * 4)


def normalized(graph, x):
    """Mean and deviation of each channel, as cameras want it; one rounding each, in both."""
    channels = x.sample.shape[2]
    mean = graph.rng.normal(0, 0.3, (1, channels, 1, 1)).astype(np.float32)
    deviation = graph.rng.uniform(0.2, 1.2, (1, channels, 1, 1)).astype(np.float32)
    return graph.real("Div", [graph.real("Sub", [x], (mean,))], (deviation,))


def preprocessing_and_softmax(graph):
    """Float preprocessing, an integer network, a softmax in float."""
    x = graph.quantized(normalized(graph, graph.float_input((2, 12, 12))))
    x = conv(graph, conv(graph, x, 8), 12)
    x = graph.op("Flatten", [graph.op("GlobalAveragePool", [x])], out="same")
    x = graph.linear("Gemm", x, graph.constant((10, 12), spread=40), transB=1)
    graph.output(graph.real("Softmax", [x], axis=-1), 1, 1e-5)
    graph.output(x)
    return 1


def attention_head(graph):
    """Self-attention in float behind an integer backbone."""
    x = graph.quantized(graph.float_input((3, 16, 16)))
    x = conv(graph, conv(graph, x, 8), 16)
    x = graph.op("MaxPool", [x], out="same", kernel_shape=[4, 4], strides=[4, 4])
    graph.output(x)
    width = 16
    tokens = graph.real("Transpose", [graph.real("Reshape", [x], (np.array([1, width, 16], np.int64),))], perm=[0, 2, 1])
    one = np.ones(width, np.float32)
    tokens = graph.real("LayerNormalization", [tokens], (one, 0 * one), axis=-1)
    weight = lambda: graph.rng.normal(0, width**-0.5, (width, width)).astype(np.float32)
    query, key, value = (graph.real("MatMul", [tokens], (weight(),)) for _ in range(3))
    scores = graph.real("MatMul", [query, graph.real("Transpose", [key], perm=[0, 2, 1])])
    scores = graph.real("Softmax", [graph.real("Mul", [scores], (np.float32(0.25),))], axis=-1)
    mixed = graph.real("Add", [graph.real("MatMul", [scores, value]), tokens])
    graph.output(mixed, 1, 1e-4)
    return 1


def foreign_operator(graph):
    """An operator that the engine does not have, between two integer halves."""
    x = conv(graph, graph.quantized(graph.float_input((2, 8, 8))), 6)
    graph.output(x)
    x = graph.requantized(x, "CumSum", (np.array(3, np.int64),))
    graph.output(conv(graph, x, 4))
    return 2


def skip_connection(graph):
    """The same, with a connection that leads around it: not convex with it cut out."""
    x = conv(graph, graph.quantized(graph.float_input((2, 8, 8))), 6)
    y = graph.requantized(x, "CumSum", (np.array(3, np.int64),))
    y = graph.op("Add", [conv(graph, y, 6, relu=False), x])
    graph.output(conv(graph, y, 4))
    return 2


def shared_dequantize(graph):
    """A DequantizeLinear that the foreign operator and the region behind it both read."""
    x = conv(graph, graph.quantized(graph.float_input((2, 8, 8))), 6)
    real = graph.dequantized(x)
    y = graph.quantized(graph.real("CumSum", [real], (np.array(3, np.int64),)))
    total = graph.real("Add", [graph.dequantized(y), real])
    graph.output(conv(graph, graph.quantized(total), 4))
    return 2


def nested_skips(graph):
    """Two foreign operators in a row, with connections around one and around both."""
    x = conv(graph, graph.quantized(graph.float_input((2, 8, 8))), 4)
    y = conv(graph, graph.requantized(x, "CumSum", (np.array(3, np.int64),)), 4)
    y = graph.op("Add", [y, x])
    z = conv(graph, graph.requantized(y, "CumSum", (np.array(2, np.int64),)), 4)
    z = graph.op("Add", [graph.op("Add", [z, y]), x])
    graph.output(conv(graph, z, 3))
    return 3


def two_depths(graph):
    """One branch starts in integers, the other behind float arithmetic; together they are one region."""
    real = graph.float_input((2, 8, 8))
    left = conv(graph, graph.quantized(real), 4)
    right = conv(graph, graph.quantized(normalized(graph, real)), 4)
    graph.output(conv(graph, graph.op("Add", [left, right]), 3))
    return 1


def parallel_branches(graph):
    """A foreign operator in one of two branches: the other is free to join either side."""
    x = conv(graph, graph.quantized(graph.float_input((2, 8, 8))), 4)
    left = conv(graph, graph.requantized(x, "CumSum", (np.array(3, np.int64),)), 4)
    right = conv(graph, conv(graph, x, 4), 4)
    graph.output(conv(graph, graph.op("Add", [left, right]), 3))
    return 2


def float_convolution(graph):
    """Quantized weights whose convolution ONNX Runtime keeps in float, as its output is never quantized."""
    x = conv(graph, graph.quantized(graph.float_input((2, 8, 8))), 6)
    graph.output(x)
    weight = graph.constant((5, 6, 3, 3), axis=0, spread=40)
    real = graph.dequantized(x)
    name = graph._emit("Conv", [real.name, graph._dequantize(weight)], pads=[1] * 4)
    sample = graph._evaluate("Conv", [x.sample, weight.floats()], [True, False], (), {"pads": [1] * 4})
    graph.output(graph.real("Sigmoid", [Real(name, sample)]), 1, 1e-4)
    return 1


def integer_input(graph):
    """Integers in, a float operator first."""
    x = graph.integer_input((2, 8, 8), 2.0**-5)
    x = graph.requantized(x, "CumSum", (np.array(3, np.int64),))
    graph.output(conv(graph, x, 4))
    return 1


def integer_form_in_the_rest(graph):
    """A QLinearConv that the engine does not have (three spatial axes): in float, with its bias at its own scale."""
    x = graph.quantized(graph.float_input((2, 4, 6, 6)))
    weight, bias = graph.constant((3, 2, 3, 3, 3), axis=0, spread=40), graph.rng.integers(-4000, 4001, 3).astype(np.int32)
    reals = [x.sample, weight.floats(), np.asarray(bias * (x.scale * weight.scale), np.float32)]
    sample = graph._evaluate("Conv", reals, [True, False, False], (), {"pads": [1] * 6})
    y = graph._result(sample, *graph._range(sample, 1.0, None, None))
    operands = [x.name, *graph._params(x), *graph._constant(weight), *graph._params(y), graph.tensor(bias)]
    graph._emit("QLinearConv", operands, y.name, pads=[1] * 6)
    y = graph.op("Reshape", [y], plain=(np.array([1, 3, 24, 6], np.int64),), out="same")
    graph.output(conv(graph, y, 4))
    return 1


def captured_value(graph):
    """A branch that reads a value of the graph around it."""
    real = graph.float_input((6,))
    x = graph.requantized(graph.quantized(real), "Relu")
    inside = graph.dequantized(x)
    graph._emit("Greater", [graph._emit("ReduceSum", ["input"], keepdims=0), graph.tensor(np.float32(0))], "positive")
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(kind, [inside.name], [name], name=name)], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)]
        )
        for name, kind in (("then", "Neg"), ("else", "Sqrt"))
    }
    chosen = graph._emit("If", ["positive"], **branches)
    sample = np.concatenate([-inside.sample, np.sqrt(inside.sample)])
    y = graph.quantize(chosen, inside.sample, *graph._range(sample, 1.0, None, None))
    graph.output(graph.op("Add", [y, x]))
    return 2


def computed_shape(graph):
    """A shape that is computed in the graph, as PyTorch's exporter leaves it, and weights turned after they are dequantized."""
    x = graph.quantized(graph.float_input((2, 6, 6)))
    real = graph.dequantized(x)
    first = graph._emit("Gather", [graph._emit("Shape", [real.name]), graph.tensor(np.array([0], np.int64))])
    shape = graph._emit("Concat", [first, graph.tensor(np.array([-1], np.int64))], axis=0)
    flat = graph.quantize(graph._emit("Reshape", [real.name, shape]), x.sample.reshape(FRAMES, 1, 72), x.scale, x.zero)
    weight = graph.constant((5, 72), spread=40)
    turned = graph._emit("Transpose", [graph._dequantize(weight)], perm=[1, 0])
    product = Real(graph._emit("MatMul", [graph.dequantized(flat).name, turned]), flat.sample @ weight.floats().T)
    y = graph.quantized(product)
    graph.output(y)
    graph.output(graph.real("Softmax", [y], axis=-1), 1, 1e-5)
    return 1


def residual_behind_a_refusal(graph):
    """A sum of what a foreign operator gave and of what went around it, both quantized; that the operator is foreign shows
    only once its QuantizeLinear is known."""
    x = conv(graph, graph.quantized(graph.float_input((2, 8, 8))), 4)
    for _ in range(2):
        slopes = graph.rng.uniform(1.1, 1.9, (4, 1, 1)).astype(np.float32)
        y = conv(graph, graph.requantized(x, "PRelu", (slopes,)), 4, relu=False)
        x = graph.op("Add", [y, x])
        graph.output(x)
    return 3


def one_tensor_twice(graph):
    """Two outputs that are one tensor, and one that is the input."""
    x = graph.integer_input((2, 8, 8), 2.0**-6)
    graph._emit("Identity", [x.name], "again")
    y = conv(graph, x, 4)
    graph._emit("Identity", [y.name], "twin")
    for name, of in (("again", x), ("twin", y), (y.name, y)):
        graph.output(Quantized(name, of.scale, of.zero, of.dtype, of.sample))
    return 1


def integers_throughout(graph):
    """A model without any float part: one region, the whole of it."""
    x = conv(graph, conv(graph, graph.integer_input((3, 10, 10), 2.0**-6), 8), 6)
    graph.output(graph.op("Add", [conv(graph, x, 6), x]))
    return 1


def float_throughout(graph):
    """A model in which nothing is quantized."""
    x = graph.float_input((2, 8))
    graph.output(graph.real("Relu", [graph.real("MatMul", [x], (graph.rng.normal(size=(8, 4)).astype(np.float32),))]), 1, 1e-5)
    return 0


def only_borders(graph):
    """A model that quantizes and computes in float all the same."""
    x = graph.requantized(graph.quantized(graph.float_input((2, 8))), "CumSum", (np.array(2, np.int64),))
    graph.output(x)
    return 0


CASES = (
    preprocessing_and_softmax, attention_head, foreign_operator, skip_connection, shared_dequantize, nested_skips, two_depths, parallel_branches,
    float_convolution, integer_input, integer_form_in_the_rest, captured_value, computed_shape, residual_behind_a_refusal,
    one_tensor_twice, integers_throughout, float_throughout, only_borders,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write to; made when it is missing")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    index = []
    for case in CASES:
        for dtype in ("i8", "u8"):
            name = case.__name__ + ("" if dtype == "i8" else "_u8")
            graph = Mixed(np.random.default_rng([args.seed, zlib.crc32(name.encode())]), dtype)
            regions = case(graph)
            model = graph.model(name)
            onnx.checker.check_model(model, full_check=True)
            opened = oracle.opened(model)
            answers = [opened.session.run(None, {"input": frame[None]}) for frame in graph.frames]
            outputs = {exit[0]: np.concatenate([answer[k] for answer in answers]) for k, exit in enumerate(graph.exits)}
            (args.out / f"{name}.onnx").write_bytes(model.SerializeToString())
            np.savez(args.out / f"{name}.npz", input=graph.frames, **outputs)
            exits = [{"name": name, "steps": steps, "scale": scale} for name, _, _, steps, scale in graph.exits]
            index.append({"name": name, "regions": regions, "outputs": exits, "setting": opened.setting})
    (args.out / "index.json").write_text(json.dumps({"oracle": oracle.DESCRIPTION, "settings": oracle.settings(index), "seed": args.seed, "cases": index}, indent=1) + "\n")
    print(f"{args.out}: {len(index)} cases")


if __name__ == "__main__":
    main()
