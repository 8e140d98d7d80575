//! A plan as training would leave it: other weights, and the golden outputs that they give.

use std::ops::Range;

use sanderling_engine::Engine;
use sanderling_plan::golden::Part;
use sanderling_plan::{Operator, Plan};

fn with_plan<T>(bytes: &[u8], look: impl FnOnce(Plan<&[u8]>) -> T) -> T {
    let mut room = vec![0u8; bytes.len() + 16];
    let skip = room.as_ptr().align_offset(16);
    room[skip..skip + bytes.len()].copy_from_slice(bytes);
    look(Plan::new(&room[skip..skip + bytes.len()]).expect("a plan"))
}

/// Where the weights of each step lie.
fn layers(bytes: &[u8]) -> Vec<Range<usize>> {
    with_plan(bytes, |plan| {
        let start = plan.constants().as_ptr() as usize - plan.bytes().as_ptr() as usize;
        let of = |operator: &Operator| match operator {
            Operator::Conv(p) | Operator::DepthwiseConv(p) => Some((p.weights, p.bias)),
            Operator::FullyConnected(p) => Some((p.weights, p.bias)),
            _ => None,
        };
        let place = |(weights, bias): (u32, u32)| {
            start + weights as usize..start + bias.max(weights) as usize
        };
        plan.steps()
            .filter_map(|step| of(&step.operator))
            .map(place)
            .collect()
    })
}

/// The plan with its last layer's weights, or all of them, moved a little, and with golden outputs of its own.
pub fn retrained(bytes: &[u8], head_only: bool) -> Vec<u8> {
    let mut new = bytes.to_vec();
    let layers = layers(bytes);
    let moved = if head_only {
        layers.len().saturating_sub(1)
    } else {
        0
    };
    for layer in &layers[moved..] {
        for (i, weight) in new[layer.clone()].iter_mut().enumerate() {
            let by = [0, 1, 0, -1, 0, 0, 2][i % 7];
            *weight = (*weight as i8).saturating_add(by).max(-127) as u8;
        }
    }
    let outputs = with_plan(&new, |plan| {
        let place = |part: &[u8]| part.as_ptr() as usize - plan.bytes().as_ptr() as usize;
        let mut arena = vec![0u8; plan.arena_bytes() + 16];
        let skip = arena.as_ptr().align_offset(16);
        let other = Plan::new(plan.bytes()).expect("a plan");
        let mut engine = Engine::new(other, &mut arena[skip..]).expect("an engine");
        let mut outputs = Vec::new();
        for golden in plan.golden() {
            for part in golden.parts(plan.io_tensors()) {
                if let Part::Input(index, bytes) = part {
                    engine
                        .input_mut(index)
                        .expect("an input")
                        .copy_from_slice(bytes);
                }
            }
            engine.run().expect("it runs");
            for part in golden.parts(plan.io_tensors()) {
                if let Part::Output(index, bytes) = part {
                    outputs.push((
                        place(bytes),
                        engine.output(index).expect("an output").to_vec(),
                    ));
                }
            }
        }
        outputs
    });
    for (at, output) in outputs {
        new[at..at + output.len()].copy_from_slice(&output);
    }
    new
}
