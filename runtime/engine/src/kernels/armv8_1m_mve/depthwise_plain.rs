//! Depthwise windows tap by tap, for weights with a zero point and other rarities.

use crate::kernels::DepthwiseRow;
use crate::operators::Axis;

/// One row of outputs, weights `[out][kh · kw]`.
#[cold]
pub(super) fn row(row: &DepthwiseRow<'_>, y: &mut [i8]) -> Option<()> {
    let DepthwiseRow {
        parameters: p,
        channels,
        outputs,
        linear,
        ..
    } = *row;
    let columns = Axis::columns(p, row.width);
    let times = outputs.checked_div(channels)?.max(1);
    let taps = (p.kernel_h as usize).checked_mul(p.kernel_w as usize)?;
    for (ox, y) in (0u32..).zip(y.chunks_exact_mut(outputs.max(1))) {
        let inside = columns.taps(ox);
        let weights = linear.weights.chunks_exact(taps.max(1));
        let constants = linear.bias.iter().zip(linear.multipliers);
        for (output, ((y, weights), (&bias, &multiplier))) in
            y.iter_mut().zip(weights).zip(constants).enumerate()
        {
            let channel = output / times;
            let mut acc = bias;
            let mut weights = weights.iter();
            for ky in 0..p.kernel_h {
                let x = (row.rows)(ky);
                for kx in 0..p.kernel_w {
                    let x = match x.filter(|_| inside.inside.contains(&kx)) {
                        Some(x) => {
                            let pixel = inside.position(kx).checked_mul(channels)?;
                            i32::from(*x.get(pixel.checked_add(channel)?)?)
                        }
                        None => p.input_zero_point,
                    };
                    let weight = i32::from(*weights.next()?).wrapping_sub(p.weight_zero_point);
                    acc = acc.wrapping_add(x.wrapping_mul(weight));
                }
            }
            *y = linear.requantize.accumulator(acc, multiplier);
        }
    }
    Some(())
}
