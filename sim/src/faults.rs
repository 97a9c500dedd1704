//! Fault plan: decides which requests get a wrong answer, and of which kind.
//!
//! Guarantees: rules apply in the order in which they were added; the first that fires decides. A
//! rule counts its requests, so `every` and `count` are exact, and a plan is repeatable. A rule
//! without `count` stays until the plan is deleted.
//! Does not: change an answer (see [`crate::dispatch`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::endpoint::Endpoint;
use crate::query::Query;

/// The most rules that the plan can hold.
const MAX_RULES: usize = 1_000;

/// One rule, as posted to `/_sim/faults`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Path of the endpoint; every endpoint if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    pub kind: Kind,
    /// Status of the answer. If absent: 200 with a body, else 503.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Replaces the error body of the upstream. Text is sent unchanged, other values as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Fires only if the decoded parameters contain this text.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Fires only for every n-th request of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// The rule ends after this number of faults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// `slow`: the pause in the middle of the body; 30 s if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// `shift`: how many rows too early a page begins. `short`: how many rows are missing at the end.
    /// 1 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An error answer (or any answer: `status`, `body`, `headers`).
    #[default]
    Status,
    /// No answer; the connection stays open.
    Hang,
    /// The connection is reset (RST) without an answer.
    Reset,
    /// The right answer, but the connection closes after half of it.
    Truncate,
    /// The right answer, with a pause in the middle.
    Slow,
    /// 200 with an HTML page.
    Html,
    /// 200, half of the right answer, then the text of an Open-Meteo error while streaming.
    StreamedError,
    /// The right answer with `null` instead of values.
    Null,
    /// A page that begins too early, as if rows had been inserted during paging.
    Shift,
    /// Fewer addresses or cards than requested.
    Short,
}

/// The change that a fault makes to the content of a right answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseFault {
    /// Values are `null`.
    pub nulls: bool,
    /// How many rows too early a page of cities or of DummyJSON's users begins.
    pub shift_rows: usize,
    /// How many addresses or cards are missing at the end.
    pub missing_rows: usize,
}

impl Fault {
    pub fn response_fault(&self) -> ResponseFault {
        let rows = self.rows.unwrap_or(1);
        ResponseFault {
            nulls: self.kind == Kind::Null,
            shift_rows: if self.kind == Kind::Shift { rows } else { 0 },
            missing_rows: if self.kind == Kind::Short { rows } else { 0 },
        }
    }
}

#[derive(Debug, Default)]
pub struct FaultPlan {
    /// Whether the plan has rules. Without rules, a request does not take the lock.
    armed: AtomicBool,
    rules: Mutex<Vec<Rule>>,
}

#[derive(Debug)]
struct Rule {
    fault: Fault,
    seen: u64,
    fired: u64,
}

impl FaultPlan {
    /// Adds a rule at the end of the plan. The error names the invalid field.
    pub fn add(&self, fault: Fault) -> Result<(), String> {
        check(&fault)?;
        let mut rules = self.rules();
        if rules.len() >= MAX_RULES {
            return Err(format!("the plan holds at most {MAX_RULES} rules"));
        }
        rules.push(Rule { fault, seen: 0, fired: 0 });
        self.armed.store(true, Ordering::Release);
        Ok(())
    }

    pub fn clear(&self) {
        self.rules().clear();
        self.armed.store(false, Ordering::Release);
    }

    /// The active rules, with the number of requests and faults of each.
    pub fn to_json(&self) -> serde_json::Value {
        let rules = self.rules();
        let rules: Vec<_> = rules
            .iter()
            .map(|rule| serde_json::json!({"fault": rule.fault, "seen": rule.seen, "fired": rule.fired}))
            .collect();
        serde_json::json!({ "faults": rules })
    }

    /// The fault for this request, if any.
    pub fn next(&self, endpoint: Endpoint, query: &Query<'_>) -> Option<Fault> {
        if !self.armed.load(Ordering::Acquire) {
            return None;
        }
        let mut rules = self.rules();
        let text = query.text();
        let at = rules.iter_mut().position(|rule| rule.fires(endpoint, &text))?;
        let rule = &mut rules[at];
        let fault = rule.fault.clone();
        if fault.count.is_some_and(|count| rule.fired >= count) {
            rules.remove(at);
            self.armed.store(!rules.is_empty(), Ordering::Release);
        }
        Some(fault)
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rule {
    fn fires(&mut self, endpoint: Endpoint, text: &str) -> bool {
        let fault = &self.fault;
        let matches = fault.endpoint.as_deref().is_none_or(|path| endpoint.is_at(path))
            && fault.contains.as_deref().is_none_or(|part| text.contains(part));
        if !matches {
            return false;
        }
        self.seen += 1;
        let fires = self.seen.is_multiple_of(fault.every.unwrap_or(1));
        self.fired += u64::from(fires);
        fires
    }
}

fn check(fault: &Fault) -> Result<(), String> {
    if let Some(path) = &fault.endpoint
        && Endpoint::at(path).is_none()
    {
        let known: Vec<_> = Endpoint::all().map(Endpoint::path).collect();
        return Err(format!("unknown endpoint {path:?}; known: {}", known.join(", ")));
    }
    if fault.every == Some(0) || fault.count == Some(0) {
        return Err("every and count must be at least 1".to_owned());
    }
    if let Some(status) = fault.status
        && !(200..=599).contains(&status)
    {
        return Err(format!("status {status} is not between 200 and 599"));
    }
    for (name, value) in &fault.headers {
        if hyper::header::HeaderName::try_from(name).is_err()
            || hyper::header::HeaderValue::try_from(value).is_err()
        {
            return Err(format!("invalid header {name:?}: {value:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: serde_json::Value) -> FaultPlan {
        let plan = FaultPlan::default();
        plan.add(serde_json::from_value(json).unwrap()).unwrap();
        plan
    }

    fn fires(plan: &FaultPlan, endpoint: Endpoint, query: &str) -> bool {
        plan.next(endpoint, &Query::parse(query, b"")).is_some()
    }

    #[test]
    fn a_rule_ends_after_its_count() {
        let plan = plan(serde_json::json!({"endpoint": "/v1/forecast", "status": 503, "count": 2}));
        assert!(!fires(&plan, Endpoint::Cities, ""));
        let fired = [(); 4].map(|()| fires(&plan, Endpoint::Forecast, ""));
        assert_eq!(fired, [true, true, false, false]);
        assert!(!plan.armed.load(Ordering::Acquire));
    }

    #[test]
    fn every_is_exact() {
        let plan = plan(serde_json::json!({"every": 3, "kind": "reset"}));
        let fired = [(); 6].map(|()| fires(&plan, Endpoint::Cities, ""));
        assert_eq!(fired, [false, false, true, false, false, true]);
    }

    #[test]
    fn match_finds_encoded_parameters() {
        let plan = plan(serde_json::json!({"match": "48.85", "endpoint": "/v1/forecast/"}));
        assert!(fires(&plan, Endpoint::Forecast, "latitude=1%2C48.85341&longitude=2,3"));
        assert!(!fires(&plan, Endpoint::Forecast, "latitude=1"));
    }

    #[test]
    fn the_first_rule_that_fires_decides() {
        let plan = plan(serde_json::json!({"every": 2, "status": 500}));
        plan.add(Fault { status: Some(503), ..Fault::default() }).unwrap();
        let query = Query::default();
        let statuses = [(); 4].map(|()| plan.next(Endpoint::Cities, &query).unwrap().status);
        assert_eq!(statuses, [Some(503), Some(500), Some(503), Some(500)]);
    }

    #[test]
    fn invalid_rules_are_refused() {
        let plan = FaultPlan::default();
        for invalid in [
            serde_json::json!({"endpoint": "/v2"}),
            serde_json::json!({"every": 0}),
            serde_json::json!({"status": 42}),
            serde_json::json!({"headers": {"a b": "c"}}),
        ] {
            assert!(plan.add(serde_json::from_value(invalid).unwrap()).is_err());
        }
        assert!(serde_json::from_str::<Fault>(r#"{"cuont":1}"#).is_err());
    }
}
