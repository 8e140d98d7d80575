"""One case of the suite: a name, the operator it is about, and a function that builds its graph."""

from collections.abc import Callable
from dataclasses import dataclass

from opsuite.graph import Graph


@dataclass
class Case:
    """`tolerance`: steps of the output's scale by which an engine may differ from ONNX Runtime; `relative`: the same as a
    share of a float output."""

    name: str
    operator: str
    build: Callable
    tolerance: int = 0
    relative: float = 0.0
    absolute: float = 0.0


def single(name, operator, shape, body, form="qdq", dtype="i8", opset=13, tolerance=0, integer=False, scale=None, zero=None, relative=0.0, absolute=0.0):
    """A case whose `body(graph, x)` maps the quantized input to the quantized output, or ends the graph itself."""

    def build(rng):
        graph = Graph(rng, form, dtype, opset)
        x = graph.input(shape, scale=scale, zero=zero, integer=integer)
        y = body(graph, x)
        if y is not None:
            graph.finish(y, integer=integer)
        return graph

    suffix = "" if form == "qdq" else "_qop"
    return Case(f"{name}{'' if dtype == 'i8' else '_' + dtype}{suffix}", operator, build, tolerance, relative, absolute)
