//! How far two sets of answers are apart.

use anyhow::{Context, bail};
use sanderling_executor::TensorInfo;
use sanderling_executor::frames::{self, Array};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// How far the engine's answers are from others, over all outputs and frames.
#[derive(Default, Serialize)]
pub struct Difference {
    pub values: usize,
    pub differing: usize,
    /// The largest distance, in real numbers.
    pub worst: f64,
    /// The same in steps of the output's scale, where every differing output has one.
    pub worst_steps: Option<f64>,
    /// Frames in which another class comes first; `None` for what is no classifier.
    pub top1_differs: Option<usize>,
}

impl Difference {
    /// Compares `ours` with the arrays `out0`, `out1`, … of a file.
    pub fn of(
        ours: &[Array],
        outputs: &[TensorInfo],
        steps: &BTreeMap<String, Option<f64>>,
        theirs: &Path,
    ) -> anyhow::Result<Difference> {
        let mut sum = Difference {
            worst_steps: Some(0.0),
            ..Difference::default()
        };
        for (number, (array, info)) in ours.iter().zip(outputs).enumerate() {
            let other = frames::read(theirs, &format!("out{number}"))?;
            let name = &info.name;
            let (a, b) = (reals(array, name)?, reals(&other, name)?);
            if a.len() != b.len() {
                bail!(
                    "ONNX Runtime gives {} values for `{name}`, the engine {}",
                    b.len(),
                    a.len()
                );
            }
            sum.add(&a, &b, step(info, steps));
            let classes = info.elements();
            if ours.len() == 1 && is_vector(&info.shape) {
                let differ = (a.chunks(classes).zip(b.chunks(classes)))
                    .filter(|(a, b)| first_of_the_largest(a) != first_of_the_largest(b));
                sum.top1_differs = Some(differ.count());
            }
        }
        Ok(sum)
    }

    fn add(&mut self, a: &[f64], b: &[f64], step: Option<f64>) {
        let before = self.differing;
        let mut worst = 0.0f64;
        for (&a, &b) in a.iter().zip(b) {
            if a == b || (a.is_nan() && b.is_nan()) {
                continue;
            }
            self.differing += 1;
            let apart = (a - b).abs();
            worst = if apart.is_nan() {
                f64::INFINITY
            } else {
                worst.max(apart)
            };
        }
        self.values += a.len();
        self.worst = self.worst.max(worst);
        self.worst_steps = match (self.worst_steps, step) {
            (Some(most), Some(step)) => Some(most.max(worst / step)),
            (most, None) if self.differing == before => most,
            _ => None,
        };
    }
}

/// One axis is longer than 1: the answers of a classifier.
fn is_vector(shape: &[usize]) -> bool {
    shape.iter().filter(|&&n| n != 1).count() == 1
}

/// The size of a step: 1 for integers, the scale where the output is quantized.
fn step(info: &TensorInfo, steps: &BTreeMap<String, Option<f64>>) -> Option<f64> {
    if info.dtype != sanderling_plan::Dtype::F32 {
        return Some(1.0);
    }
    let known = steps.get(&info.name).copied().flatten();
    known.filter(|&step| step > 0.0)
}

fn reals(array: &Array, name: &str) -> anyhow::Result<Vec<f64>> {
    (array.reals()).with_context(|| format!("the output `{name}` holds no numbers"))
}

fn first_of_the_largest(values: &[f64]) -> Option<usize> {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.iter().position(|&value| value == largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_where_each_differing_output_has_one() {
        let mut sum = Difference {
            worst_steps: Some(0.0),
            ..Difference::default()
        };
        sum.add(&[1.0, 2.0, f64::NAN], &[1.0, 2.5, f64::NAN], Some(0.25));
        assert_eq!((sum.values, sum.differing, sum.worst), (3, 1, 0.5));
        assert_eq!(sum.worst_steps, Some(2.0));
        sum.add(&[7.0], &[7.0], None);
        assert_eq!(sum.worst_steps, Some(2.0));
        sum.add(&[7.0], &[f64::NAN], None);
        assert_eq!((sum.differing, sum.worst_steps), (2, None));
        assert!(sum.worst.is_infinite());
    }

    #[test]
    fn the_first_of_equal_classes_counts() {
        assert_eq!(first_of_the_largest(&[0.0, 3.0, 3.0]), Some(1));
        assert_eq!(first_of_the_largest(&[f64::NAN]), None);
    }
}
