//! Every operator against an oracle that is written out over every index, in wide
//! integers, by someone who had only the formula.

mod linear;
mod maps;
mod moves;
mod pairs;
mod picks;
mod real_sums;
mod reals;
mod single;
mod wide;
mod windows;
