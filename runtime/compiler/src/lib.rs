//! ONNX to plan: import, match, plan memory, pack, emit.
#![forbid(unsafe_code)]
