//! What a method and a path mean. All routes are on one screen, in [`find`]; which methods a path
//! knows is asked of the same table, so a 405 cannot disagree with it. Source: `interface.md`,
//! "Paths".

use super::Refusal;
use super::query::{percent_decoded, percent_encoded};
use crate::error::{Code, Rejected};
use crate::id::{JobId, RoomName};

/// A place of the service. Nothing of the query is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `GET /`: the page, or what the service is.
    About,
    Health,
    /// A REST request to one room.
    Room(RoomName, Action),
    /// A WebSocket; the room may be in the path.
    Socket(Option<RoomName>),
}

/// What a REST request wants of its room, as far as method and path say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    History,
    JobCancel(JobId),
    JobCreate,
    JobList,
    JobRead(JobId),
    JobRetry(JobId),
    Members,
    #[cfg(feature = "panic-route")]
    Panic,
    Publish,
}

impl Route {
    /// HEAD is as GET.
    ///
    /// # Errors
    /// `not_found` for an unknown path or a job that cannot be, `method_not_allowed` with `Allow`,
    /// `invalid_name`.
    pub fn parse(method: &str, path: &str) -> Result<Self, Refusal> {
        let method = if method == "HEAD" { "GET" } else { method };
        let segments: Vec<&str> = segments(path);
        if let Some(route) = find(method, &segments) {
            return Ok(route?);
        }
        let Some(allow) = Self::allow(path) else {
            return Err(Rejected::new(Code::NotFound, "no such path").into());
        };
        let detail = format!("this path takes {allow}");
        let rejected = Rejected::new(Code::MethodNotAllowed, detail);
        Err(Refusal {
            rejected,
            allow: Some(allow),
        })
    }

    /// The methods a path knows, as in `Allow`; nothing for an unknown path.
    pub fn allow(path: &str) -> Option<String> {
        let segments = segments(path);
        let mut known = Vec::new();
        for method in ["GET", "POST"] {
            if find(method, &segments).is_some() {
                known.push(method);
            }
        }
        let first = known.first()?;
        if *first == "GET" {
            known.insert(1, "HEAD");
        }
        known.push("OPTIONS");
        Some(known.join(", "))
    }

    /// What needs no token; the assets never come here. Everything else does.
    pub const fn is_public(&self) -> bool {
        matches!(self, Self::About | Self::Health)
    }

    /// The inverse of [`Route::parse`].
    pub fn path(&self) -> (&'static str, String) {
        match self {
            Self::About => ("GET", "/".into()),
            Self::Health => ("GET", "/health".into()),
            Self::Room(room, action) => {
                let (method, rest) = action.path();
                (
                    method,
                    format!("/v1/rooms/{}/{rest}", percent_encoded(room)),
                )
            }
            Self::Socket(None) => ("GET", "/ws".into()),
            Self::Socket(Some(room)) => ("GET", format!("/rooms/{}/ws", percent_encoded(room))),
        }
    }
}

impl Action {
    fn path(self) -> (&'static str, String) {
        match self {
            Self::History => ("GET", "messages".into()),
            Self::JobCancel(job) => ("POST", format!("jobs/{job}/cancel")),
            Self::JobCreate => ("POST", "jobs".into()),
            Self::JobList => ("GET", "jobs".into()),
            Self::JobRead(job) => ("GET", format!("jobs/{job}")),
            Self::JobRetry(job) => ("POST", format!("jobs/{job}/retry")),
            Self::Members => ("GET", "members".into()),
            #[cfg(feature = "panic-route")]
            Self::Panic => ("POST", "panic".into()),
            Self::Publish => ("POST", "messages".into()),
        }
    }
}

/// Every route. Nothing for one that is not there, a refusal for one with a name that is none.
fn find(method: &str, segments: &[&str]) -> Option<Result<Route, Rejected>> {
    let in_room =
        |text: &str, action: Result<Action, Rejected>| Ok(Route::Room(room(text)?, action?));
    Some(match (method, segments) {
        ("GET", [""]) => Ok(Route::About),
        ("GET", ["health"]) => Ok(Route::Health),
        ("GET", ["ws"]) => Ok(Route::Socket(None)),
        ("GET", ["rooms", r, "ws"]) => room(r).map(|room| Route::Socket(Some(room))),
        ("POST", ["v1", "rooms", r, "messages"]) => in_room(r, Ok(Action::Publish)),
        ("GET", ["v1", "rooms", r, "messages"]) => in_room(r, Ok(Action::History)),
        ("GET", ["v1", "rooms", r, "members"]) => in_room(r, Ok(Action::Members)),
        ("POST", ["v1", "rooms", r, "jobs"]) => in_room(r, Ok(Action::JobCreate)),
        ("GET", ["v1", "rooms", r, "jobs"]) => in_room(r, Ok(Action::JobList)),
        ("GET", ["v1", "rooms", r, "jobs", j]) => in_room(r, job(j).map(Action::JobRead)),
        ("POST", ["v1", "rooms", r, "jobs", j, "cancel"]) => {
            in_room(r, job(j).map(Action::JobCancel))
        }
        ("POST", ["v1", "rooms", r, "jobs", j, "retry"]) => {
            in_room(r, job(j).map(Action::JobRetry))
        }
        #[cfg(feature = "panic-route")]
        ("POST", ["v1", "rooms", r, "panic"]) => in_room(r, Ok(Action::Panic)),
        _ => return None,
    })
}

/// One more than the longest route has, so that no path costs more than that.
fn segments(path: &str) -> Vec<&str> {
    path.strip_prefix('/')
        .map(|path| path.splitn(SEGMENTS_MAX + 1, '/').collect())
        .unwrap_or_default()
}

fn room(segment: &str) -> Result<RoomName, Rejected> {
    // What does not decode has a percent sign left, and that is in no name.
    RoomName::parse(percent_decoded(segment).as_deref().unwrap_or(segment))
}

/// Ids are opaque to clients: one in their alphabet that was never ours is only not found.
fn job(segment: &str) -> Result<JobId, Rejected> {
    let text = percent_decoded(segment);
    let text = text.as_deref().unwrap_or(segment);
    if RoomName::parse(text).is_err() {
        let detail = "a job's id has 1 to 128 characters of A-Z a-z 0-9 _ - . : @ | + =";
        return Err(Rejected::new(Code::InvalidName, detail));
    }
    JobId::parse(text).ok_or_else(|| Rejected::new(Code::NotFound, "no such job"))
}

const SEGMENTS_MAX: usize = 6;
