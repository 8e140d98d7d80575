"""ONNX Runtime as the oracle: the one place where its settings are written down.

CPU provider, 1 thread, all optimizations, `session.qdqisint8allowed=1`: without the last one
x86-64 turns signed int8 into uint8 and leaves convolutions beside a residual in float.

On a processor where some of its integer kernels saturate (`zoo.kernels` finds out by running them), each model gets the
first of `SETTINGS` under which no such kernel is left in the graph that is executed; where there is none, no answer.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import functools
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from zoo import kernels, proof
from zoo.kernels import Unproved  # noqa: F401  (what a caller of `opened` may have to tell from a refusal)

ort.set_default_logger_severity(3)


DESCRIPTION = "ONNX Runtime 1.32.0, CPU provider, x86-64, 1 thread, all optimizations, `session.qdqisint8allowed=1`, batch 1."

INT8 = "session.qdqisint8allowed"
PRECISION = "session.x64quantprecision"
# A product with a long constant int8 matrix whose other operand or result is float becomes a MatMulNBits, which by default rounds the
# activations to 8 bits by blocks, up to a hundredth of the result: 1 has it compute in 32-bit floats.
NBITS = "session.qdq_matmulnbits_accuracy_level"
# From the one that is wanted on every processor to those that keep its arithmetic where kernels saturate. The last runs
# the graph that the first one optimized, with the int8 operands of saturating kernels made uint8 (`kernels.widened`).
SETTINGS = ("plain", "precision", "widened")


class Inexact(Exception):
    """ONNX Runtime computes a model exactly under none of the settings."""


@dataclass
class Opened:
    """A model in ONNX Runtime: its session, the graph that ONNX Runtime made of it, the graph that is executed (another
    one where it was widened), and which of `SETTINGS` that took."""

    session: ort.InferenceSession
    optimized: onnx.ModelProto
    executed: onnx.ModelProto
    setting: str

    def operators(self):
        """Counter of (domain:)operator in the graph that ONNX Runtime made of the model."""
        return kernels.operators(self.optimized)

    def float_operators(self):
        """Names of the operators that ONNX Runtime leaves in float arithmetic (empty when the graph is integer throughout)."""
        return kernels.float_operators(self.optimized)

    def run(self, frames):
        """First output for each of `frames` (first axis: frames, each fed as a batch of 1), stacked the same way."""
        (entry,) = self.session.get_inputs()
        return np.concatenate([self.session.run(None, {entry.name: frame[None]})[0] for frame in frames])


@functools.cache
def prove():
    """Raises unless networks that saturate are answered as integer arithmetic answers them; gives (name, setting) of each."""
    found = []
    for name, model, frames, answers in proof.networks():
        runner = _exact(model)
        left, given = runner.float_operators(), runner.run(frames)
        differing = int(np.sum(given != answers))
        if left or differing:
            raise Inexact(f"the oracle does not hold on this processor: {name}, setting {runner.setting}: {differing} of {given.size} values differ from integer arithmetic; in float: {left}")
        found.append((name, runner.setting))
    return found


def plain(model):
    """A model under the first of `SETTINGS`, whether its kernels are exact here or not."""
    return _opened(model.SerializeToString(), "plain")


def opened(model):
    """A model (a path, bytes, or a `ModelProto`) under the first setting in which each integer kernel is exact on this processor."""
    prove()
    return _exact(model)


def _exact(model):
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    tried, first = [], None
    for setting in SETTINGS:
        try:
            found = _widened(first) if setting == "widened" else _opened(source, setting)
        except Exception as error:  # ONNX Runtime raises classes of its own, without a common base
            if setting == "plain":
                raise
            tried.append(f"{setting}: {str(error).splitlines()[0]}")
            continue
        first = first or found
        wrong = kernels.inexact(found.executed)
        if not wrong:
            return found
        tried.append(f"{setting}: {', '.join(map(str, wrong))} saturates")
    raise Inexact(f"ONNX Runtime computes this model exactly under no setting on this processor ({'; '.join(tried)})")


def session(model):
    """The inference session of `opened`."""
    return opened(model).session


def run(model, frames):
    """The answers of `Opened.run` for a model that is opened for them."""
    return opened(model).run(frames)


def operators(model):
    """`Opened.operators` of a model."""
    return opened(model).operators()


def float_operators(model):
    """`Opened.float_operators` of a model."""
    return opened(model).float_operators()


def settings(cases):
    """How many cases of a suite's index took which setting."""
    return dict(Counter(case["setting"] for case in cases if case["setting"]))


def _options(optimized_path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry(INT8, "1")
    options.add_session_config_entry(NBITS, "1")
    options.optimized_model_filepath = str(optimized_path)
    return options


def _started(source, options):
    return ort.InferenceSession(source if isinstance(source, bytes) else str(source), options, providers=["CPUExecutionProvider"])


def _opened(source, setting):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        options = _options(path)
        if setting == "precision":
            options.add_session_config_entry(PRECISION, "1")
            # Where it fails the next setting is taken, and its complaints are none of the user's.
            options.log_severity_level = 4
        runner = _started(source, options)
        optimized = onnx.load(path)
        return Opened(runner, optimized, optimized, setting)


def _widened(plain):
    widened = kernels.widened(plain.optimized)
    with tempfile.TemporaryDirectory() as folder:
        options = _options(Path(folder) / "optimized.onnx")
        # The graph is optimized already.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return Opened(_started(widened.SerializeToString(), options), plain.optimized, widened, "widened")
