//! Random networks: many steps over tensors that branch, join and die.

use crate::make::Maker;
use sanderling_compiler::program::{Program, TensorId};
use sanderling_plan::Dtype;

/// The most elements that a tensor may have, so that networks stay quick.
const MOST: usize = 4000;

/// A network of up to 16 layers.
pub fn network(seed: u64) -> Program {
    let mut maker = Maker::new(seed);
    let first = entry(&mut maker);
    let mut known = vec![first];
    for _ in 0..maker.chance.size(16) {
        // Recent tensors are read more often, as in networks.
        let back = maker.chance.size(3).min(known.len());
        let x = known[known.len() - back];
        let y = layer(&mut maker, x, &known);
        if maker.program.tensor(y).elements() <= MOST {
            known.push(y);
        }
    }
    // The others may be read by nobody: a step whose output is dead must do no harm.
    let last = known[known.len() - 1];
    exit(&mut maker, last);
    if maker.chance.once_in(3) {
        let other = known[maker.chance.size(known.len()) - 1];
        exit(&mut maker, other);
    }
    maker.program
}

/// An input of some dtype, brought to `i8`.
fn entry(maker: &mut Maker) -> TensorId {
    let c = &mut maker.chance;
    let shape = [1, c.size(9), c.size(9), c.size(12)];
    match c.size(3) {
        1 => {
            let x = maker.input(Dtype::F32, &shape);
            let x = if maker.chance.once_in(2) {
                maker.transpose(x)
            } else {
                x
            };
            maker.quantize(x)
        }
        2 => {
            let x = maker.input(Dtype::U8, &shape);
            maker.lookup(x, Dtype::I8)
        }
        _ => maker.input(Dtype::I8, &shape),
    }
}

/// An output of some dtype. What is an input or output already is copied first.
fn exit(maker: &mut Maker, x: TensorId) {
    let y = match maker.chance.size(3) {
        1 => maker.dequantize(x),
        2 => maker.lookup(x, Dtype::U8),
        _ => maker.broadcast_or_keep(x),
    };
    maker.program.outputs.push(y);
}

impl Maker {
    fn broadcast_or_keep(&mut self, x: TensorId) -> TensorId {
        let program = &self.program;
        let taken = program.outputs.contains(&x) || program.inputs.contains(&x);
        if taken { self.transpose(x) } else { x }
    }
}

/// A layer on `x`, which has four axes, with an output that has four axes.
fn layer(maker: &mut Maker, x: TensorId, known: &[TensorId]) -> TensorId {
    match maker.chance.size(16) {
        1 | 2 => maker.conv(x, false),
        3 | 4 => maker.conv(x, true),
        5 => maker.max_pool(x),
        6 => maker.average_pool(x),
        7 => maker.reduce_mean(x),
        8 => maker.softmax(x),
        9 => maker.pad(x),
        10 => maker.slice(x),
        11 => maker.transpose(x),
        12 => maker.resize_nearest(x),
        13 => maker.lookup(x, Dtype::I8),
        14 => {
            let axis = maker.chance.size(4) - 1;
            let shape = maker.shape(x);
            let fits = |&&id: &&TensorId| {
                let other = maker.shape(id);
                (0..4).all(|a| a == axis || other[a] == shape[a])
            };
            let other = known.iter().find(fits).copied().unwrap_or(x);
            maker.concat(x, other, axis)
        }
        _ => {
            // A residual: `x` and something of its shape that is a little older.
            let shape = maker.shape(x);
            let same = |&&id: &&TensorId| maker.shape(id) == shape && id != x;
            let other = match known.iter().rev().find(same) {
                Some(&other) => other,
                None => maker.lookup(x, Dtype::I8),
            };
            let (a, b) = if maker.chance.once_in(2) {
                (x, other)
            } else {
                (other, x)
            };
            if maker.chance.once_in(2) {
                maker.add(a, b)
            } else {
                maker.mul(a, b)
            }
        }
    }
}
