//! Small sound plans of any size: one copy step, and ballast among the constants.

use sanderling_plan::step::{Copy, Lookup};
use sanderling_plan::writer::{StepRecord, TensorRecord, Writer};
use sanderling_plan::{Dtype, Operator, Place, Shape, Target};

/// A plan for `target` that needs `arena` bytes and is at least `ballast` bytes long; another `seed`
/// gives another digest.
pub fn plan(target: Target, arena: u32, ballast: usize, seed: u8) -> Vec<u8> {
    let mut writer = Writer::new(target, [seed; 32]);
    let mut state = u32::from(seed) + 1;
    let bytes: Vec<u8> = (0..ballast.max(16))
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    writer.constant(&bytes);
    let shape = Shape::new(&[1, 16]).unwrap();
    let tensor = |name, offset| TensorRecord {
        name,
        dtype: Dtype::I8,
        shape,
        place: Place::Arena,
        offset,
        scale: 1.0,
        zero_point: 0,
    };
    let x = writer.tensor(&tensor("x", 0));
    let y = writer.tensor(&tensor("y", 16));
    let copy = Copy {
        shape: [1, 1, 1, 1, 1, 16],
        from_strides: [0, 0, 0, 0, 0, 1],
        to_strides: [0, 0, 0, 0, 0, 1],
        from: 0,
        to: 0,
    };
    writer.step(&StepRecord {
        name: "copy",
        operator: Operator::Copy(copy),
        inputs: &[x],
        output: y,
        scratch_offset: 0,
        scratch_bytes: 0,
    });
    writer.finish(&[x], &[y], arena, x, 16)
}

/// A classifier of four classes: a score is 1 where the input is one of the `heard` values, else 0. So it is right about
/// frames in which the right class has a value that it hears and the others have none.
pub fn classifier(target: Target, heard: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(target, [0; 32]);
    let mut table = [0; Lookup::ENTRIES];
    for &value in heard {
        table[usize::from(value)] = 1;
    }
    let table = writer.constant(&table);
    let tensor = |name, offset| TensorRecord {
        name,
        dtype: Dtype::I8,
        shape: Shape::new(&[1, 4]).unwrap(),
        place: Place::Arena,
        offset,
        scale: 1.0,
        zero_point: 0,
    };
    let x = writer.tensor(&tensor("x", 0));
    let y = writer.tensor(&tensor("y", 16));
    writer.step(&StepRecord {
        name: "hear",
        operator: Operator::Lookup(Lookup { table }),
        inputs: &[x],
        output: y,
        scratch_offset: 0,
        scratch_bytes: 0,
    });
    writer.finish(&[x], &[y], 32, x, 4)
}
