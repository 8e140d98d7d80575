//! The file that frames and outputs travel in between this machine and a board:
//! one line of text, then the bytes of all frames, little-endian.
//!
//! ```text
//! sanderling-frames 1 f32 200 1x3x32x32\n
//! ```
//!
//! names the format, its version, the element type, the number of frames, and the
//! shape of one frame with its batch axis. The other end is `firmware/app`.

use anyhow::{Context, bail};

use crate::npz::{Array, Dtype};

const FORMAT: &str = "sanderling-frames";
const VERSION: &str = "1";
/// A first line longer than this is no first line.
const MAX_LINE: usize = 120;

/// The file for `array`, whose first axis counts the frames. Each frame is given the
/// model's batch of 1.
pub fn encode(array: &Array) -> Vec<u8> {
    let dims: String = array
        .shape
        .iter()
        .skip(1)
        .map(|d| format!("x{d}"))
        .collect();
    let mut file = format!(
        "{FORMAT} {VERSION} {} {} 1{dims}\n",
        array.dtype.name(),
        array.frames()
    )
    .into_bytes();
    file.extend(&array.bytes);
    file
}

/// The array in a file, its first axis counting the frames.
pub fn decode(file: &[u8]) -> anyhow::Result<Array> {
    let end = file
        .iter()
        .take(MAX_LINE)
        .position(|&b| b == b'\n')
        .context("the first line is missing")?;
    let line = std::str::from_utf8(file.get(..end).unwrap_or_default())
        .context("the first line is not text")?;
    let words: Vec<&str> = line.split(' ').collect();
    let [FORMAT, VERSION, dtype, frames, dims] = words[..] else {
        bail!("the first line is not `{FORMAT} {VERSION} DTYPE FRAMES SHAPE`: {line}");
    };
    let dtype =
        Dtype::from_name(dtype).with_context(|| format!("no element type is called {dtype}"))?;
    let mut shape = vec![
        frames
            .parse::<usize>()
            .context("the number of frames is not a number")?,
    ];
    let dims = dims
        .split('x')
        .map(str::parse::<usize>)
        .collect::<Result<Vec<_>, _>>()
        .context("bad shape")?;
    // The batch of 1 gives its place to the frames.
    shape.extend(if dims.first() == Some(&1) {
        &dims[1..]
    } else {
        &dims[..]
    });
    let bytes = file.get(end + 1..).unwrap_or_default().to_vec();
    let wanted = shape
        .iter()
        .try_fold(dtype.bytes(), |n, &d| n.checked_mul(d))
        .context("the shape is too large")?;
    if bytes.len() != wanted {
        bail!(
            "{} bytes of outputs where {shape:?} of {} wants {wanted}",
            bytes.len(),
            dtype.name()
        );
    }
    Ok(Array {
        dtype,
        shape,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_a_round_trip() {
        let array = Array {
            dtype: Dtype::F32,
            shape: vec![2, 3],
            bytes: (0..24).collect(),
        };
        assert_eq!(decode(&encode(&array)).unwrap(), array);
    }

    #[test]
    fn a_file_that_was_cut_says_how_much_is_there() {
        let array = Array {
            dtype: Dtype::I8,
            shape: vec![2, 3],
            bytes: (0..6).collect(),
        };
        let mut file = encode(&array);
        file.pop();
        assert!(
            decode(&file)
                .unwrap_err()
                .to_string()
                .starts_with("5 bytes")
        );
    }
}
