//! Recorded frames: `.npy` and `.npz` files, one after another.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sanderling_executor::TensorInfo;
use sanderling_executor::frames::{self, Array, FramesError};
use sanderling_plan::Dtype;

use super::{Given, Source};
use crate::frame::Shape;

/// A file or a folder of files with frames. One file is in memory at a time.
#[derive(Debug)]
pub struct Recording {
    files: Vec<PathBuf>,
    /// The file that is opened next.
    next: usize,
    open: Option<Open>,
    array: Option<String>,
    labels: String,
    repeat: bool,
    /// Whether this round through the files gave any frame; a round without one is the last.
    fruitful: bool,
}

#[derive(Debug)]
struct Open {
    frames: Array,
    shape: Arc<Shape>,
    truths: Option<Vec<Option<u16>>>,
    index: usize,
}

impl Recording {
    /// Finds the files: `path` itself, or every `.npy` and `.npz` in it by name. `array` names the array with the
    /// frames where it was said, `labels` the one with the classes.
    pub fn open(
        path: &Path,
        array: Option<String>,
        labels: &str,
        repeat: bool,
    ) -> io::Result<Recording> {
        let mut files = vec![path.to_path_buf()];
        if path.is_dir() {
            files = std::fs::read_dir(path)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<_, _>>()?;
            files.retain(|file| {
                file.extension()
                    .is_some_and(|end| end == "npy" || end == "npz")
            });
            files.sort();
            if files.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "there is no .npy and no .npz file in it; save frames with numpy.savez(file, input=frames)",
                ));
            }
        } else {
            // Found now, and not when the first frame is due.
            std::fs::File::open(path)?;
        }
        let labels = labels.to_owned();
        Ok(Recording {
            files,
            next: 0,
            open: None,
            array,
            labels,
            repeat,
            fruitful: false,
        })
    }

    fn load(&self, path: &Path, input: &TensorInfo) -> Result<Open, String> {
        // The message names the flag of another program for the same choice.
        let words = |error: FramesError| error.to_string().replace("--input-name", "--array");
        let headers = frames::list(path).map_err(words)?;
        let asked = self.array.as_deref();
        let header =
            frames::choose(&headers, asked, &input.name, input.dtype, true, path).map_err(words)?;
        let Some(dtype) = header.element.dtype() else {
            return Err(format!(
                "{}: the array `{}` is {}, and the model takes {}; save it with .astype(\"{}\")",
                path.display(),
                header.name,
                header.element,
                input.dtype.name(),
                numpy_name(input.dtype),
            ));
        };
        let array = frames::read(path, &header.name).map_err(words)?;
        let labelled = |header: &&frames::Header| {
            header.name == self.labels && header.frames() == array.frames()
        };
        let truths = match headers.iter().find(labelled) {
            Some(header) => frames::read(path, &header.name).map_err(words)?.integers(),
            None => None,
        };
        let shape = Arc::new(Shape {
            dtype,
            dims: array.header.frame_shape().to_vec(),
        });
        let truths = truths.map(|all| {
            all.into_iter()
                .map(|truth| u16::try_from(truth).ok())
                .collect()
        });
        Ok(Open {
            frames: array,
            shape,
            truths,
            index: 0,
        })
    }
}

/// A type as numpy spells it.
fn numpy_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::I8 => "int8",
        Dtype::U8 => "uint8",
        Dtype::I16 => "int16",
        Dtype::I32 => "int32",
        Dtype::F32 => "float32",
    }
}

impl Source for Recording {
    fn next(&mut self, input: &TensorInfo, buffer: &mut Vec<u8>) -> Given {
        loop {
            if let Some(open) = &mut self.open {
                if let Some(frame) = open.frames.frame(open.index) {
                    buffer.extend_from_slice(frame);
                    let truth = open
                        .truths
                        .as_ref()
                        .and_then(|all| all.get(open.index).copied().flatten());
                    open.index += 1;
                    self.fruitful = true;
                    return Given::Frame {
                        shape: Some(open.shape.clone()),
                        truth,
                    };
                }
                self.open = None;
            }
            if self.next >= self.files.len() {
                if !self.repeat || !std::mem::take(&mut self.fruitful) {
                    return Given::End;
                }
                self.next = 0;
            }
            let path = self.files[self.next].clone();
            self.next += 1;
            match self.load(&path, input) {
                Ok(open) => self.open = Some(open),
                Err(error) => return Given::Bad(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> TensorInfo {
        TensorInfo {
            name: "x".into(),
            dtype: Dtype::F32,
            shape: vec![1, 2],
            scale: 0.0,
            zero_point: 0,
        }
    }

    fn array(name: &str, dtype: Dtype, shape: &[usize]) -> Array {
        let bytes = shape.iter().product::<usize>() * dtype.bytes();
        Array::of(
            name,
            dtype,
            shape.to_vec(),
            (0..bytes).map(|i| i as u8).collect(),
        )
        .expect("as long as it says")
    }

    fn all(source: &mut Recording, most: usize) -> (usize, Vec<Option<u16>>, usize) {
        let (mut frames, mut truths, mut bad) = (0, Vec::new(), 0);
        while frames + bad < most {
            let mut buffer = Vec::new();
            match source.next(&input(), &mut buffer) {
                Given::Frame { truth, .. } => {
                    assert_eq!(buffer.len(), 8);
                    frames += 1;
                    truths.push(truth);
                }
                Given::Bad(text) => {
                    assert!(!text.is_empty());
                    bad += 1;
                }
                Given::End => break,
            }
        }
        (frames, truths, bad)
    }

    #[test]
    fn frames_and_labels_of_a_folder_in_order() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let arrays = [
            array("input", Dtype::F32, &[3, 2]),
            array("label", Dtype::U8, &[3]),
        ];
        frames::write_npz(&folder.path().join("b.npz"), &arrays).expect("writable");
        std::fs::write(folder.path().join("a.npz"), b"not an archive").expect("writable");
        std::fs::write(folder.path().join("notes.txt"), b"not frames").expect("writable");
        let mut source = Recording::open(folder.path(), None, "label", false).expect("a folder");
        assert_eq!(
            all(&mut source, 100),
            (3, vec![Some(0), Some(1), Some(2)], 1)
        );
        let mut source = Recording::open(folder.path(), None, "label", true).expect("a folder");
        assert_eq!(all(&mut source, 9).0, 6);
    }

    #[test]
    fn files_without_a_frame_end_even_when_repeated() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("frames.npz");
        std::fs::write(&path, b"junk").expect("writable");
        let mut source = Recording::open(&path, None, "label", true).expect("it can be opened");
        assert_eq!(all(&mut source, 100), (0, vec![], 1));
    }

    #[test]
    fn nothing_there_is_said_at_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(Recording::open(folder.path(), None, "label", false).is_err());
        assert!(Recording::open(&folder.path().join("no.npz"), None, "label", false).is_err());
    }
}
