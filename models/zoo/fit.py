"""Trains a `Net`: Adam, cosine learning rate, fixed seeds, one thread."""

import os

# One thread keeps the order of sums, and with it the result, the same from run to run.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import time

import jax
import jax.numpy as jnp
import numpy as np

from zoo.forward import forward, initial


def cross_entropy(smoothing=0.0):
    """Loss for class labels, averaged over the batch, with label smoothing."""

    def loss(logits, labels):
        classes = logits.shape[1]
        target = jax.nn.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
        return -(target * jax.nn.log_softmax(logits)).sum(1).mean()

    return loss


def fit(net, batches, steps, loss, rate=3e-3, decay=1e-4, seed=0, log=print):
    """(params, statistics) after `steps` steps over `batches(rng)` = (inputs, targets).

    `rng` is a numpy generator made from `seed`; `decay` is decoupled weight decay.
    """
    params, stats = initial(net, seed)
    rng = np.random.default_rng(seed + 1)
    zeros = jax.tree_util.tree_map(jnp.zeros_like, params)

    def objective(params, stats, x, y):
        logits, new_stats = forward(net, params, stats, x, training=True)
        return loss(logits, y), new_stats

    @jax.jit
    def step(params, stats, first, second, t, x, y):
        (value, new_stats), grads = jax.value_and_grad(objective, has_aux=True)(params, stats, x, y)
        warm = jnp.minimum(1.0, (t + 1) / 50.0)
        lr = rate * warm * 0.5 * (1 + jnp.cos(jnp.pi * t / steps))
        first = jax.tree_util.tree_map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
        second = jax.tree_util.tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)

        def update(p, m, v):
            m, v = m / (1 - 0.9 ** (t + 1)), v / (1 - 0.999 ** (t + 1))
            return p - lr * (m / (jnp.sqrt(v) + 1e-8) + (decay * p if p.ndim > 1 else 0.0))

        return jax.tree_util.tree_map(update, params, first, second), new_stats, first, second, value

    first = second = zeros
    begin, recent = time.monotonic(), []
    for t in range(steps):
        x, y = batches(rng)
        params, stats, first, second, value = step(params, stats, first, second, float(t), x, y)
        recent.append(value)
        if (t + 1) % max(1, steps // 5) == 0:
            log(f"  step {t + 1}/{steps}: loss {np.mean([float(v) for v in recent]):.4f}, {time.monotonic() - begin:.0f} s")
            recent = []
    return params, stats


def predict(net, params, stats, x, batch=256):
    """Logits of all of `x`, as numpy."""
    run = jax.jit(lambda part: forward(net, params, stats, part)[0])
    return np.concatenate([np.asarray(run(x[i : i + batch])) for i in range(0, len(x), batch)])
