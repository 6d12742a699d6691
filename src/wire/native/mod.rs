//! The native protocol, `tertulia.v1`: one JSON object a text frame, or an array of them.
//! Source: `interface.md`, "Native protocol"; `decisions.md`, "Refusals".
//!
//! A frame goes through four steps: is it JSON (else an echo), is it a message (else
//! `bad_message`), is its type known (else `unknown_type`), is its payload as it should be (else
//! `invalid_payload` or `invalid_name`, naming the field). Knows neither rooms nor rights: whether
//! a request is allowed is for others to say.
//!
//! Invariants: a body is never parsed, it stays the text it came in; no depth of nesting costs
//! stack, because what is not read is skipped and what is read is measured first.

mod ask;
mod decode;
mod encode;
mod payload;
#[cfg(test)]
mod tests;

pub(super) use decode::decode;
pub(super) use encode::{encode_echo, encode_envelope, encode_error, encode_pong, encode_reply};
