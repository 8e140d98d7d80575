"""Cases of Conv: groups, strides, dilations, paddings, types of weights and activations, fused activations."""

import numpy as np

from opsuite.case import single

# name, input (C, H, W), output channels, kernel, attributes
GEOMETRIES = [
    ("1x1", (8, 6, 6), 12, (1, 1), {}),
    ("1x1_one_pixel", (33, 1, 1), 5, (1, 1), {}),
    ("1x1_stride2", (5, 7, 6), 7, (1, 1), dict(strides=[2, 2])),
    ("3x3", (3, 9, 8), 8, (3, 3), dict(pads=[1, 1, 1, 1])),
    ("3x3_valid", (4, 7, 9), 5, (3, 3), {}),
    ("3x3_stride2", (6, 9, 9), 10, (3, 3), dict(pads=[1, 1, 1, 1], strides=[2, 2])),
    ("3x3_uneven_pads", (4, 8, 7), 6, (3, 3), dict(pads=[0, 2, 1, 0])),
    ("3x3_uneven_pads_stride2", (4, 8, 8), 6, (3, 3), dict(pads=[0, 0, 1, 1], strides=[2, 2])),
    ("3x3_dilated", (4, 10, 9), 6, (3, 3), dict(pads=[2, 2, 2, 2], dilations=[2, 2])),
    ("3x2_dilated_stride", (3, 11, 10), 4, (3, 2), dict(dilations=[2, 3], strides=[2, 1], pads=[1, 0, 2, 1])),
    ("5x5", (2, 9, 9), 4, (5, 5), dict(pads=[2, 2, 2, 2])),
    ("10x4_stride2", (1, 25, 10), 8, (10, 4), dict(strides=[2, 2], pads=[4, 1, 5, 1])),
    ("1x5", (3, 1, 20), 6, (1, 5), dict(pads=[0, 2, 0, 2])),
    ("7x1_stride3", (4, 20, 1), 5, (7, 1), dict(pads=[3, 0, 3, 0], strides=[3, 1])),
    ("kernel_is_input", (6, 5, 4), 9, (5, 4), {}),
    ("same_upper", (3, 8, 7), 5, (3, 3), dict(auto_pad="SAME_UPPER", strides=[2, 2])),
    ("same_lower", (3, 8, 7), 5, (3, 3), dict(auto_pad="SAME_LOWER", strides=[2, 2])),
    ("same_upper_even_kernel", (3, 6, 5), 5, (2, 4), dict(auto_pad="SAME_UPPER")),
    ("same_lower_even_kernel", (3, 6, 5), 5, (2, 4), dict(auto_pad="SAME_LOWER")),
    ("auto_valid", (3, 8, 7), 5, (3, 2), dict(auto_pad="VALID", strides=[1, 2])),
    ("groups2", (6, 6, 7), 8, (3, 3), dict(group=2, pads=[1, 1, 1, 1])),
    ("groups3_stride2", (9, 7, 7), 6, (3, 3), dict(group=3, strides=[2, 2])),
    ("groups4_1x1", (8, 4, 5), 12, (1, 1), dict(group=4)),
    ("wide", (64, 4, 4), 33, (3, 3), dict(pads=[1, 1, 1, 1])),
]
DEPTHWISE = [
    ("3x3", (16, 7, 8), 1, (3, 3), dict(pads=[1, 1, 1, 1])),
    ("3x3_stride2", (9, 9, 8), 1, (3, 3), dict(pads=[1, 1, 1, 1], strides=[2, 2])),
    ("3x3_valid", (5, 6, 7), 1, (3, 3), {}),
    ("3x3_uneven_pads", (8, 8, 8), 1, (3, 3), dict(pads=[0, 0, 1, 1], strides=[2, 2])),
    ("3x3_dilated", (6, 9, 9), 1, (3, 3), dict(pads=[2, 2, 2, 2], dilations=[2, 2])),
    ("5x5", (7, 8, 8), 1, (5, 5), dict(pads=[2, 2, 2, 2])),
    ("1x9_stride2", (6, 1, 30), 1, (1, 9), dict(pads=[0, 4, 0, 4], strides=[1, 2])),
    ("whole_input", (12, 4, 4), 1, (4, 4), {}),
    ("multiplier2", (5, 7, 7), 2, (3, 3), dict(pads=[1, 1, 1, 1])),
    ("multiplier3_stride2", (3, 8, 7), 3, (3, 3), dict(strides=[2, 2])),
    ("one_channel", (1, 6, 6), 1, (3, 3), dict(pads=[1, 1, 1, 1])),
    ("same_upper", (4, 7, 6), 1, (3, 3), dict(auto_pad="SAME_UPPER", strides=[2, 2])),
]


def cases():
    """All cases of convolution."""
    result = []
    geometries = [(f"conv_{n}", s, o, k, a) for n, s, o, k, a in GEOMETRIES]
    geometries += [(f"depthwise_{n}", s, s[0] * m, k, dict(a, group=s[0])) for n, s, m, k, a in DEPTHWISE]
    for name, shape, out, kernel, attrs in geometries:
        for form in ("qdq", "qoperator"):
            result.append(_conv(f"{name}_per_channel", shape, out, kernel, attrs, axis=0, form=form))
        result.append(_conv(f"{name}_per_tensor", shape, out, kernel, attrs, axis=None))
        result.append(_conv(f"{name}_per_channel", shape, out, kernel, attrs, axis=0, dtype="u8"))

    basic = ((4, 7, 6), 6, (3, 3), dict(pads=[1, 1, 1, 1]))
    depth = ((6, 7, 6), 6, (3, 3), dict(pads=[1, 1, 1, 1], group=6))
    for label, geometry in (("conv", basic), ("depthwise", depth)):
        for form in ("qdq", "qoperator"):
            result.append(_conv(f"{label}_no_bias", *geometry, axis=0, bias=False, form=form))
            for fill in (4.0, 0.05):
                word = "saturating" if fill > 1 else "few_steps"
                result.append(_conv(f"{label}_{word}", *geometry, axis=0, fill=fill, form=form))
            result.append(_conv(f"{label}_u8_weights", *geometry, axis=None, dtype="u8", weight="u8", form=form))
            result.append(_conv(f"{label}_u8_weights_zero_points", *geometry, axis=None, dtype="u8", weight="u8", weight_zero="random", form=form))
            result.append(_conv(f"{label}_i8_weight_zero_point", *geometry, axis=None, weight_zero="random", form=form))
            result.append(_conv(f"{label}_u8_activation_i8_weight_zero_point", *geometry, axis=None, dtype="u8", weight_zero="random", form=form))
        for zero in (-128, 127, 0, 77):
            result.append(_conv(f"{label}_zero_point_{zero}".replace("-", "minus_"), *geometry, axis=0, input_zero=zero))
        result.append(_conv(f"{label}_i8io", *geometry, axis=0, integer=True))
        result.append(_conv(f"{label}_u8io", *geometry, axis=0, integer=True, dtype="u8"))
        result.append(_conv(f"{label}_sparse_weights", *geometry, axis=0, spread=0.4))

    result += _activations()
    for dtype in ("i8", "u8"):
        result.append(_conv("conv1d", (5, 24), 7, (3,), dict(pads=[1, 1]), axis=0, dtype=dtype))
        result.append(_conv("conv1d_stride2_dilated", (6, 31), 4, (5,), dict(pads=[4, 3], strides=[2], dilations=[2]), axis=0, dtype=dtype))
        result.append(_conv("conv1d_depthwise", (8, 20), 8, (7,), dict(pads=[6, 0], group=8), axis=0, dtype=dtype))
        result.append(_conv("conv1d_same_upper", (3, 19), 8, (4,), dict(auto_pad="SAME_UPPER", strides=[2]), axis=None, dtype=dtype))
    result.append(_conv("conv1d_qlinear", (5, 24), 7, (3,), dict(pads=[1, 1]), axis=0, form="qoperator"))
    return result


def _conv(name, shape, out, kernel, attrs, axis, weight="i8", bias=True, fill=1.0, weight_zero=None, input_zero=None, spread=None, **more):
    def body(graph, x):
        w = graph.constant((out, shape[0] // attrs.get("group", 1), *kernel), weight, axis, weight_zero, spread)
        return graph.linear("Conv", x, w, bias=bias, fill=fill, kernel_shape=list(kernel), **attrs)

    return single(name, "Conv", shape, body, zero=input_zero, **more)


def _activations():
    """Activations between the convolution and its quantization, where the zero point clamps already and where not."""
    result = []
    low, six = np.float32(0.0), np.float32(6.0)
    followers = [
        ("relu", ("Relu", (), {}), {}),
        ("relu_middle_zero", ("Relu", (), {}), dict(zero=-20)),
        ("relu6", ("Clip", (low, six), {}), {}),
        ("relu6_middle_zero", ("Clip", (low, six), {}), dict(zero=10)),
        ("clip_both_sides", ("Clip", (np.float32(-1.5), np.float32(1.0)), {}), dict(zero=0)),
        ("leaky", ("LeakyRelu", (), dict(alpha=0.1)), {}),
    ]
    for name, follower, options in followers:
        for dtype in ("i8", "u8"):
            if dtype == "u8" and "zero" in options:
                options = dict(options, zero=options["zero"] + 128)

            def body(graph, x, follower=follower, options=options):
                w = graph.constant((6, 4, 3, 3), "i8", 0, spread=30)
                return graph.linear("Conv", x, w, then=[follower], pads=[1, 1, 1, 1], **options)

            # Where the activation cannot be folded into the quantization, ONNX Runtime computes in float.
            result.append(single(f"conv_then_{name}", "Conv", (4, 6, 6), body, dtype=dtype, tolerance=1, scale=0.02))
    return result
