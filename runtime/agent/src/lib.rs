//! The robot's Linux process: sources, inference, publishing, updating.
#![forbid(unsafe_code)]
