//! Holdouts for [`classifier`](super::plan::classifier): each slice has a value of its own.

use sanderling_frames::{Array, Element, Header, to_bytes};
use sanderling_plan::Dtype;

/// A slice: its name, the value that its frames have at the right class, and how many frames there are.
pub type Slice = (&'static str, u8, usize);

/// A `.npz` with frames of four classes by turns. A classifier that does not hear a slice's value is right about one
/// frame of four in it.
pub fn holdout(slices: &[Slice]) -> Vec<u8> {
    let (mut inputs, mut labels, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for &(name, value, frames) in slices {
        for frame in 0..frames {
            let class = frame % 4;
            let mut input = [0; 4];
            input[class] = value;
            inputs.extend(input);
            labels.extend((class as i64).to_le_bytes());
            let mut word: Vec<u32> = name.chars().map(u32::from).collect();
            word.resize(16, 0);
            names.extend(word.into_iter().flat_map(u32::to_le_bytes));
        }
    }
    let frames: usize = slices.iter().map(|slice| slice.2).sum();
    let array = |name: &str, element, shape: &[usize], bytes| {
        let header = Header {
            name: name.to_owned(),
            element,
            shape: shape.to_vec(),
        };
        Array::new(header, bytes).unwrap()
    };
    let arrays = [
        array("input", Element::Model(Dtype::I8), &[frames, 4], inputs),
        array("label", Element::I64, &[frames], labels),
        array("slice", Element::Unicode(16), &[frames], names),
    ];
    to_bytes("holdout.npz".as_ref(), &arrays).unwrap()
}
