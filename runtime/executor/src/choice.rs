//! What runs a model.

use std::fmt;

/// What the caller asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The engine for a plan and for a quantized ONNX file, tract for a float one. A
    /// quantized file that the compiler refuses is an error, not a reason to take tract.
    #[default]
    Auto,
    /// The engine, or an error.
    Engine,
    /// tract, or an error; it computes quantized ONNX files in float.
    Tract,
    /// The engine for the integer regions of an ONNX file and tract for the rest, or an
    /// error where there is no region.
    Mixed,
}

/// What runs the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The integer engine, in one arena, without the allocator.
    Engine,
    /// tract.
    Tract,
    /// tract, with the integer regions in the engine.
    Mixed,
}

impl Kind {
    /// Its name on the command line and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Tract => "tract",
            Self::Mixed => "mixed",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
