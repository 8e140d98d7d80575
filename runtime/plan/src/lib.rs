//! What a compiled model is, byte by byte: layout, checked view, writer.
#![no_std]
#![forbid(unsafe_code)]
