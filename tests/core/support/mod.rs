//! What the tests speak with: storage, an object in a world of sockets, clients that remember.

pub mod client;
pub mod sqlite;
pub mod world;
