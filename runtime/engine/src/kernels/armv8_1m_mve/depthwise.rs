//! Depthwise convolution: rows are rearranged into words, four bytes of one channel, so
//! that a vector of four words multiplies up to sixteen taps of one output.

use super::depthwise_loops::{
    Any, Interleave, Simple, TABLE_MASK, TABLE_TAPS, Table, any, interleave, simple, spread,
};
use super::{depthwise_plain, moves};
use crate::kernels::DepthwiseRow;
use crate::memory::{copy, signed_mut};
use sanderling_plan::packing::cortex_m55::Windows;

/// Bytes of a word.
const WORD: usize = 4;
/// Channels that are computed together.
const GROUP: usize = 4;
/// Bytes of a vector register.
const VECTOR: usize = 16;

/// One row of outputs.
pub(super) fn row(row: &DepthwiseRow<'_>, scratch: &mut [u8], y: &mut [i8]) -> Option<()> {
    let p = row.parameters;
    let pixels = y.len().checked_div(row.outputs)?;
    let reach = (p.kernel_w as usize)
        .checked_sub(1)?
        .checked_mul(p.dilation_w as usize)?;
    // Columns under the windows of all pixels, the padding's on the left included.
    let columns = pixels
        .checked_sub(1)?
        .checked_mul(p.stride_w as usize)?
        .checked_add(reach)?
        .checked_add(1)?;
    let windows = Windows::of(p, row.width).filter(|windows| columns <= windows.columns);
    let Some(windows) = windows else {
        return depthwise_plain::row(row, y);
    };
    let plane = windows.plane_bytes(row.channels)?;
    let (tables, words) = scratch.split_at_mut_checked(windows.table_bytes()?)?;
    let tables: &mut [Table] = bytemuck::try_cast_slice_mut(tables).ok()?;
    let words = signed_mut(words);
    if row.first {
        lay_out(row, &windows, plane, tables)?;
    }
    for (number, first) in (0..p.kernel_h).step_by(WORD).enumerate() {
        // What is written behind a plane is the next plane's beginning, or slack.
        let start = number.checked_mul(plane)?;
        let end = start.checked_add(plane)?.checked_add(Windows::SLACK)?;
        let words = words.get_mut(start..end)?;
        match windows.across {
            1 => upright(row, first, columns, words)?,
            _ => lying(row, columns, words)?,
        }
    }
    if windows.vectors == 1 && row.outputs == row.channels && row.outputs >= GROUP {
        let rest = row.outputs % GROUP;
        groups(row, tables, words, 0..row.outputs - rest, y)?;
        if rest > 0 {
            // The last four, some of them once more.
            groups(row, tables, words, row.outputs - GROUP..row.outputs, y)?;
        }
    } else {
        for first in (0..row.outputs).step_by(GROUP) {
            group(row, tables, words, first, y)?;
        }
    }
    let [low, high, _] = row.linear.requantize.bounds();
    if (low, high) != (-128, 127) {
        let (low, high) = (low as i8, high as i8);
        for y in y {
            *y = (*y).max(low).min(high);
        }
    }
    Some(())
}

/// Writes down where the words of a window are, and which tap each of their bytes is.
fn lay_out(
    row: &DepthwiseRow<'_>,
    windows: &Windows,
    plane: usize,
    tables: &mut [Table],
) -> Option<()> {
    let p = row.parameters;
    let (kernel_h, kernel_w) = (p.kernel_h as usize, p.kernel_w as usize);
    let column = row.channels.checked_mul(WORD)?;
    for (vector, table) in tables.iter_mut().enumerate() {
        *table = [0; _];
        for i in 0..WORD {
            let word = vector * WORD + i;
            if word >= windows.words {
                break;
            }
            let (number, kx) = match windows.across {
                1 => (word / kernel_w, word % kernel_w),
                across => (0, word.checked_mul(across)?),
            };
            let distance = kx.checked_mul(p.dilation_w as usize)?.checked_mul(column)?;
            *table.get_mut(i)? = number.checked_mul(plane)?.checked_add(distance)? as u32;
            for slot in 0..WORD {
                let (ky, kx) = match windows.across {
                    1 => (number * WORD + slot, kx),
                    _ => (0, kx + slot),
                };
                if ky < kernel_h && kx < kernel_w {
                    let tap = ky.checked_mul(kernel_w)?.checked_add(kx)? as u8;
                    *table.get_mut(TABLE_TAPS + i)? |= u32::from(tap) << (8 * slot);
                    *table.get_mut(TABLE_MASK)? |= 1 << (i * WORD + slot);
                }
            }
        }
    }
    Some(())
}

/// Words of four rows from kernel row `first` on, for every column.
fn upright(row: &DepthwiseRow<'_>, first: u32, columns: usize, words: &mut [i8]) -> Option<()> {
    let p = row.parameters;
    let padding = [p.input_zero_point as i8; VECTOR];
    let column = row.channels.checked_mul(WORD)?;
    let left = (p.pad_left as usize).min(columns);
    let inside = (row.width as usize).min(columns - left);
    let values = inside.checked_mul(row.channels)?;
    let mut from: [&[i8]; WORD] = [&padding; WORD];
    for (ky, from) in (first..p.kernel_h).zip(&mut from) {
        if let Some(x) = (row.rows)(ky) {
            *from = x.get(..values)?;
        }
    }
    let (main, right) = (left.checked_mul(column)?, inside.checked_mul(column)?);
    let right = main.checked_add(right)?;
    let end = columns.checked_mul(column)?;
    // The padding stays as it is where whole vectors are written between.
    let fill = row.first || !values.is_multiple_of(VECTOR);
    if fill {
        moves::fill_run(words.get_mut(..main)?, p.input_zero_point as i8);
    }
    weave(from, &padding, values, words.get_mut(main..)?)?;
    if fill {
        moves::fill_run(words.get_mut(right..end)?, p.input_zero_point as i8);
    }
    Some(())
}

/// Words of four columns of the only kernel row, from every column on.
fn lying(row: &DepthwiseRow<'_>, columns: usize, words: &mut [i8]) -> Option<()> {
    let p = row.parameters;
    let padding = [p.input_zero_point as i8; VECTOR];
    let channels = row.channels;
    let column = channels.checked_mul(WORD)?;
    let Some(x) = (row.rows)(0) else {
        let end = columns.checked_mul(column)?;
        moves::fill_run(words.get_mut(..end)?, p.input_zero_point as i8);
        return Some(());
    };
    let (left, width) = (p.pad_left as usize, row.width as usize);
    let mut at = 0usize;
    while at < columns {
        let inside = at
            .checked_sub(left)
            .and_then(|start| width.checked_sub(start + WORD - 1));
        // Together where all four columns are the image's, one by one elsewhere.
        let count = inside.unwrap_or(0).min(columns - at).max(1);
        let values = count.checked_mul(channels)?;
        let mut from: [&[i8]; WORD] = [&padding; WORD];
        for (slot, from) in from.iter_mut().enumerate() {
            if let Some(ix) = (at + slot).checked_sub(left).filter(|&ix| ix < width) {
                let start = ix.checked_mul(channels)?;
                *from = x.get(start..start.checked_add(values)?)?;
            }
        }
        let start = at.checked_mul(column)?;
        weave(from, &padding, values, words.get_mut(start..)?)?;
        at += count;
    }
    Some(())
}

/// `to[4 i + s] = from[s][i]` for the first `values`; a row that is `padding` is that all
/// along. Up to 60 bytes behind are written too.
#[inline]
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
fn weave(from: [&[i8]; WORD], padding: &[i8; VECTOR], values: usize, to: &mut [i8]) -> Option<()> {
    let mut call = Interleave {
        from: from.map(<[i8]>::as_ptr),
        to: to.as_mut_ptr(),
        bytes: values,
        steps: [VECTOR; WORD],
    };
    for (from, step) in from.iter().zip(&mut call.steps) {
        if core::ptr::eq(from.as_ptr(), padding.as_ptr()) {
            *step = 0;
        } else if from.len() < values {
            return None;
        }
    }
    if to.len() < values.checked_next_multiple_of(VECTOR)?.checked_mul(WORD)? {
        return None;
    }
    // SAFETY: rows and the words' place are as long as was just checked; the padding has
    // sixteen bytes.
    unsafe { interleave(call) };
    Some(())
}

/// Whole groups of channels, whose windows fit one vector.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
fn groups(
    row: &DepthwiseRow<'_>,
    tables: &[Table],
    words: &[i8],
    channels: core::ops::Range<usize>,
    y: &mut [i8],
) -> Option<()> {
    let p = row.parameters;
    let taps = (p.kernel_h as usize).checked_mul(p.kernel_w as usize)?;
    let weights = channels.start.checked_mul(taps)?..channels.end.checked_mul(taps)?;
    let pixels = y.len().checked_div(row.outputs)?;
    let call = Simple {
        words: words.get(channels.start.checked_mul(WORD)?..)?.as_ptr(),
        weights: row.linear.weights.get(weights)?.as_ptr(),
        bias: row.linear.bias.get(channels.clone())?.as_ptr(),
        multipliers: row.linear.multipliers.get(channels.clone())?.as_ptr(),
        y: y.get_mut(channels.start..)?.as_mut_ptr(),
        zero_point: row.linear.requantize.bounds()[2],
        y_step: row.outputs,
        step: (p.stride_w as usize)
            .checked_mul(row.channels)?
            .checked_mul(WORD)?,
        table: tables.first()?,
        taps,
        pixels,
        groups: channels.len() / GROUP,
    };
    if call.groups == 0 || pixels == 0 || channels.end > row.outputs {
        return None;
    }
    // SAFETY: constants and outputs of these channels are in their slices. The words under
    // every window are: `row` lets windows pass only over columns that `Windows` counts,
    // and has cut the planes of that many out of scratch.
    unsafe { simple(call) };
    Some(())
}

/// Up to four channels from `first` on.
#[allow(unsafe_code, reason = "vectors that the compiler does not name")]
fn group(
    row: &DepthwiseRow<'_>,
    tables: &mut [Table],
    words: &[i8],
    first: usize,
    y: &mut [i8],
) -> Option<()> {
    let p = row.parameters;
    let taps = (p.kernel_h as usize).checked_mul(p.kernel_w as usize)?;
    let times = row.outputs.checked_div(row.channels)?.max(1);
    let pixels = y.len().checked_div(row.outputs)?;
    let channels = (row.outputs.checked_sub(first)?).min(GROUP);
    let (mut bias, mut multipliers) = ([0i32; GROUP], [0f32; GROUP]);
    copy(&mut bias, row.linear.bias.get(first..)?);
    copy(&mut multipliers, row.linear.multipliers.get(first..)?);
    let (mut under, mut weights) = ([words.as_ptr(); GROUP], [words.as_ptr(); GROUP]);
    for (i, (under, weights)) in under.iter_mut().zip(&mut weights).enumerate() {
        // Channels that are not there are the first once more, and not written.
        let output = first + if i < channels { i } else { 0 };
        *under = words.get((output / times).checked_mul(WORD)?..)?.as_ptr();
        let start = output.checked_mul(taps)?;
        *weights = row
            .linear
            .weights
            .get(start..start.checked_add(taps)?)?
            .as_ptr();
    }
    let call = Any {
        words: under,
        table: tables.as_ptr(),
        vectors: tables.len(),
        bias: bias.as_ptr(),
        multipliers: multipliers.as_ptr(),
        y: y.get_mut(first..)?.as_mut_ptr(),
        y_step: row.outputs,
        step: (p.stride_w as usize)
            .checked_mul(row.channels)?
            .checked_mul(WORD)?,
        zero_point: row.linear.requantize.bounds()[2],
        pixels,
        channels,
    };
    if tables.is_empty() || pixels == 0 || channels == 0 {
        return None;
    }
    // SAFETY: as in `groups`; the tables are there and name taps below `taps` only.
    unsafe {
        spread(tables.as_mut_ptr(), tables.len(), &weights);
        any(call);
    }
    Some(())
}
