//! The checked view of a plan.

use crate::bytes::{span, u16_at, u32_at, u64_at};
use crate::header::{self, MAGIC, Section, Target, VERSION};
use crate::step::{self, Check, MAX_INPUTS};
use crate::{ALIGNMENT, Golden, Place, PlanError, Step, StepFault, Tensor, TensorId, align_up};
use crate::{golden, tensor};

/// A plan that was checked, over bytes that it borrows or owns.
///
/// `B` must give the same bytes at the same address each time, as slices, arrays
/// behind a reference, and boxed or aligned buffers do.
#[derive(Clone, Debug)]
pub struct Plan<B> {
    bytes: B,
    target: Target,
    arena_bytes: u32,
    sections: [(u32, u32); 6],
    inputs: u16,
    outputs: u16,
}

impl<B: AsRef<[u8]>> Plan<B> {
    /// Checks `bytes` as a whole: bounds, alignment, overlap, every shape against every
    /// other. The bytes must start at a multiple of [`ALIGNMENT`] in memory; anything
    /// after the plan's own length is ignored.
    ///
    /// # Errors
    ///
    /// The first thing found wrong; see [`PlanError`].
    pub fn new(bytes: B) -> Result<Self, PlanError> {
        let checked = check(bytes.as_ref())?;
        let Plan {
            target,
            arena_bytes,
            sections,
            inputs,
            outputs,
            ..
        } = checked;
        Ok(Plan {
            bytes,
            target,
            arena_bytes,
            sections,
            inputs,
            outputs,
        })
    }

    /// The same plan over borrowed bytes, for code that is to be there only once.
    pub fn view(&self) -> Plan<&[u8]> {
        Plan {
            bytes: self.bytes.as_ref(),
            target: self.target,
            arena_bytes: self.arena_bytes,
            sections: self.sections,
            inputs: self.inputs,
            outputs: self.outputs,
        }
    }

    /// The bytes of the plan, without anything that follows it.
    pub fn bytes(&self) -> &[u8] {
        let raw = self.bytes.as_ref();
        let total = u32_at(raw, header::field::TOTAL).unwrap_or(0) as usize;
        raw.get(..total).unwrap_or(raw)
    }

    /// What the constants are packed for.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Bytes of arena that a run needs, scratch included.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes as usize
    }

    /// Multiply-accumulate operations per inference.
    pub fn macs(&self) -> u64 {
        u64_at(self.bytes.as_ref(), header::field::MACS).unwrap_or(0)
    }

    /// The tensor that sets the arena's size.
    pub fn peak_tensor(&self) -> Option<TensorId> {
        let id = u32_at(self.bytes.as_ref(), header::field::PEAK)?;
        let id = TensorId(u16::try_from(id).ok()?);
        self.tensor(id).map(|_| id)
    }

    /// SHA-256 of the ONNX file that this was compiled from.
    pub fn source_sha256(&self) -> [u8; 32] {
        let raw = self.bytes.as_ref();
        span(raw, header::field::SOURCE as u32, 32)
            .and_then(|digest| digest.try_into().ok())
            .unwrap_or([0; 32])
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        self.section(Section::Tensors).len() / tensor::BYTES
    }

    /// The tensor called `id`.
    pub fn tensor(&self, id: TensorId) -> Option<Tensor> {
        let start = usize::from(id.0) * tensor::BYTES;
        Tensor::read(
            self.section(Section::Tensors)
                .get(start..start + tensor::BYTES)?,
        )
    }

    /// Number of inputs.
    pub fn input_count(&self) -> usize {
        usize::from(self.inputs)
    }

    /// Number of outputs.
    pub fn output_count(&self) -> usize {
        usize::from(self.outputs)
    }

    /// Input number `index`.
    pub fn input(&self, index: usize) -> Option<(TensorId, Tensor)> {
        (index < self.input_count())
            .then(|| self.io_tensor(index))
            .flatten()
    }

    /// Output number `index`.
    pub fn output(&self, index: usize) -> Option<(TensorId, Tensor)> {
        self.io_tensor(self.input_count().checked_add(index)?)
    }

    /// All inputs.
    pub fn inputs(&self) -> impl Iterator<Item = (TensorId, Tensor)> + '_ {
        (0..self.input_count()).filter_map(|i| self.input(i))
    }

    /// All outputs.
    pub fn outputs(&self) -> impl Iterator<Item = (TensorId, Tensor)> + '_ {
        (0..self.output_count()).filter_map(|i| self.output(i))
    }

    /// All inputs, then all outputs.
    pub fn io_tensors(&self) -> impl Iterator<Item = (TensorId, Tensor)> + '_ {
        (0..self.input_count() + self.output_count()).filter_map(|i| self.io_tensor(i))
    }

    /// Number of steps.
    pub fn step_count(&self) -> usize {
        self.section(Section::Steps).len() / step::BYTES
    }

    /// Step number `index`.
    pub fn step(&self, index: usize) -> Option<Step> {
        let start = index.checked_mul(step::BYTES)?;
        let record = self
            .section(Section::Steps)
            .get(start..start.checked_add(step::BYTES)?)?;
        Step::read(record).ok()
    }

    /// All steps in the order they run.
    pub fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        (0..self.step_count()).filter_map(|i| self.step(i))
    }

    /// The constants, which offsets in steps and tensors count from.
    pub fn constants(&self) -> &[u8] {
        self.section(Section::Constants)
    }

    /// Name of a tensor; empty where the plan carries none.
    pub fn tensor_name(&self, tensor: &Tensor) -> &str {
        self.name(tensor.name)
    }

    /// Name of a step; empty where the plan carries none.
    pub fn step_name(&self, step: &Step) -> &str {
        self.name(step.name)
    }

    /// Number of golden vectors.
    pub fn golden_count(&self) -> usize {
        u32_at(self.section(Section::Golden), 0).unwrap_or(0) as usize
    }

    /// The section of golden vectors as it lies in the file; empty where there is none. Its SHA-256
    /// names what a self-test proves.
    pub fn golden_section(&self) -> &[u8] {
        self.section(Section::Golden)
    }

    /// All golden vectors.
    pub fn golden(&self) -> impl Iterator<Item = Golden<'_>> + '_ {
        let vector = self.golden_vector_bytes().unwrap_or(0);
        let bytes = self
            .section(Section::Golden)
            .get(golden::HEADER..)
            .unwrap_or(&[]);
        (0..self.golden_count()).filter_map(move |i| {
            let start = i.checked_mul(vector)?;
            let bytes = bytes.get(start..start.checked_add(vector)?)?;
            Some(Golden {
                bytes,
                inputs: self.input_count(),
            })
        })
    }

    fn section(&self, section: Section) -> &[u8] {
        let [tensors, steps, io, constants, golden, names] = self.sections;
        let (offset, len) = match section {
            Section::Tensors => tensors,
            Section::Steps => steps,
            Section::Io => io,
            Section::Constants => constants,
            Section::Golden => golden,
            Section::Names => names,
        };
        span(self.bytes.as_ref(), offset, len as usize).unwrap_or(&[])
    }

    fn name(&self, (offset, len): (u32, u16)) -> &str {
        span(self.section(Section::Names), offset, usize::from(len))
            .and_then(|name| core::str::from_utf8(name).ok())
            .unwrap_or("")
    }

    fn io_tensor(&self, index: usize) -> Option<(TensorId, Tensor)> {
        let id = self.io_id(index)?;
        Some((id, self.tensor(id)?))
    }

    fn io_id(&self, index: usize) -> Option<TensorId> {
        let at = index.checked_mul(2)?.checked_add(4)?;
        u16_at(self.section(Section::Io), at).map(TensorId)
    }

    fn golden_vector_bytes(&self) -> Option<usize> {
        self.io_tensors().try_fold(0usize, |sum, (_, tensor)| {
            sum.checked_add(align_up(tensor.bytes as usize)?)
        })
    }

    #[inline(never)]
    fn check_tensors(&self) -> Result<(), PlanError> {
        if self.tensor_count() > usize::from(u16::MAX) {
            return Err(PlanError::Section(Section::Tensors.name()));
        }
        for index in 0..self.tensor_count() as u16 {
            let fault = PlanError::Tensor(index);
            let tensor = self.tensor(TensorId(index)).ok_or(fault)?;
            let limit = match tensor.place {
                Place::Arena => self.arena_bytes(),
                Place::Constants => self.constants().len(),
            };
            if tensor.range().end > limit || !tensor.scale.is_finite() {
                return Err(fault);
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn check_io(&self) -> Result<(u16, u16), PlanError> {
        let io = self.section(Section::Io);
        let inputs = u16_at(io, 0).ok_or(PlanError::Io)?;
        let outputs = u16_at(io, 2).ok_or(PlanError::Io)?;
        if inputs == 0 || outputs == 0 {
            return Err(PlanError::Io);
        }
        for index in 0..usize::from(inputs) + usize::from(outputs) {
            let tensor = self.io_id(index).and_then(|id| self.tensor(id));
            let tensor = tensor.ok_or(PlanError::Io)?;
            if tensor.place != Place::Arena || tensor.rows != 0 {
                return Err(PlanError::Io);
            }
        }
        Ok((inputs, outputs))
    }

    fn check_steps(&self) -> Result<(), PlanError> {
        if self.step_count() > usize::from(u16::MAX) {
            return Err(PlanError::Section(Section::Steps.name()));
        }
        for index in 0..self.step_count() {
            let fault = |fault| PlanError::Step {
                index: index as u16,
                fault,
            };
            self.check_step(index).map_err(fault)?;
        }
        Ok(())
    }

    #[inline(never)]
    fn check_step(&self, index: usize) -> Result<(), StepFault> {
        let start = index * step::BYTES;
        let record = self.section(Section::Steps).get(start..start + step::BYTES);
        // Records are long: looked at where they are, and not copied.
        let read = Step::read(record.ok_or(StepFault::Parameter)?);
        let step = read.as_ref().map_err(|&fault| fault)?;
        let output = self.tensor(step.output);
        let output = output.as_ref().ok_or(StepFault::Operand)?;
        let mut inputs = [*output; MAX_INPUTS];
        for (slot, &id) in inputs.iter_mut().zip(step.inputs()) {
            *slot = self.tensor(id).ok_or(StepFault::Operand)?;
        }
        let check = Check {
            step,
            inputs: inputs.get(..step.inputs().len()).unwrap_or(&[]),
            output,
            constants: self.constants(),
            arena_bytes: self.arena_bytes,
            target: self.target,
        };
        check.places()?;
        step.operator.check(&check)?;
        step::stream::check(self, index)
    }

    #[inline(never)]
    fn check_golden(&self) -> Result<(), PlanError> {
        let section = self.section(Section::Golden);
        if section.is_empty() {
            return Ok(());
        }
        let count = u32_at(section, 0).ok_or(PlanError::Golden)? as usize;
        let vector = self.golden_vector_bytes().ok_or(PlanError::Golden)?;
        let need = count
            .checked_mul(vector)
            .and_then(|n| n.checked_add(golden::HEADER));
        if need == Some(section.len()) {
            Ok(())
        } else {
            Err(PlanError::Golden)
        }
    }
}

/// Does what [`Plan::new`] says. Not generic: a program holds this code once, built as
/// this crate is, whatever its plans' bytes lie in.
#[inline(never)]
fn check(bytes: &[u8]) -> Result<Plan<&[u8]>, PlanError> {
    let raw = bytes;
    let missing = PlanError::Truncated {
        need: header::BYTES as u32,
        have: raw.len() as u32,
    };
    if raw.get(..MAGIC.len()).is_some_and(|magic| magic != MAGIC) {
        return Err(PlanError::NotAPlan);
    }
    let version = u16_at(raw, header::field::VERSION).ok_or(missing)?;
    if version != VERSION {
        return Err(PlanError::Version(version));
    }
    if raw.len() < header::BYTES {
        return Err(missing);
    }
    if !(raw.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
        return Err(PlanError::Misaligned);
    }
    let target_byte = *raw.get(header::field::TARGET).ok_or(missing)?;
    let target = Target::from_byte(target_byte).ok_or(PlanError::UnknownTarget(target_byte))?;
    if target.read() != target {
        return Err(PlanError::Target(target));
    }
    let total = u32_at(raw, header::field::TOTAL).ok_or(missing)?;
    if raw.len() < total as usize {
        return Err(PlanError::Truncated {
            need: total,
            have: raw.len() as u32,
        });
    }
    let arena_bytes = u32_at(raw, header::field::ARENA).ok_or(missing)?;
    let sections = sections(raw, total)?;
    let mut plan = Plan {
        bytes,
        target,
        arena_bytes,
        sections,
        inputs: 0,
        outputs: 0,
    };
    plan.check_tensors()?;
    (plan.inputs, plan.outputs) = plan.check_io()?;
    plan.check_steps()?;
    plan.check_golden()?;
    Ok(plan)
}

/// Reads the section table: each section aligned, inside the plan, and after the header.
fn sections(raw: &[u8], total: u32) -> Result<[(u32, u32); 6], PlanError> {
    let mut table = [(0u32, 0u32); 6];
    for (entry, section) in table.iter_mut().zip(Section::ALL) {
        let fault = PlanError::Section(section.name());
        let at = header::field::SECTIONS + 8 * section as usize;
        let offset = u32_at(raw, at).ok_or(fault)?;
        let len = u32_at(raw, at + 4).ok_or(fault)?;
        let end = offset.checked_add(len).ok_or(fault)?;
        let record = match section {
            Section::Tensors => tensor::BYTES,
            Section::Steps => step::BYTES,
            _ => 1,
        };
        let fits = (offset as usize).is_multiple_of(ALIGNMENT)
            && offset as usize >= header::BYTES
            && end <= total
            && (len as usize).is_multiple_of(record);
        if !fits {
            return Err(fault);
        }
        *entry = (offset, len);
    }
    Ok(table)
}
