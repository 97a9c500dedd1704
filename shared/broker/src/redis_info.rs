//! Facts about a Redis server, for `doctor`. `None` where the server does not report one.

/// Version, clock and persistence of a server, and the groups of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisInfo {
    pub version: Option<String>,
    /// Bytes in use and the most that are allowed, where there is a limit.
    pub memory: Option<(u64, u64)>,
    pub time_ms: u64,
    /// Consumer groups of the task stream.
    pub groups: Vec<GroupInfo>,
    pub append_only: Option<String>,
    pub eviction: Option<String>,
}

/// One consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    pub name: String,
    /// Unfinished entries that are not in the stream any more. Our workers acknowledge and delete
    /// in one step, so another client deleted them.
    pub lost: Option<u64>,
}
