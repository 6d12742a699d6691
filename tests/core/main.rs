//! The host tests, one binary: the machines through their inputs alone, on virtual time and on
//! the same SQL as in the object.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what is not as expected fails the test"
)]

mod architecture;
mod hibernation;
mod room;
mod simulation;
mod support;
mod tables;
