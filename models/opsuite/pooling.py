"""Cases of pooling, means and Softmax."""

import numpy as np

from opsuite.case import single

WINDOWS = [
    ("2x2", dict(kernel_shape=[2, 2], strides=[2, 2])),
    ("3x3_stride2_padded", dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
    ("3x3_stride1_padded", dict(kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])),
    ("3x2_uneven_pads", dict(kernel_shape=[3, 2], strides=[2, 1], pads=[0, 1, 2, 0])),
    ("1x4", dict(kernel_shape=[1, 4], strides=[1, 3])),
    ("ceil", dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
    ("same_upper", dict(kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")),
    ("same_lower", dict(kernel_shape=[2, 2], strides=[1, 1], auto_pad="SAME_LOWER")),
]


def cases():
    """All cases of pooling."""
    result = []
    both = ("qdq", "qoperator")
    for dtype in ("i8", "u8"):
        lowest = 0 if dtype == "u8" else -128
        for name, attrs in WINDOWS:
            for form in both:
                result.append(single(f"max_pool_{name}", "MaxPool", (5, 8, 9), _same("MaxPool", attrs), form=form, dtype=dtype))
            for inside in (0, 1):
                more = dict(attrs, count_include_pad=inside)
                label = f"average_pool_{name}{'_count_pad' if inside else ''}"
                for form in both:
                    result.append(single(label, "AveragePool", (5, 8, 9), _op("AveragePool", more), form=form, dtype=dtype))
        for shape, label in (((7, 5, 6), "5x6"), ((16, 1, 1), "1x1"), ((3, 25, 5), "25x5"), ((8, 13), "1d")):
            for form in both:
                result.append(single(f"global_average_pool_{label}", "GlobalAveragePool", shape, _op("GlobalAveragePool", {}), form=form, dtype=dtype))
        result.append(single("global_average_pool_same_scale", "GlobalAveragePool", (7, 5, 6), _same("GlobalAveragePool", {}), dtype=dtype))
        for axes, keep in (([2, 3], 1), ([2, 3], 0), ([-1], 0), ([1], 1)):
            label = f"reduce_mean_{'_'.join(str(a).replace('-', 'minus') for a in axes)}{'' if keep else '_flat'}"
            result.append(single(label, "ReduceMean", (6, 4, 5), _op("ReduceMean", dict(axes=axes, keepdims=keep)), dtype=dtype, tolerance=1))
        result.append(single("reduce_mean_opset18", "ReduceMean", (6, 4, 5), _op("ReduceMean", dict(keepdims=0), [np.array([2, 3], np.int64)]), dtype=dtype, opset=18, tolerance=1))
        for form in both:
            result.append(single("softmax_10", "Softmax", (10,), _op("Softmax", dict(axis=1)), form=form, dtype=dtype, scale=0.12))
            result.append(single("softmax_1000", "Softmax", (1000,), _op("Softmax", dict(axis=-1)), form=form, dtype=dtype, scale=0.05))
            result.append(single("softmax_rows", "Softmax", (6, 9), _op("Softmax", dict(axis=-1)), form=form, dtype=dtype, scale=0.1))
            result.append(single("softmax_channels", "Softmax", (5, 3, 4), _op("Softmax", dict(axis=1)), form=form, dtype=dtype, scale=0.1))
            for parts in (255, 300):
                label = f"softmax_{parts}th"
                result.append(single(label, "Softmax", (40, 16), _op("Softmax", dict(axis=-1), scale=1 / parts, zero=lowest), form=form, dtype=dtype, scale=0.05))
        # ONNX Runtime's quantized kernel wants one type on both sides; between two it runs in float.
        result.append(single("softmax_255th_to_the_other_type", "Softmax", (40, 16), _other_type, dtype=dtype, tolerance=1, scale=0.05))
        result.append(single("max_pool_requantized", "MaxPool", (5, 8, 9), _op("MaxPool", WINDOWS[0][1]), dtype=dtype))
        result.append(single("max_pool_1d", "MaxPool", (5, 21), _same("MaxPool", dict(kernel_shape=[3], strides=[2], pads=[1, 1])), dtype=dtype))
        result.append(single("average_pool_same_scale", "AveragePool", (5, 8, 9), _same("AveragePool", WINDOWS[0][1]), dtype=dtype))
        result.append(single("average_pool_saturating", "AveragePool", (5, 8, 9), _op("AveragePool", WINDOWS[1][1], fill=3.0), dtype=dtype))
    return result


def _op(kind, attrs, plain=(), **options):
    return lambda graph, x: graph.op(kind, [x], plain=plain, **options, **attrs)


def _other_type(graph, x):
    graph.dtype = "i8" if graph.dtype == "u8" else "u8"
    return graph.op("Softmax", [x], axis=-1, scale=1 / 255, zero=0 if graph.dtype == "u8" else -128)


def _same(kind, attrs):
    return _op(kind, attrs, out="same")
