//! Convolution with one input channel per group.

use super::conv::{rows_before, split};
use super::rows::{InputRows, PutAside};
use super::window::Axis;
use crate::kernels::{DepthwiseRow, Kernel, Linear};
use crate::memory::{Constants, Operands, Source, signed, signed_mut};
use crate::numerics::Requantize;
use sanderling_plan::step::Conv;

pub(super) fn run<K: Kernel>(p: &Conv, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        output_shape,
        scratch,
        constants,
    } = operands;
    let (from, to) = (x.shape.nhwc()?, output_shape.nhwc()?);
    let [_, h, w, channels] = from;
    let [_, out_h, out_w, outputs] = to;
    let row = (w as usize).checked_mul(channels as usize)?;
    let row_out = (out_w as usize).checked_mul(outputs as usize)?;
    let image = row.checked_mul(h as usize)?;
    let overlaps = matches!(x.source, Source::Output(_));
    let layout = p.scratch(K::TARGET, from, true, overlaps)?;
    let (own, aside) = split(scratch, layout)?;
    match x.source {
        Source::Bytes(x) => {
            let mut images = signed(x).chunks_exact(image.max(1));
            let image_out = row_out.checked_mul(out_h as usize)?;
            let outputs = signed_mut(output).chunks_exact_mut(image_out.max(1));
            for (y, x) in outputs.zip(&mut images) {
                for (oy, y) in (0..out_h).zip(y.chunks_exact_mut(row_out.max(1))) {
                    self::row::<K>(
                        p,
                        (from, to),
                        &constants,
                        InputRows::of(x, row),
                        oy,
                        (&mut *own, y),
                    )?;
                }
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
                self::row::<K>(p, (from, to), &constants, x, oy, (&mut *own, y))?;
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
    let ([_, h, width, channels], outputs) = (from, to[3] as usize);
    let taps = (p.kernel_h as usize).checked_mul(p.kernel_w as usize)?;
    let weights = K::TARGET.depthwise_weight_bytes(taps, outputs)?;
    let linear = Linear {
        weights: constants.slice(p.weights, weights)?,
        bias: constants.slice(p.bias, outputs)?,
        multipliers: constants.slice(p.multipliers, outputs)?,
        weight_zero_point: p.weight_zero_point,
        requantize: Requantize::new(p.low, p.high, p.zero_point),
    };
    let taps = Axis::rows(p, h).taps(oy);
    let under = |ky: u32| {
        let inside = taps.inside.contains(&ky);
        inside.then(|| x.row(taps.position(ky))).flatten()
    };
    let row = DepthwiseRow {
        rows: &under,
        parameters: p,
        width,
        channels: channels as usize,
        outputs,
        linear,
    };
    K::depthwise(&row, scratch, y)
}
