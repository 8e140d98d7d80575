//! Reads and writes the arrays that frames come and go in: `.npz` archives and
//! `.npy` files of numpy, little-endian, C order.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use anyhow::{Context, bail};

use zip::result::ZipError;

/// An entry that claims to unpack to more than this is refused.
const MAX_ENTRY: u64 = 1 << 30;

/// Type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Signed 8-bit.
    I8,
    /// Unsigned 8-bit.
    U8,
    /// Signed 16-bit.
    I16,
    /// Signed 32-bit.
    I32,
    /// Signed 64-bit.
    I64,
    /// Single precision.
    F32,
}

impl Dtype {
    const ALL: [(Dtype, &'static str, &'static str, usize); 6] = [
        (Self::I8, "|i1", "i8", 1),
        (Self::U8, "|u1", "u8", 1),
        (Self::I16, "<i2", "i16", 2),
        (Self::I32, "<i4", "i32", 4),
        (Self::I64, "<i8", "i64", 8),
        (Self::F32, "<f4", "f32", 4),
    ];

    fn row(self) -> (Dtype, &'static str, &'static str, usize) {
        Self::ALL
            .into_iter()
            .find(|row| row.0 == self)
            .unwrap_or(Self::ALL[0])
    }

    /// Its name as Rust spells it.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Bytes per element.
    pub fn bytes(self) -> usize {
        self.row().3
    }

    /// The dtype that Rust calls `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|row| row.2 == name)
            .map(|row| row.0)
    }
}

/// A dense array in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Its elements, little-endian.
    pub bytes: Vec<u8>,
}

impl Array {
    /// Length of the first axis; 1 for a scalar.
    pub fn frames(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Bytes of one index of the first axis.
    pub fn frame_bytes(&self) -> usize {
        self.shape.iter().skip(1).product::<usize>() * self.dtype.bytes()
    }

    /// The first `frames` indices of the first axis, or all when there are fewer.
    pub fn head(mut self, frames: usize) -> Self {
        if frames < self.frames() {
            self.bytes.truncate(frames * self.frame_bytes());
            self.shape[0] = frames;
        }
        self
    }
}

/// Reads the array `name` of a `.npz` file, or the only array of a `.npy` file.
pub fn read(path: &Path, name: &str) -> anyhow::Result<Array> {
    find(path, name)?.with_context(|| format!("{} has no array `{name}`", path.display()))
}

/// Like [`read`]; `None` when the archive has no array of that name.
pub fn find(path: &Path, name: &str) -> anyhow::Result<Option<Array>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let npy = if bytes.starts_with(MAGIC) {
        Some(bytes)
    } else {
        entry(bytes, &format!("{name}.npy"))
            .with_context(|| format!("cannot read {}", path.display()))?
    };
    npy.map(|npy| parse(&npy))
        .transpose()
        .with_context(|| format!("array `{name}` of {}", path.display()))
}

/// Writes one array, called `name`, to a `.npz` file.
pub fn write(path: &Path, name: &str, array: &Array) -> anyhow::Result<()> {
    write_all(path, &[(name, array)])
}

/// Writes arrays with their names to a `.npz` file.
pub fn write_all(path: &Path, arrays: &[(&str, &Array)]) -> anyhow::Result<()> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, array) in arrays {
        archive.start_file(format!("{name}.npy"), options)?;
        archive.write_all(&format(array))?;
    }
    fs::write(path, archive.finish()?.into_inner())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The unpacked bytes of one entry of a ZIP archive; `None` when it has none of that name.
fn entry(archive: Vec<u8>, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive))?;
    let mut file = match archive.by_name(name) {
        Ok(file) => file,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if file.size() > MAX_ENTRY {
        bail!("{} bytes are more than this reader takes", file.size());
    }
    let mut bytes = Vec::new();
    (&mut file).take(MAX_ENTRY).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

const MAGIC: &[u8] = b"\x93NUMPY";

fn parse(npy: &[u8]) -> anyhow::Result<Array> {
    let field = |range: std::ops::Range<usize>| npy.get(range).context("the array is cut short");
    if field(0..6)? != MAGIC {
        bail!("not in numpy's format");
    }
    let (len, start) = match field(6..7)? {
        [1] => (
            usize::from(u16::from_le_bytes(field(8..10)?.try_into()?)),
            10,
        ),
        _ => (u32::from_le_bytes(field(8..12)?.try_into()?) as usize, 12),
    };
    let header =
        std::str::from_utf8(field(start..start + len)?).context("the header is not text")?;
    let descr = header
        .split("'descr':")
        .nth(1)
        .and_then(|rest| rest.split('\'').nth(1))
        .context("the header gives no element type")?;
    let dtype = Dtype::ALL.into_iter().find(|row| row.1 == descr).map(|row| row.0).with_context(|| {
        format!("elements of type {descr} are not supported; convert with .astype('float32') or .astype('int8')")
    })?;
    if header.contains("'fortran_order': True") {
        bail!("the array is in Fortran order; save numpy.ascontiguousarray(a)");
    }
    let shape = header
        .split("'shape':")
        .nth(1)
        .and_then(|rest| rest.split_once('(')?.1.split_once(')'))
        .context("the header gives no shape")?
        .0
        .split(',')
        .map(str::trim)
        .filter(|dim| !dim.is_empty())
        .map(|dim| {
            dim.parse::<usize>()
                .context("the shape is not made of numbers")
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let bytes = npy.get(start + len..).unwrap_or_default().to_vec();
    let wanted = shape
        .iter()
        .try_fold(dtype.bytes(), |n, &d| n.checked_mul(d))
        .context("the shape is too large")?;
    if bytes.len() != wanted {
        bail!(
            "{} bytes of data where the shape {shape:?} wants {wanted}",
            bytes.len()
        );
    }
    Ok(Array {
        dtype,
        shape,
        bytes,
    })
}

fn format(array: &Array) -> Vec<u8> {
    let dims: String = array.shape.iter().map(|d| format!("{d}, ")).collect();
    let mut header = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
        array.dtype.row().1,
        dims.trim_end()
    );
    // The data starts on a 64-byte boundary, as numpy writes it.
    let padding = 64 - (10 + header.len() + 1) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    out.extend(&array.bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_survive_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        for (dtype, shape) in [
            (Dtype::I8, vec![3, 2]),
            (Dtype::F32, vec![4]),
            (Dtype::U8, vec![2, 1, 5]),
        ] {
            let count = shape.iter().product::<usize>() * dtype.bytes();
            let array = Array {
                dtype,
                shape,
                bytes: (0..count).map(|i| i as u8).collect(),
            };
            write(&path, "input", &array).unwrap();
            assert_eq!(read(&path, "input").unwrap(), array);
            assert!(find(&path, "other").unwrap().is_none());
        }
    }

    #[test]
    fn the_head_of_an_array_keeps_whole_frames() {
        let array = Array {
            dtype: Dtype::I16,
            shape: vec![3, 2],
            bytes: (0..12).collect(),
        };
        let head = array.clone().head(2);
        assert_eq!(
            (head.shape, head.bytes),
            (vec![2, 2], (0..8).collect::<Vec<u8>>())
        );
        assert_eq!(array.clone().head(9), array);
    }

    #[test]
    fn a_file_that_is_no_archive_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.npz");
        fs::write(&path, b"no archive").unwrap();
        let error = format!("{:#}", read(&path, "input").unwrap_err());
        assert!(error.contains("broken.npz"), "{error}");
    }
}
