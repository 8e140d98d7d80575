//! Elementwise operators of two operands, either of which may be the output.

use crate::memory::{Input, Operands, Source, copy, signed, signed_mut};

/// Elements that are worked on at a time where an operand is the output; few where stacks
/// are small.
const BLOCK: usize = if cfg!(target_os = "none") { 64 } else { 1024 };

/// Runs `kernel(y, a, b)` over all elements.
pub(super) fn run(operands: Operands<'_>, kernel: impl Fn(&mut [i8], &[i8], &[i8])) -> Option<()> {
    let Operands {
        inputs: [a, b, _],
        output,
        ..
    } = operands;
    let y = signed_mut(output);
    if let (Some(a), Some(b)) = (a.i8(), b.i8()) {
        kernel(y, a, b);
        return Some(());
    }
    // In place: what the output holds is read a block ahead of writing.
    for (block, y) in y.chunks_mut(BLOCK).enumerate() {
        let from = block * BLOCK;
        let (mut a_copy, mut b_copy) = ([0i8; BLOCK], [0i8; BLOCK]);
        let a = operand(&a, from, y, &mut a_copy)?;
        let b = operand(&b, from, y, &mut b_copy)?;
        kernel(y, a, b);
    }
    Some(())
}

fn operand<'a>(input: &Input<'a>, from: usize, y: &[i8], copied: &'a mut [i8]) -> Option<&'a [i8]> {
    match input.source {
        Source::Bytes(bytes) => signed(bytes).get(from..from.checked_add(y.len())?),
        Source::Output(_) => {
            // As long as the others: loops split each of them into blocks and a rest.
            let copied = copied.get_mut(..y.len())?;
            copy(copied, y);
            // As long as the block: kernels split both sides at the same place.
            copied.get(..y.len())
        }
    }
}
