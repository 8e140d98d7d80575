//! The machine under chosen and random events: what must hold whatever comes, how often, and in which order.

mod fleet;
mod properties;
mod strategies;
