"""Cases of Gather, DepthToSpace, SpaceToDepth, and linear Resize."""

import numpy as np

from opsuite.case import Case, single
from opsuite.graph import Graph


def _ints(*values):
    return np.array(values, np.int64)


def cases():
    """All of them."""
    result = []
    for dtype in ("i8", "u8"):
        for form in ("qdq", "qoperator"):
            for name, indices, axis in (
                ("channels", _ints(1, 3, 4), 1), ("scalar", np.array(2, np.int64), 2), ("backwards", _ints(3, 2, 1, 0), 3), ("negative", _ints(-1, 0, -2), 1),
                ("repeated", _ints(0, 0, 2, 2, 2, 5), 1), ("matrix", _ints(0, 2, 1, 3).reshape(2, 2), -1), ("one", _ints(2), 1),
            ):
                result.append(single(f"gather_{name}", "Gather", (6, 4, 5), _same("Gather", [indices], axis=axis), form=form, dtype=dtype))
            for mode in ("DCR", "CRD"):
                for block in (2, 3):
                    shape = (block * block * 3, 4, 5)
                    result.append(single(f"depth_to_space_{mode}_{block}".lower(), "DepthToSpace", shape, _same("DepthToSpace", blocksize=block, mode=mode), form=form, dtype=dtype))
        for block in (2, 3):
            result.append(single(f"space_to_depth_{block}", "SpaceToDepth", (5, 2 * block, 3 * block), _same("SpaceToDepth", blocksize=block), dtype=dtype))
        result.append(single("depth_to_space_after_conv", "DepthToSpace", (6, 5, 4), _super_resolution, dtype=dtype))
        result.append(single("gather_requantized", "Gather", (6, 4, 5), lambda g, x: g.op("Gather", [x], plain=[_ints(1, 4)], axis=1), dtype=dtype))
        for name, shape, negative in (("rows", (7,), False), ("matrix", (2, 3), False), ("negative", (5,), True)):
            result.append(_embedding(f"embedding_{name}", shape, negative, dtype))
        result.append(_embedding("embedding_then_gemm", (4,), False, dtype, then=lambda g, y: g.op("MatMul", [y, g.constant((8, 5), "i8", 1)])))
        for mode in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
            for name, plain, target in (
                ("2", [None, np.array([1, 1, 2, 2], np.float32)], (8, 10)), ("fraction", [None, np.array([1, 1, 1.5, 2.5], np.float32)], None),
                ("sizes", [None, None, _ints(1, 3, 9, 7)], None), ("down", [None, None, _ints(1, 3, 2, 3)], None),
            ):
                result.append(single(f"resize_linear_{mode}_{name}", "Resize", (3, 4, 5), _same("Resize", plain, mode="linear", coordinate_transformation_mode=mode), dtype=dtype))
        result.append(single("resize_linear_requantized", "Resize", (5, 6, 7), lambda g, x: g.op("Resize", [x], plain=[None, np.array([1, 1, 2, 3], np.float32)], mode="linear", fill=1.4), dtype=dtype))
        result.append(single("resize_linear_relu", "Resize", (5, 6, 7), lambda g, x: g.op("Resize", [x], plain=[None, np.array([1, 1, 2, 2], np.float32)], mode="linear", then=[("Relu", (), {})]), dtype=dtype))
        # ONNX Runtime resizes three dimensions as a volume, and adds the last channel up in another order.
        result.append(single("resize_linear_1d", "Resize", (5, 9), _same("Resize", [None, np.array([1, 1, 2], np.float32)], mode="linear"), dtype=dtype, tolerance=1))
        result.append(single("resize_linear_one_pixel", "Resize", (5, 1, 1), _same("Resize", [None, None, _ints(1, 5, 4, 3)], mode="linear"), dtype=dtype))
    return result


def _same(kind, plain=(), **attrs):
    return lambda graph, x: graph.op(kind, [x], plain=plain, out="same", **attrs)


def _super_resolution(graph, x):
    y = graph.linear("Conv", x, graph.constant((12, 6, 3, 3), "i8", 0), pads=[1] * 4)
    return graph.op("DepthToSpace", [y], out="same", blocksize=2)


def _embedding(name, shape, negative, dtype, then=None):
    def build(rng):
        graph = Graph(rng, "qdq", dtype, 13)
        indices = graph.indices(shape, 11, negative)
        y = graph.embedding(graph.constant((11, 8), dtype, zero="random"), indices)
        graph.finish(then(graph, y) if then else y)
        return graph

    return Case(f"{name}{'' if dtype == 'i8' else '_u8'}", "Gather", build)
