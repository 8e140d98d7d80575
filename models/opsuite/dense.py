"""Cases of Gemm and MatMul with constant weights."""

import numpy as np

from opsuite.case import single


def cases():
    """All cases of fully connected layers."""
    result = []
    for rows, (n, m) in ((1, (24, 10)), (1, (7, 1)), (1, (100, 33)), (5, (12, 9))):
        for form in ("qdq", "qoperator"):
            for dtype in ("i8", "u8"):
                for trans in (0, 1):
                    for axis in (None, 1 - trans):
                        if dtype == "u8" and trans == 0 and axis is not None:
                            continue
                        label = f"gemm_{rows}x{n}x{m}{'_transb' if trans else ''}{'' if axis is None else '_per_channel'}"
                        result.append(single(label, "Gemm", (n,) if rows == 1 else (rows, n), _gemm(n, m, trans, axis, rows), form=form, dtype=dtype))
    for form in ("qdq", "qoperator"):
        result.append(single("gemm_no_bias", "Gemm", (16,), _gemm(16, 8, 1, None, 1, bias=False), form=form))
        result.append(single("gemm_saturating", "Gemm", (16,), _gemm(16, 8, 1, 0, 1, fill=5.0), form=form))
        for dtype in ("i8", "u8"):
            for shape, name in (((12,), "vector"), ((5, 12), "rows"), ((2, 3, 12), "batch")):
                for axis in (None, 1):
                    label = f"matmul_{name}{'' if axis is None else '_per_column'}"
                    result.append(single(label, "MatMul", shape, _matmul(12, 7, axis), form=form, dtype=dtype))
        result.append(single("matmul_weight_zero_point", "MatMul", (5, 12), _matmul(12, 7, None, "i8", "random"), form=form))
        result.append(single("matmul_u8_weights", "MatMul", (5, 12), _matmul(12, 7, None, "u8", "random"), form=form, dtype="u8"))
    result.append(single("gemm_relu", "Gemm", (16,), _gemm(16, 8, 1, 0, 1, then=[("Relu", (), {})])))
    result.append(single("gemm_i8io", "Gemm", (16,), _gemm(16, 8, 1, 0, 1), integer=True))
    result.append(single("matmul_then_add_bias", "MatMul", (4, 10), _matmul_bias))
    return result


def _gemm(n, m, trans, axis, rows, bias=True, fill=1.0, then=()):
    def body(graph, x):
        if rows > 1:
            x = graph.op("Reshape", [x], plain=[_shape(rows, n)], out="same")
        w = graph.constant((m, n) if trans else (n, m), "i8", axis)
        y = graph.linear("Gemm", x, w, bias=bias, fill=fill, then=then, transB=trans)
        return y if rows == 1 else graph.op("Reshape", [y], plain=[_shape(1, rows, m)], out="same")

    return body


def _matmul(n, m, axis, weight="i8", zero=None):
    def body(graph, x):
        return graph.op("MatMul", [x, graph.constant((n, m), weight, axis, zero)])

    return body


def _matmul_bias(graph, x):
    y = graph.op("MatMul", [x, graph.constant((10, 6), "i8")])
    return graph.op("Add", [y, graph.constant((6,), "i8")])


def _shape(*dims):
    return np.array(dims, np.int64)
