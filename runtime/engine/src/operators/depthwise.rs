//! Convolution with one input channel per group.

use super::conv::{rows_before, split};
use super::padded_rows::{MAX_ROWS, PaddedRows, each_row};
use super::rows::{InputRows, PutAside};
use super::window::Axis;
use crate::kernels::{DepthwiseRow, DepthwiseStrip, Kernel, Linear};
use crate::memory::{Constants, Operands, Source, signed, signed_mut};
use crate::numerics::Requantize;
use crate::spread::{Cut, Spread};
use core::ops::Range;
use sanderling_plan::step::Conv;

/// Products that a depthwise step computes in a nanosecond, roughly.
const DEPTHWISE_SPEED: usize = 16;

pub(super) fn run<K: Kernel, S: Spread>(
    p: &Conv,
    operands: Operands<'_>,
    spread: &S,
) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        scratch,
        constants,
        spread: parts,
    } = operands;
    let (from, to) = (x.shape.nhwc()?, output_shape.nhwc()?);
    let ([_, h, w, channels], [_, out_h, out_w, outputs]) = (from, to);
    let (channels, outputs) = (channels as usize, outputs as usize);
    let row = (w as usize).checked_mul(channels)?;
    let row_out = (out_w as usize).checked_mul(outputs)?;
    let image = row.checked_mul(h as usize)?;
    let overlaps = matches!(x.source, Source::Output(_));
    let layout = p.scratch(K::TARGET, from, true, overlaps)?;
    let (own, aside) = split(scratch, layout)?;
    if outputs == channels
        && p.weight_zero_point == 0
        && p.kernel_h as usize <= MAX_ROWS
        && channels >= K::DEPTHWISE_CHANNELS
        && let Some(len) = p.padded_row(K::TARGET, w as usize, channels, true)
    {
        let linear = linear::<K>(p, outputs, &constants)?;
        let len = len?;
        let along = Along::new(p, len, channels, out_w as usize)?;
        let rows = PaddedRows::new(p, (w as usize, channels), len, signed_mut(aside))?;
        return each_row(p, (from, to), (x.source, output), rows, |rows, first, y| {
            along.row::<K>(p, rows, first, &linear, y)
        });
    }
    let linear = linear::<K>(p, outputs, &constants)?;
    K::depthwise_start(&row_over(p, from, linear, &|_| None), own)?;
    match x.source {
        Source::Bytes(x) => {
            let mut images = signed(x).chunks_exact(image.max(1));
            let image_out = row_out.checked_mul(out_h as usize)?;
            let outputs = signed_mut(output).chunks_exact_mut(image_out.max(1));
            let taps = (p.kernel_h as usize).saturating_mul(p.kernel_w as usize);
            let cut = Cut {
                units: out_h as usize,
                values: row_out,
                grain: 1,
                cost: taps.saturating_mul(image_out) / DEPTHWISE_SPEED,
                own: sanderling_plan::align_up(layout.bytes()?)?,
            };
            let rows_of = |x: &[i8], rows: Range<usize>, y: &mut [i8], own: &mut [u8]| {
                for (oy, y) in rows.zip(y.chunks_exact_mut(row_out.max(1))) {
                    let x = InputRows::of(x, row);
                    one::<K>(p, from, linear, x, oy as u32, (&mut *own, y))?;
                }
                Some(())
            };
            for (y, x) in outputs.zip(&mut images) {
                let prepared: &[u8] = own;
                if cut.parts(spread, parts) < 2 {
                    rows_of(x, 0..cut.units, y, own)?;
                    continue;
                }
                cut.run(spread, y, parts, |rows, y, own| {
                    // What was prepared, and a place for what each row interleaves.
                    let own = own.get_mut(..prepared.len())?;
                    own.copy_from_slice(prepared);
                    rows_of(x, rows, y, own)
                })?;
            }
        }
        Source::Output(at) => {
            let mut aside = PutAside::new(signed_mut(aside), row);
            let bytes = signed_mut(output);
            for oy in 0..out_h {
                let x = bytes.get(at..at.checked_add(image)?)?;
                let x = aside.until(x, rows_before(p, h, oy))?;
                let start = (oy as usize).checked_mul(row_out)?;
                let y = bytes.get_mut(start..start.checked_add(row_out)?)?;
                one::<K>(p, from, linear, x, oy, (&mut *own, y))?;
            }
        }
    }
    Some(())
}

/// Row `oy` of the outputs of one image, whose input rows are there as far as it reads them.
pub(super) fn row<K: Kernel>(
    p: &Conv,
    (from, to): ([u32; 4], [u32; 4]),
    constants: &Constants<'_>,
    x: InputRows<'_>,
    oy: u32,
    (scratch, y): (&mut [u8], &mut [i8]),
) -> Option<()> {
    let linear = linear::<K>(p, to[3] as usize, constants)?;
    K::depthwise_start(&row_over(p, from, linear, &|_| None), scratch)?;
    one::<K>(p, from, linear, x, oy, (scratch, y))
}

/// Row `oy`, for which scratch is prepared.
fn one<K: Kernel>(
    p: &Conv,
    from: [u32; 4],
    linear: Linear<'_>,
    x: InputRows<'_>,
    oy: u32,
    (scratch, y): (&mut [u8], &mut [i8]),
) -> Option<()> {
    let taps = Axis::rows(p, from[1]).taps(oy);
    let under = |ky: u32| {
        let inside = taps.inside.contains(&ky);
        inside.then(|| x.row(taps.position(ky))).flatten()
    };
    let row = DepthwiseRow {
        first: oy == 0,
        ..row_over(p, from, linear, &under)
    };
    K::depthwise(&row, scratch, y)
}

fn row_over<'a>(
    p: &'a Conv,
    [_, _, width, channels]: [u32; 4],
    linear: Linear<'a>,
    rows: &'a dyn Fn(u32) -> Option<&'a [i8]>,
) -> DepthwiseRow<'a> {
    DepthwiseRow {
        rows,
        first: false,
        parameters: p,
        width,
        channels: channels as usize,
        outputs: linear.bias.len(),
        linear,
    }
}

fn linear<'a, K: Kernel>(
    p: &Conv,
    outputs: usize,
    constants: &Constants<'a>,
) -> Option<Linear<'a>> {
    let taps = (p.kernel_h as usize).checked_mul(p.kernel_w as usize)?;
    let weights = K::TARGET.depthwise_weight_bytes(taps, outputs)?;
    Some(Linear {
        weights: constants.slice(p.weights, weights)?,
        bias: constants.slice(p.bias, outputs)?,
        multipliers: constants.slice(p.multipliers, outputs)?,
        weight_zero_point: p.weight_zero_point,
        requantize: Requantize::new(p.low, p.high, p.zero_point),
    })
}

/// How windows lie in rows with their padding.
struct Along {
    channels: usize,
    /// Values from a window to the next, and from a tap to the next.
    step: usize,
    tap: usize,
    /// Windows of a row that start no later than value `last`; those that do read nothing but
    /// padding, as one that starts there does.
    regular: usize,
    last: usize,
}

impl Along {
    fn new(p: &Conv, len: usize, channels: usize, count: usize) -> Option<Self> {
        let reach = (p.kernel_w.saturating_sub(1) as usize)
            .checked_mul(p.dilation_w as usize)?
            .checked_add(1)?;
        let last = len.checked_div(channels)?.checked_sub(reach)?;
        Some(Along {
            channels,
            step: (p.stride_w as usize).checked_mul(channels)?,
            tap: (p.dilation_w as usize).checked_mul(channels)?,
            regular: count.min(last.checked_div(p.stride_w as usize)? + 1),
            last: last.checked_mul(channels)?,
        })
    }

    /// One row of outputs, whose windows begin in row `first`.
    fn row<K: Kernel>(
        &self,
        p: &Conv,
        rows: &PaddedRows<'_>,
        first: usize,
        linear: &Linear<'_>,
        y: &mut [i8],
    ) -> Option<()> {
        let under = rows.under(p, first);
        let strip = DepthwiseStrip {
            rows: under.get(..p.kernel_h as usize)?,
            kernel_w: p.kernel_w as usize,
            step: self.step,
            tap: self.tap,
            channels: self.channels,
            count: self.regular,
            linear: *linear,
        };
        let (y, rest) = y.split_at_mut_checked(self.regular.checked_mul(self.channels)?)?;
        K::depthwise_strip(&strip, y)?;
        for y in rest.chunks_exact_mut(self.channels.max(1)) {
            let mut alone = [&[][..]; MAX_ROWS];
            for (alone, x) in alone.iter_mut().zip(strip.rows) {
                *alone = x.get(self.last..)?;
            }
            let strip = DepthwiseStrip {
                rows: alone.get(..strip.rows.len())?,
                count: 1,
                ..strip
            };
            K::depthwise_strip(&strip, y)?;
        }
        Some(())
    }
}
