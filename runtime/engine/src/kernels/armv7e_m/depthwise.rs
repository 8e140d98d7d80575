//! Depthwise convolutions, four channels at a time.
//!
//! What the windows of some output pixels read of four channels is widened into a strip
//! `[columns][kh][2]` of words that hold the channels 0 and 2, and 1 and 3; so are the
//! weights, `[kw][kh][2]`. A window then is as contiguous as its weights, for every size
//! of kernel: one loop serves all.

use super::pixels::{Pixels, ROWS};
use crate::kernels::DepthwiseRow;
use crate::operators::Axis;

/// Channels of a block.
pub(super) const CHANNELS: usize = 4;

pub(super) fn row(row: &DepthwiseRow<'_>, scratch: &mut [u8], y: &mut [i8]) -> Option<()> {
    let DepthwiseRow {
        parameters: p,
        channels,
        outputs,
        linear,
        ..
    } = *row;
    if outputs != channels
        || channels < CHANNELS
        || p.kernel_h as usize > ROWS
        || (p.dilation_w != 1 && p.stride_w != 1)
    {
        return plain(row, y);
    }
    let scratch: &mut [i32] = bytemuck::try_cast_slice_mut(scratch).ok()?;
    let (kh, kw) = (p.kernel_h as usize, p.kernel_w as usize);
    let taps = kh.checked_mul(kw)?;
    let (wide, strip) = scratch.split_at_mut_checked(taps.next_multiple_of(2) * 2)?;
    wide.fill(0);
    // The last of an odd number of taps is read with one behind it, of weight 0.
    let columns = strip.len().checked_sub(2)?.checked_div(kh * 2)?;
    // Columns of the strip between two pixels, and input columns between two of its own.
    let (step, apart) = match p.dilation_w {
        1 => (p.stride_w as usize, 1),
        apart => (1, apart as usize),
    };
    let most = columns.checked_sub(kw)?.checked_div(step)? + 1;
    let width = y.len().checked_div(channels)?;
    let axis = Axis::columns(p, row.width);
    let zero = {
        let zero = p.input_zero_point;
        zero & 0xffff | zero << 16
    };
    for phase in 0..apart {
        let mut first = phase;
        while first < width {
            let count = most.min((width - first).div_ceil(apart));
            let used = (count - 1) * step + kw;
            let strip = strip.get_mut(..(used * kh + 1) * 2)?;
            strip.fill(zero);
            // The columns that lie inside the image, and what is under them.
            let inside = axis.inside(first as u32, used as u32);
            let left = axis.tap(first as u32, inside.start as u32).unwrap_or(0);
            let mut under = [(&[] as &[i8], 0usize); ROWS];
            let mut present = 0;
            for ky in 0..kh {
                if let Some(x) = (row.rows)(ky as u32) {
                    let x = x.get(left.checked_mul(channels)?..)?;
                    *under.get_mut(present)? = (x, (inside.start * kh + ky) * 2);
                    present += 1;
                }
            }
            // The last block reaches back where channels are no multiple of four.
            let whole = channels / CHANNELS;
            let last = usize::from(!channels.is_multiple_of(CHANNELS));
            for (channel, blocks) in [(0, whole), (channels - CHANNELS, last)] {
                if blocks == 0 {
                    continue;
                }
                for (x, _) in under.iter_mut().take(present) {
                    *x = x.get(channel..)?;
                }
                Pixels {
                    wide,
                    strip,
                    rows: under.get(..present)?,
                    columns: inside.len(),
                    column_bytes: apart * channels,
                    weights: linear.weights.get(channel..)?,
                    weight_zero_point: p.weight_zero_point,
                    kernel: [kh, kw],
                    channels,
                    step,
                    count,
                    blocks,
                    bias: linear.bias.get(channel..)?,
                    multipliers: linear.multipliers.get(channel..)?,
                    requantize: linear.requantize,
                }
                .outputs(y.get_mut(first * channels + channel..)?, apart * channels)?;
            }
            first += count * apart;
        }
    }
    Some(())
}

/// What is rare: output by output and tap by tap, in little code.
#[cold]
#[inline(never)]
fn plain(row: &DepthwiseRow<'_>, y: &mut [i8]) -> Option<()> {
    let DepthwiseRow {
        parameters: p,
        channels,
        outputs,
        linear,
        ..
    } = *row;
    let columns = Axis::columns(p, row.width);
    let times = outputs.checked_div(channels)?;
    for (ox, y) in (0u32..).zip(y.chunks_exact_mut(outputs.max(1))) {
        for (o, y) in y.iter_mut().enumerate() {
            let channel = o.checked_div(times)?;
            let mut acc = *linear.bias.get(o)?;
            let mut at = o;
            for ky in 0..p.kernel_h {
                let under = (row.rows)(ky);
                for kx in 0..p.kernel_w {
                    let x = match (under, columns.tap(ox, kx)) {
                        (Some(x), Some(ix)) => {
                            let at = ix.checked_mul(channels)?.checked_add(channel)?;
                            i32::from(*x.get(at)?)
                        }
                        _ => p.input_zero_point,
                    };
                    let w = i32::from(*linear.weights.get(at)?);
                    acc = acc.wrapping_add(x.wrapping_mul(w.wrapping_sub(p.weight_zero_point)));
                    at = at.wrapping_add(outputs);
                }
            }
            *y = linear
                .requantize
                .accumulator(acc, *linear.multipliers.get(o)?);
        }
    }
    Some(())
}
