//! Small models made by the plan's own writer: eight int8 numbers in, eight out through one table.

use sanderling_executor::frames::{Array, write_npz};
use sanderling_plan::step::Lookup;
use sanderling_plan::writer::{StepRecord, TensorRecord, Writer};
use sanderling_plan::{Dtype, Operator, Place, Shape, Target};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Numbers in one frame.
pub const WIDTH: usize = 8;

/// A model as the fleet keeps it.
#[derive(Clone)]
pub struct Model {
    pub bytes: Vec<u8>,
    pub digest: [u8; 32],
    pub target: &'static str,
}

impl Model {
    pub fn of(bytes: Vec<u8>) -> Model {
        let digest = Sha256::digest(&bytes).into();
        Model {
            bytes,
            digest,
            target: "generic",
        }
    }
}

/// Answers with the place of the largest number.
pub fn largest() -> Model {
    lookup(|x| x, Target::Generic, 0, |out| out)
}

/// Answers with the place of the smallest number; `padding` bytes make it long to pull.
pub fn smallest(padding: usize) -> Model {
    lookup(|x| !x, Target::Generic, padding, |out| out)
}

/// A model that is [`smallest`] with this padding but for a few bytes here and there, as after training on.
pub fn retrained(padding: usize) -> Model {
    let mut bytes = filler(padding);
    let mut draw = 0x9E37_79B9_7F4A_7C15_u64;
    for byte in &mut bytes {
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        if draw.is_multiple_of(8) {
            *byte = byte.wrapping_add((draw >> 60) as u8).wrapping_sub(8);
        }
    }
    plan(WIDTH, |x| !x, Target::Generic, &bytes, |out| out)
}

/// What turns one model into another, as the fleet keeps it.
pub fn delta(base: &Model, new: &Model) -> Model {
    Model::of(sanderling_delta::make(&base.bytes, &new.bytes, 4096).expect("a delta"))
}

/// A model whose golden vectors are wrong on purpose.
pub fn fails_its_self_test() -> Model {
    let wrong = |mut out: Vec<u8>| {
        out[3] ^= 1;
        out
    };
    lookup(|x| !x, Target::Generic, 0, wrong)
}

/// A model that is packed for another board than any that runs these tests.
pub fn for_another_board() -> Model {
    lookup(|x| !x, Target::CortexM4, 0, |out| out)
}

/// A model that takes another shape than the recording has.
pub fn for_another_sensor() -> Model {
    plan(WIDTH + 1, |x| !x, Target::Generic, &[], |out| out)
}

fn lookup(
    table: impl Fn(u8) -> u8,
    target: Target,
    padding: usize,
    golden: impl Fn(Vec<u8>) -> Vec<u8>,
) -> Model {
    plan(WIDTH, table, target, &filler(padding), golden)
}

/// Bytes that nothing reads, all different enough to be real work for a journal.
fn filler(padding: usize) -> Vec<u8> {
    (0..padding as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

fn plan(
    width: usize,
    table: impl Fn(u8) -> u8,
    target: Target,
    filler: &[u8],
    golden: impl Fn(Vec<u8>) -> Vec<u8>,
) -> Model {
    let mut writer = Writer::new(target, [7; 32]);
    let entries: Vec<u8> = (0..=255).map(&table).collect();
    let table_at = writer.constant(&entries);
    writer.constant(filler);
    let shape = Shape::new(&[1, width as u32]).expect("a small shape");
    let mut tensor = |name, offset| {
        writer.tensor(&TensorRecord {
            name,
            dtype: Dtype::I8,
            shape,
            place: Place::Arena,
            offset,
            scale: 0.5,
            zero_point: 0,
        })
    };
    let (input, output) = (tensor("input", 0), tensor("output", 16));
    writer.step(&StepRecord {
        name: "table",
        operator: Operator::Lookup(Lookup { table: table_at }),
        inputs: &[input],
        output,
        scratch_offset: 0,
        scratch_bytes: 0,
    });
    let given: Vec<u8> = (0..width as u8)
        .map(|i| i.wrapping_mul(29).wrapping_add(200))
        .collect();
    let through =
        |bytes: &[u8]| -> Vec<u8> { bytes.iter().map(|&x| entries[usize::from(x)]).collect() };
    let expected = golden(through(&given));
    writer.golden([&given[..], &expected[..]]);
    Model {
        target: target.name(),
        ..Model::of(writer.finish(&[input], &[output], 32, output, 0))
    }
}

/// Writes a recording of `count` frames in which the largest number stands at frame % 8 and the
/// smallest at (frame + 3) % 8; the label is the largest one's place.
pub fn record(path: &Path, count: usize) {
    let mut frames = Vec::with_capacity(count * WIDTH);
    let mut labels = Vec::with_capacity(count);
    for index in 0..count {
        let mut frame = [0i8; WIDTH];
        for (place, value) in frame.iter_mut().enumerate() {
            *value = (place as i8) * 3;
        }
        frame[index % WIDTH] = 100;
        frame[(index + 3) % WIDTH] = -100;
        frames.extend(frame.map(|value| value as u8));
        labels.push((index % WIDTH) as u8);
    }
    let arrays = [
        Array::of("input", Dtype::I8, vec![count, WIDTH], frames).expect("as long as it says"),
        Array::of("label", Dtype::U8, vec![count], labels).expect("as long as it says"),
    ];
    write_npz(path, &arrays).expect("a temporary folder is writable");
}
