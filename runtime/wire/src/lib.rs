//! What robot and fleet say to each other: postcard messages, topics, chunk arithmetic.
#![no_std]
#![forbid(unsafe_code)]
