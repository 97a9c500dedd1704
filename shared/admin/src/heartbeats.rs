//! What the heartbeats of workers and producers say, as far as operators are shown it.
//!
//! A heartbeat is a JSON object under `<role>:<instance>`. The broker drops it when its sender falls
//! silent. Two fields are read here: `paused_reason` of a worker (a text while it reads nothing) and
//! `outbox` of a producer or import relay (an object of numbers).
//!
//! Does not: fetch heartbeats (see `Broker::heartbeats`).

use isobar_model::pipeline::PipelineName;
use serde_json::Value;

/// Why no worker of the default pipeline reads: the reason of the first one, if each is paused.
pub fn paused_reason(heartbeats: &[(String, Value)]) -> Option<String> {
    let mut reasons = heartbeats
        .iter()
        .filter(|heartbeat| reads_by_default(heartbeat))
        .map(|(_, state)| state.get("paused_reason").and_then(Value::as_str));
    let first = reasons.next()??.to_owned();
    reasons.all(|reason| reason.is_some()).then_some(first)
}

/// How many workers of the default pipeline are alive, and how many of them are paused.
pub fn workers(heartbeats: &[(String, Value)]) -> (usize, usize) {
    let workers = heartbeats.iter().filter(|heartbeat| reads_by_default(heartbeat));
    let paused =
        |(_, state): &&(String, Value)| state.get("paused_reason").is_some_and(Value::is_string);
    (workers.clone().count(), workers.filter(paused).count())
}

/// Whether it is a worker of the default pipeline. The others have quotas of their own: they must not
/// hide that all of these are paused.
fn reads_by_default((name, state): &(String, Value)) -> bool {
    let pipeline = state.get("pipeline").and_then(Value::as_str);
    let is_default =
        |name: &str| PipelineName::parse(name).is_none_or(|name| name == PipelineName::default());
    name.starts_with("worker:") && pipeline.is_none_or(is_default)
}

/// The first outbox that a heartbeat reports.
pub fn outbox(heartbeats: &[(String, Value)]) -> Option<Value> {
    heartbeats
        .iter()
        .find_map(|(_, state)| state.get("outbox").filter(|outbox| outbox.is_object()))
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reading_is_paused_only_if_every_worker_is() {
        let worker = |n: u32, state| (format!("worker:{n}"), state);
        let paused = json!({"paused_reason": "quota"});
        assert_eq!(paused_reason(&[]), None);
        assert_eq!(paused_reason(&[worker(1, paused.clone())]).as_deref(), Some("quota"));
        let both = [worker(1, paused), worker(2, json!({"paused_reason": null}))];
        assert_eq!(paused_reason(&both), None);
        assert_eq!(workers(&both), (2, 1));
    }
}
