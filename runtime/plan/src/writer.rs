//! Writes plans. Needs an allocator; robots never do this.

use crate::header::{self, MAGIC, Section, Target, VERSION};
use crate::step::{self, MAX_INPUTS, Operator};
use crate::tensor::{self, Dtype, Place, Shape, TensorId};
use crate::{ALIGNMENT, golden};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A tensor to be written.
#[derive(Clone, Debug)]
pub struct TensorRecord<'a> {
    /// For people.
    pub name: &'a str,
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions in stored order.
    pub shape: Shape,
    /// Arena or constants.
    pub place: Place,
    /// First byte within its place, a multiple of 16.
    pub offset: u32,
    /// Real value of one step.
    pub scale: f32,
    /// Stored value that stands for real 0.
    pub zero_point: i32,
}

/// A step to be written.
#[derive(Clone, Debug)]
pub struct StepRecord<'a> {
    /// For people.
    pub name: &'a str,
    /// What it computes.
    pub operator: Operator,
    /// What it reads, at most three.
    pub inputs: &'a [TensorId],
    /// What it writes.
    pub output: TensorId,
    /// First byte of scratch in the arena.
    pub scratch_offset: u32,
    /// Bytes of scratch.
    pub scratch_bytes: u32,
}

/// Where the constants hold some first bytes, at every place where a block may start.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The first and the last place, in units of [`ALIGNMENT`], by those bytes.
    places: BTreeMap<u128, (usize, usize)>,
    /// By place: the next one with the same bytes; itself where there is none.
    next: Vec<usize>,
}

impl Known {
    /// Takes in the places that are new, by their first `prefix` bytes.
    fn extend(&mut self, constants: &[u8], prefix: usize) {
        for place in self.next.len()..constants.len() / ALIGNMENT {
            let at = place * ALIGNMENT;
            let key = key(constants.get(at..at + prefix).unwrap_or_default());
            self.next.push(place);
            let (_, last) = self.places.entry(key).or_insert((place, place));
            if let Some(next) = self.next.get_mut(*last) {
                *next = place;
            }
            *last = place;
        }
    }

    /// The first place that holds `bytes`.
    fn find(&self, constants: &[u8], bytes: &[u8]) -> Option<usize> {
        let first = bytes.get(..bytes.len().min(ALIGNMENT)).unwrap_or_default();
        let (mut place, last) = *self.places.get(&key(first))?;
        loop {
            let at = place * ALIGNMENT;
            if constants.get(at..at + bytes.len()) == Some(bytes) {
                return Some(at);
            }
            if place == last {
                return None;
            }
            place = *self.next.get(place)?;
        }
    }
}

/// At most 16 bytes as one number.
fn key(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0, |key, &byte| key << 8 | u128::from(byte))
}

/// Collects the parts of a plan and lays them out.
#[derive(Clone, Debug)]
pub struct Writer {
    target: Target,
    source_sha256: [u8; 32],
    tensors: Vec<u8>,
    steps: Vec<u8>,
    constants: Vec<u8>,
    known: BTreeMap<usize, Known>,
    golden: Vec<u8>,
    golden_count: u32,
    names: Vec<u8>,
}

impl Writer {
    /// An empty plan for `target`, compiled from the ONNX file with that SHA-256.
    pub fn new(target: Target, source_sha256: [u8; 32]) -> Self {
        Writer {
            target,
            source_sha256,
            tensors: Vec::new(),
            steps: Vec::new(),
            constants: Vec::new(),
            known: BTreeMap::new(),
            golden: Vec::new(),
            golden_count: 0,
            names: Vec::new(),
        }
    }

    /// Appends a constant block and returns its offset. Equal blocks are stored once.
    pub fn constant(&mut self, bytes: &[u8]) -> u32 {
        let prefix = bytes.len().min(ALIGNMENT);
        let known = self.known.entry(prefix).or_default();
        known.extend(&self.constants, prefix);
        if let Some(at) = known.find(&self.constants, bytes) {
            return at as u32;
        }
        let at = self.constants.len();
        self.constants.extend_from_slice(bytes);
        pad(&mut self.constants);
        at as u32
    }

    /// Appends a tensor and returns its id.
    pub fn tensor(&mut self, tensor: &TensorRecord<'_>) -> TensorId {
        use tensor::field;
        let id = TensorId((self.tensors.len() / tensor::BYTES) as u16);
        let (name, name_len) = self.name(tensor.name);
        let mut record = [0u8; tensor::BYTES];
        record[field::DTYPE] = tensor.dtype as u8;
        record[field::RANK] = tensor.shape.dims().len() as u8;
        record[field::PLACE] = match tensor.place {
            Place::Arena => 0,
            Place::Constants => 1,
        };
        for i in 0..tensor::MAX_RANK {
            let dim = tensor.shape.dims().get(i).copied().unwrap_or(1);
            put(&mut record, field::DIMS + 4 * i, &dim.to_le_bytes());
        }
        let bytes = (tensor.shape.elements() * tensor.dtype.bytes()) as u32;
        put(&mut record, field::OFFSET, &tensor.offset.to_le_bytes());
        put(&mut record, field::LEN, &bytes.to_le_bytes());
        put(&mut record, field::SCALE, &tensor.scale.to_le_bytes());
        put(
            &mut record,
            field::ZERO_POINT,
            &tensor.zero_point.to_le_bytes(),
        );
        put(&mut record, field::NAME, &name.to_le_bytes());
        put(&mut record, field::NAME_LEN, &name_len.to_le_bytes());
        self.tensors.extend_from_slice(&record);
        id
    }

    /// Appends a step.
    ///
    /// # Panics
    ///
    /// With more than three inputs, which no operator has.
    pub fn step(&mut self, step: &StepRecord<'_>) {
        use step::field;
        assert!(
            step.inputs.len() <= MAX_INPUTS,
            "a step has at most {MAX_INPUTS} inputs"
        );
        let (name, name_len) = self.name(step.name);
        let mut record = [0u8; step::BYTES];
        record[field::OPERATOR] = step.operator.number();
        record[field::INPUTS] = step.inputs.len() as u8;
        for (i, id) in step.inputs.iter().enumerate() {
            put(&mut record, field::INPUT + 2 * i, &id.0.to_le_bytes());
        }
        put(&mut record, field::OUTPUT, &step.output.0.to_le_bytes());
        put(
            &mut record,
            field::SCRATCH,
            &step.scratch_offset.to_le_bytes(),
        );
        put(
            &mut record,
            field::SCRATCH_LEN,
            &step.scratch_bytes.to_le_bytes(),
        );
        put(&mut record, field::NAME, &name.to_le_bytes());
        put(&mut record, field::NAME_LEN, &name_len.to_le_bytes());
        for (i, word) in step.operator.words().iter().enumerate() {
            put(&mut record, field::PARAMETERS + 4 * i, &word.to_le_bytes());
        }
        self.steps.extend_from_slice(&record);
    }

    /// Makes the `count` steps from number `first` on a [stream](crate::step::stream), of
    /// whose images in between `rows` are kept.
    ///
    /// # Panics
    ///
    /// Where those steps or the tensors that they write are not there.
    pub fn stream(&mut self, first: usize, rows: &[u16]) {
        let count = rows.len() + 1;
        for position in 0..count {
            let record = (first + position) * step::BYTES;
            let record = &mut self.steps[record..record + step::BYTES];
            record[step::field::STREAM] = count as u8;
            record[step::field::POSITION] = position as u8;
            let at = step::field::OUTPUT;
            let output = usize::from(u16::from_le_bytes([record[at], record[at + 1]]));
            let Some(&rows) = rows.get(position) else {
                continue;
            };
            let tensor = output * tensor::BYTES;
            let tensor = &mut self.tensors[tensor..tensor + tensor::BYTES];
            let height = tensor::field::DIMS + 4;
            let height = u32::from_le_bytes([
                tensor[height],
                tensor[height + 1],
                tensor[height + 2],
                tensor[height + 3],
            ]);
            let at = tensor::field::LEN;
            let bytes =
                u32::from_le_bytes([tensor[at], tensor[at + 1], tensor[at + 2], tensor[at + 3]]);
            let kept = bytes / height.max(1) * u32::from(rows);
            put(tensor, at, &kept.to_le_bytes());
            put(tensor, tensor::field::ROWS, &rows.to_le_bytes());
        }
    }

    /// Appends a golden vector: the bytes of every input, then of every output.
    pub fn golden<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) {
        if self.golden.is_empty() {
            self.golden.resize(golden::HEADER, 0);
        }
        self.golden_count += 1;
        for part in parts {
            self.golden.extend_from_slice(part);
            pad(&mut self.golden);
        }
    }

    /// Lays the sections out and returns the plan. It is not checked here:
    /// [`Plan::new`](crate::Plan::new) does that, for every reader.
    pub fn finish(
        mut self,
        inputs: &[TensorId],
        outputs: &[TensorId],
        arena_bytes: u32,
        peak: TensorId,
        macs: u64,
    ) -> Vec<u8> {
        let mut io = Vec::new();
        io.extend_from_slice(&(inputs.len() as u16).to_le_bytes());
        io.extend_from_slice(&(outputs.len() as u16).to_le_bytes());
        for id in inputs.iter().chain(outputs) {
            io.extend_from_slice(&id.0.to_le_bytes());
        }
        if let Some(count) = self.golden.get_mut(..4) {
            count.copy_from_slice(&self.golden_count.to_le_bytes());
        }
        let mut plan = alloc::vec![0u8; header::BYTES];
        for section in Section::ALL {
            let bytes = match section {
                Section::Tensors => &self.tensors,
                Section::Steps => &self.steps,
                Section::Io => &io,
                Section::Constants => &self.constants,
                Section::Golden => &self.golden,
                Section::Names => &self.names,
            };
            let at = header::field::SECTIONS + 8 * section as usize;
            let offset = plan.len() as u32;
            put(&mut plan, at, &offset.to_le_bytes());
            put(&mut plan, at + 4, &(bytes.len() as u32).to_le_bytes());
            plan.extend_from_slice(bytes);
            pad(&mut plan);
        }
        let total = plan.len() as u32;
        put(&mut plan, header::field::MAGIC, &MAGIC);
        put(&mut plan, header::field::VERSION, &VERSION.to_le_bytes());
        put(&mut plan, header::field::TARGET, &[self.target as u8]);
        put(&mut plan, header::field::TOTAL, &total.to_le_bytes());
        put(&mut plan, header::field::ARENA, &arena_bytes.to_le_bytes());
        put(
            &mut plan,
            header::field::PEAK,
            &u32::from(peak.0).to_le_bytes(),
        );
        put(&mut plan, header::field::MACS, &macs.to_le_bytes());
        put(&mut plan, header::field::SOURCE, &self.source_sha256);
        plan
    }

    fn name(&mut self, name: &str) -> (u32, u16) {
        // A name is for people: one that is too long for its field is cut at a character.
        let mut len = name.len().min(usize::from(u16::MAX));
        while !name.is_char_boundary(len) {
            len -= 1;
        }
        let at = self.names.len() as u32;
        self.names.extend_from_slice(&name.as_bytes()[..len]);
        (at, len as u16)
    }
}

fn put(record: &mut [u8], at: usize, bytes: &[u8]) {
    record[at..at + bytes.len()].copy_from_slice(bytes);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
}
