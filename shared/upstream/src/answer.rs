//! Answer: the outcome of one request to an upstream, as its caller has to treat it.
//!
//! Next: [`crate::client`], which makes an answer out of a response.

use chrono::{DateTime, Utc};

/// The outcome of one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T> {
    Ok(T),
    /// A failure that may pass: give the entries back and count an attempt.
    Retry {
        code: &'static str,
        reason: String,
    },
    /// The request was too large: cut it in two.
    TooLarge {
        reason: String,
    },
    /// One location is at fault. Bisect several; a single one has failed.
    BadLocation {
        code: &'static str,
        reason: String,
    },
    /// Not now (I7): stop reading until then, count no attempt.
    Wait {
        until: DateTime<Utc>,
        why: WaitReason,
    },
    /// An operator must fix the key, the plan or the address: stop reading, report the reason.
    Misconfigured {
        reason: String,
    },
}

impl<T> Answer<T> {
    /// The value, or the failure as an answer of another type.
    pub fn into_result<U>(self) -> Result<T, Answer<U>> {
        Err(match self {
            Self::Ok(value) => return Ok(value),
            Self::Retry { code, reason } => Answer::Retry { code, reason },
            Self::TooLarge { reason } => Answer::TooLarge { reason },
            Self::BadLocation { code, reason } => Answer::BadLocation { code, reason },
            Self::Wait { until, why } => Answer::Wait { until, why },
            Self::Misconfigured { reason } => Answer::Misconfigured { reason },
        })
    }
}

/// Why a request has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    Quota,
    Breaker,
    /// All request slots at this host are taken, by our own count or the provider's.
    Concurrency,
    /// The store, which is needed to find a city, does not respond.
    Store,
}

impl WaitReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Breaker => "breaker",
            Self::Concurrency => "concurrency",
            Self::Store => "store",
        }
    }

    /// The same as a sentence.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Quota => "the upstream's quota is used up",
            Self::Breaker => "the upstream is failing; its breaker is open",
            Self::Concurrency => "all request slots at the upstream are taken",
            Self::Store => "the store does not answer",
        }
    }
}

/// The kind of caller: a tenth of each quota window is reserved for interactive requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    Interactive,
    Batch,
}
