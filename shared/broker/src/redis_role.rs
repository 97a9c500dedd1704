//! The kinds of Redis server, and what a person should do about those that cannot take tasks.

use std::collections::HashMap;

/// What a server reports about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisRole {
    Primary,
    /// Read-only, until a failover makes it the primary.
    Replica {
        primary: String,
    },
    /// It holds no data.
    Sentinel {
        /// Name and address of each primary that it watches.
        primaries: Vec<(String, String)>,
    },
    ClusterNode,
}

impl RedisRole {
    /// Reads the text of `INFO`; `None` if it does not say.
    pub fn of(info: &str) -> Option<Self> {
        let fields: HashMap<&str, &str> =
            info.lines().filter_map(|line| line.trim().split_once(':')).collect();
        let field = |name| fields.get(name).copied();
        match (field("redis_mode"), field("role")) {
            (Some("sentinel"), _) => Some(Self::Sentinel { primaries: watched(info) }),
            (Some("cluster"), _) => Some(Self::ClusterNode),
            (_, Some("slave")) => {
                let host = field("master_host").unwrap_or("unknown");
                let port = field("master_port").unwrap_or("unknown");
                Some(Self::Replica { primary: format!("{host}:{port}") })
            }
            (_, Some("master")) => Some(Self::Primary),
            _ => None,
        }
    }

    /// Why the server at `location` cannot take tasks, and what to do.
    pub fn obstacle(&self, location: &str) -> Option<String> {
        match self {
            Self::Primary => None,
            Self::Replica { primary } => Some(format!(
                "REDIS_URL names {location}, a read-only replica of {primary}; set it to the primary, or wait if a failover is under way"
            )),
            Self::Sentinel { primaries } => {
                let named: Vec<String> =
                    primaries.iter().map(|(name, at)| format!("{at} ({name})")).collect();
                let named = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
                Some(format!(
                    "REDIS_URL names {location}, a sentinel, which holds no data; set it to the primary that the sentinel watches: {named}"
                ))
            }
            Self::ClusterNode => Some(format!(
                "REDIS_URL names {location}, a node of a Redis cluster, which isobar does not support; set it to one primary without cluster mode"
            )),
        }
    }

    /// Whether the same server may take tasks later, without a change by a person.
    pub fn may_become_primary(&self) -> bool {
        matches!(self, Self::Primary | Self::Replica { .. })
    }
}

/// `master0:name=mymaster,status=ok,address=127.0.0.1:6379,slaves=1,sentinels=1`
fn watched(info: &str) -> Vec<(String, String)> {
    let of_line = |line: &str| {
        let (key, values) = line.trim().split_once(':')?;
        let number = key.strip_prefix("master")?;
        number.parse::<u32>().ok()?;
        let values: HashMap<&str, &str> =
            values.split(',').filter_map(|pair| pair.split_once('=')).collect();
        Some(((*values.get("name")?).to_owned(), (*values.get("address")?).to_owned()))
    };
    info.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_what_its_info_says() {
        let replica =
            "redis_mode:standalone\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6380\r\n";
        let primary = "10.0.0.1:6380".to_owned();
        let sentinel = "redis_mode:sentinel\r\n# Sentinel\r\nsentinel_masters:1\r\n\
             master0:name=mymaster,status=ok,address=127.0.0.1:6379,slaves=1,sentinels=1\r\n";
        let primaries = vec![("mymaster".to_owned(), "127.0.0.1:6379".to_owned())];
        for (info, role) in [
            ("redis_mode:standalone\r\nrole:master\r\n", Some(RedisRole::Primary)),
            (replica, Some(RedisRole::Replica { primary })),
            ("redis_mode:cluster\r\nrole:master\r\n", Some(RedisRole::ClusterNode)),
            (sentinel, Some(RedisRole::Sentinel { primaries })),
            // Managed services leave fields out, and an ACL may forbid all of it.
            ("role:master\r\n", Some(RedisRole::Primary)),
            ("redis_version:7.4.0\r\n", None),
            ("", None),
        ] {
            assert_eq!(RedisRole::of(info), role, "{info}");
        }
    }

    #[test]
    fn only_a_replica_may_become_a_primary_by_itself() {
        let replica = RedisRole::Replica { primary: "h:1".to_owned() };
        assert!(replica.may_become_primary());
        assert!(replica.obstacle("r:2").is_some_and(|why| why.contains("replica of h:1")));
        let sentinel = RedisRole::Sentinel { primaries: Vec::new() };
        for role in [sentinel, RedisRole::ClusterNode] {
            assert!(!role.may_become_primary());
            assert!(role.obstacle("r:2").is_some_and(|why| why.contains("r:2")));
        }
        assert_eq!(RedisRole::Primary.obstacle("r:2"), None);
    }
}
