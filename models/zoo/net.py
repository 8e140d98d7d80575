"""Describes a convolutional network as a list of nodes, once, for training and for the ONNX file.

A `Net` is built by calling one method for each node; every method takes the names of its inputs
and returns the name of its output. Shapes are (channels, height, width), without the batch.
"""

from dataclasses import dataclass, field

import numpy as np

LEAKY_SLOPE = 0.125


@dataclass
class Node:
    """One operator: its name is also the name of the tensor that it writes."""

    name: str
    op: str
    inputs: list
    shape: tuple
    attrs: dict = field(default_factory=dict)


class Net:
    """A network under construction; `nodes` is in the order of execution."""

    def __init__(self, channels, height, width, input_name="input"):
        self.input_name = input_name
        self.input_shape = (channels, height, width)
        self.nodes = []
        self._shapes = {input_name: self.input_shape}

    def shape(self, name):
        """(channels, height, width) of a tensor; (features,) after `flatten`."""
        return self._shapes[name]

    @property
    def output(self):
        """Name of the tensor that the last node writes."""
        return self.nodes[-1].name

    @property
    def logits(self):
        """Name of the tensor that the loss is computed on: what a closing Softmax or Sigmoid reads."""
        last = self.nodes[-1]
        return last.inputs[0] if last.op in ("softmax", "sigmoid") else last.name

    def conv(self, x, channels, kernel, stride=1, pad=None, groups=1, act="relu", norm=True):
        """Convolution, batch normalization (folded when the ONNX file is written) and activation.

        `kernel`, `stride`: one number or (height, width). `pad`: (top, left, bottom, right);
        by default half of the kernel on each side. `act`: None, "relu", "relu6", "leaky".
        """
        kh, kw = _pair(kernel)
        sh, sw = _pair(stride)
        pad = (kh // 2, kw // 2, kh // 2, kw // 2) if pad is None else tuple(pad)
        c, h, w = self.shape(x)
        if c % groups or channels % groups:
            raise ValueError(f"{c} to {channels} channels cannot be split into {groups} groups")
        out = (channels, (h + pad[0] + pad[2] - kh) // sh + 1, (w + pad[1] + pad[3] - kw) // sw + 1)
        attrs = dict(kernel=(kh, kw), stride=(sh, sw), pad=pad, groups=groups, norm=norm, weight=(channels, c // groups, kh, kw))
        name = self._add("conv", [x], out, **attrs)
        return self.act(name, act)

    def depthwise(self, x, kernel, stride=1, pad=None, act="relu"):
        """One filter for each channel."""
        c = self.shape(x)[0]
        return self.conv(x, c, kernel, stride, pad, groups=c, act=act)

    def pointwise(self, x, channels, act="relu"):
        """1x1 convolution."""
        return self.conv(x, channels, 1, act=act)

    def act(self, x, kind):
        """Activation on its own; None passes the tensor through."""
        if kind is None:
            return x
        if kind not in ("relu", "relu6", "leaky"):
            raise ValueError(f"unknown activation {kind!r}")
        return self._add(kind, [x], self.shape(x))

    def add(self, a, b):
        """Sum of two tensors of one shape."""
        if self.shape(a) != self.shape(b):
            raise ValueError(f"add: {self.shape(a)} and {self.shape(b)} differ")
        return self._add("add", [a, b], self.shape(a))

    def concat(self, parts):
        """Joins tensors along the channels."""
        h, w = self.shape(parts[0])[1:]
        return self._add("concat", list(parts), (sum(self.shape(p)[0] for p in parts), h, w))

    def max_pool(self, x, kernel, stride=None):
        """Largest value of each window, without padding."""
        return self._pool("max_pool", x, kernel, stride)

    def average_pool(self, x, kernel, stride=None):
        """Mean of each window, without padding."""
        return self._pool("average_pool", x, kernel, stride)

    def global_average_pool(self, x):
        """Mean over height and width."""
        return self._add("global_average_pool", [x], (self.shape(x)[0], 1, 1))

    def upsample(self, x, factor=2):
        """Repeats each cell `factor` times in both directions (Resize, nearest)."""
        c, h, w = self.shape(x)
        return self._add("upsample", [x], (c, h * factor, w * factor), factor=factor)

    def flatten(self, x):
        """One row of features."""
        return self._add("flatten", [x], (int(np.prod(self.shape(x))),))

    def dense(self, x, features, act=None):
        """Fully connected layer (Gemm)."""
        (n,) = self.shape(x)
        return self.act(self._add("dense", [x], (features,), weight=(features, n)), act)

    def softmax(self, x):
        """Probabilities over the features."""
        return self._add("softmax", [x], self.shape(x))

    def sigmoid(self, x):
        """Logistic function of each value."""
        return self._add("sigmoid", [x], self.shape(x))

    def macs(self):
        """Multiply-accumulate operations of one inference, in convolutions and dense layers."""
        total = 0
        for node in self.nodes:
            if "weight" in node.attrs:
                positions = int(np.prod(node.shape[1:])) if node.op == "conv" else 1
                total += int(np.prod(node.attrs["weight"])) * positions
        return total

    def parameters(self):
        """Weights and biases of the deployed network, after batch normalization is folded."""
        return sum(int(np.prod(n.attrs["weight"])) + n.attrs["weight"][0] for n in self.nodes if "weight" in n.attrs)

    def _pool(self, op, x, kernel, stride):
        kh, kw = _pair(kernel)
        sh, sw = _pair(stride if stride is not None else kernel)
        c, h, w = self.shape(x)
        return self._add(op, [x], (c, (h - kh) // sh + 1, (w - kw) // sw + 1), kernel=(kh, kw), stride=(sh, sw))

    def _add(self, op, inputs, shape, **attrs):
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(Node(name, op, inputs, shape, attrs))
        self._shapes[name] = shape
        return name


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)
