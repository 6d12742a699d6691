//! What a REST request asks of a room: the meeting point of routes and bodies on one side and the
//! room's object on the other. Also which status its answer has.
//!
//! Crosses objects (`edge/stub.rs`), so its written form is stable: variants and fields are added,
//! never renamed.

use serde::{Deserialize, Serialize};

use super::{Response, problem};
use crate::grant::Scope;
use crate::id::{JobId, UserId};
use crate::message::{Answer, JobState, NewJob, PageQuery, Publication, Reply};

/// One request to one room. Rights are not checked here: [`Op::scope`] says which it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    History(PageQuery),
    JobCancel {
        job: JobId,
    },
    JobCreate(NewJob),
    /// Newest first; all states if none is given.
    JobList {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<JobState>,
    },
    JobRead {
        job: JobId,
    },
    JobRetry {
        job: JobId,
    },
    Members {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<UserId>,
        /// 0 is the count alone.
        limit: usize,
    },
    /// For the test that a panic in one room harms nobody else.
    #[cfg(feature = "panic-route")]
    Panic,
    Publish(Publication),
}

impl Op {
    /// The right it takes.
    pub const fn scope(&self) -> Scope {
        match self {
            Self::History(_) => Scope::RoomsHistory,
            Self::JobCancel { .. } | Self::JobCreate(_) | Self::JobRetry { .. } => Scope::JobsWrite,
            Self::JobList { .. } | Self::JobRead { .. } => Scope::JobsRead,
            Self::Members { .. } => Scope::RoomsJoin,
            #[cfg(feature = "panic-route")]
            Self::Panic => Scope::RoomsPublish,
            Self::Publish(_) => Scope::RoomsPublish,
        }
    }

    /// Of success: 202 where something was accepted that others are yet to see the end of.
    pub const fn status(&self) -> u16 {
        match self {
            Self::JobCreate(_) | Self::JobRetry { .. } | Self::Publish(_) => 202,
            _ => 200,
        }
    }

    /// The room's answer as the client gets it. A job stands by itself here; only on a socket is
    /// it under its name.
    pub fn respond(&self, answer: &Answer) -> Response {
        match answer {
            Ok(Reply::JobCreated { job }) => Response::json(self.status(), job),
            Ok(reply) => Response::json(self.status(), reply),
            Err(rejected) => problem::response(&rejected.clone().into()),
        }
    }
}
