//! The lights: store, broker, upstream, reading.

use askama::Template;
use isobar_model::human::plural;

use super::Lamp;
use crate::panels::format::When;
use crate::panels::snapshot::{Look, Part};
use crate::panels::throughput::Beat;

#[derive(Template)]
#[template(path = "panels/health.html")]
pub struct Health {
    lights: Vec<Light>,
}

pub struct Light {
    name: &'static str,
    lamp: Lamp,
    word: String,
    /// What it is, or what ails it.
    detail: String,
    at: Option<When>,
    action: Option<Action>,
}

/// A button: what it says, and where it is sent.
pub struct Action {
    path: &'static str,
    says: &'static str,
    done: &'static str,
}

impl Health {
    pub fn of(look: &Look) -> Self {
        Self {
            lights: vec![
                part("Store", &look.store),
                part("Broker", &look.broker),
                upstream(look),
                reading(look),
            ],
        }
    }
}

fn part(name: &'static str, part: &Part) -> Light {
    let (lamp, word, detail) = match &part.trouble {
        None => (Lamp::Good, "answers", place(part)),
        Some(trouble) => (Lamp::Bad, "away", trouble.clone()),
    };
    Light { name, lamp, word: word.to_owned(), detail, at: None, action: None }
}

/// A location mostly says what it is by its scheme.
fn place(part: &Part) -> String {
    let Part { kind, location, .. } = part;
    if location.contains("://") { location.clone() } else { format!("{kind}, {location}") }
}

/// The upstream is as the one of us finds it who has the most trouble with it.
fn upstream(look: &Look) -> Light {
    let light = |lamp, word: &str, detail: String| Light {
        name: "Weather service",
        lamp,
        word: word.to_owned(),
        detail,
        at: None,
        action: None,
    };
    let Some(own) = &look.upstream.value else {
        return light(Lamp::Idle, "not known", "nobody has asked yet".to_owned());
    };
    let workers =
        || look.beats.value.iter().flatten().filter_map(|beat| beat.state.upstream.as_ref());
    let config = own.config_error.clone();
    if let Some(error) = config.or_else(|| workers().find_map(|seen| seen.config_error.clone())) {
        return light(Lamp::Bad, "needs a person", error);
    }
    let open = workers().find(|seen| seen.breaker == "open");
    let until = own.breaker_until.or_else(|| open.and_then(|seen| seen.breaker_until));
    if own.breaker == "open" || open.is_some() {
        let detail = format!("{} fails; nobody asks it meanwhile", own.host);
        let reset = Action {
            path: "/stream/breaker/reset",
            says: "Reset breaker",
            done: "The breaker is reset; the next request is tried.",
        };
        let at = until.map(When::until);
        return Light {
            at,
            action: Some(reset),
            ..light(Lamp::Bad, "breaker open, next try", detail)
        };
    }
    if let Some(until) = own.quota.shut_until {
        let at = Some(When::until(until));
        let detail = format!("the quota of {} is used up", own.host);
        return Light { at, ..light(Lamp::Warn, "quota used up, free again", detail) };
    }
    if own.breaker == "half_open" || workers().any(|seen| seen.breaker == "half_open") {
        return light(Lamp::Warn, "being tried", own.host.clone());
    }
    light(Lamp::Good, "breaker closed", own.host.clone())
}

fn reading(look: &Look) -> Light {
    let light = |lamp, word: &str, detail: String, action| Light {
        name: "Reading",
        lamp,
        word: word.to_owned(),
        detail,
        at: None,
        action: Some(action),
    };
    let pause = Action {
        path: "/stream/pause",
        says: "Pause reading",
        done: "Reading is paused. What workers hold is finished.",
    };
    let resume =
        Action { path: "/stream/resume", says: "Resume reading", done: "Reading goes on." };
    if let Some(thrown) = look.switches.value.as_ref().and_then(|switches| switches.reading()) {
        let at = Some(When::age(thrown.at));
        return Light { at, ..light(Lamp::Warn, "paused", format!("by {}", thrown.by), resume) };
    }
    if look.beats.trouble.is_some() {
        return light(Lamp::Idle, "not known", "the broker would tell".to_owned(), pause);
    }
    let workers: Vec<&Beat> =
        look.beats.value.iter().flatten().filter(|beat| beat.worker().is_some()).collect();
    let waits = workers.iter().filter(|beat| beat.state.paused_reason.is_some()).count();
    let all = plural(workers.len() as u64, "worker");
    match workers.first() {
        None => {
            light(Lamp::Warn, "no worker", "nothing is fetched until one starts".to_owned(), pause)
        }
        Some(first) if waits == workers.len() => {
            let reason = first.state.paused_reason.clone().unwrap_or_default();
            light(Lamp::Warn, "waiting", format!("{all}: {reason}"), pause)
        }
        Some(_) if waits > 0 => {
            light(Lamp::Good, "reading", format!("{all}, {waits} waiting"), pause)
        }
        Some(_) => light(Lamp::Good, "reading", all, pause),
    }
}
