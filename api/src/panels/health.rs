//! Status lights: store, broker, weather service, workers.
//!
//! Guarantees: the weather service shows the worst state that this process or a worker reports.
//! Next: `resources/pause.rs` (the routes behind the buttons).

use askama::Template;
use isobar_model::human::plural;

use super::format::TimeTag;
use super::health_state::HealthState;
use super::snapshot::{Component, DashboardSnapshot};
use super::throughput::Heartbeat;

#[derive(Template)]
#[template(path = "panels/health.html")]
pub struct HealthPanel {
    lights: Vec<StatusLight>,
}

pub struct StatusLight {
    name: &'static str,
    health: HealthState,
    state: String,
    /// Where it is, or its error.
    detail: String,
    at: Option<TimeTag>,
    button: Option<FormButton>,
}

pub struct FormButton {
    /// The route that it posts to.
    path: &'static str,
    label: &'static str,
    /// The message after success.
    done: &'static str,
}

impl HealthPanel {
    pub fn from_snapshot(snapshot: &DashboardSnapshot) -> Self {
        Self {
            lights: vec![
                component("Store", &snapshot.store),
                component("Broker", &snapshot.broker),
                upstream(snapshot),
                workers_light(snapshot),
            ],
        }
    }
}

fn component(name: &'static str, component: &Component) -> StatusLight {
    let (health, state, detail) = match &component.error {
        None => (HealthState::Good, "healthy", location(component)),
        Some(error) => (HealthState::Bad, "down", error.clone()),
    };
    StatusLight { name, health, state: state.to_owned(), detail, at: None, button: None }
}

/// With the kind, unless the scheme of the location names it.
fn location(component: &Component) -> String {
    let Component { kind, location, .. } = component;
    if location.contains("://") { location.clone() } else { format!("{kind}, {location}") }
}

/// The worst state that this process and the workers report.
fn upstream(snapshot: &DashboardSnapshot) -> StatusLight {
    let light = |health, state: &str, detail: String| StatusLight {
        name: "Weather service",
        health,
        state: state.to_owned(),
        detail,
        at: None,
        button: None,
    };
    let Some(own) = &snapshot.upstream.value else {
        return light(HealthState::Idle, "unknown", "not checked yet".to_owned());
    };
    let heartbeats = || snapshot.heartbeats.value.iter().flatten();
    let workers = || heartbeats().filter_map(|heartbeat| heartbeat.state.upstream.as_ref());
    let config = own.config_error.clone();
    if let Some(error) = config.or_else(|| workers().find_map(|worker| worker.config_error.clone()))
    {
        return light(HealthState::Bad, "misconfigured: needs your attention", error);
    }
    let open = workers().find(|worker| worker.breaker == "open");
    let until = own.breaker_until.or_else(|| open.and_then(|worker| worker.breaker_until));
    if own.breaker == "open" || open.is_some() {
        let detail = format!("{} fails; no requests are sent until then", own.host);
        let reset = FormButton {
            path: "/stream/breaker/reset",
            label: "Reset breaker",
            done: "Breaker reset; the next request is sent.",
        };
        return StatusLight {
            at: until.map(TimeTag::until),
            button: Some(reset),
            ..light(HealthState::Bad, "failing; next attempt", detail)
        };
    }
    if let Some(until) = own.quota.blocked_until {
        let at = Some(TimeTag::until(until));
        let state = "quota used up; resets";
        return StatusLight { at, ..light(HealthState::Warn, state, own.host.clone()) };
    }
    if own.breaker == "half_open" || workers().any(|worker| worker.breaker == "half_open") {
        return light(HealthState::Warn, "testing recovery", own.host.clone());
    }
    light(HealthState::Good, "healthy", own.host.clone())
}

fn workers_light(snapshot: &DashboardSnapshot) -> StatusLight {
    let light = |health, state: &str, detail: String, button| StatusLight {
        name: "Workers",
        health,
        state: state.to_owned(),
        detail,
        at: None,
        button: Some(button),
    };
    let pause = FormButton {
        path: "/stream/pause",
        label: "Pause workers",
        done: "Workers paused. Tasks in progress are finished.",
    };
    let resume =
        FormButton { path: "/stream/resume", label: "Resume workers", done: "Workers resumed." };
    if let Some(set_by) = snapshot.flags.value.as_ref().and_then(|flags| flags.reading()) {
        let at = Some(TimeTag::age(set_by.at));
        let detail = format!("by {}", set_by.by);
        return StatusLight { at, ..light(HealthState::Warn, "paused", detail, resume) };
    }
    if snapshot.heartbeats.error.is_some() {
        let detail = "unknown while the broker is down".to_owned();
        return light(HealthState::Idle, "unknown", detail, pause);
    }
    let heartbeats = snapshot.heartbeats.value.iter().flatten();
    let workers: Vec<&Heartbeat> =
        heartbeats.filter(|heartbeat| heartbeat.worker().is_some()).collect();
    let waiting = workers.iter().filter(|worker| worker.state.paused_reason.is_some()).count();
    let all = plural(workers.len() as u64, "worker");
    match workers.first() {
        None => {
            let detail = "nothing is fetched until one starts".to_owned();
            light(HealthState::Warn, "none running", detail, pause)
        }
        Some(first) if waiting == workers.len() => {
            let reason = first.state.paused_reason.clone().unwrap_or_default();
            light(HealthState::Warn, "waiting", format!("{all}: {reason}"), pause)
        }
        Some(_) if waiting > 0 => {
            light(HealthState::Good, "running", format!("{all}, {waiting} waiting"), pause)
        }
        Some(_) => light(HealthState::Good, "running", all, pause),
    }
}
