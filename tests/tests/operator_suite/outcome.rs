//! One case in one executor.

use crate::case::Case;
use sanderling_executor::frames::{self, Array};
use sanderling_executor::{Choice, Model};
use sanderling_plan::Dtype;
use std::path::Path;

/// What an executor made of a case.
pub enum Outcome {
    /// Its answers are within the tolerance; so many of so many are not the same.
    Same { differing: usize, total: usize },
    /// It does not take the model, and why.
    Refused(String),
    /// Its answers are others.
    Differs(String),
}

/// Steps that tract, which computes in float throughout, may be off besides, and the
/// share of a real output.
const FLOAT_STEPS: f64 = 1.0;
const FLOAT_SHARE: f64 = 1e-4;

/// Runs `case` in `executor`.
pub fn of(folder: &Path, case: &Case, executor: &str) -> Outcome {
    let choice = match executor {
        "engine" => Choice::Engine,
        _ => Choice::Tract,
    };
    let mut model = match Model::open(&folder.join(format!("{}.onnx", case.name)), choice) {
        Ok(model) => model,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let lenient;
    let case = match executor {
        "engine" => case,
        _ => {
            lenient = case.in_float();
            &lenient
        }
    };
    match run(&folder.join(format!("{}.npz", case.name)), case, &mut model) {
        Ok((differing, total)) => Outcome::Same { differing, total },
        Err(why) => Outcome::Differs(why),
    }
}

impl Case {
    fn in_float(&self) -> Case {
        let quantized = self.source == "opsuite";
        Case {
            name: self.name.clone(),
            operator: self.operator.clone(),
            executors: Vec::new(),
            source: self.source.clone(),
            tolerance: self.tolerance + if quantized { FLOAT_STEPS } else { 0.0 },
            relative: self.relative.max(FLOAT_SHARE),
            absolute: self.absolute,
            steps: self.steps.clone(),
        }
    }
}

/// Counts of differing values and of all, or what goes beyond the tolerance.
fn run(arrays: &Path, case: &Case, model: &mut Model) -> Result<(usize, usize), String> {
    let read = |name: &str| frames::read(arrays, name).map_err(|e| e.to_string());
    let names = |infos: &[sanderling_executor::TensorInfo]| -> Vec<String> {
        infos.iter().map(|info| info.name.clone()).collect()
    };
    model.self_test().map_err(|e| e.to_string())?;
    let inputs: Vec<Array> = names(model.inputs())
        .iter()
        .map(|name| read(name))
        .collect::<Result<_, _>>()?;
    let outputs = names(model.outputs());
    let expected: Vec<Array> = outputs
        .iter()
        .map(|name| read(name))
        .collect::<Result<_, _>>()?;
    let (mut worst, mut beyond, mut differing, mut total) = (0f64, 0, 0, 0);
    for frame in 0..inputs.first().map_or(0, Array::frames) {
        for (index, array) in inputs.iter().enumerate() {
            let bytes = array.frame(frame).ok_or("a frame is missing")?;
            let input = model.input_mut(index);
            if input.len() != bytes.len() {
                return Err(format!("{} bytes for {}", bytes.len(), input.len()));
            }
            input.copy_from_slice(bytes);
        }
        model.run().map_err(|e| e.to_string())?;
        for (index, (name, array)) in outputs.iter().zip(&expected).enumerate() {
            let ours = reals(model.output(index), model.outputs()[index].dtype);
            let theirs = reals(
                array.frame(frame).ok_or("a frame of outputs is missing")?,
                array.header.element.dtype().ok_or("an odd output")?,
            );
            if ours.len() != theirs.len() {
                let (ours, theirs) = (ours.len(), theirs.len());
                return Err(format!("{ours} elements instead of {theirs}"));
            }
            let step = case.steps.get(name).copied().unwrap_or(1.0);
            for (&a, &b) in ours.iter().zip(&theirs) {
                differing += usize::from(a != b);
                total += 1;
                if !case.allows(a, b, step) {
                    beyond += 1;
                    worst = worst.max(((a - b) / step).abs());
                }
            }
        }
    }
    if beyond > 0 {
        return Err(format!(
            "{beyond} of {total} differ, by up to {worst:.2} steps"
        ));
    }
    Ok((differing, total))
}

fn reals(bytes: &[u8], dtype: Dtype) -> Vec<f64> {
    match dtype {
        Dtype::I8 => bytes.iter().map(|&b| f64::from(b as i8)).collect(),
        Dtype::U8 => bytes.iter().map(|&b| f64::from(b)).collect(),
        Dtype::I16 => (bytes.as_chunks::<2>().0.iter())
            .map(|&b| f64::from(i16::from_le_bytes(b)))
            .collect(),
        Dtype::I32 => (bytes.as_chunks::<4>().0.iter())
            .map(|&b| f64::from(i32::from_le_bytes(b)))
            .collect(),
        Dtype::F32 => (bytes.as_chunks::<4>().0.iter())
            .map(|&b| f64::from(f32::from_le_bytes(b)))
            .collect(),
    }
}
