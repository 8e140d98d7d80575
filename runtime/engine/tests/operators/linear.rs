//! Convolutions and matrix products against sums written out over every index.

use crate::single::{Draw, Operand, Single, requantized, signed};
use proptest::prelude::*;
use sanderling_plan::step::{Conv, FullyConnected};
use sanderling_plan::{Dtype, Operator, Target};

/// The extents of a convolution.
#[derive(Clone, Copy, Debug)]
struct Extents {
    batch: u32,
    h: u32,
    w: u32,
    kernel: [u32; 2],
    stride: [u32; 2],
    dilation: [u32; 2],
    pad: [u32; 2],
    out: [u32; 2],
    groups: u32,
    /// Input and output channels of one group.
    group: [u32; 2],
}

fn extents() -> impl Strategy<Value = Extents> {
    let pair = |low: u32, high: u32| [low..=high, low..=high];
    (
        (1u32..=2, 1u32..=8, 1u32..=8),
        (pair(1, 4), pair(1, 3), pair(1, 3), pair(0, 3), pair(1, 7)),
        (1u32..=4, 1u32..=9, 1u32..=9),
    )
        .prop_map(
            |((batch, h, w), (kernel, stride, dilation, pad, out), (groups, i, o))| {
                let e = Extents {
                    batch,
                    h,
                    w,
                    kernel,
                    stride,
                    dilation,
                    pad,
                    out,
                    groups,
                    group: [i, o],
                };
                if kernel == [1, 1] && pad == [0, 0] {
                    e.pointwise()
                } else {
                    e
                }
            },
        )
}

impl Extents {
    fn channels(&self) -> [u32; 2] {
        self.group.map(|c| c * self.groups)
    }

    fn input(&self) -> [u32; 4] {
        [self.batch, self.h, self.w, self.channels()[0]]
    }

    fn output(&self) -> [u32; 4] {
        [self.batch, self.out[0], self.out[1], self.channels()[1]]
    }

    /// A point kernel reads no padding: the output ends where the input does.
    fn pointwise(self) -> Self {
        let fits = |size: u32, stride: u32| (size - 1) / stride + 1;
        let out = [fits(self.h, self.stride[0]), fits(self.w, self.stride[1])];
        Extents {
            kernel: [1, 1],
            pad: [0, 0],
            out,
            ..self
        }
    }
}

/// Draws the values of a convolution, runs it, and compares it with the sum.
fn check_conv(e: Extents, depthwise: bool, seed: u64) {
    let mut draw = Draw::new(seed);
    let [channels_in, channels_out] = e.channels();
    let taps = (e.kernel[0] * e.kernel[1]) as usize;
    let x = draw.i8s(e.input().iter().product::<u32>() as usize);
    let weights = draw.i8s(taps * (e.group[0] * channels_out) as usize);
    let bias = draw.biases(channels_out as usize);
    let multipliers = draw.multipliers(channels_out as usize);
    let (low, high) = draw.clamp();
    let mut single = Single::new();
    let p = Conv {
        kernel_h: e.kernel[0],
        kernel_w: e.kernel[1],
        stride_h: e.stride[0],
        stride_w: e.stride[1],
        dilation_h: e.dilation[0],
        dilation_w: e.dilation[1],
        pad_top: e.pad[0],
        pad_left: e.pad[1],
        groups: e.groups,
        weights: single.constant(&weights),
        bias: single.constant(&bias),
        multipliers: single.constant(&multipliers),
        input_zero_point: draw.zero_point(),
        zero_point: draw.zero_point(),
        low,
        high,
        weight_zero_point: draw.zero_point(),
    };

    let mut expected = Vec::new();
    let [batch, out_h, out_w, _] = e.output();
    for n in 0..batch {
        for oy in 0..out_h {
            for ox in 0..out_w {
                for o in 0..channels_out {
                    let mut acc = i64::from(bias[o as usize]);
                    for ky in 0..e.kernel[0] {
                        for kx in 0..e.kernel[1] {
                            for i in 0..e.group[0] {
                                let iy = i64::from(oy * e.stride[0] + ky * e.dilation[0])
                                    - i64::from(e.pad[0]);
                                let ix = i64::from(ox * e.stride[1] + kx * e.dilation[1])
                                    - i64::from(e.pad[1]);
                                let channel = o / e.group[1] * e.group[0] + i;
                                let inside = (0..i64::from(e.h)).contains(&iy)
                                    && (0..i64::from(e.w)).contains(&ix);
                                let read = if inside {
                                    let pixel = (i64::from(n * e.h) + iy) * i64::from(e.w) + ix;
                                    i64::from(
                                        x[(pixel * i64::from(channels_in) + i64::from(channel))
                                            as usize],
                                    )
                                } else {
                                    i64::from(p.input_zero_point)
                                };
                                let tap = ky * e.kernel[1] + kx;
                                let weight = if depthwise {
                                    tap * channels_out + o
                                } else {
                                    (o * taps as u32 + tap) * e.group[0] + i
                                };
                                let weight = i64::from(weights[weight as usize])
                                    - i64::from(p.weight_zero_point);
                                acc += read * weight;
                            }
                        }
                    }
                    let real = acc as i32 as f32 * multipliers[o as usize];
                    expected.push(requantized(real, p.zero_point, low, high));
                }
            }
        }
    }

    let (operator, scratch) = if depthwise {
        (Operator::DepthwiseConv(p), 0)
    } else {
        let scratch = p.scratch(Target::Generic, e.input(), false, false);
        (Operator::Conv(p), scratch.unwrap().bytes().unwrap())
    };
    let got = single.run(
        operator,
        Operand::i8(&e.input(), &x),
        Dtype::I8,
        &e.output(),
        scratch,
    );
    assert_eq!(signed(&got), expected, "seed {seed}, {e:?}, {p:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::single::cases(600), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn conv_is_the_sum_over_its_window(e in extents(), seed: u64) {
        check_conv(e, false, seed);
    }

    #[test]
    fn pointwise_conv_is_the_sum_over_a_pixel(e in extents(), groups in 1u32..=2, seed: u64) {
        check_conv(Extents { groups, ..e.pointwise() }, false, seed);
    }

    #[test]
    fn depthwise_conv_is_the_sum_over_its_channel(
        e in extents(),
        channels in 1u32..=90,
        multiplier in 1u32..=3,
        seed: u64,
    ) {
        check_conv(Extents { groups: channels, group: [1, multiplier], ..e }, true, seed);
    }

    #[test]
    fn fully_connected_is_the_matrix_product(
        rows in 1u32..=4,
        k in 1u32..=150,
        outputs in 1u32..=21,
        seed: u64,
    ) {
        check_fully_connected(rows, k, outputs, seed);
    }
}

/// Windows that hang over both edges, beyond the reach of the random extents.
#[test]
fn windows_wholly_in_the_padding_read_only_the_zero_point() {
    let e = Extents {
        batch: 1,
        h: 2,
        w: 1,
        kernel: [2, 3],
        stride: [3, 2],
        dilation: [1, 5],
        pad: [7, 20],
        out: [9, 21],
        groups: 2,
        group: [3, 5],
    };
    for seed in 0..20 {
        check_conv(e, false, seed);
        check_conv(
            Extents {
                groups: 70,
                group: [1, 1],
                ..e
            },
            true,
            seed,
        );
    }
}

fn check_fully_connected(rows: u32, k: u32, outputs: u32, seed: u64) {
    let mut draw = Draw::new(seed);
    let x = draw.i8s((rows * k) as usize);
    let weights = draw.i8s((outputs * k) as usize);
    let bias = draw.biases(outputs as usize);
    let multipliers = draw.multipliers(outputs as usize);
    let (low, high) = draw.clamp();
    let mut single = Single::new();
    let p = FullyConnected {
        weights: single.constant(&weights),
        bias: single.constant(&bias),
        multipliers: single.constant(&multipliers),
        zero_point: draw.zero_point(),
        low,
        high,
        weight_zero_point: draw.zero_point(),
    };
    let mut expected = Vec::new();
    for row in x.chunks(k as usize) {
        for (o, weights) in weights.chunks(k as usize).enumerate() {
            let zero = i64::from(p.weight_zero_point);
            let products = row
                .iter()
                .zip(weights)
                .map(|(&x, &w)| i64::from(x) * (i64::from(w) - zero));
            let acc = i64::from(bias[o]) + products.sum::<i64>();
            expected.push(requantized(
                acc as i32 as f32 * multipliers[o],
                p.zero_point,
                low,
                high,
            ));
        }
    }
    let x = Operand::i8(&[rows, k], &x);
    let got = single.run(
        Operator::FullyConnected(p),
        x,
        Dtype::I8,
        &[rows, outputs],
        0,
    );
    assert_eq!(signed(&got), expected, "seed {seed}, {p:?}");
}
