//! Operators that move elements without computing.

use super::Operand;
use sanderling_plan::step::{ArgMax, Copy, Fill, Gather};

pub(super) fn copy(p: &Copy, x: &Operand<'_>, y: &mut Operand<'_>) {
    let element = x.tensor.dtype.bytes();
    let total: usize = p.shape.iter().map(|&extent| extent as usize).product();
    for number in 0..total {
        let (mut from, mut to) = (i64::from(p.from), i64::from(p.to));
        let mut rest = number;
        for axis in (0..p.shape.len()).rev() {
            let index = (rest % p.shape[axis] as usize) as i64;
            rest /= p.shape[axis] as usize;
            from += index * i64::from(p.from_strides[axis]);
            to += index * i64::from(p.to_strides[axis]);
        }
        let (from, to) = (from as usize * element, to as usize * element);
        y.bytes[to..to + element].copy_from_slice(&x.bytes[from..from + element]);
    }
}

pub(super) fn fill(p: &Fill, y: &mut Operand<'_>) {
    y.bytes.fill(p.value as u8);
}

pub(super) fn resize_nearest(rows: &[u16], columns: &[u16], x: &Operand<'_>, y: &mut Operand<'_>) {
    let [_, height, width, channels] = x.nhwc();
    let [batch, out_h, out_w, _] = y.nhwc();
    for n in 0..batch {
        for (oy, &iy) in rows.iter().enumerate() {
            for (ox, &ix) in columns.iter().enumerate() {
                for c in 0..channels {
                    let from = (n * height + usize::from(iy)) * width + usize::from(ix);
                    let to = (n * out_h + oy) * out_w + ox;
                    y.bytes[to * channels + c] = x.bytes[from * channels + c];
                }
            }
        }
    }
}

pub(super) fn arg_max(p: &ArgMax, x: &Operand<'_>, y: &mut Operand<'_>) {
    let (reduce, inner) = (p.reduce as usize, p.inner as usize);
    for o in 0..p.outer as usize {
        for i in 0..inner {
            let value = |r: usize| x.i8((o * reduce + r) * inner + i);
            let all = (0..reduce).map(value);
            let best = if p.smallest { all.min() } else { all.max() };
            let mut holders = (0..reduce).filter(|&r| Some(value(r)) == best);
            let index = if p.last {
                holders.next_back()
            } else {
                holders.next()
            };
            y.set_i32(o * inner + i, index.unwrap_or(0) as i32);
        }
    }
}

pub(super) fn gather(p: &Gather, x: &Operand<'_>, indices: &Operand<'_>, y: &mut Operand<'_>) {
    let extent = i64::from(p.extent);
    let row = p.inner as usize * x.tensor.dtype.bytes();
    let mut to = 0;
    for o in 0..p.outer as usize {
        for j in 0..indices.len() {
            let index = i64::from(indices.i32(j));
            let index = if index < 0 { index + extent } else { index };
            let from = (o * extent as usize + index.clamp(0, extent - 1) as usize) * row;
            y.bytes[to..to + row].copy_from_slice(&x.bytes[from..from + row]);
            to += row;
        }
    }
}
