//! From a model's output to a published result.

use sanderling_executor::TensorInfo;
use sanderling_plan::Dtype;
use sanderling_wire::{
    self as wire, Digest, EncodeError, FrameId, Inference, MAX_DIMS, MAX_RAW_OUTPUT, Message,
};

use crate::settings;

/// What the model said about one frame, on its way from the inference thread to the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The frame's number.
    pub seq: u64,
    /// SHA-256 of the model that answered.
    pub model: [u8; 32],
    /// From the queue to the output, in µs.
    pub latency_us: u32,
    /// The class that the recording names.
    pub truth: Option<u16>,
    /// The output.
    pub said: Said,
}

/// A model's output in the form that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// The best class and its dequantized output.
    Class {
        /// Its index.
        top: u16,
        /// Its value.
        confidence: f32,
    },
    /// The output tensor.
    Raw {
        /// Its type.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<u32>,
        /// Its bytes.
        data: Vec<u8>,
    },
}

/// Which form a model's output takes; decided once, when the model is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// [`Said::Class`].
    Class,
    /// [`Said::Raw`].
    Raw,
}

impl Form {
    /// The form for an output, or one line that says why there is none.
    pub fn of(output: &TensorInfo, asked: settings::Answer) -> Result<Form, String> {
        let row = wire::is_row_of_classes(output.shape.iter().copied());
        let raw = wire::fits_raw(output.shape.len(), output.bytes());
        match asked {
            settings::Answer::Class | settings::Answer::Auto if row => Ok(Form::Class),
            settings::Answer::Class => Err(format!(
                "the output {:?} is no row of classes; choose --answer raw",
                output.shape
            )),
            _ if raw => Ok(Form::Raw),
            _ => Err(format!(
                "the output {:?} has {} bytes, and a result holds {MAX_RAW_OUTPUT} in {MAX_DIMS} dimensions; use a model with a smaller output",
                output.shape,
                output.bytes()
            )),
        }
    }

    /// Takes an output in this form; none where a float in it is no number.
    pub fn take(self, output: &TensorInfo, bytes: &[u8]) -> Option<Said> {
        match self {
            Form::Class => {
                let (top, confidence) = best(output, bytes)?;
                Some(Said::Class { top, confidence })
            }
            Form::Raw => {
                let finite = output.dtype != Dtype::F32 || best(output, bytes).is_some();
                let shape = output.shape.iter().map(|&dim| dim as u32).collect();
                finite.then(|| Said::Raw {
                    dtype: output.dtype,
                    shape,
                    data: bytes.to_vec(),
                })
            }
        }
    }
}

/// The index and the real value of the largest element, the first of several; none where an element is no number.
fn best(output: &TensorInfo, bytes: &[u8]) -> Option<(u16, f32)> {
    let scale = if output.scale == 0.0 {
        1.0
    } else {
        output.scale
    };
    let real = |stored: i32| (stored - output.zero_point) as f32 * scale;
    fn first_largest(values: impl Iterator<Item = f32>) -> Option<(u16, f32)> {
        let mut best: Option<(usize, f32)> = None;
        for (index, value) in values.enumerate() {
            if !value.is_finite() {
                return None;
            }
            if best.is_none_or(|(_, largest)| value > largest) {
                best = Some((index, value));
            }
        }
        best.map(|(index, value)| (u16::try_from(index).unwrap_or(u16::MAX), value))
    }
    match output.dtype {
        Dtype::I8 => first_largest(bytes.iter().map(|&byte| real(i32::from(byte as i8)))),
        Dtype::U8 => first_largest(bytes.iter().map(|&byte| real(i32::from(byte)))),
        Dtype::I16 => {
            first_largest(words::<2>(bytes).map(|word| real(i32::from(i16::from_le_bytes(word)))))
        }
        Dtype::I32 => first_largest(words::<4>(bytes).map(|word| real(i32::from_le_bytes(word)))),
        Dtype::F32 => first_largest(words::<4>(bytes).map(f32::from_le_bytes)),
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// The message for the fleet, in postcard.
pub fn postcard(answer: &Answer, boot: u32) -> Result<Vec<u8>, EncodeError> {
    let output = match &answer.said {
        Said::Class { top, confidence } => wire::Output::Class {
            top: *top,
            confidence: *confidence,
        },
        Said::Raw { dtype, shape, data } => wire::Output::Raw {
            dtype: match dtype {
                Dtype::I8 => wire::Dtype::I8,
                Dtype::U8 => wire::Dtype::U8,
                Dtype::I16 => wire::Dtype::I16,
                Dtype::I32 => wire::Dtype::I32,
                Dtype::F32 => wire::Dtype::F32,
            },
            shape: heapless::Vec::from_slice(shape).map_err(|_| EncodeError::Unsound)?,
            data,
        },
    };
    let inference = Inference {
        frame: FrameId {
            boot,
            seq: answer.seq,
        },
        model: Digest(answer.model),
        // Recordings and raw streams do not say when a frame was taken.
        taken_us: 0,
        latency_us: answer.latency_us,
        truth: answer.truth,
        output,
    };
    // Room for the tensor and for everything around it.
    let room = match &answer.said {
        Said::Class { .. } => 256,
        Said::Raw { .. } => Inference::MAX_LEN,
    };
    let mut buffer = vec![0; room];
    let length = wire::encode(&inference, &mut buffer)?.len();
    buffer.truncate(length);
    Ok(buffer)
}

/// The same as one JSON object.
pub fn json(answer: &Answer, boot: u32) -> Vec<u8> {
    let mut object = serde_json::json!({
        "boot": boot,
        "seq": answer.seq,
        "model": Digest(answer.model).to_string(),
        "latency_us": answer.latency_us,
        "truth": answer.truth,
    });
    match &answer.said {
        Said::Class { top, confidence } => {
            object["top"] = (*top).into();
            object["confidence"] = (*confidence).into();
        }
        Said::Raw { dtype, shape, data } => {
            object["dtype"] = dtype.name().into();
            object["shape"] = shape.clone().into();
            object["data"] = match dtype {
                Dtype::I8 => data.iter().map(|&byte| byte as i8).collect(),
                Dtype::U8 => data.clone().into(),
                Dtype::I16 => words::<2>(data).map(i16::from_le_bytes).collect(),
                Dtype::I32 => words::<4>(data).map(i32::from_le_bytes).collect(),
                Dtype::F32 => words::<4>(data)
                    .map(f32::from_le_bytes)
                    .collect::<serde_json::Value>(),
            };
        }
    }
    object.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(dtype: Dtype, shape: &[usize]) -> TensorInfo {
        TensorInfo {
            name: "output".into(),
            dtype,
            shape: shape.to_vec(),
            scale: 0.5,
            zero_point: -128,
        }
    }

    #[test]
    fn the_first_of_the_best_classes_with_its_real_value() {
        let row = output(Dtype::I8, &[1, 4]);
        let said = Form::Class.take(&row, &[0x80, 0x7F, 0x7F, 0]);
        assert_eq!(
            said,
            Some(Said::Class {
                top: 1,
                confidence: 127.5
            })
        );
        let floats = TensorInfo {
            scale: 0.0,
            zero_point: 0,
            ..output(Dtype::F32, &[1, 2])
        };
        let bytes: Vec<u8> = [0.25f32, 0.75]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        assert_eq!(
            Form::Class.take(&floats, &bytes),
            Some(Said::Class {
                top: 1,
                confidence: 0.75
            })
        );
        let nan: Vec<u8> = [0.25f32, f32::NAN]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        assert_eq!(Form::Class.take(&floats, &nan), None);
        assert_eq!(Form::Raw.take(&floats, &nan), None);
    }

    #[test]
    fn the_form_follows_the_shape() {
        let of = |shape: &[usize], asked| Form::of(&output(Dtype::I8, shape), asked);
        assert_eq!(of(&[1, 10], settings::Answer::Auto), Ok(Form::Class));
        assert_eq!(of(&[1, 1, 32, 32], settings::Answer::Auto), Ok(Form::Raw));
        assert_eq!(of(&[1, 10], settings::Answer::Raw), Ok(Form::Raw));
        assert!(of(&[1, 1, 32, 32], settings::Answer::Class).is_err());
        assert!(of(&[1, 256, 256], settings::Answer::Auto).is_err());
    }

    #[test]
    fn results_are_read_back_by_the_fleet() {
        let raw = Said::Raw {
            dtype: Dtype::I16,
            shape: vec![1, 2],
            data: vec![1, 0, 0xFF, 0xFF],
        };
        for said in [
            Said::Class {
                top: 3,
                confidence: 0.5,
            },
            raw,
        ] {
            let answer = Answer {
                seq: 9,
                model: [7; 32],
                latency_us: 42,
                truth: Some(3),
                said,
            };
            let bytes = postcard(&answer, 5).expect("a sound result");
            let read: Inference<'_> = wire::decode(&bytes).expect("readable");
            assert_eq!(
                (read.frame, read.truth),
                (FrameId { boot: 5, seq: 9 }, Some(3))
            );
            let object: serde_json::Value =
                serde_json::from_slice(&json(&answer, 5)).expect("JSON");
            assert_eq!(object["seq"], 9);
            if object["dtype"] == "i16" {
                assert_eq!(object["data"], serde_json::json!([1, -1]));
            }
        }
    }
}
