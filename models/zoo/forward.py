"""Runs a `Net` in JAX: parameters, forward pass, running statistics of batch normalization."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.net import LEAKY_SLOPE

EPSILON = 1e-3
MOMENTUM = 0.95


def initial(net, seed):
    """(params, statistics) for a new network: He-normal weights, from `seed` alone."""
    rng = np.random.default_rng(seed)
    params, stats = {}, {}
    for node in net.nodes:
        if "weight" not in node.attrs:
            continue
        shape = node.attrs["weight"]
        weight = rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[1:])), shape).astype(np.float32)
        params[node.name] = {"weight": jnp.asarray(weight), "bias": jnp.zeros(shape[0])}
        if node.attrs.get("norm"):
            params[node.name]["gain"] = jnp.ones(shape[0])
            stats[node.name] = {"mean": jnp.zeros(shape[0]), "var": jnp.ones(shape[0])}
    return params, stats


def forward(net, params, stats, x, training=False):
    """(logits, new statistics) for a batch `x` of shape (batch, channels, height, width)."""
    values, new_stats = {net.input_name: x}, {}
    for node in net.nodes:
        if node.name == net.output and node.op in ("softmax", "sigmoid"):
            break
        read = [values[name] for name in node.inputs]
        if node.op == "conv":
            value = _conv(node, params[node.name]["weight"], read[0])
            if node.attrs["norm"]:
                value, new_stats[node.name] = _norm(value, params[node.name], stats[node.name], training)
            else:
                value = value + params[node.name]["bias"][:, None, None]
        elif node.op == "dense":
            value = read[0] @ params[node.name]["weight"].T + params[node.name]["bias"]
        else:
            value = _OPS[node.op](node, *read)
        values[node.name] = value
    return values[net.logits], new_stats


def folded(net, params, stats):
    """{node: (weight, bias)} as numpy, with batch normalization multiplied into the weights."""
    result = {}
    for name, p in params.items():
        weight, bias = np.asarray(p["weight"], np.float64), np.asarray(p["bias"], np.float64)
        if name in stats:
            gain = np.asarray(p["gain"], np.float64) / np.sqrt(np.asarray(stats[name]["var"], np.float64) + EPSILON)
            bias = bias - np.asarray(stats[name]["mean"], np.float64) * gain
            weight = weight * gain.reshape(-1, *([1] * (weight.ndim - 1)))
        result[name] = (weight.astype(np.float32), bias.astype(np.float32))
    return result


def _conv(node, weight, x):
    top, left, bottom, right = node.attrs["pad"]
    if node.attrs["groups"] == x.shape[1] == weight.shape[0] and weight.shape[1] == 1:
        return _depthwise(node, weight, x)
    return lax.conv_general_dilated(
        x, weight, node.attrs["stride"], [(top, bottom), (left, right)],
        feature_group_count=node.attrs["groups"], dimension_numbers=("NCHW", "OIHW", "NCHW"),
    )


def _depthwise(node, weight, x):
    """Sum of shifted copies: on a CPU many times faster than XLA's grouped convolution."""
    (kh, kw), (sh, sw), (top, left, bottom, right) = node.attrs["kernel"], node.attrs["stride"], node.attrs["pad"]
    x = jnp.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    _, height, width = node.shape
    total = 0.0
    for i in range(kh):
        for j in range(kw):
            window = x[:, :, i : i + sh * (height - 1) + 1 : sh, j : j + sw * (width - 1) + 1 : sw]
            total = total + window * weight[:, 0, i, j][:, None, None]
    return total


def _norm(x, p, s, training):
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        stats = {
            "mean": MOMENTUM * s["mean"] + (1 - MOMENTUM) * lax.stop_gradient(mean),
            "var": MOMENTUM * s["var"] + (1 - MOMENTUM) * lax.stop_gradient(var),
        }
    else:
        mean, var, stats = s["mean"], s["var"], s
    gain = p["gain"] * lax.rsqrt(var + EPSILON)
    return (x - mean[:, None, None]) * gain[:, None, None] + p["bias"][:, None, None], stats


def _windows(node, x, start, combine):
    shape = (1, 1) + node.attrs["kernel"]
    return lax.reduce_window(x, start, combine, shape, (1, 1) + node.attrs["stride"], "VALID")


_OPS = {
    "relu": lambda node, x: jax.nn.relu(x),
    "relu6": lambda node, x: jnp.clip(x, 0.0, 6.0),
    "leaky": lambda node, x: jnp.where(x > 0, x, LEAKY_SLOPE * x),
    "add": lambda node, a, b: a + b,
    "concat": lambda node, *parts: jnp.concatenate(parts, axis=1),
    "max_pool": lambda node, x: _windows(node, x, -jnp.inf, lax.max),
    "average_pool": lambda node, x: _windows(node, x, 0.0, lax.add) / np.prod(node.attrs["kernel"]),
    "global_average_pool": lambda node, x: x.mean((2, 3), keepdims=True),
    "upsample": lambda node, x: x.repeat(node.attrs["factor"], 2).repeat(node.attrs["factor"], 3),
    "flatten": lambda node, x: x.reshape(x.shape[0], -1),
}
