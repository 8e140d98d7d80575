//! Kernel, strides, dilations, and padding of convolutions and pools.

use super::Why;
use crate::graph::Node;

/// Where a window starts and how it moves, rows first. One-dimensional windows have
/// one row.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Input positions between two outputs.
    pub stride: [usize; 2],
    /// Input positions between two taps.
    pub dilation: [usize; 2],
    /// Padding above and to the left.
    pub pad: [usize; 2],
}

impl Window {
    /// The window of `node` over an input of `input` rows and columns, giving `output`
    /// rows and columns.
    pub fn of(
        node: &Node,
        kernel: &[usize],
        input: [usize; 2],
        output: [usize; 2],
    ) -> Result<Self, Why> {
        let spatial = kernel.len();
        if !(1..=2).contains(&spatial) {
            return Err(format!(
                "{spatial} spatial dimensions; only one or two are supported"
            ));
        }
        let pair = |name: &str, default: usize| -> Result<[usize; 2], Why> {
            let Some(values) = node.ints(name) else {
                return Ok([default; 2]);
            };
            match *values {
                [w] if spatial == 1 => Ok([default, positive(name, w)?]),
                [h, w] if spatial == 2 => Ok([positive(name, h)?, positive(name, w)?]),
                _ => Err(format!(
                    "its {name} do not fit {spatial} spatial dimensions"
                )),
            }
        };
        let kernel = if spatial == 1 {
            [1, kernel[0]]
        } else {
            [kernel[0], kernel[1]]
        };
        let mut window = Window {
            kernel,
            stride: pair("strides", 1)?,
            dilation: pair("dilations", 1)?,
            pad: [0, 0],
        };
        window.pad = match node.text("auto_pad").unwrap_or("NOTSET") {
            "NOTSET" | "" => {
                let pads = node.ints("pads").unwrap_or(&[]);
                match *pads {
                    [] => [0, 0],
                    [w, _] if spatial == 1 => [0, padding(w)?],
                    [h, w, _, _] if spatial == 2 => [padding(h)?, padding(w)?],
                    _ => return Err(format!("its pads do not fit {spatial} spatial dimensions")),
                }
            }
            "VALID" => [0, 0],
            "SAME_UPPER" => window.same(input, output, 0),
            "SAME_LOWER" => window.same(input, output, 1),
            other => return Err(format!("auto_pad {other} is unknown")),
        };
        Ok(window)
    }

    /// Padding before, such that the output has its size; an odd rest goes after, or
    /// before with `lower`.
    fn same(&self, input: [usize; 2], output: [usize; 2], lower: usize) -> [usize; 2] {
        [0, 1].map(|i| {
            let reach = (output[i].max(1) - 1) * self.stride[i]
                + (self.kernel[i] - 1) * self.dilation[i]
                + 1;
            (reach.saturating_sub(input[i]) + lower) / 2
        })
    }
}

fn positive(name: &str, value: i64) -> Result<usize, Why> {
    bounded(value)
        .filter(|&v| v > 0)
        .ok_or_else(|| format!("{value} in its {name}"))
}

fn padding(value: i64) -> Result<usize, Why> {
    bounded(value).ok_or_else(|| format!("padding of {value}; negative padding is not supported"))
}

/// A size that a plan's field holds and that arithmetic with a few others cannot overflow.
fn bounded(value: i64) -> Option<usize> {
    usize::try_from(value).ok().filter(|&size| size < 1 << 24)
}
