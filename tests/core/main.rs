//! The host tests, one binary: the machines through their inputs alone, on virtual time and on
//! the same SQL as in the object.

mod architecture;
mod hibernation;
mod room;
mod simulation;
mod support;
mod tables;
