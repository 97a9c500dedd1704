//! The circuit breakers of the sources, as operators see them: which are open, and their reset.
//!
//! Guarantees: neither creates a file. A reset reaches every producer that uses the same file, also
//! one that is running: each asks the file before each request.
//! Does not: reach the outboxes of other hosts; each host has its own count.
//! Next: [`breaker`](super::breaker).

use chrono::{DateTime, Utc};
use isobar_settings::Settings;

use super::breaker::SourceBreaker;
use super::failure_log::{self, FailureLog};
use crate::outbox::{OpenError, Outbox};

/// A source that is not asked until then.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OpenSource {
    pub host: String,
    pub outbox: String,
    pub until: DateTime<Utc>,
}

/// The sources whose breaker is open, in any outbox of this host.
pub async fn open_sources(settings: &Settings) -> Result<Vec<OpenSource>, OpenError> {
    let mut open = Vec::new();
    for outbox in outboxes(settings)? {
        for host in failure_log::hosts(outbox.db()).await? {
            let log = FailureLog { db: outbox.db().clone(), host: host.clone() };
            let breaker = SourceBreaker::new(settings.source_breaker, log);
            let name = outbox.path().display().to_string();
            let until = breaker.open_until().await?;
            open.extend(until.map(|until| OpenSource { host, outbox: name, until }));
        }
    }
    Ok(open)
}

/// Forgets all failures, so that every source is asked again. Returns the hosts that had some.
pub async fn reset_sources(settings: &Settings) -> Result<Vec<String>, OpenError> {
    let mut reset = Vec::new();
    for outbox in outboxes(settings)? {
        for host in failure_log::hosts(outbox.db()).await? {
            FailureLog { db: outbox.db().clone(), host: host.clone() }.clear().await?;
            reset.push(host);
        }
    }
    reset.sort();
    reset.dedup();
    Ok(reset)
}

fn outboxes(settings: &Settings) -> Result<Vec<Outbox>, OpenError> {
    let paths = settings.outboxes().into_iter().filter(|path| path.exists());
    paths.map(|path| Outbox::open(&path)).collect()
}
