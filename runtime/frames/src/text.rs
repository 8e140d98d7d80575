//! Text as numpy keeps it: elements of one length, padded with zeros.

use super::{Element, Header};

/// The elements of an array of text. What is no character becomes U+FFFD.
pub(super) fn texts(header: &Header, bytes: &[u8]) -> Option<Vec<String>> {
    let count = header.shape.iter().product();
    let one = |element: &[u8]| match header.element {
        Element::Unicode(_) => {
            let codes = element.as_chunks::<4>().0.iter();
            let codes = codes.map(|code| u32::from_le_bytes(*code));
            let text =
                codes.map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            text.collect()
        }
        _ => String::from_utf8_lossy(element).into_owned(),
    };
    match header.element {
        Element::Unicode(0) | Element::Ascii(0) => Some(vec![String::new(); count]),
        Element::Unicode(_) | Element::Ascii(_) => {
            let padded = bytes.chunks(header.element.bytes()?).map(one);
            Some(
                padded
                    .map(|text| text.trim_end_matches('\0').to_owned())
                    .collect(),
            )
        }
        _ => None,
    }
}
