//! Resources: one row of the table of routes.
//!
//! Path, access, time limit and handlers. The router makes the routes from it and the document its
//! paths, so neither can lack a route that the other has.
//!
//! Next: `router.rs` (the table).

use utoipa_axum::router::UtoipaMethodRouter;

use crate::state::SharedState;

pub struct Resource {
    /// As the document and each handler's own `path` spell it. Both spellings of the final slash are
    /// answered.
    pub path: &'static str,
    /// Needs no key.
    pub public: bool,
    /// Reading it may spend the upstream's quota.
    pub costs_quota: bool,
    pub time_limit: TimeLimit,
    /// A page or a file of one: links to it may have parameters that only its scripts read.
    pub any_query: bool,
    /// The handlers by method, with their part of the document.
    pub handlers: UtoipaMethodRouter<SharedState>,
}

/// How long a route may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLimit {
    /// The usual limit.
    Quick,
    /// Uploads and streams, which have a limit on each piece.
    Long,
    /// Probes and scrapes: never limited or shed, logged at debug.
    Probe,
}

impl Resource {
    pub fn public(self) -> Self {
        Self { public: true, ..self }
    }

    pub fn any_query(self) -> Self {
        Self { any_query: true, ..self }
    }

    pub fn costs_quota(self) -> Self {
        Self { costs_quota: true, ..self }
    }
}

pub fn quick(path: &'static str, handlers: UtoipaMethodRouter<SharedState>) -> Resource {
    Resource {
        path,
        public: false,
        costs_quota: false,
        time_limit: TimeLimit::Quick,
        any_query: false,
        handlers,
    }
}

pub fn long(path: &'static str, handlers: UtoipaMethodRouter<SharedState>) -> Resource {
    Resource { time_limit: TimeLimit::Long, ..quick(path, handlers) }
}

pub fn probe(path: &'static str, handlers: UtoipaMethodRouter<SharedState>) -> Resource {
    Resource { time_limit: TimeLimit::Probe, ..quick(path, handlers) }
}
