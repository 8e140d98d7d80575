//! Sensor drivers over embedded-hal, and the windows of samples that models take.
//!
//! ```text
//!   Mpu6050, Ina219     drivers: hold no bus, every call borrows it
//!   Wheel               encoder counts to speed, pure arithmetic
//!   terrain::Sampler    reads them all, one sample of ten channels
//!   Window              the last N samples, written out channel by channel
//! ```
//!
//! A robot calls the sampler at the model's rate (100 Hz for the terrain model) and
//! copies the window into the engine's input when it is full.
//!
//! No allocation, no floating-point state that outlives a reading, and every reading is
//! finite: registers are integers, and what a sensor marks as overflown is an error.
#![no_std]
#![forbid(unsafe_code)]

mod ina219;
mod mpu6050;
pub mod terrain;
mod wheel;
mod window;

pub use ina219::{Ina219, Ina219Error};
pub use mpu6050::{AccelerationRange, Motion, Mpu6050, Mpu6050Error, RotationRange};
pub use wheel::Wheel;
pub use window::Window;
