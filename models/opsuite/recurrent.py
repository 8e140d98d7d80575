"""Cases of recurrent cells, unrolled over time as exporters of quantized models leave them."""

import numpy as np

from opsuite.case import single

UNITS = 8


def cases():
    """LSTM and GRU over a few steps."""
    result = []
    for dtype in ("i8", "u8"):
        result.append(single("recurrent_lstm", "LSTM", (4, 6), _lstm, dtype=dtype, tolerance=2, scale=0.05))
        result.append(single("recurrent_gru", "GRU", (4, 6), _gru, dtype=dtype, tolerance=2, scale=0.05))
    return result


def _steps(graph, x):
    for t in range(x.sample.shape[2]):
        part = graph.op("Slice", [x], plain=[np.array([t]), np.array([t + 1]), np.array([1])], out="same")
        yield graph.op("Reshape", [part], plain=[np.array([1, -1])], out="same")


def _dense(graph, x, features):
    return graph.linear("Gemm", x, graph.constant((features, x.sample.shape[-1]), "i8", 0, spread=40), transB=1)


def _gate(graph, x, index, kind):
    part = graph.op("Slice", [x], plain=[np.array([index * UNITS]), np.array([(index + 1) * UNITS]), np.array([1])], out="same")
    return graph.op(kind, [part])


def _lstm(graph, x):
    hidden = cell = None
    for step in _steps(graph, x):
        seen = step if hidden is None else graph.op("Concat", [step, hidden], axis=1)
        gates = _dense(graph, seen, 4 * UNITS)
        into, out, keep = (_gate(graph, gates, k, "Sigmoid") for k in range(3))
        new = graph.op("Mul", [into, _gate(graph, gates, 3, "Tanh")])
        cell = new if cell is None else graph.op("Add", [graph.op("Mul", [keep, cell]), new])
        hidden = graph.op("Mul", [out, graph.op("Tanh", [cell])])
    return hidden


def _gru(graph, x):
    hidden = None
    for step in _steps(graph, x):
        if hidden is None:
            hidden = graph.op("Tanh", [_dense(graph, step, UNITS)])
            continue
        gates = _dense(graph, graph.op("Concat", [step, hidden], axis=1), 2 * UNITS)
        update, reset = (_gate(graph, gates, k, "Sigmoid") for k in range(2))
        candidate = graph.op("Tanh", [_dense(graph, graph.op("Concat", [step, graph.op("Mul", [reset, hidden])], axis=1), UNITS)])
        hidden = graph.op("Add", [candidate, graph.op("Mul", [update, graph.op("Sub", [hidden, candidate])])])
    return hidden
