"""Writes models that the compiler refuses, each beside the same model with its one fault mended: NAME.onnx, NAME.mended.onnx.

index.json says for each case which node is at fault and what the refusal has to say. That the mended model compiles shows that the
text names the true cause.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

CASES = {}


def case(node, *says):
    """Registers a builder; `node` is at fault, and the refusal says all of `says`."""

    def register(build):
        CASES[build.__name__] = (build, node, says)
        return build

    return register


class Net:
    """A network of one product under construction."""

    def __init__(self, shape=(1, 8)):
        self.rng = np.random.default_rng(1)
        self.nodes, self.constants, self.opset, self.outputs = [], [], 21, None
        self.inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)]

    def constant(self, value, name=None):
        """An initializer."""
        name = name or f"c{len(self.constants)}"
        self.constants.append(value if not isinstance(value, (np.ndarray, np.generic)) else numpy_helper.from_array(np.asarray(value), name))
        if not isinstance(value, (np.ndarray, np.generic)):
            value.name = name
        return name

    def node(self, kind, inputs, name=None, **attrs):
        """A node of one output."""
        name = name or f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}_out"], name=name, **attrs))
        return f"{name}_out"

    def pair(self, x, scale=0.05, zero=np.int8(0), name=None, **attrs):
        """QuantizeLinear and DequantizeLinear."""
        parameters = [self.constant(np.asarray(scale, np.float32)), self.constant(np.asarray(zero))]
        q = self.node("QuantizeLinear", [x, *parameters], name, **attrs)
        return self.node("DequantizeLinear", [q, *parameters], **attrs)

    def integers(self, shape=(8, 4)):
        """Random weights."""
        return self.rng.integers(-63, 64, shape).astype(np.int8)

    def weights(self, shape=(8, 4), name=None):
        """Quantized weights."""
        parts = [self.constant(self.integers(shape)), self.constant(np.float32(0.01)), self.constant(np.int8(0))]
        return self.node("DequantizeLinear", parts, name)

    def finish(self, y, shape=(1, 4)):
        """Quantizes the output, and the model."""
        out = self.pair(y, 0.1)
        info = helper.make_tensor_value_info(out, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "refused", self.inputs, [info], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], producer_name="sanderling-opsuite")
        model.ir_version = 10
        return model


@case("quantize", "uint16 activations are not supported")
def uint16_activations(mended):
    """A zero point of uint16 is a constant; its type is what no operator takes."""
    net = Net()
    x = net.pair("input", 0.0005, np.int16(0) if mended else np.uint16(32768), "quantize")
    return net.finish(net.node("MatMul", [x, net.weights()]))


@case("quantize", "8 scales, one for each channel")
def activations_per_channel(mended):
    """Activations with a scale for each channel."""
    net = Net()
    x = net.pair("input", 0.05, np.int8(0), "quantize") if mended else net.pair("input", np.linspace(0.02, 0.05, 8), np.zeros(8, np.int8), "quantize", axis=1)
    return net.finish(net.node("MatMul", [x, net.weights()]))


@case("quantize", "scale is computed from the model's inputs")
def computed_scale(mended):
    """A scale that depends on the input: dynamic quantization."""
    net = Net()
    if mended:
        return net.finish(net.node("MatMul", [net.pair("input"), net.weights()]))
    scale = net.node("ReduceMax", ["input"], keepdims=0)
    zero = net.constant(np.int8(0))
    x = net.node("DequantizeLinear", [net.node("QuantizeLinear", ["input", scale, zero], "quantize"), scale, zero])
    return net.finish(net.node("MatMul", [x, net.weights()]))


@case("clip", "its min is computed from the model's inputs")
def computed_bound(mended):
    """A Clip whose bound is not a constant."""
    net = Net()
    x = net.pair("input")
    low = net.constant(np.float32(0)) if mended else net.node("ReduceMin", [x], keepdims=0)
    return net.finish(net.node("Clip", [net.node("MatMul", [x, net.weights()]), low], "clip"))


@case("product", "its weights are float")
def float_weights(mended):
    """A convolution whose weights were not quantized."""
    net = Net((1, 3, 4, 4))
    weights = net.weights((4, 3, 1, 1)) if mended else net.constant(net.rng.normal(0, 1, (4, 3, 1, 1)).astype(np.float32))
    return net.finish(net.node("Conv", [net.pair("input"), weights], "product"), (1, 4, 4, 4))


@case("product", "its weights are int16")
def wide_weights(mended):
    """16-bit weights."""
    net = Net()
    kind = np.int8 if mended else np.int16
    weights = net.node("DequantizeLinear", [net.constant(net.integers().astype(kind)), net.constant(np.float32(0.01)), net.constant(kind(0))])
    return net.finish(net.node("MatMul", [net.pair("input"), weights], "product"))


@case("weights", "int4")
def narrow_weights(mended):
    """4-bit weights, a type that the file's reader does not know."""
    net = Net()
    values = net.rng.integers(-8, 8, (8, 4))
    stored = values.astype(np.int8) if mended else helper.make_tensor("w4", TensorProto.INT4, values.shape, values.flatten().tolist())
    weights = net.node("DequantizeLinear", [net.constant(stored), net.constant(np.float32(0.1))], "weights")
    return net.finish(net.node("MatMul", [net.pair("input"), weights]))


@case("function", "it computes a constant, which the compiler does not do for Tanh")
def computed_weights(mended):
    """Weights that a function makes of stored ones when the model runs."""
    net = Net()
    weights = net.weights()
    weights = weights if mended else net.node("Tanh", [weights], "function")
    return net.finish(net.node("MatMul", [net.pair("input"), weights]))


@case("narrow", "it gives bfloat16")
def narrow_cast(mended):
    """Weights that pass through a type that the file's reader does not know."""
    net = Net()
    weights = net.weights()
    if not mended:
        weights = net.node("Cast", [net.node("Cast", [weights], "narrow", to=TensorProto.BFLOAT16)], to=TensorProto.FLOAT)
    return net.finish(net.node("MatMul", [net.pair("input"), weights]))


@case("weights", "attribute `block_size` is 4; only 0 is supported")
def blocked_weights(mended):
    """Weights in blocks along K."""
    net = Net()
    scales, attrs = (np.float32(0.01), {}) if mended else (net.rng.uniform(0.005, 0.02, (2, 4)).astype(np.float32), {"axis": 0, "block_size": 4})
    weights = net.node("DequantizeLinear", [net.constant(net.integers()), net.constant(scales)], "weights", **attrs)
    return net.finish(net.node("MatMul", [net.pair("input"), weights]))


@case("normalize", "the float output of")
def float_between(mended):
    """LayerNormalization of what was not quantized, and then not quantized itself."""
    net = Net()
    y = net.node("MatMul", [net.pair("input"), net.weights()])
    y = net.node("LayerNormalization", [net.pair(y), net.constant(np.ones(4, np.float32))], "normalize", axis=-1)
    y = net.pair(y) if mended else y
    return net.finish(net.node("Add", [y, net.pair(net.node("Neg", [y]))]))


@case("pad", "input 0 is the float output of `product`")
def float_before(mended):
    """An operator that needs a quantized input gets the float output of another."""
    net = Net((1, 3, 4, 4))
    y = net.node("Conv", [net.pair("input"), net.weights((4, 3, 1, 1))], "product")
    y = net.pair(y) if mended else y
    pads = net.constant(np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    return net.finish(net.node("Pad", [y, pads, net.constant(np.float32(0))], "pad"), (1, 4, 5, 5))


@case("hyperbolic", "not one of the engine's operators")
def unknown_function(mended):
    """A function that the engine has no form of."""
    net = Net()
    y = net.pair(net.node("MatMul", [net.pair("input"), net.weights()]))
    return net.finish(net.node("Tanh" if mended else "Cosh", [y], "hyperbolic"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write to; made when it is missing")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    index = []
    for name, (build, node, says) in CASES.items():
        (args.out / f"{name}.onnx").write_bytes(build(False).SerializeToString())
        (args.out / f"{name}.mended.onnx").write_bytes(build(True).SerializeToString())
        index.append({"name": name, "node": node, "says": says})
    (args.out / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    print(f"{args.out}: {len(index)} cases")


if __name__ == "__main__":
    main()
