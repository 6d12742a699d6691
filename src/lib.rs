//! tertulia: rooms, presence, jobs and AI answers at the edge.
//!
//! Bytes come in at the edge, a codec turns them into one vocabulary, synchronous machines decide
//! in one transaction per tick, and effects go out again. `ARCHITECTURE.md` is the map.
//!
//! - leaf files: [`config`] [`error`] [`field`] [`grant`] [`id`] [`limits`] [`random`] [`sql`] [`time`]
//! - the vocabulary of clients, [`message`], and the seam between home and room, [`link`]
//! - the machines: [`home`] (connections), [`room`] (people and messages), [`queue`] (jobs)
//! - [`auth`] (who calls), [`ai`] (providers), [`wire`] (protocols), [`http`] (routes)
//! - [`edge`]: the tick, and the only code that touches Workers

#![forbid(unsafe_op_in_unsafe_fn)]

pub mod ai;
pub mod auth;
pub mod config;
pub mod edge;
pub mod error;
pub mod field;
pub mod grant;
pub mod home;
pub mod http;
pub mod id;
pub mod limits;
pub mod link;
pub mod message;
pub mod queue;
pub mod random;
pub mod room;
pub mod sql;
pub mod time;
pub mod wire;
