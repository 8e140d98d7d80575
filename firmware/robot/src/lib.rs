//! Sensor drivers over embedded-hal, and the windows of samples that models take.
#![no_std]
#![forbid(unsafe_code)]
