//! Strided copy.

use crate::memory::{Operands, copy};
use sanderling_plan::step::Copy;

/// One axis of a copy, in elements.
#[derive(Clone, Copy)]
struct Axis {
    extent: u32,
    from: isize,
    to: isize,
}

pub(super) fn run(p: &Copy, operands: Operands<'_>) -> Option<()> {
    let Operands {
        inputs: [x, ..],
        output,
        ..
    } = operands;
    let from = x.bytes()?;
    match x.width {
        1 => strided::<1>(p, from, output),
        2 => strided::<2>(p, from, output),
        4 => strided::<4>(p, from, output),
        _ => None,
    }
}

fn strided<const WIDTH: usize>(p: &Copy, x: &[u8], y: &mut [u8]) -> Option<()> {
    let (x, _) = x.as_chunks::<WIDTH>();
    let (y, _) = y.as_chunks_mut::<WIDTH>();
    let mut axes = [Axis {
        extent: 1,
        from: 0,
        to: 0,
    }; 6];
    let strides = p.from_strides.iter().zip(&p.to_strides);
    for ((axis, &extent), (&from, &to)) in axes.iter_mut().zip(&p.shape).zip(strides) {
        *axis = Axis {
            extent,
            from: from as isize,
            to: to as isize,
        };
    }
    // The innermost axes whose elements are neighbours on both sides are one run.
    let mut run = 1u32;
    for axis in axes.iter_mut().rev() {
        if axis.extent == 1 {
            continue;
        }
        if axis.from != run as isize || axis.to != run as isize {
            break;
        }
        run = run.saturating_mul(axis.extent);
        axis.extent = 1;
    }
    let run = run as usize;
    // The innermost axis that is left is the inner loop, the others count like an odometer.
    let last = axes.iter().rposition(|axis| axis.extent > 1).unwrap_or(0);
    let inner = core::mem::replace(
        axes.get_mut(last)?,
        Axis {
            extent: 1,
            from: 0,
            to: 0,
        },
    );
    let (mut from, mut to) = (p.from as isize, p.to as isize);
    let mut index = [0u32; 6];
    loop {
        // Every position lies inside its tensor: `Plan::new` has checked both extremes.
        let (mut source, mut target) = (from, to);
        for _ in 0..inner.extent {
            let (start, end) = (source as usize, (source as usize).checked_add(run)?);
            let into = target as usize;
            if run == 1 {
                *y.get_mut(into)? = *x.get(start)?;
            } else {
                copy(y.get_mut(into..into.checked_add(run)?)?, x.get(start..end)?);
            }
            source = source.wrapping_add(inner.from);
            target = target.wrapping_add(inner.to);
        }
        let mut carried = true;
        for (count, axis) in index.iter_mut().zip(&axes).rev() {
            from = from.wrapping_add(axis.from);
            to = to.wrapping_add(axis.to);
            *count += 1;
            if *count < axis.extent {
                carried = false;
                break;
            }
            from = from.wrapping_sub(axis.from.wrapping_mul(*count as isize));
            to = to.wrapping_sub(axis.to.wrapping_mul(*count as isize));
            *count = 0;
        }
        if carried {
            return Some(());
        }
    }
}
