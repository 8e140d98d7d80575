//! Frames from a stream such as standard input.
//!
//! `raw`: tensors back to back, each exactly as long as the model's input, row-major, little-endian, without a header.
//! `npy`: `.npy` arrays one after another, each one frame; types and shapes are checked against the model.

use std::io::{ErrorKind, Read};
use std::sync::Arc;

use sanderling_executor::TensorInfo;
use sanderling_executor::frames;

use super::{Given, Source};
use crate::frame::Shape;

/// A stream of frames.
#[derive(Debug)]
pub struct Stream<R> {
    reader: R,
    npy: bool,
    ended: bool,
}

impl<R: Read> Stream<R> {
    /// Frames from `reader`, as `.npy` arrays or raw.
    pub fn new(reader: R, npy: bool) -> Stream<R> {
        Stream {
            reader,
            npy,
            ended: false,
        }
    }

    fn raw(&mut self, length: usize, buffer: &mut Vec<u8>) -> Given {
        buffer.resize(length, 0);
        let mut done = 0;
        while done < length {
            match self.reader.read(&mut buffer[done..]) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.end(format!("cannot read standard input: {error}")),
            }
        }
        match done {
            0 if length > 0 => Given::End,
            done if done < length => self.end(format!(
                "standard input ended inside a frame ({done} of {length} bytes); raw frames are exactly as long as the model's input"
            )),
            _ => Given::Frame { shape: None, truth: None },
        }
    }

    fn npy(&mut self, buffer: &mut Vec<u8>) -> Given {
        match frames::read_npy("standard input", &mut self.reader) {
            Ok(None) => Given::End,
            Ok(Some(array)) => {
                let Some(dtype) = array.header.element.dtype() else {
                    return Given::Bad(format!(
                        "a frame on standard input is {}, which no model takes; save it with astype",
                        array.header.element
                    ));
                };
                buffer.extend_from_slice(array.bytes());
                let shape = Arc::new(Shape {
                    dtype,
                    dims: array.header.shape.clone(),
                });
                Given::Frame {
                    shape: Some(shape),
                    truth: None,
                }
            }
            // Behind a damaged header nobody knows where the next one begins.
            Err(error) => self.end(error.to_string()),
        }
    }

    fn end(&mut self, why: String) -> Given {
        self.ended = true;
        Given::Bad(why)
    }
}

impl<R: Read + Send> Source for Stream<R> {
    fn next(&mut self, input: &TensorInfo, buffer: &mut Vec<u8>) -> Given {
        match (self.ended, self.npy) {
            (true, _) => Given::End,
            (false, true) => self.npy(buffer),
            (false, false) => self.raw(input.bytes(), buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sanderling_executor::frames::Array;
    use sanderling_plan::Dtype;

    fn input() -> TensorInfo {
        TensorInfo {
            name: "x".into(),
            dtype: Dtype::I8,
            shape: vec![1, 3],
            scale: 1.0,
            zero_point: 0,
        }
    }

    fn read(stream: &mut Stream<&[u8]>) -> Vec<Result<Vec<u8>, String>> {
        let mut all = Vec::new();
        loop {
            let mut buffer = Vec::new();
            match stream.next(&input(), &mut buffer) {
                Given::Frame { .. } => all.push(Ok(buffer)),
                Given::Bad(text) => all.push(Err(text)),
                Given::End => return all,
            }
        }
    }

    #[test]
    fn raw_frames_are_cut_to_the_inputs_length() {
        let read = read(&mut Stream::new(&[1, 2, 3, 4, 5, 6, 7][..], false));
        assert_eq!(read[..2], [Ok(vec![1, 2, 3]), Ok(vec![4, 5, 6])]);
        assert!(
            read[2]
                .as_ref()
                .is_err_and(|text| text.contains("1 of 3 bytes")),
            "{read:?}"
        );
        assert_eq!(read.len(), 3);
    }

    #[test]
    fn npy_frames_follow_one_another() {
        let mut bytes = Vec::new();
        for value in [1, 2] {
            let array =
                Array::of("", Dtype::I8, vec![3], vec![value; 3]).expect("as long as it says");
            frames::write_npy(&mut bytes, &array).expect("a vector takes all");
        }
        assert_eq!(
            read(&mut Stream::new(&bytes[..], true)),
            [Ok(vec![1; 3]), Ok(vec![2; 3])]
        );
        bytes.extend(b"junk that is no array");
        let read = read(&mut Stream::new(&bytes[..], true));
        assert!(read.len() == 3 && read[2].is_err(), "{read:?}");
    }
}
