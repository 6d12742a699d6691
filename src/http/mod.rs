//! HTTP as plain data: a request into what it wants, a result into a response. Knows no Workers,
//! no machine and no key; routes are on one screen in `route.rs`.
//!
//! A request goes through: `cors` (is the page it comes from welcome), `route` (what is it),
//! `token` (where its token stands; `auth/` judges it), then `connect` for a WebSocket, or `rest`
//! for an [`Op`] whose answer becomes a [`Response`] again.
//!
//! Invariant: no input is a 500; what is refused is a [`Refusal`] with a code of `error.rs`.

pub mod about;
mod body;
pub mod connect;
pub mod cors;
mod op;
pub mod problem;
mod query;
pub mod rest;
mod route;
pub mod token;

use std::fmt;

use serde::Serialize;

use crate::error::Rejected;

pub use op::Op;
pub use query::Query;
pub use route::{Action, Route};

/// A request without its body, as it came.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// In capitals.
    pub method: &'a str,
    /// Of the URL: `http` or `https`.
    pub scheme: &'a str,
    /// Of the URL, percent-encoded, with its leading slash.
    pub path: &'a str,
    /// Of the URL, without the question mark.
    pub query: &'a str,
    /// By name, in lower case; several of one name joined by commas.
    pub header: &'a dyn Fn(&str) -> Option<String>,
}

/// A response, all of it. Names of headers are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// A refusal, and what HTTP wants to know besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub rejected: Rejected,
    /// The `Allow` header of a 405.
    pub allow: Option<String>,
}

impl Request<'_> {
    pub fn header(&self, name: &str) -> Option<String> {
        (self.header)(name)
    }

    pub fn is_upgrade(&self) -> bool {
        let upgrade = self.header("upgrade").unwrap_or_default();
        self.method == "GET" && upgrade.trim().eq_ignore_ascii_case("websocket")
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query may hold a token.
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Response {
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        Self::typed(status, "application/json", body)
    }

    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// What `method` gets of it: HEAD the headers alone.
    #[must_use]
    pub fn to_method(mut self, method: &str) -> Self {
        if method == "HEAD" {
            self.body.clear();
        }
        self
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn typed(status: u16, content_type: &str, body: &impl Serialize) -> Self {
        let body = serde_json::to_string(body).expect("our own types write as JSON");
        // Every answer depends on who asks and when.
        Self {
            status,
            headers: Vec::new(),
            body,
        }
        .with("content-type", content_type)
        .with("cache-control", "no-store")
    }
}

impl From<Rejected> for Refusal {
    fn from(rejected: Rejected) -> Self {
        Self {
            rejected,
            allow: None,
        }
    }
}

#[cfg(test)]
mod tests;
