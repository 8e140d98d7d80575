"""Cases of operators that move values: Concat, Reshape, Transpose, Pad, Slice, Resize."""

import numpy as np

from opsuite.case import single


def _ints(*values):
    return np.array(values, np.int64)


def _resize(*factors):
    return [None, np.array([1, 1, *factors], np.float32)]


PLAIN = [
    ("reshape", "Reshape", (6, 4, 2), [_ints(1, -1)], {}),
    ("reshape_zero_copies", "Reshape", (6, 4, 2), [_ints(0, 3, -1)], {}),
    ("reshape_split_channels", "Reshape", (6, 4, 2), [_ints(1, 2, 3, 4, 2)], {}),
    ("flatten", "Flatten", (6, 4, 2), [], dict(axis=1)),
    ("squeeze", "Squeeze", (6, 1, 4), [_ints(2)], {}),
    ("unsqueeze", "Unsqueeze", (6, 4), [_ints(2, 4)], {}),
    ("transpose_nhwc", "Transpose", (6, 4, 2), [], dict(perm=[0, 2, 3, 1])),
    ("transpose_nchw", "Transpose", (4, 2, 6), [], dict(perm=[0, 3, 1, 2])),
    ("transpose_last", "Transpose", (5, 7), [], dict(perm=[0, 2, 1])),
    ("slice_channels", "Slice", (6, 4, 5), [_ints(1), _ints(4), _ints(1)], {}),
    ("slice_two_axes", "Slice", (6, 4, 5), [_ints(1, -3), _ints(4, 100), _ints(2, 3)], {}),
    ("slice_steps", "Slice", (6, 7, 9), [_ints(0, 1), _ints(7, 9), _ints(2, 3), _ints(2, 3)], {}),
    ("slice_backwards", "Slice", (6, 4, 5), [_ints(-1), _ints(-100), _ints(3), _ints(-1)], {}),
    ("pad", "Pad", (3, 4, 5), [_ints(0, 0, 1, 2, 0, 0, 2, 1)], {}),
    ("pad_channels", "Pad", (3, 4, 5), [_ints(0, 1, 0, 0, 0, 2, 0, 0)], {}),
    ("pad_edge", "Pad", (3, 4, 5), [_ints(0, 0, 1, 2, 0, 0, 2, 1)], dict(mode="edge")),
    ("pad_reflect", "Pad", (3, 4, 5), [_ints(0, 0, 1, 2, 0, 0, 2, 1)], dict(mode="reflect")),
    ("resize_2", "Resize", (3, 4, 5), _resize(2, 2), dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")),
    ("resize_default", "Resize", (3, 4, 5), _resize(2, 2), dict(mode="nearest")),
    ("resize_3_by_1", "Resize", (3, 4, 5), _resize(3, 1), dict(mode="nearest", coordinate_transformation_mode="half_pixel", nearest_mode="round_prefer_floor")),
    ("resize_fraction", "Resize", (3, 4, 6), _resize(1.5, 2.5), dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")),
    ("resize_ceil", "Resize", (3, 4, 6), _resize(1.5, 2.5), dict(mode="nearest", coordinate_transformation_mode="half_pixel", nearest_mode="round_prefer_ceil")),
    ("resize_down", "Resize", (3, 8, 6), _resize(0.5, 0.5), dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")),
    ("resize_sizes", "Resize", (3, 4, 5), [None, None, _ints(1, 3, 9, 7)], dict(mode="nearest", coordinate_transformation_mode="half_pixel", nearest_mode="round_prefer_floor")),
    ("resize_corners", "Resize", (3, 4, 5), [None, None, _ints(1, 3, 9, 7)], dict(mode="nearest", coordinate_transformation_mode="align_corners", nearest_mode="floor")),
]


def cases():
    """All cases of movement."""
    result = []
    for dtype in ("i8", "u8"):
        for name, kind, shape, plain, attrs in PLAIN:
            for form in ("qdq", "qoperator"):
                result.append(single(name, kind, shape, _move(kind, plain, attrs), form=form, dtype=dtype))
        for kind, name, plain, attrs in (
            ("Transpose", "transpose_requantized", [], dict(perm=[0, 2, 3, 1])),
            ("Reshape", "reshape_requantized", [_ints(1, -1)], {}),
            ("Resize", "resize_requantized", _resize(2, 2), dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")),
            ("Slice", "slice_requantized", [_ints(1), _ints(4), _ints(1)], {}),
        ):
            result.append(single(name, kind, (6, 4, 5), _move(kind, plain, attrs, out="auto", fill=0.7), dtype=dtype))
        result.append(single("pad_value", "Pad", (3, 4, 5), _pad_value, dtype=dtype))
        for form in ("qdq", "qoperator"):
            result.append(single("concat_channels", "Concat", (4, 5, 6), _concat(1, (3, 5)), form=form, dtype=dtype))
            result.append(single("concat_three", "Concat", (4, 5, 6), _concat(1, (2, 7, 4)), form=form, dtype=dtype))
            result.append(single("concat_height", "Concat", (4, 5, 6), _concat(2, (4, 4)), form=form, dtype=dtype))
            result.append(single("concat_last", "Concat", (4, 5, 6), _concat(-1, (4, 4)), form=form, dtype=dtype))
            result.append(single("concat_with_input", "Concat", (4, 5, 6), _concat_input, form=form, dtype=dtype))
            result.append(single("concat_same_scale", "Concat", (4, 5, 6), _concat_same, form=form, dtype=dtype))
    return result


def _move(kind, plain, attrs, out="same", **options):
    return lambda graph, x: graph.op(kind, [x], plain=plain, out=out, **options, **attrs)


def _pad_value(graph, x):
    """Pads with a value that is an exact step of the scale."""
    value = np.float32((20 - x.zero) * x.scale)
    return graph.op("Pad", [x], plain=[_ints(0, 0, 1, 2, 0, 0, 2, 1), value], out="same")


def _branch(graph, x, out, fill):
    return graph.linear("Conv", x, graph.constant((out, x.sample.shape[2], 1, 1), "i8", 0), fill=fill)


def _concat(axis, widths):
    def body(graph, x):
        parts = [_branch(graph, x, w, fill) for w, fill in zip(widths, (1.0, 0.6, 1.7))]
        return graph.op("Concat", parts, axis=axis)

    return body


def _concat_input(graph, x):
    return graph.op("Concat", [x, _branch(graph, x, 3, 1.0)], axis=1)


def _concat_same(graph, x):
    pooled = graph.op("MaxPool", [x], out="same", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return graph.op("Concat", [x, pooled], out="same", axis=1)
