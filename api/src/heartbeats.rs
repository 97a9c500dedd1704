//! What the other roles say of themselves, as far as the API passes it on.
//!
//! A heartbeat is a JSON object under `<role>:<instance>`, forgotten when its sender falls silent.
//! Two fields are read here: `paused_reason` of a worker (a text while it reads nothing) and
//! `outbox` of whoever has one (an object of its numbers).

use isobar_model::pipeline::PipelineName;
use serde_json::Value;

/// Why nobody works: the reason of the first worker, if every worker has one.
pub fn paused_reason(heartbeats: &[(String, Value)]) -> Option<String> {
    let mut reasons = heartbeats
        .iter()
        .filter(|beat| may_pause(beat))
        .map(|(_, state)| state.get("paused_reason").and_then(Value::as_str));
    let first = reasons.next()??.to_owned();
    reasons.all(|reason| reason.is_some()).then_some(first)
}

/// How many workers are alive, and how many of them read nothing.
pub fn workers(heartbeats: &[(String, Value)]) -> (usize, usize) {
    let workers = heartbeats.iter().filter(|beat| may_pause(beat));
    let paused =
        |(_, state): &&(String, Value)| state.get("paused_reason").is_some_and(Value::is_string);
    (workers.clone().count(), workers.filter(paused).count())
}

/// Workers that never stop reading tell nothing about those that do.
fn may_pause((name, state): &(String, Value)) -> bool {
    let of = state.get("pipeline").and_then(Value::as_str);
    let pauses = |of: &str| PipelineName::parse(of).is_none_or(|of| of.spec().pauses_reading);
    name.starts_with("worker:") && of.is_none_or(pauses)
}

/// The first outbox that somebody tells about.
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
    fn the_stream_is_paused_only_if_no_worker_reads() {
        let worker = |n: u32, state| (format!("worker:{n}"), state);
        let paused = json!({"paused_reason": "quota"});
        assert_eq!(paused_reason(&[]), None);
        assert_eq!(paused_reason(&[worker(1, paused.clone())]).as_deref(), Some("quota"));
        let both = [worker(1, paused), worker(2, json!({"paused_reason": null}))];
        assert_eq!(paused_reason(&both), None);
        assert_eq!(workers(&both), (2, 1));
    }
}
