//! Pools and means against loops over every tap.

use crate::single::{Draw, Operand, Single, requantized, signed};
use proptest::prelude::*;
use sanderling_plan::step::{AveragePool, MaxPool, ReduceMean};
use sanderling_plan::{Dtype, Operator};

#[derive(Clone, Copy, Debug)]
struct Extents {
    input: [u32; 4],
    kernel: [u32; 2],
    stride: [u32; 2],
    dilation: [u32; 2],
    pad: [u32; 2],
    out: [u32; 2],
}

fn extents() -> impl Strategy<Value = Extents> {
    let pair = |low: u32, high: u32| [low..=high, low..=high];
    (
        (1u32..=2, 1u32..=8, 1u32..=8, 1u32..=80),
        (pair(1, 4), pair(1, 3), pair(1, 3), pair(0, 4), pair(1, 7)),
    )
        .prop_map(
            |((n, h, w, c), (kernel, stride, dilation, pad, out))| Extents {
                input: [n, h, w, c],
                kernel,
                stride,
                dilation,
                pad,
                out,
            },
        )
}

impl Extents {
    fn output(&self) -> [u32; 4] {
        [self.input[0], self.out[0], self.out[1], self.input[3]]
    }

    /// For every output in order, what its taps inside the input read, row by row.
    fn windows(&self, x: &[i8]) -> Vec<Vec<i8>> {
        let [batch, h, w, channels] = self.input.map(i64::from);
        let [out_h, out_w] = self.out.map(i64::from);
        let mut windows = Vec::new();
        for n in 0..batch {
            for oy in 0..out_h {
                for ox in 0..out_w {
                    for c in 0..channels {
                        let mut window = Vec::new();
                        for ky in 0..i64::from(self.kernel[0]) {
                            for kx in 0..i64::from(self.kernel[1]) {
                                let iy = oy * i64::from(self.stride[0])
                                    + ky * i64::from(self.dilation[0])
                                    - i64::from(self.pad[0]);
                                let ix = ox * i64::from(self.stride[1])
                                    + kx * i64::from(self.dilation[1])
                                    - i64::from(self.pad[1]);
                                if (0..h).contains(&iy) && (0..w).contains(&ix) {
                                    window
                                        .push(x[(((n * h + iy) * w + ix) * channels + c) as usize]);
                                }
                            }
                        }
                        windows.push(window);
                    }
                }
            }
        }
        windows
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::single::cases(400), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn max_pool_is_the_greatest_tap_inside(e in extents(), seed: u64) {
        let x = Draw::new(seed).i8s(e.input.iter().product::<u32>() as usize);
        let p = MaxPool {
            kernel_h: e.kernel[0],
            kernel_w: e.kernel[1],
            stride_h: e.stride[0],
            stride_w: e.stride[1],
            dilation_h: e.dilation[0],
            dilation_w: e.dilation[1],
            pad_top: e.pad[0],
            pad_left: e.pad[1],
        };
        let expected: Vec<i8> =
            e.windows(&x).iter().map(|taps| taps.iter().copied().max().unwrap_or(-128)).collect();
        let x = Operand::i8(&e.input, &x);
        let got = Single::new().run(Operator::MaxPool(p), x, Dtype::I8, &e.output(), 0);
        prop_assert_eq!(signed(&got), expected);
    }

    #[test]
    fn average_pool_divides_by_the_taps_that_count(
        e in extents(),
        count_include_pad: bool,
        seed: u64,
    ) {
        let e = Extents { dilation: [1, 1], ..e };
        let mut draw = Draw::new(seed);
        let x = draw.i8s(e.input.iter().product::<u32>() as usize);
        let bias_y = if draw.bits() & 1 == 0 { 0 } else { 128 };
        let (low, high) = draw.clamp();
        let p = AveragePool {
            kernel_h: e.kernel[0],
            kernel_w: e.kernel[1],
            stride_h: e.stride[0],
            stride_w: e.stride[1],
            pad_top: e.pad[0],
            pad_left: e.pad[1],
            count_include_pad,
            scale_x: draw.scale(-3.0, 0.0),
            zero_x: draw.zero_point(),
            scale_y: draw.scale(-3.0, 0.0),
            offset: (draw.range(-128, 127) + bias_y) as f32,
            bias_y,
            low,
            high,
        };
        let mean = |taps: &Vec<i8>| {
            let mut sum = 0f32;
            for &x in taps {
                sum += p.scale_x * (i32::from(x) - p.zero_x) as f32;
            }
            let window = (p.kernel_h * p.kernel_w) as usize;
            let count = if count_include_pad { window } else { taps.len() };
            requantized(sum / count as f32 / p.scale_y + p.offset, -p.bias_y, low, high)
        };
        let expected: Vec<i8> = e.windows(&x).iter().map(mean).collect();
        let x = Operand::i8(&e.input, &x);
        let got = Single::new().run(Operator::AveragePool(p), x, Dtype::I8, &e.output(), 0);
        prop_assert_eq!(signed(&got), expected);
    }

    #[test]
    fn reduce_mean_sums_the_middle_axes(
        outer in 1u32..=5,
        reduce in 1u32..=70,
        inner in 1u32..=70,
        seed: u64,
    ) {
        let mut draw = Draw::new(seed);
        let x = draw.i8s((outer * reduce * inner) as usize);
        let (low, high) = draw.clamp();
        let p = ReduceMean {
            outer,
            reduce,
            inner,
            zero_x: draw.zero_point(),
            multiplier: draw.scale(-2.0, 0.0) / reduce as f32,
            zero_point: draw.zero_point(),
            low,
            high,
        };
        let mut expected = Vec::new();
        for o in 0..outer {
            for i in 0..inner {
                let taps = (0..reduce).map(|r| x[((o * reduce + r) * inner + i) as usize]);
                let acc: i64 = taps.map(|x| i64::from(x) - i64::from(p.zero_x)).sum();
                let real = acc as i32 as f32 * p.multiplier;
                expected.push(requantized(real, p.zero_point, low, high));
            }
        }
        let x = Operand::i8(&[outer, reduce, inner], &x);
        let scratch = p.scratch_bytes().unwrap();
        let got = Single::new().run(Operator::ReduceMean(p), x, Dtype::I8, &[outer, inner], scratch);
        prop_assert_eq!(signed(&got), expected);
    }
}

/// A kernel far greater than the image costs no more than the image has taps.
#[test]
fn a_window_greater_than_the_image_ends() {
    let p = MaxPool {
        kernel_h: 1 << 29,
        kernel_w: 1 << 29,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 1000,
        pad_left: 1,
    };
    let x = Operand::i8(&[1, 2, 2, 1], &[-5, 3, 1, 2]);
    let got = Single::new().run(Operator::MaxPool(p), x, Dtype::I8, &[1, 1, 1, 1], 0);
    assert_eq!(signed(&got), [3]);
}
