//! One frame of input: the bytes of one tensor, and what is known about them.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use sanderling_executor::frames::{dimensions, frame_fits};
use sanderling_executor::{NotFinite, TensorInfo, check_finite};
use sanderling_plan::Dtype;

/// The type and shape that a source says its frames have, without the axis that counts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The type of the elements.
    pub dtype: Dtype,
    /// The dimensions of one frame.
    pub dims: Vec<usize>,
}

impl Shape {
    /// True where frames of this shape can be fed to `input`; axes of length 1, as the batch is, do not count.
    pub fn feeds(&self, input: &TensorInfo) -> bool {
        self.dtype == input.dtype && frame_fits(&self.dims, &input.shape)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.dtype.name(), dimensions(&self.dims))
    }
}

/// One frame on its way to the model.
#[derive(Debug)]
pub struct Frame {
    /// Its number since this start of the agent, from 0.
    pub seq: u64,
    /// When it entered the queue.
    pub entered: Instant,
    /// The class that the recording names, where it names one.
    pub truth: Option<u16>,
    /// What the source knows of its shape; a raw stream knows nothing.
    pub shape: Option<Arc<Shape>>,
    /// The tensor, row-major, little-endian.
    pub data: Vec<u8>,
}

/// Why a frame cannot be fed to a model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadFrame {
    /// Its shape or type is another one than the model's input.
    #[error(
        "the frame is {frame}, the model takes {input}; convert the recording or choose another model"
    )]
    Shape {
        /// What came.
        frame: Shape,
        /// What is taken.
        input: Shape,
    },
    /// A frame without a shape has the wrong length.
    #[error(
        "the frame has {frame} bytes, the model takes {input}; check what feeds standard input"
    )]
    Length {
        /// Bytes that came.
        frame: usize,
        /// Bytes that are taken.
        input: usize,
    },
    /// A float in it is no number.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}

impl BadFrame {
    /// A word for the kind of fault, whatever its details are.
    pub fn kind(&self) -> &'static str {
        match self {
            BadFrame::Shape { .. } => "shape",
            BadFrame::Length { .. } => "length",
            BadFrame::NotFinite(_) => "not finite",
        }
    }

    /// True where another model could have taken the frame: then the model may be at fault, and not the frame.
    pub fn depends_on_the_model(&self) -> bool {
        !matches!(self, BadFrame::NotFinite(_))
    }
}

/// Checks a frame against a model's input.
pub fn check(frame: &Frame, input: &TensorInfo) -> Result<(), BadFrame> {
    if let Some(shape) = frame.shape.as_deref()
        && !shape.feeds(input)
    {
        let input = Shape {
            dtype: input.dtype,
            dims: input.shape.clone(),
        };
        return Err(BadFrame::Shape {
            frame: shape.clone(),
            input,
        });
    }
    if frame.data.len() != input.bytes() {
        return Err(BadFrame::Length {
            frame: frame.data.len(),
            input: input.bytes(),
        });
    }
    Ok(check_finite(input, &frame.data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(dtype: Dtype, dims: &[usize]) -> Shape {
        Shape {
            dtype,
            dims: dims.to_vec(),
        }
    }

    fn input(dtype: Dtype, dims: &[usize]) -> TensorInfo {
        TensorInfo {
            name: "input".into(),
            dtype,
            shape: dims.to_vec(),
            scale: 0.0,
            zero_point: 0,
        }
    }

    fn frame(shape: Option<Shape>, data: Vec<u8>) -> Frame {
        Frame {
            seq: 0,
            entered: Instant::now(),
            truth: None,
            shape: shape.map(Arc::new),
            data,
        }
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    #[test]
    fn a_batch_axis_is_no_difference() {
        let input = input(Dtype::F32, &[1, 1, 8, 4]);
        assert!(shape(Dtype::F32, &[8, 4]).feeds(&input));
        assert!(shape(Dtype::F32, &[1, 8, 4]).feeds(&input));
        assert!(!shape(Dtype::F32, &[4, 8]).feeds(&input));
        assert!(!shape(Dtype::F32, &[32]).feeds(&input));
        assert!(!shape(Dtype::I8, &[8, 4]).feeds(&input));
    }

    #[test]
    fn bad_frames_are_named() {
        let input = input(Dtype::F32, &[1, 2]);
        let good = frame(Some(shape(Dtype::F32, &[2])), floats(&[1.0, 2.0]));
        assert_eq!(check(&good, &input), Ok(()));
        let wrong = frame(Some(shape(Dtype::F32, &[3])), floats(&[1.0, 2.0, 3.0]));
        assert!(matches!(check(&wrong, &input), Err(BadFrame::Shape { .. })));
        let short = frame(None, vec![0; 7]);
        assert_eq!(
            check(&short, &input),
            Err(BadFrame::Length { frame: 7, input: 8 })
        );
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let bad = check(&frame(None, floats(&[0.0, broken])), &input);
            assert!(bad.is_err_and(|bad| !bad.depends_on_the_model()));
        }
    }
}
