"""Whole networks of the kinds that run on small boards, with random weights, quantized by onnxruntime.quantization itself.

They show the patterns that its quantizer writes (removed activations, shared tensors, missing biases) and long chains of
steps; their answers mean nothing.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from opsuite.case import Case
from zoo.export import to_onnx
from zoo.net import Net
from zoo.quantize import quantize

FRAMES = 4


def cases():
    """Each network in both forms and with both types of activations."""
    result = []
    for build, tolerance in ((ds_cnn, 1), (mobilenet_v1, 1), (resnet, 1), (inverted_residuals, 1), (autoencoder, 0), (wake_word, 1), (encoder_decoder, 1)):
        for form in ("qdq", "qoperator"):
            for dtype in ("i8", "u8"):
                result.append(_case(build, form, dtype, True, tolerance))
        result.append(_case(build, "qdq", "i8", False, tolerance))
    return result


def ds_cnn():
    """Keyword spotting: one wide first kernel, then separable blocks."""
    net = Net(1, 49, 10)
    x = net.conv("input", 32, (10, 4), stride=2, pad=(4, 1, 5, 1))
    for _ in range(3):
        x = net.pointwise(net.depthwise(x, 3), 32)
    net.softmax(net.dense(net.flatten(net.average_pool(x, net.shape(x)[1:])), 12))
    return net


def mobilenet_v1():
    """Visual wake words: Relu6, strides in the depthwise convolutions with padding on one side only."""
    net = Net(3, 48, 48)
    x = net.conv("input", 8, 3, stride=2, pad=(0, 0, 1, 1), act="relu6")
    for channels, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (96, 2)):
        x = net.depthwise(x, 3, stride, pad=(0, 0, 1, 1) if stride == 2 else None, act="relu6")
        x = net.pointwise(x, channels, act="relu6")
    net.softmax(net.dense(net.flatten(net.global_average_pool(x)), 2))
    return net


def resnet():
    """Image classification: residual blocks, with a convolution on the shortcut where the size changes."""
    net = Net(3, 32, 32)
    x = net.conv("input", 8, 3)
    for channels, stride in ((8, 1), (16, 2), (24, 2)):
        y = net.conv(net.conv(x, channels, 3, stride), channels, 3, act=None)
        shortcut = x if stride == 1 else net.conv(x, channels, 1, stride, act=None)
        x = net.act(net.add(y, shortcut), "relu")
    net.softmax(net.dense(net.flatten(net.global_average_pool(x)), 10))
    return net


def inverted_residuals():
    """MobileNetV2: wide inside, narrow and linear outside, sums without an activation."""
    net = Net(3, 24, 24)
    x = net.conv("input", 8, 3, stride=2, act="relu6")
    for channels, stride in ((8, 1), (12, 2), (12, 1), (20, 2)):
        y = net.pointwise(x, net.shape(x)[0] * 4, act="relu6")
        y = net.pointwise(net.depthwise(y, 3, stride, act="relu6"), channels, act=None)
        x = net.add(y, x) if net.shape(y) == net.shape(x) else y
    net.softmax(net.dense(net.flatten(net.global_average_pool(net.max_pool(x, 2, 1))), 5))
    return net


def autoencoder():
    """Anomaly detection: dense layers only."""
    net = Net(320, 1, 1)
    x = net.flatten("input")
    for features in (64, 64, 8, 64, 64):
        x = net.dense(x, features, act="relu")
    net.dense(x, 320)
    return net


def wake_word():
    """Convolution over time with long kernels, valid padding."""
    net = Net(20, 1, 60)
    x = net.conv("input", 24, (1, 5), pad=(0, 0, 0, 0))
    x = net.pointwise(net.depthwise(x, (1, 9), pad=(0, 0, 0, 0)), 32)
    x = net.pointwise(net.depthwise(x, (1, 13), pad=(0, 0, 0, 0)), 32)
    x = net.concat([net.max_pool(x, (1, 2)), net.average_pool(x, (1, 2))])
    net.softmax(net.dense(net.flatten(net.global_average_pool(x)), 3))
    return net


def encoder_decoder():
    """A picture in, a picture out: skip connections, LeakyRelu, upsampling, Sigmoid."""
    net = Net(3, 32, 32)
    half = net.conv("input", 8, 3, stride=2, act="leaky")
    x = net.conv(half, 16, 3, stride=2, act="leaky")
    x = net.concat([net.upsample(net.pointwise(x, 8, act="leaky")), half])
    x = net.concat([net.upsample(net.pointwise(x, 6, act="leaky")), "input"])
    net.sigmoid(net.conv(x, 2, 3, act=None))
    return net


@dataclass
class _Finished:
    """What `make.py` asks of a graph."""

    form: str
    dtype: str
    frames: np.ndarray
    onnx: object
    opset: int = 13
    output_scale: float = field(init=False)

    def __post_init__(self):
        constants = {t.name: t for t in self.onnx.graph.initializer}
        last = next(n for n in self.onnx.graph.node if self.onnx.graph.output[0].name in n.output)
        self.output_scale = float(np.frombuffer(constants[last.input[1]].raw_data or np.float32(constants[last.input[1]].float_data[0]).tobytes(), np.float32)[0])

    def model(self, name):
        """The quantized model under its case's name."""
        self.onnx.graph.name = name
        return self.onnx


def _case(build, form, dtype, per_channel, tolerance):
    def make(rng):
        net = build()
        weights = {}
        for node in net.nodes:
            if "weight" in node.attrs:
                shape = node.attrs["weight"]
                weights[node.name] = (
                    rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32),
                    rng.normal(0, 0.2, shape[0]).astype(np.float32),
                )
        model = to_onnx(net, weights, build.__name__, "output")
        frames = rng.normal(0, 1, (FRAMES, *net.input_shape)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            # Calibrated on frames that are a little tamer than those of the test, so that the ends of the ranges are reached.
            quantized = quantize(model, frames * 0.9, Path(folder) / "net.onnx", form=form, activations=dtype, per_channel=per_channel)
        return _Finished(form, dtype, frames, quantized)

    name = f"net_{build.__name__}{'' if per_channel else '_per_tensor'}{'' if dtype == 'i8' else '_' + dtype}{'' if form == 'qdq' else '_qop'}"
    return Case(name, "net", make, tolerance)
