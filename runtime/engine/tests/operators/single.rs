//! A plan of one step, run in an arena whose every other byte is watched.

#[path = "../../../plan/tests/every_operator/aligned.rs"]
mod aligned;

pub use aligned::Aligned;
use bytemuck::NoUninit;
use sanderling_engine::Engine;
use sanderling_plan::writer::{StepRecord, TensorRecord, Writer};
use sanderling_plan::{Dtype, Operator, Place, Plan, Shape, Target, TensorId};

/// Guard bytes between tensors and around the arena.
const GUARD: u32 = 32;

/// An operand of the step.
pub struct Operand {
    pub dtype: Dtype,
    pub dims: Vec<u32>,
    pub bytes: Vec<u8>,
    pub place: Place,
}

impl Operand {
    /// Signed bytes in the arena.
    pub fn i8(dims: &[u32], values: &[i8]) -> Self {
        Operand {
            dtype: Dtype::I8,
            dims: dims.to_vec(),
            bytes: bytemuck::cast_slice(values).to_vec(),
            place: Place::Arena,
        }
    }

    /// The same among the plan's constants.
    pub fn constant(self) -> Self {
        Operand {
            place: Place::Constants,
            ..self
        }
    }
}

/// Collects the constants of a step, then runs it.
pub struct Single {
    writer: Writer,
}

impl Single {
    pub fn new() -> Self {
        Single {
            writer: Writer::new(Target::Generic, [0; 32]),
        }
    }

    /// Stores a constant block and gives its offset.
    pub fn constant<T: NoUninit>(&mut self, values: &[T]) -> u32 {
        self.writer.constant(bytemuck::cast_slice(values))
    }

    /// Runs `operator` on one operand and returns the output's bytes.
    pub fn run(
        self,
        operator: Operator,
        x: Operand,
        dtype: Dtype,
        dims: &[u32],
        scratch: usize,
    ) -> Vec<u8> {
        self.run_many(operator, &[x], &[0], None, dtype, dims, scratch)
    }

    /// Runs `operator` on the operands that `order` names (one may be named twice), with
    /// the output in the place of operand `in_place` or apart from all.
    ///
    /// It runs four times over two fillings of the arena: same bits out, and no byte
    /// changes outside output and scratch.
    #[allow(
        clippy::too_many_arguments,
        reason = "each is one property of the step under test"
    )]
    pub fn run_many(
        self,
        operator: Operator,
        operands: &[Operand],
        order: &[usize],
        in_place: Option<usize>,
        dtype: Dtype,
        dims: &[u32],
        scratch: usize,
    ) -> Vec<u8> {
        let mut writer = self.writer;
        let mut next = GUARD;
        let mut place = |bytes: usize| {
            let offset = next;
            next += (bytes as u32 + GUARD).next_multiple_of(16);
            offset
        };
        let mut ids = Vec::new();
        let mut offsets = Vec::new();
        let mut io = Vec::new();
        for operand in operands {
            let offset = match operand.place {
                Place::Arena => place(operand.bytes.len()),
                Place::Constants => writer.constant(&operand.bytes),
            };
            let id = tensor(
                &mut writer,
                operand.dtype,
                &operand.dims,
                operand.place,
                offset,
            );
            if operand.place == Place::Arena {
                io.push((id, operand));
            }
            ids.push(id);
            offsets.push(offset);
        }
        let shape = Shape::new(dims).expect("output shape");
        let bytes = shape.elements() * dtype.bytes();
        let offset = match in_place {
            Some(operand) => offsets[operand],
            None => place(bytes),
        };
        let output = tensor(&mut writer, dtype, dims, Place::Arena, offset);
        let scratch_offset = place(scratch);
        let inputs: Vec<TensorId> = order.iter().map(|&i| ids[i]).collect();
        writer.step(&StepRecord {
            name: "step",
            operator,
            inputs: &inputs,
            output,
            scratch_offset,
            scratch_bytes: scratch as u32,
        });
        let mut inputs: Vec<TensorId> = io.iter().map(|(id, _)| *id).collect();
        if inputs.is_empty() {
            // A plan has an input; this step reads none.
            let unused = place(1);
            inputs.push(tensor(&mut writer, Dtype::I8, &[1], Place::Arena, unused));
        }
        let plan = Aligned::new(&writer.finish(&inputs, &[output], next, output, 0));

        let writable = |at: usize| {
            let within =
                |start: u32, len: usize| (start as usize..start as usize + len).contains(&at);
            within(offset, bytes) || within(scratch_offset, scratch)
        };
        let mut results = Vec::new();
        for pattern in [0xa5u8, 0x5a] {
            let plan = Plan::new(plan.as_ref()).unwrap_or_else(|e| panic!("{e}: {operator:?}"));
            // The arena is longer than it needs to be, and the rest is a guard too.
            let arena = Aligned::new(&vec![pattern; (next + GUARD) as usize]);
            let mut engine = Engine::new(plan, arena).expect("engine");
            for _ in 0..2 {
                for (i, (_, operand)) in io.iter().enumerate() {
                    engine
                        .input_mut(i)
                        .expect("input")
                        .copy_from_slice(&operand.bytes);
                }
                engine.run().expect("run");
                results.push(engine.output(0).expect("output").to_vec());
            }
            let (_, arena) = engine.into_parts();
            let mut expected = vec![pattern; (next + GUARD) as usize];
            for (operand, &at) in operands.iter().zip(&offsets) {
                if operand.place == Place::Arena {
                    let at = at as usize;
                    expected[at..at + operand.bytes.len()].copy_from_slice(&operand.bytes);
                }
            }
            for (at, (now, before)) in arena.as_ref().iter().zip(&expected).enumerate() {
                assert!(
                    writable(at) || now == before,
                    "byte {at} of the arena was overwritten"
                );
            }
        }
        assert!(
            results.windows(2).all(|pair| pair[0] == pair[1]),
            "the arena's contents mattered"
        );
        results.swap_remove(0)
    }
}

fn tensor(writer: &mut Writer, dtype: Dtype, dims: &[u32], place: Place, offset: u32) -> TensorId {
    let shape = Shape::new(dims).expect("shape");
    let (scale, zero_point) = (1.0, 0);
    writer.tensor(&TensorRecord {
        name: "",
        dtype,
        shape,
        place,
        offset,
        scale,
        zero_point,
    })
}

/// How many random cases to try; Miri, which interprets, gets few.
pub const fn cases(native: u32) -> u32 {
    if cfg!(miri) { 3 } else { native }
}

/// Numbers that follow from a seed alone, extremes among them.
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Draw(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// 64 mixed bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number in `low..=high`.
    pub fn range(&mut self, low: i32, high: i32) -> i32 {
        let span = (i64::from(high) - i64::from(low) + 1) as u64;
        (i64::from(low) + (self.bits() % span) as i64) as i32
    }

    /// Signed bytes; one tensor in four is all extremes.
    pub fn i8s(&mut self, len: usize) -> Vec<i8> {
        let extreme = self.bits().is_multiple_of(4);
        let mut byte = || {
            let bits = self.bits();
            if extreme {
                if bits & 1 == 0 { i8::MIN } else { i8::MAX }
            } else {
                bits as i8
            }
        };
        (0..len).map(|_| byte()).collect()
    }

    /// Biases, some near the ends of `i32`.
    pub fn biases(&mut self, len: usize) -> Vec<i32> {
        (0..len)
            .map(|_| match self.bits() % 8 {
                0 => i32::MAX - self.range(0, 1000),
                1 => i32::MIN + self.range(0, 1000),
                _ => self.range(-20_000, 20_000),
            })
            .collect()
    }

    /// A positive number, log-uniform from 10^low to 10^high.
    pub fn scale(&mut self, low: f64, high: f64) -> f32 {
        let unit = (self.bits() >> 11) as f64 / (1u64 << 53) as f64;
        10f64.powf(low + (high - low) * unit) as f32
    }

    /// Multipliers, the greatest of which saturate every output.
    pub fn multipliers(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.scale(-5.0, 0.5)).collect()
    }

    /// A range of `i8` that an output is clamped to.
    pub fn clamp(&mut self) -> (i32, i32) {
        if self.bits() & 1 == 0 {
            return (-128, 127);
        }
        let (a, b) = (self.range(-128, 127), self.range(-128, 127));
        (a.min(b), a.max(b))
    }

    /// 0 half of the time, else any `i8`.
    pub fn zero_point(&mut self) -> i32 {
        if self.bits() & 1 == 0 {
            0
        } else {
            self.range(-128, 127)
        }
    }
}

/// `clamp(round_ties_even(real) + zero_point, low, high)`, written as the formula says.
pub fn requantized(real: f32, zero_point: i32, low: i32, high: i32) -> i8 {
    if real.is_nan() {
        return low as i8;
    }
    (f64::from(real.round_ties_even()) + f64::from(zero_point))
        .clamp(f64::from(low), f64::from(high)) as i8
}

/// Output bytes as signed ones.
pub fn signed(bytes: &[u8]) -> Vec<i8> {
    bytemuck::cast_slice(bytes).to_vec()
}
