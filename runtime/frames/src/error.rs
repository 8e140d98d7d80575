//! What can be wrong with a file of frames, each with what to do about it.

use super::{Header, dimensions};
use std::io;
use std::path::PathBuf;

/// Why frames could not be read, chosen, or written.
#[derive(Debug, thiserror::Error)]
pub enum FramesError {
    /// The file cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file was opened but not read to the end of what it announces.
    #[error("cannot read {what}: {source}")]
    Read {
        /// File or array.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is neither of the two formats.
    #[error("{} is neither .npy nor .npz; save frames with numpy.save or numpy.savez", path.display())]
    NotFrames {
        /// The file.
        path: PathBuf,
    },
    /// The `.npz` is not a zip archive that can be read.
    #[error("{} is a damaged .npz ({why}); save it again", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The header of an array makes no sense.
    #[error("{what} has a damaged .npy header ({why}); save it again with numpy")]
    Npy {
        /// File or array.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The data of an array ends early.
    #[error("{what} is truncated: {have} of {need} bytes are there; save or copy it again")]
    Truncated {
        /// File or array.
        what: String,
        /// Bytes that the header announces.
        need: usize,
        /// Bytes that are there.
        have: usize,
    },
    /// More than the reader has room for.
    #[error("{what} holds {bytes} bytes unpacked, and {limit} are taken; save fewer frames")]
    TooLong {
        /// The file.
        what: String,
        /// Bytes of all its arrays; `u64::MAX` where that cannot be said.
        bytes: u64,
        /// How many are taken.
        limit: u64,
    },
    /// No such array.
    #[error("{} has no array `{wanted}`, only {}; choose one of them, or save it under that name", path.display(), names(have))]
    NoArray {
        /// The file.
        path: PathBuf,
        /// The array asked for.
        wanted: String,
        /// Those that are there.
        have: Vec<Header>,
    },
    /// Several arrays, and none of the names says which is the input.
    #[error(
        "none of the arrays {} is called `input`; choose one with --input-name",
        names(have)
    )]
    Ambiguous {
        /// Those that are there.
        have: Vec<Header>,
    },
    /// The elements are of a type that models do not take.
    #[error("{what} holds {element}, which cannot be read; convert it with numpy's astype")]
    Element {
        /// The array.
        what: String,
        /// numpy's name of the type.
        element: String,
    },
    /// Several arrays for a format that holds one.
    #[error("{} would hold {count} arrays, and a .npy holds one; name a .npz", path.display())]
    TooManyArrays {
        /// The file.
        path: PathBuf,
        /// How many there are.
        count: usize,
    },
    /// Not as many bytes as the shape asks for.
    #[error("array `{}` of shape {} and {} does not have {have} bytes", header.name, dimensions(&header.shape), header.element)]
    Length {
        /// What was announced.
        header: Box<Header>,
        /// Bytes given.
        have: usize,
    },
    /// The axes are not those of the array.
    #[error(
        "{axes:?} does not name each of the {rank} axes once; count them from 0, frames included, as in 0,2,3,1"
    )]
    Axes {
        /// The order asked for.
        axes: Vec<usize>,
        /// Axes of the array.
        rank: usize,
    },
}

fn names(headers: &[Header]) -> String {
    if headers.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<String> = headers
        .iter()
        .map(|h| {
            format!(
                "{} ({} {})",
                quoted(&h.name),
                h.element,
                dimensions(&h.shape)
            )
        })
        .collect();
    names.join(", ")
}

/// The array of a `.npy` has no name.
fn quoted(name: &str) -> String {
    if name.is_empty() {
        "one without a name".to_owned()
    } else {
        format!("`{name}`")
    }
}
