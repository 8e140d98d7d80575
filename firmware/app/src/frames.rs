//! The files that frames come and outputs go in: one line of text, then the bytes of
//! all frames, little-endian.
//!
//! ```text
//! sanderling-frames 1 f32 200 1x3x32x32\n
//! ```
//!
//! names the format, its version, the element type, the number of frames, and the shape
//! of one frame. The other end is `cross/xtask/src/frames.rs`.

use core::ffi::CStr;
use core::fmt::{self, Write as _};
use core::str::SplitAsciiWhitespace;

use sanderling_plan::{Dtype, Tensor};
use semihosting::fs::File;
use semihosting::io::{Read as _, Write as _};

const FORMAT: &str = "sanderling-frames";
const VERSION: &str = "1";
/// Longest first line, its end included.
const MAX_LINE: usize = 120;
/// Longest file name, its terminator included.
const MAX_NAME: usize = 64;

/// Why frames could not be read or outputs not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum FramesError {
    /// The file's name is too long or holds a zero byte.
    Name,
    /// The file cannot be opened.
    Open,
    /// The file ended early or could not be read.
    Read,
    /// The file could not be written.
    Write,
    /// The first line is not this format's.
    Line,
    /// The frames have another element type than the plan's input.
    Dtype,
    /// The frames have another number of elements than the plan's input.
    Shape,
    /// A frame holds NaN or an infinity.
    NotFinite,
}

/// Frames to read, one after the other.
pub struct Frames {
    file: File,
    dtype: Dtype,
    /// How many there are.
    pub count: usize,
}

impl Frames {
    /// Opens `name` and checks that its frames are what `input` takes.
    pub fn open(name: &str, input: &Tensor) -> Result<Self, FramesError> {
        let mut buffer = [0; MAX_NAME];
        let mut file = File::open(c_name(name, &mut buffer)?).map_err(|_| FramesError::Open)?;
        let mut line = [0; MAX_LINE];
        let mut words = read_line(&mut file, &mut line)?.split_ascii_whitespace();
        if words.next() != Some(FORMAT) || words.next() != Some(VERSION) {
            return Err(FramesError::Line);
        }
        if words.next() != Some(input.dtype.name()) {
            return Err(FramesError::Dtype);
        }
        let count = number(&mut words)?;
        let elements = words
            .next()
            .ok_or(FramesError::Line)?
            .split('x')
            .try_fold(1usize, |n, dim| n.checked_mul(dim.parse().ok()?))
            .ok_or(FramesError::Line)?;
        if elements != input.shape.elements() {
            return Err(FramesError::Shape);
        }
        Ok(Frames {
            file,
            dtype: input.dtype,
            count,
        })
    }

    /// Fills `frame` with the next frame's bytes.
    pub fn next(&mut self, frame: &mut [u8]) -> Result<(), FramesError> {
        self.file.read_exact(frame).map_err(|_| FramesError::Read)?;
        let finite = self.dtype != Dtype::F32
            || frame
                .as_chunks::<4>()
                .0
                .iter()
                .all(|bytes| f32::from_le_bytes(*bytes).is_finite());
        if finite {
            Ok(())
        } else {
            Err(FramesError::NotFinite)
        }
    }
}

/// A file that takes outputs.
pub struct Outputs {
    file: File,
}

impl Outputs {
    /// Creates `name` for `count` outputs like `output`.
    pub fn create(name: &str, output: &Tensor, count: usize) -> Result<Self, FramesError> {
        let mut buffer = [0; MAX_NAME];
        let mut file = File::create(c_name(name, &mut buffer)?).map_err(|_| FramesError::Open)?;
        let mut line = Line {
            bytes: [0; MAX_LINE],
            len: 0,
        };
        write!(line, "{FORMAT} {VERSION} {} {count} ", output.dtype.name())
            .map_err(|_| FramesError::Line)?;
        for (i, dim) in output.shape.dims().iter().enumerate() {
            write!(line, "{}{dim}", if i == 0 { "" } else { "x" })
                .map_err(|_| FramesError::Line)?;
        }
        line.write_str("\n").map_err(|_| FramesError::Line)?;
        file.write_all(line.written())
            .map_err(|_| FramesError::Write)?;
        Ok(Outputs { file })
    }

    /// Adds one output's bytes.
    pub fn push(&mut self, output: &[u8]) -> Result<(), FramesError> {
        self.file.write_all(output).map_err(|_| FramesError::Write)
    }
}

fn c_name<'a>(name: &str, buffer: &'a mut [u8; MAX_NAME]) -> Result<&'a CStr, FramesError> {
    buffer
        .get_mut(..name.len())
        .ok_or(FramesError::Name)?
        .copy_from_slice(name.as_bytes());
    let terminated = buffer.get(..=name.len()).ok_or(FramesError::Name)?;
    CStr::from_bytes_with_nul(terminated).map_err(|_| FramesError::Name)
}

/// Reads up to the first line's end, a byte at a time: what follows are frames.
fn read_line<'a>(file: &mut File, line: &'a mut [u8; MAX_LINE]) -> Result<&'a str, FramesError> {
    let mut byte = [0];
    for len in 0..MAX_LINE {
        file.read_exact(&mut byte).map_err(|_| FramesError::Read)?;
        if byte == *b"\n" {
            let text = line.get(..len).ok_or(FramesError::Line)?;
            return core::str::from_utf8(text).map_err(|_| FramesError::Line);
        }
        if let (Some(place), [byte]) = (line.get_mut(len), byte) {
            *place = byte;
        }
    }
    Err(FramesError::Line)
}

fn number(words: &mut SplitAsciiWhitespace<'_>) -> Result<usize, FramesError> {
    words
        .next()
        .and_then(|word| word.parse().ok())
        .ok_or(FramesError::Line)
}

struct Line {
    bytes: [u8; MAX_LINE],
    len: usize,
}

impl Line {
    fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes
            .get_mut(self.len..end)
            .ok_or(fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
