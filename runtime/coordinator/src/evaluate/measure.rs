//! How right a model's answers are: by class, by map of classes, or by value.
//!
//! | label of a frame | output of a frame | measure |
//! |---|---|---|
//! | one integer | one score for each class, or one class number (`i32`) | `accuracy`: share of frames whose highest score is the label's |
//! | a map of integers | the same map with a score for each class, its classes first or last, or a map of class numbers (`i32`) | `mean_iou`: intersection over union of each class over all frames, averaged over the classes that occur; cells with a negative label count nothing |
//! | numbers in the output's shape | anything | `mean_absolute_error`, in real units |
//!
//! Axes of length 1 do not count. Of equal scores the first is the highest, as in numpy.

use sanderling_frames::{Array, dimensions};
use sanderling_plan::Dtype;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of frames that are right.
    Accuracy,
    /// Intersection over union, the mean of all classes.
    MeanIou,
    /// Mean distance from the right value.
    MeanAbsoluteError,
}

impl Measure {
    /// Its name, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Measure::Accuracy => "accuracy",
            Measure::MeanIou => "mean_iou",
            Measure::MeanAbsoluteError => "mean_absolute_error",
        }
    }
}

/// How good a version is on a holdout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scores {
    /// What the values are.
    pub measure: Measure,
    /// On all frames.
    pub all: Score,
    /// On each slice, by name.
    pub slices: Vec<Score>,
}

/// How good a version is on some frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Score {
    /// The slice; null: all frames.
    pub slice: Option<String>,
    /// How many frames.
    pub frames: u64,
    /// Accuracy and IoU: 0 to 1, higher is better; error: in the output's unit, lower is better.
    pub value: f64,
}

/// An output, as far as it matters here.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name in the ONNX file.
    pub name: String,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Real value of one step; 0: not quantized.
    pub scale: f32,
    /// Stored value that stands for real 0.
    pub zero_point: i32,
}

/// Why answers and labels cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// The shapes have nothing in common.
    #[error(
        "`label` holds {label} for a frame, and the output `{output}` is {is}: give one class number, a map of class numbers, or values in the output's shape"
    )]
    Shape {
        /// Type and shape of a label.
        label: String,
        /// The output.
        output: String,
        /// Its type and shape.
        is: String,
    },
    /// A class that the model does not have.
    #[error("frame {frame} has class {class}, and the model has classes 0 to {}; number the labels as the model's outputs", .classes.saturating_sub(1))]
    Class {
        /// Which frame.
        frame: usize,
        /// Its class.
        class: i64,
        /// How many there are.
        classes: usize,
    },
    /// The model answered with no number.
    #[error(
        "the model's answer to frame {frame} is not a number; no version of it can be promoted by this holdout"
    )]
    NotANumber {
        /// Which frame.
        frame: usize,
    },
}

/// Where the classes are in an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    /// Each class has a block.
    First,
    /// Each cell has its classes.
    Last,
    /// The output is class numbers.
    None,
}

#[derive(Debug)]
enum Truth {
    /// Class numbers, so many for each frame.
    Classes(Vec<i64>, Axis),
    /// Values.
    Values(Vec<f64>),
}

#[derive(Clone, Debug, Default)]
struct Tally {
    frames: u64,
    right: u64,
    /// Intersection and union of each class.
    classes: Vec<(u64, u64)>,
    /// Sum of distances, and of how many.
    distance: f64,
    values: u64,
}

/// Compares answers with labels, frame by frame.
#[derive(Debug)]
pub struct Judge {
    truth: Truth,
    measure: Measure,
    /// Labels of one frame.
    cells: usize,
    classes: usize,
    output: Output,
    tallies: Vec<Tally>,
}

/// Axes of length 1 do not count.
fn long(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&n| n != 1).collect()
}

impl Judge {
    /// Chooses the measure for these labels and that output, for so many slices.
    pub fn new(label: &Array, output: Output, slices: usize) -> Result<Judge, Unfit> {
        let (wanted, given) = (long(label.header.frame_shape()), long(&output.shape));
        let cells: usize = wanted.iter().product();
        let elements: usize = given.iter().product();
        let numbers = output.dtype == Dtype::I32;
        let axis = match (given.split_first(), given.split_last()) {
            _ if numbers && given == wanted => Some(Axis::None),
            (Some((_, rest)), _) if rest == wanted => Some(Axis::First),
            (_, Some((_, rest))) if rest == wanted => Some(Axis::Last),
            _ => None,
        };
        let classes = match axis {
            None | Some(Axis::None) => usize::MAX,
            _ => elements / cells.max(1),
        };
        let (truth, measure) = match (label.integers(), axis, label.reals()) {
            (Some(integers), Some(axis), _) => {
                let measure = match cells {
                    1 => Measure::Accuracy,
                    _ => Measure::MeanIou,
                };
                (Truth::Classes(integers, axis), measure)
            }
            (_, _, Some(values)) if given == wanted => {
                (Truth::Values(values), Measure::MeanAbsoluteError)
            }
            _ => {
                let one = dimensions(label.header.frame_shape());
                let whole = dimensions(&output.shape);
                return Err(Unfit::Shape {
                    label: format!("{} of shape {one}", label.header.element),
                    output: output.name,
                    is: format!("{} of shape {whole}", output.dtype),
                });
            }
        };
        Ok(Judge {
            truth,
            measure,
            cells,
            classes,
            output,
            tallies: vec![Tally::default(); slices],
        })
    }

    /// Takes the answer to a frame of that slice.
    pub fn take(&mut self, frame: usize, slice: usize, answer: &[u8]) -> Result<(), Unfit> {
        let stored = stored(self.output.dtype, answer);
        let range = frame * self.cells..(frame + 1) * self.cells;
        let Some(tally) = self.tallies.get_mut(slice) else {
            return Ok(());
        };
        tally.frames += 1;
        match &self.truth {
            Truth::Values(values) => {
                for (&right, &stored) in values.get(range).unwrap_or(&[]).iter().zip(&stored) {
                    let real = match self.output.scale {
                        0.0 => stored,
                        scale => (stored - f64::from(self.output.zero_point)) * f64::from(scale),
                    };
                    tally.distance += (real - right).abs();
                    tally.values += 1;
                }
                if !tally.distance.is_finite() {
                    return Err(Unfit::NotANumber { frame });
                }
            }
            Truth::Classes(classes, axis) => {
                for (cell, &class) in classes.get(range).unwrap_or(&[]).iter().enumerate() {
                    let in_map = self.cells > 1;
                    if class < 0 && in_map {
                        continue;
                    }
                    let known = usize::try_from(class).ok().filter(|c| *c < self.classes);
                    let right = known.ok_or(Unfit::Class {
                        frame,
                        class,
                        classes: self.classes,
                    })?;
                    let score = |class: usize| match axis {
                        Axis::First => stored.get(class * self.cells + cell),
                        Axis::Last => stored.get(cell * self.classes + class),
                        Axis::None => None,
                    };
                    let answer = match axis {
                        Axis::None => {
                            let class = stored.get(cell).copied().filter(|class| *class >= 0.0);
                            class.map(|class| class as usize)
                        }
                        _ => highest((0..self.classes).filter_map(|class| score(class).copied())),
                    };
                    tally.count(right, answer);
                }
            }
        }
        Ok(())
    }

    /// What came of it, for slices of these names.
    pub fn scores(&self, names: &[String]) -> Scores {
        let mut all = Tally::default();
        self.tallies.iter().for_each(|tally| all.add(tally));
        let score = |slice: Option<&String>, tally: &Tally| Score {
            slice: slice.cloned(),
            frames: tally.frames,
            value: tally.value(self.measure),
        };
        let slices = names.iter().zip(&self.tallies);
        Scores {
            measure: self.measure,
            all: score(None, &all),
            slices: slices
                .map(|(name, tally)| score(Some(name), tally))
                .collect(),
        }
    }
}

impl Tally {
    fn count(&mut self, right: usize, answer: Option<usize>) {
        self.values += 1;
        self.right += u64::from(answer == Some(right));
        // An answer beyond what plans have for classes is wrong, and no reason to take memory.
        let known = [Some(right), answer]
            .into_iter()
            .flatten()
            .filter(|c| *c < 1 << 16);
        let most = known.max().map_or(0, |class| class + 1);
        if self.classes.len() < most {
            self.classes.resize(most, (0, 0));
        }
        if let Some((common, either)) = self.classes.get_mut(right) {
            *common += u64::from(answer == Some(right));
            *either += 1;
        }
        if let Some(wrong) = answer.filter(|answer| *answer != right)
            && let Some((_, either)) = self.classes.get_mut(wrong)
        {
            *either += 1;
        }
    }

    fn add(&mut self, other: &Tally) {
        self.frames += other.frames;
        self.right += other.right;
        self.distance += other.distance;
        self.values += other.values;
        if self.classes.len() < other.classes.len() {
            self.classes.resize(other.classes.len(), (0, 0));
        }
        for (mine, theirs) in self.classes.iter_mut().zip(&other.classes) {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        }
    }

    fn value(&self, measure: Measure) -> f64 {
        let share = |part: f64, whole: u64| match whole {
            0 => 0.0,
            whole => part / whole as f64,
        };
        match measure {
            Measure::Accuracy => share(self.right as f64, self.values),
            Measure::MeanAbsoluteError => share(self.distance, self.values),
            Measure::MeanIou => {
                let occur = self.classes.iter().filter(|(_, either)| *either > 0);
                let sum: f64 = occur.clone().map(|(c, e)| share(*c as f64, *e)).sum();
                share(sum, occur.count() as u64)
            }
        }
    }
}

/// The stored values of an output; of a quantized one they order as the real ones do.
fn stored(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    let pairs = || bytes.as_chunks::<2>().0.iter();
    let words = || bytes.as_chunks::<4>().0.iter();
    match dtype {
        Dtype::I8 => bytes.iter().map(|b| f64::from(b.cast_signed())).collect(),
        Dtype::U8 => bytes.iter().map(|b| f64::from(*b)).collect(),
        Dtype::I16 => pairs().map(|b| f64::from(i16::from_le_bytes(*b))).collect(),
        Dtype::I32 => words().map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
        Dtype::F32 => words().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
    }
}

/// The first of the highest; what is no number is never the highest.
fn highest(scores: impl Iterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (class, score) in scores.enumerate() {
        if !score.is_nan() && best.is_none_or(|(_, most)| score > most) {
            best = Some((class, score));
        }
    }
    best.map(|(class, _)| class)
}

#[cfg(test)]
mod tests;
