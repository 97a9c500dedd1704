//! Every name that Isobar uses in Redis, in one place.
//!
//! Names derived from a stream carry its hash tag (`{owm-ingestion-stream}:…`), so that one
//! script may touch all of them on a cluster too. No other file spells a key (a tidy test looks).
//!
//! | key | type | holds | grows with |
//! |---|---|---|---|
//! | `<stream>` | stream | tasks, nothing else | unfinished tasks, up to the high-water mark |
//! | `{<stream>}:control` | stream | opens, rejects, seals | unfinished ones, likewise |
//! | `{<stream>}:watermarks` | hash | job → last batch | unfinished jobs |
//! | `{<stream>}:attempts`, `{<stream>}:control:attempts` | hash | entry → attempts | entries given back |
//! | `{<stream>}:epoch` | string | which life of the stream this is | – |
//! | `{<stream>}:switches` | hash | what operators paused, cancelled or reset, by whom and when | paused jobs, upstream hosts |
//! | `isobar:cache:<key>` | string with expiry | one answer of the API | cities asked for |
//! | `isobar:quota:<host>` | hash | what each window used, until when it is shut | upstream hosts |
//! | `isobar:slots:<host>` | sorted set | requests in flight, by expiry | concurrency |
//! | `isobar:heartbeat:<role>:<name>` | string with expiry | what a role says of itself | processes |

/// Whom given-back entries belong to until they fall due; no worker ever has this name.
pub const RETURNED: &str = "returned";

/// Whom the entries of paused jobs belong to meanwhile; no worker ever has this name either.
pub const PARKED: &str = "parked";

/// A name that carries the stream's hash tag.
pub fn derived(stream: &str, suffix: &str) -> String {
    format!("{{{stream}}}:{suffix}")
}

pub const CACHE_PREFIX: &str = "isobar:cache:";
pub const HEARTBEAT_PREFIX: &str = "isobar:heartbeat:";

pub fn cache(key: &str) -> String {
    format!("{CACHE_PREFIX}{key}")
}

pub fn quota(host: &str) -> String {
    format!("isobar:quota:{host}")
}

pub fn slots(host: &str) -> String {
    format!("isobar:slots:{host}")
}

pub fn heartbeat(name: &str) -> String {
    format!("{HEARTBEAT_PREFIX}{name}")
}
