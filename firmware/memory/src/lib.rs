//! `memcpy`, `memmove`, `memset`, and `memcmp` for Cortex-M in 300 bytes.
//!
//! Rust's own are written for speed on long buffers and take ten times as many; what an
//! engine copies is short mostly, so that these take fewer instructions as well. An image
//! has them once it says `use sanderling_memory as _;`.
//!
//! `examples/check.rs` compares them with what slices do, under QEMU.
#![no_std]
#![deny(unsafe_code)]

#[cfg(all(target_arch = "arm", target_os = "none"))]
mod thumb;
