//! Failpoints: named points at which a debug build aborts on request.
//!
//! A step that must survive `kill -9` has a [`hit`] before and after the operation that makes it
//! durable. [`arm`] (called once by `main` with `ISOBAR_CRASH_AT=name` or `name:n`) aborts the
//! process at the nth hit: no destructors, no flushes, as in a power cut.
//!
//! Guarantees: every name is in [`POINTS`], so a test can walk through all of them. A release build
//! contains none of this: there [`hit`] is empty and [`arm`] refuses.

/// The variable that `main` passes to [`arm`].
pub const VARIABLE: &str = "ISOBAR_CRASH_AT";

/// Every point, in the order in which a row meets them.
pub const POINTS: &[&str] = &[
    "spool.keep.before",
    "spool.keep.after",
    "spool.fsync.before",
    "spool.rename.before",
    "spool.rename.between",
    "spool.rename.after",
    "producer.adopt.before",
    "producer.adopt.after",
    "api.import.accepted",
    "spool.remove.before",
    "spool.remove.between",
    "spool.remove.after",
    "producer.job.after",
    "producer.extract.before",
    "producer.extract.after",
    "producer.seal.before",
    "producer.seal.after",
    "producer.heal.before",
    "producer.heal.after",
    "producer.append.before",
    "producer.append.after",
    "producer.mark.before",
    "producer.mark.after",
    "producer.unmark.before",
    "producer.unmark.after",
    "producer.confirm.before",
    "producer.prune.after",
    "producer.forget.after",
    "producer.finish.after",
    "republish.open.before",
    "republish.open.after",
    "republish.delete.before",
    "republish.delete.after",
    "republish.end.before",
    "republish.end.after",
    "schedule.claim.after",
    "schedule.finish.before",
    "schedule.finish.after",
    "cancel.request.before",
    "cancel.request.after",
    "cancel.switch.after",
    "consumer.heal.before",
    "consumer.heal.after",
    "consumer.adopt.before",
    "consumer.adopt.after",
    "consumer.read.before",
    "consumer.read.after",
    "consumer.claim.before",
    "consumer.claim.after",
    "consumer.fetch.poison",
    "consumer.fetch.before",
    "consumer.fetch.after",
    "consumer.commit.before",
    "consumer.commit.after",
    "consumer.dead.before",
    "consumer.dead.after",
    "consumer.ack.before",
    "consumer.ack.after",
    "consumer.give_back.before",
    "consumer.give_back.after",
    "consumer.renew.before",
    "consumer.renew.after",
    "consumer.leave.before",
    "consumer.leave.after",
];

/// Aborts the process if [`arm`] requested this hit.
#[inline]
pub fn hit(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::on_hit(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Ends the process if [`arm`] requested this key: a test makes a poison task with it.
#[inline]
pub fn hit_with_key(name: &'static str, key: i64) {
    #[cfg(debug_assertions)]
    armed::on_hit_with_key(name, key);
    #[cfg(not(debug_assertions))]
    let _ = (name, key);
}

/// Requests a crash: `name`, `name:n` for the nth hit, or `name=key` for every hit with that key.
/// `name=key,way` ends the process in another way than by an abort: `stack` overflows the stack,
/// `memory` allocates until it is refused, `kill` is SIGKILL for this process and `group` SIGKILL for
/// its whole process group. Once per process.
pub fn arm(spec: &str) -> Result<(), String> {
    #[cfg(debug_assertions)]
    return armed::arm(spec);
    #[cfg(not(debug_assertions))]
    Err(format!("{VARIABLE}={spec} works in debug builds only; unset it"))
}

#[cfg(debug_assertions)]
mod armed {
    use std::hint::black_box;
    use std::process::Command;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{POINTS, VARIABLE};

    struct Armed {
        name: &'static str,
        /// Hits left until the crash.
        left: AtomicU64,
        /// The key that crashes, if the spec names one.
        key: Option<i64>,
        way: Way,
    }

    /// How a process ends.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    enum Way {
        #[default]
        Abort,
        Stack,
        Memory,
        Kill,
        Group,
    }

    /// A process without a limit of its own is not to harm its host: what it allocates it does not
    /// touch, and then it aborts.
    const CHUNK: usize = 64 << 20;
    const MOST_CHUNKS: usize = 512;

    static ARMED: OnceLock<Armed> = OnceLock::new();

    pub(super) fn arm(spec: &str) -> Result<(), String> {
        let (spec, key, way) = match spec.split_once('=') {
            Some((spec, key)) => {
                let (key, way) = key.split_once(',').unwrap_or((key, "abort"));
                let invalid = || format!("{VARIABLE}: {key:?} is not a number");
                (spec, Some(key.parse().map_err(|_| invalid())?), parse_way(way)?)
            }
            None => (spec, None, Way::Abort),
        };
        let (name, nth) = parse(spec)?;
        let left = AtomicU64::new(nth);
        // A second call in one process (a test) keeps the first.
        let _ = ARMED.set(Armed { name, left, key, way });
        Ok(())
    }

    pub(super) fn on_hit(name: &'static str) {
        debug_assert!(POINTS.contains(&name), "{name} is not in POINTS");
        let Some(armed) = ARMED.get().filter(|armed| armed.name == name && armed.key.is_none())
        else {
            return;
        };
        if armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    }

    pub(super) fn on_hit_with_key(name: &'static str, key: i64) {
        debug_assert!(POINTS.contains(&name), "{name} is not in POINTS");
        if let Some(armed) = ARMED.get()
            && armed.name == name
            && armed.key == Some(key)
        {
            end(armed.way);
        }
    }

    fn end(way: Way) {
        match way {
            Way::Abort => {}
            Way::Stack => {
                black_box(deeper(0));
            }
            Way::Memory => {
                let chunk = |_| black_box(Vec::<u8>::with_capacity(CHUNK));
                black_box((0..MOST_CHUNKS).map(chunk).collect::<Vec<_>>());
            }
            Way::Kill => kill(&std::process::id().to_string()),
            Way::Group => kill("0"),
        }
        std::process::abort();
    }

    fn deeper(depth: u64) -> u64 {
        let frame = black_box([depth; 512]);
        if depth == u64::MAX { 0 } else { deeper(depth + 1) + frame[0] }
    }

    /// The signal arrives before this returns.
    fn kill(target: &str) {
        let _ = Command::new("kill").args(["-KILL", target]).status();
    }

    fn parse_way(way: &str) -> Result<Way, String> {
        Ok(match way {
            "abort" => Way::Abort,
            "stack" => Way::Stack,
            "memory" => Way::Memory,
            "kill" => Way::Kill,
            "group" => Way::Group,
            _ => return Err(format!("{VARIABLE}: unknown way to end {way:?}")),
        })
    }

    fn parse(spec: &str) -> Result<(&'static str, u64), String> {
        let (name, nth) = spec.split_once(':').unwrap_or((spec, "1"));
        let name = POINTS
            .iter()
            .find(|point| **point == name)
            .ok_or_else(|| format!("{VARIABLE}: unknown failpoint {name:?}"))?;
        let nth = nth
            .parse()
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| format!("{VARIABLE}: {nth:?} is not a number of hits, 1 or more"))?;
        Ok((name, nth))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_spec_names_a_point_and_a_hit() {
            assert_eq!(parse("producer.append.after"), Ok(("producer.append.after", 1)));
            assert_eq!(parse("producer.append.after:3"), Ok(("producer.append.after", 3)));
            assert!(parse("nowhere").is_err());
            assert!(parse("producer.append.after:0").is_err());
            assert_eq!(parse_way("stack"), Ok(Way::Stack));
            assert!(parse_way("sideways").is_err());
        }
    }
}
