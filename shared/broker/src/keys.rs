//! Redis keys: every name that Isobar uses in Redis, in one place.
//!
//! Guarantees: a key derived from a stream carries the stream's hash tag
//! (`{owm-ingestion-stream}:…`), so one script may use all of them on a cluster too. No other file
//! spells a key (a tidy test checks).
//!
//! | key | type | holds | grows with |
//! |---|---|---|---|
//! | `<stream>` | stream | tasks, nothing else | unfinished tasks, up to the high-water mark |
//! | `{<stream>}:control` | stream | opens, rejects, seals | unfinished ones, up to that mark too |
//! | `{<stream>}:watermarks` | hash | job → last batch, and the outbox that publishes it | jobs of 30 days |
//! | `{<stream>}:ended` | sorted set | jobs that have ended, by time | jobs of 30 days |
//! | `{<stream>}:batches` | hash | job and batch → size, place, acknowledged entries | unconfirmed batches |
//! | `{<stream>}:spans` | sorted set | first and last entry of each batch | unconfirmed batches |
//! | `{<stream>}:attempts`, `{<stream>}:control:attempts` | hash | entry → attempts; entry and `crashes` → crashes | entries given back |
//! | `{<stream>}:epoch` | string | the epoch of the stream | – |
//! | `{<stream>}:store` | string | the store that its workers write to | – |
//! | `{<stream>}:switches` | hash | flag → who set it and when | paused jobs, upstream hosts |
//! | `isobar:cache:<key>` | string with expiry | one answer of the API | requested cities |
//! | `isobar:quota:<host>` | hash | use of each window, end of a block | upstream hosts |
//! | `isobar:slots:<host>` | sorted set | requests in flight, by expiry | concurrency |
//! | `isobar:heartbeat:<role>:<name>` | string with expiry | the state that a process reports | processes |

/// The constant consumer that owns given-back entries until they fall due. No worker has this name.
pub const RETURNED: &str = "returned";

/// The constant consumer that owns the entries of paused jobs. No worker has this name.
pub const PARKED: &str = "parked";

/// A key with the stream's hash tag.
pub fn derived(stream: &str, suffix: &str) -> String {
    format!("{{{stream}}}:{suffix}")
}

/// All keys that belong to no stream.
pub const BESIDE_STREAMS: &str = "isobar:*";
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
