//! Health in words: store, broker, upstream. The shape of a light says it as well as its colour.

use askama::Template;
use chrono::{DateTime, Utc};

use crate::page::look::{Look, Part, UpstreamBeat};
use crate::page::words::When;

#[derive(Template)]
#[template(path = "panels/lights.html")]
pub struct Lights {
    lights: Vec<Light>,
}

pub struct Light {
    name: &'static str,
    /// `ok`, `warn` or `down`: the class of the sign and the word before the detail.
    state: State,
    detail: String,
    until: Option<When>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    Warn,
    Down,
}

impl State {
    fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Down => "down",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "degraded",
            Self::Down => "down",
        }
    }
}

impl Lights {
    pub fn of(look: &Look) -> Self {
        Self { lights: vec![part("Store", &look.store), part("Broker", &look.broker), upstream(look)] }
    }
}

fn part(name: &'static str, part: &Part) -> Light {
    let (state, detail) = match &part.trouble {
        None => (State::Ok, part.kind.to_owned()),
        Some(trouble) => (State::Down, trouble.clone()),
    };
    Light { name, state, detail, until: None }
}

/// The worst that anybody knows: the breaker is each process' own.
fn upstream(look: &Look) -> Light {
    let name = "Upstream";
    let here = look.upstream.value.as_ref().map(|state| UpstreamBeat {
        host: state.host.clone(),
        breaker: state.breaker.to_owned(),
        breaker_until: state.breaker_until,
        config_error: state.config_error.clone(),
    });
    let beats = look.beats.value.iter().flatten();
    let known: Vec<UpstreamBeat> =
        here.into_iter().chain(beats.filter_map(|beat| beat.state.upstream.clone())).collect();
    let shut = look.upstream.value.as_ref().and_then(|state| state.quota.shut_until);
    let (state, detail, until) = worst(&known, shut.filter(|until| *until > look.at));
    Light { name, state, detail, until: until.map(When::until) }
}

fn worst(
    known: &[UpstreamBeat],
    shut: Option<DateTime<Utc>>,
) -> (State, String, Option<DateTime<Utc>>) {
    if let Some(error) = known.iter().find_map(|state| state.config_error.as_ref()) {
        return (State::Down, format!("needs a person: {error}"), None);
    }
    if let Some(open) = known.iter().filter(|state| state.breaker == "open").max_by_key(|state| state.breaker_until) {
        return (State::Down, "failing, breaker open; next try".to_owned(), open.breaker_until);
    }
    if known.iter().any(|state| state.breaker == "half_open") {
        return (State::Warn, "being tried again".to_owned(), None);
    }
    if shut.is_some() {
        return (State::Warn, "quota used up, open again".to_owned(), shut);
    }
    match known.first() {
        Some(state) => (State::Ok, state.host.clone(), None),
        None => (State::Warn, "not asked yet".to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_that_anybody_knows_is_shown() {
        let state = |breaker: &str| UpstreamBeat {
            host: "api.open-meteo.com".to_owned(),
            breaker: breaker.to_owned(),
            ..UpstreamBeat::default()
        };
        let shown = |known: &[UpstreamBeat]| worst(known, None).0;
        assert_eq!(shown(&[state("closed")]), State::Ok);
        assert_eq!(shown(&[state("closed"), state("half_open")]), State::Warn);
        assert_eq!(shown(&[state("closed"), state("half_open"), state("open")]), State::Down);
        assert_eq!(shown(&[]), State::Warn);
        let wrong = UpstreamBeat { config_error: Some("401".to_owned()), ..state("closed") };
        assert_eq!(worst(&[state("open"), wrong], None).1, "needs a person: 401");
        let until = Some(DateTime::UNIX_EPOCH);
        assert_eq!(worst(&[state("closed")], until), (State::Warn, "quota used up, open again".to_owned(), until));
    }
}
