//! Runs a plan: one file per operator, one per instruction set, no heap.
#![no_std]
#![forbid(unsafe_code)]
