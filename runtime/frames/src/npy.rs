//! The `.npy` format: one array.
//!
//! ```text
//!  0        6       8          10 (or 12)
//!  ┌────────┬───────┬──────────┬──────────────────────────────────────┬──────────┐
//!  │ "\x93  │version│ length   │ {'descr': '<f4', 'fortran_order':    │ elements │
//!  │ NUMPY" │ u8 u8 │ u16 (u32)│  False, 'shape': (200, 49, 10), }  \n│          │
//!  └────────┴───────┴──────────┴──────────────────────────────────────┴──────────┘
//! ```

use super::{Array, Element, FramesError, Header, gather};
use sanderling_plan::Dtype;
use std::borrow::Cow;
use std::io::{self, Read, Write};

/// First six bytes of a `.npy`.
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest header that is read; numpy writes 118 bytes for all usual arrays.
const LONGEST_HEADER: usize = 64 * 1024;

/// What stands before the elements.
pub(super) struct Preamble {
    pub(super) header: Header,
    fortran: bool,
}

/// Reads one array, and nothing after it, so that arrays written one behind another
/// to a pipe are read one by one. `None` where the stream ends before a first byte.
/// `what` names the source in messages and becomes no part of the array.
///
/// # Errors
///
/// [`FramesError::Npy`], [`FramesError::Truncated`], [`FramesError::Element`], or
/// [`FramesError::Read`].
pub fn read_npy(what: &str, source: &mut impl Read) -> Result<Option<Array>, FramesError> {
    let Some(preamble) = preamble(what, source)? else {
        return Ok(None);
    };
    let header = preamble.header;
    let element = header.element.bytes().ok_or_else(|| FramesError::Element {
        what: what.to_owned(),
        element: header.element.to_string(),
    })?;
    let need = length(&header).ok_or_else(|| damaged(what, "the shape is too large"))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(need).unwrap_or(u64::MAX);
    source
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| read_error(what, e))?;
    if bytes.len() < need {
        return Err(FramesError::Truncated {
            what: what.to_owned(),
            need,
            have: bytes.len(),
        });
    }
    if preamble.fortran && header.shape.len() > 1 {
        bytes = to_c_order(&bytes, element, &header.shape);
    }
    Array::new(header, bytes).map(Some)
}

/// Writes one array.
///
/// # Errors
///
/// What `sink` says.
pub fn write_npy(sink: &mut impl Write, array: &Array) -> io::Result<()> {
    let mut shape = String::new();
    for n in &array.header.shape {
        shape.push_str(&format!("{n}, "));
    }
    // One axis is written `(7,)`, more of them `(7, 8)`.
    let shape = if array.header.shape.len() > 1 {
        shape.trim_end_matches(", ")
    } else {
        shape.trim_end()
    };
    let descr = descr(&array.header.element);
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let unpadded = MAGIC.len() + 4 + text.len() + 1;
    text.extend(std::iter::repeat_n(
        ' ',
        unpadded.next_multiple_of(64) - unpadded,
    ));
    text.push('\n');
    let len =
        u16::try_from(text.len()).map_err(|_| io::Error::other("too many axes for a .npy"))?;
    sink.write_all(MAGIC)?;
    sink.write_all(&[1, 0])?;
    sink.write_all(&len.to_le_bytes())?;
    sink.write_all(text.as_bytes())?;
    sink.write_all(array.bytes())
}

/// Bytes of the elements; `None` past `usize::MAX` or where their size is not known.
pub(super) fn length(header: &Header) -> Option<usize> {
    header
        .shape
        .iter()
        .try_fold(header.element.bytes()?, |n, &dim| n.checked_mul(dim))
}

/// Reads what stands before the elements.
pub(super) fn preamble(
    what: &str,
    source: &mut impl Read,
) -> Result<Option<Preamble>, FramesError> {
    let mut start = [0u8; 8];
    match fill(source, &mut start).map_err(|e| read_error(what, e))? {
        0 => return Ok(None),
        8 => {}
        _ => return Err(damaged(what, "it ends early")),
    }
    if !start.starts_with(MAGIC) {
        return Err(damaged(what, "wrong magic"));
    }
    let wide = match start[6] {
        1 => false,
        2 | 3 => true,
        _ => return Err(damaged(what, "unknown version")),
    };
    let mut len = [0u8; 4];
    let bytes = if wide { &mut len[..] } else { &mut len[..2] };
    exact(what, source, bytes)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > LONGEST_HEADER {
        return Err(damaged(what, "it is too long"));
    }
    let mut text = vec![0u8; len];
    exact(what, source, &mut text)?;
    let text = str::from_utf8(&text).map_err(|_| damaged(what, "it is not text"))?;
    parse(text).map(Some).map_err(|why| damaged(what, why))
}

/// Reads the dictionary, of which numpy writes exactly three keys.
fn parse(text: &str) -> Result<Preamble, &'static str> {
    let value = |key: &str| {
        let (_, rest) = text.split_once(key)?;
        Some(rest.trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = value("'descr'")
        .and_then(|v| v.strip_prefix('\''))
        .and_then(|v| v.split_once('\''));
    // A structured array has a list here; it is listed under the list's text.
    let element = match descr {
        Some((descr, _)) => element(descr),
        None if text.contains("'descr'") => Element::Other("a structured type".to_owned()),
        None => return Err("no descr"),
    };
    let fortran = match value("'fortran_order'") {
        Some(v) if v.starts_with("False") => false,
        Some(v) if v.starts_with("True") => true,
        _ => return Err("no fortran_order"),
    };
    let shape = value("'shape'")
        .and_then(|v| v.strip_prefix('('))
        .and_then(|v| v.split_once(')'))
        .ok_or("no shape")?;
    let shape = shape
        .0
        .split(',')
        .map(str::trim)
        .filter(|n| !n.is_empty())
        .map(|n| n.parse::<usize>().map_err(|_| "a dimension is no number"))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Preamble {
        header: Header {
            name: String::new(),
            element,
            shape,
        },
        fortran,
    })
}

fn element(descr: &str) -> Element {
    match descr {
        "|i1" | "<i1" => Element::Model(Dtype::I8),
        "|u1" | "<u1" => Element::Model(Dtype::U8),
        "<i2" => Element::Model(Dtype::I16),
        "<i4" => Element::Model(Dtype::I32),
        "<f4" => Element::Model(Dtype::F32),
        "|b1" => Element::Bool,
        "<u2" => Element::U16,
        "<u4" => Element::U32,
        "<i8" => Element::I64,
        "<u8" => Element::U64,
        "<f8" => Element::F64,
        other => text(other).unwrap_or_else(|| Element::Other(other.to_owned())),
    }
}

/// `<U12`, or `|S12`.
fn text(descr: &str) -> Option<Element> {
    let wide = descr.strip_prefix("<U").and_then(|len| len.parse().ok());
    let narrow = descr.strip_prefix("|S").and_then(|len| len.parse().ok());
    wide.map(Element::Unicode).or(narrow.map(Element::Ascii))
}

fn descr(element: &Element) -> Cow<'_, str> {
    let known = match element {
        Element::Model(Dtype::I8) => "|i1",
        Element::Model(Dtype::U8) => "|u1",
        Element::Model(Dtype::I16) => "<i2",
        Element::Model(Dtype::I32) => "<i4",
        Element::Model(Dtype::F32) => "<f4",
        Element::Bool => "|b1",
        Element::U16 => "<u2",
        Element::U32 => "<u4",
        Element::I64 => "<i8",
        Element::U64 => "<u8",
        Element::F64 => "<f8",
        Element::Unicode(len) => return format!("<U{len}").into(),
        Element::Ascii(len) => return format!("|S{len}").into(),
        Element::Other(name) => name,
    };
    known.into()
}

/// Fortran order has the first axis fastest.
fn to_c_order(bytes: &[u8], element: usize, shape: &[usize]) -> Vec<u8> {
    let mut stride = element;
    let mut order = Vec::with_capacity(shape.len());
    for &len in shape {
        order.push((len, stride));
        stride *= len;
    }
    gather(bytes, element, &order)
}

/// Reads until `buffer` is full or the source ends, and says how much came.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match source.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(have)
}

fn exact(what: &str, source: &mut impl Read, buffer: &mut [u8]) -> Result<(), FramesError> {
    let have = fill(source, buffer).map_err(|e| read_error(what, e))?;
    if have == buffer.len() {
        Ok(())
    } else {
        Err(damaged(what, "it ends early"))
    }
}

fn read_error(what: &str, source: io::Error) -> FramesError {
    FramesError::Read {
        what: what.to_owned(),
        source,
    }
}

fn damaged(what: &str, why: &'static str) -> FramesError {
    FramesError::Npy {
        what: what.to_owned(),
        why,
    }
}
