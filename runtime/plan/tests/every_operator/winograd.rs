//! A small valid plan for Cortex-M4 whose convolutions run by Winograd's algorithm, one
//! beside its input and one over it.

use sanderling_plan::packing::winograd;
use sanderling_plan::step::WinogradConv;
use sanderling_plan::writer::{StepRecord, TensorRecord, Writer};
use sanderling_plan::{Dtype, Operator, Place, Shape, Target};

/// The plan.
pub fn plan() -> Vec<u8> {
    let mut writer = Writer::new(Target::CortexM4, [7; 32]);
    // Input, what the first writes over a part of it, and what the second writes.
    let (image, between, last) = ([1, 5, 6, 6], [1, 5, 6, 5], [1, 6, 6, 5]);
    let places = [(image, 768), (between, 256), (last, 0)];
    let [x, y, z] = places.map(|(dims, offset)| {
        writer.tensor(&TensorRecord {
            name: "tensor",
            dtype: Dtype::I8,
            shape: Shape::new(&dims).unwrap(),
            place: Place::Arena,
            offset,
            scale: 0.05,
            zero_point: 3,
        })
    });
    let (mut scratch_offset, steps) = (1024, [(x, image, y, between), (y, between, z, last)]);
    for (input, from, output, to) in steps {
        let (inputs, outputs) = (from[3] as usize, to[3] as usize);
        let weights: Vec<i8> = (0..9 * inputs * outputs)
            .map(|i| (i * 37 + 11) as i8)
            .collect();
        let weights = winograd::pack(&weights, inputs, 2);
        let weights: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        let bias: Vec<u8> = (0..outputs as i32)
            .flat_map(|i| (i * 100 - 150).to_le_bytes())
            .collect();
        let multipliers: Vec<u8> = (0..outputs)
            .flat_map(|i| (0.003 + i as f32 * 0.001).to_le_bytes())
            .collect();
        let p = WinogradConv {
            pad_top: 1,
            pad_left: 1,
            weights: writer.constant(&weights),
            bias: writer.constant(&bias),
            multipliers: writer.constant(&multipliers),
            input_zero_point: 3,
            zero_point: -5,
            low: -128,
            high: 127,
        };
        let overlaps = output == z;
        assert!(!overlaps || p.overlap(from, to).is_some_and(|least| least <= 256));
        let scratch = p.scratch(from, to[2], overlaps);
        let scratch_bytes = scratch.and_then(|s| s.bytes()).unwrap() as u32;
        let operator = Operator::WinogradConv(p);
        writer.step(&StepRecord {
            name: operator.name(),
            operator,
            inputs: &[input],
            output,
            scratch_offset,
            scratch_bytes,
        });
        scratch_offset += scratch_bytes.next_multiple_of(16);
    }
    writer.finish(&[x], &[z], scratch_offset, x, 0)
}
