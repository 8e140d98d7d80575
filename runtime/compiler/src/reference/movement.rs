//! Operators that move elements without computing.

use super::Operand;
use sanderling_plan::step::{Copy, Fill};

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
