//! Decisions as functions over values: no clock, no network, no database.

pub mod access;
pub mod broker;
pub mod bucket;
pub mod fit;
pub mod frames;
pub mod latency;
pub mod mosquitto;
pub mod news;
pub mod places;
pub mod presence;
pub mod standing;
pub mod supply;
pub mod worse;
