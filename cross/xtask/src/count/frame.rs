//! The frame that is counted: pseudo-random from a seed, or one of a file.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::npz::{self, Array, Dtype};

/// An input or output as `sanderling inspect --json` describes it.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name in the model.
    pub name: String,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, batch included.
    pub shape: Vec<usize>,
}

impl Port {
    /// Reads the list `key` of a description.
    pub fn all(description: &Value, key: &str) -> anyhow::Result<Vec<Self>> {
        let ports = description[key].as_array();
        let one = |port: &Value| {
            let shape = port["shape"].as_array()?.iter();
            Some(Port {
                name: port["name"].as_str()?.to_string(),
                dtype: Dtype::from_name(port["dtype"].as_str()?)?,
                shape: shape
                    .map(|dim| usize::try_from(dim.as_u64()?).ok())
                    .collect::<Option<_>>()?,
            })
        };
        ports
            .and_then(|ports| ports.iter().map(one).collect())
            .with_context(|| format!("the description of the plan has no usable {key}"))
    }

    /// The shape of one frame's array, its first axis counting frames.
    fn frame_shape(&self) -> Vec<usize> {
        let batch = usize::from(self.shape.first() == Some(&1));
        [&[1], self.shape.get(batch..).unwrap_or_default()].concat()
    }

    /// Elements of the tensor.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Where the frame comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Pseudo-random: integers over the whole range of their type, reals from -1 to 1.
    Seed(u64),
    /// A `.npz` or `.npy`, and the index along its first axis.
    File(PathBuf, usize),
}

impl Source {
    /// As text for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Seed(seed) => format!("pseudo-random, seed {seed}"),
            Self::File(path, frame) => format!("frame {frame} of {}", path.display()),
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        match self {
            Self::Seed(seed) => json!({ "seed": seed }),
            Self::File(path, frame) => json!({ "file": path, "frame": frame }),
        }
    }

    /// One frame for each of the inputs.
    pub fn frames(&self, inputs: &[Port]) -> anyhow::Result<Vec<Array>> {
        let mut random = Random(match self {
            Self::Seed(seed) => *seed,
            Self::File(..) => 0,
        });
        let one = |port: &Port| match self {
            Self::Seed(_) => Ok(random.array(port)),
            Self::File(path, frame) => read(path, *frame, port, inputs.len() == 1),
        };
        inputs.iter().map(one).collect()
    }
}

/// Frame number `frame` for `port`: the array of its name, or, for an only input, `input`
/// or `input_q`, whichever has the input's type first.
fn read(path: &Path, frame: usize, port: &Port, single: bool) -> anyhow::Result<Array> {
    let mut names = vec![port.name.as_str()];
    if single {
        names.extend(["input", "input_q"]);
    }
    for name in names {
        let Some(array) = npz::find(path, name)?.filter(|array| array.dtype == port.dtype) else {
            continue;
        };
        let long = |shape: &[usize]| {
            shape
                .iter()
                .copied()
                .filter(|&n| n != 1)
                .collect::<Vec<_>>()
        };
        let dims = array.shape.get(1..).unwrap_or_default();
        if long(dims) != long(&port.shape) {
            bail!(
                "{}: frames of `{name}` are {dims:?}, the input `{}` takes {:?}",
                path.display(),
                port.name,
                port.shape
            );
        }
        let size = array.frame_bytes();
        let bytes = array.bytes.get(frame * size..(frame + 1) * size);
        return Ok(Array {
            dtype: port.dtype,
            shape: port.frame_shape(),
            bytes: bytes
                .with_context(|| format!("{} has no frame {frame}", path.display()))?
                .to_vec(),
        });
    }
    bail!(
        "{} has no array of {} for the input `{}`; without --input the frame is pseudo-random",
        path.display(),
        port.dtype.name(),
        port.name
    )
}

/// The generator SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn array(&mut self, port: &Port) -> Array {
        let mut bytes = Vec::new();
        for _ in 0..port.elements() {
            let word = self.next();
            match port.dtype {
                Dtype::F32 => {
                    // 24 bits are what single precision holds.
                    let unit = (word >> 40) as f32 / (1u32 << 24) as f32;
                    bytes.extend((2.0 * unit - 1.0).to_le_bytes());
                }
                dtype => bytes.extend(&word.to_le_bytes()[..dtype.bytes()]),
            }
        }
        Array {
            dtype: port.dtype,
            shape: port.frame_shape(),
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_frame_every_time() {
        let port = Port {
            name: "x".into(),
            dtype: Dtype::I8,
            shape: vec![1, 3, 5],
        };
        let [a, b] = [7, 7].map(|seed| Source::Seed(seed).frames(slice::from_ref(&port)).unwrap());
        assert_eq!(a, b);
        assert_eq!((a[0].bytes.len(), &a[0].shape), (15, &vec![1, 3, 5]));
        assert_ne!(a, Source::Seed(8).frames(&[port]).unwrap());
    }
}
