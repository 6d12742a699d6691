//! The edge: where bytes, time, randomness and storage come in and effects go out. What is pure
//! here ([`object`] and what it needs, [`turn`], [`alarm`], [`stub`]) is compiled on the host too, where the
//! simulation runs it; everything else is the only code that touches Workers.

pub mod alarm;
mod calls;
mod exchange;
pub mod object;
pub mod stub;
pub mod turn;

#[cfg(target_arch = "wasm32")]
mod clock;
#[cfg(target_arch = "wasm32")]
mod consumer;
#[cfg(target_arch = "wasm32")]
mod effects;
#[cfg(target_arch = "wasm32")]
mod entry;
#[cfg(target_arch = "wasm32")]
mod inbox;
#[cfg(target_arch = "wasm32")]
mod js;
#[cfg(target_arch = "wasm32")]
mod log;
#[cfg(target_arch = "wasm32")]
mod outbound;
#[cfg(target_arch = "wasm32")]
mod port;
#[cfg(target_arch = "wasm32")]
mod queue;
#[cfg(target_arch = "wasm32")]
mod request;
#[cfg(target_arch = "wasm32")]
mod response;
#[cfg(target_arch = "wasm32")]
mod room_object;
#[cfg(target_arch = "wasm32")]
mod setup;
#[cfg(target_arch = "wasm32")]
mod sql;

// Linked for what worker-build's shim calls: the start function, which logs panics, and the
// rebuilding of the instance after a hard abort.
#[cfg(target_arch = "wasm32")]
use worker as _;
