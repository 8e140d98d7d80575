"""Cases of ConvTranspose, which ONNX Runtime runs in float between DequantizeLinear and QuantizeLinear."""

from opsuite.case import single

# name, input (C, H, W), output channels per group, kernel, attributes
GEOMETRIES = [
    ("2x2_stride2", (6, 5, 4), 5, (2, 2), dict(strides=[2, 2])),
    ("3x3", (4, 5, 6), 7, (3, 3), {}),
    ("3x3_padded", (4, 5, 6), 7, (3, 3), dict(pads=[1, 1, 1, 1])),
    ("3x3_stride2", (5, 4, 5), 6, (3, 3), dict(strides=[2, 2], pads=[1, 1, 1, 1])),
    ("3x3_stride2_output_padding", (5, 4, 5), 6, (3, 3), dict(strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])),
    ("4x4_stride2", (8, 6, 6), 4, (4, 4), dict(strides=[2, 2], pads=[1, 1, 1, 1])),
    ("3x3_stride3", (4, 4, 3), 5, (3, 3), dict(strides=[3, 3])),
    ("2x3_stride3_gaps", (4, 4, 3), 5, (2, 2), dict(strides=[3, 3])),
    ("5x3_uneven", (3, 5, 4), 4, (5, 3), dict(strides=[2, 1], pads=[2, 0, 1, 1])),
    ("wide_pads", (3, 6, 6), 4, (3, 3), dict(strides=[2, 2], pads=[2, 2, 2, 2])),
    ("dilated", (3, 5, 5), 4, (3, 3), dict(dilations=[2, 2], pads=[1, 1, 1, 1])),
    ("dilated_stride2", (3, 5, 5), 4, (3, 3), dict(dilations=[2, 2], strides=[2, 2])),
    ("dilated_stride3", (3, 4, 5), 4, (3, 2), dict(dilations=[2, 2], strides=[3, 3])),
    ("1x1_stride2", (4, 4, 4), 5, (1, 1), dict(strides=[2, 2])),
    ("groups2", (6, 5, 4), 4, (3, 3), dict(group=2, strides=[2, 2])),
    ("depthwise", (6, 5, 4), 1, (4, 4), dict(group=6, strides=[2, 2], pads=[1, 1, 1, 1])),
    ("same_upper", (4, 5, 4), 5, (3, 3), dict(auto_pad="SAME_UPPER", strides=[2, 2])),
    ("output_shape", (4, 5, 4), 5, (3, 3), dict(output_shape=[10, 8], strides=[2, 2])),
]


def cases():
    """All cases of transposed convolution."""
    result = []
    for dtype in ("i8", "u8"):
        for name, shape, out, kernel, attrs in GEOMETRIES:
            for axis in (None, 1):
                result.append(_case(f"conv_transpose_{name}{'' if axis is None else '_per_channel'}", shape, out, kernel, attrs, axis, dtype=dtype))
        result.append(_case("conv_transpose_1d", (5, 9), 6, (4,), dict(strides=[2], pads=[1, 1]), 1, dtype=dtype))
    basic = ((5, 4, 5), 6, (3, 3), dict(strides=[2, 2], pads=[1, 1, 1, 1]))
    result.append(_case("conv_transpose_no_bias", *basic, 1, bias=False))
    result.append(_case("conv_transpose_saturating", *basic, 1, fill=4.0))
    result.append(_case("conv_transpose_relu", *basic, 1, then=[("Relu", (), {})]))
    result.append(_case("conv_transpose_u8_weights", *basic, None, dtype="u8", weight="u8", weight_zero="random"))
    result.append(_case("conv_transpose_zero_point_minus_128", *basic, 1, zero=-128))
    return result


def _case(name, shape, out, kernel, attrs, axis, bias=True, fill=1.0, then=(), weight="i8", weight_zero=None, **more):
    def body(graph, x):
        w = graph.constant((shape[0], out, *kernel), weight, axis, weight_zero)
        return graph.linear("ConvTranspose", x, w, bias=bias, fill=fill, then=then, kernel_shape=list(kernel), **attrs)

    return single(name, "ConvTranspose", shape, body, tolerance=1, **more)
