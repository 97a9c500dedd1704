//! Who works on the stream: what each holds, has done, and why it waits if it does.

use askama::Template;
use chrono::TimeDelta;

use crate::page::look::Look;
use crate::page::words::{Count, When};

/// More are counted, not listed.
const SHOWN: usize = 12;

#[derive(Template)]
#[template(path = "panels/workers.html")]
pub struct Workers {
    workers: Vec<Worker>,
    more: usize,
    trouble: Option<String>,
}

pub struct Worker {
    name: String,
    /// Enough of the name to tell it from others.
    short: String,
    pending: Count,
    heard: When,
    finished: Option<Count>,
    waits: Option<(String, Option<When>)>,
    /// Its process tells nothing any more: it is gone, or cannot reach the broker.
    silent: bool,
}

impl Workers {
    pub fn of(look: &Look) -> Self {
        let beats = look.beats.value.as_deref().unwrap_or_default();
        let mut workers: Vec<Worker> = Vec::new();
        for consumer in look.consumers.value.iter().flatten() {
            let beat = beats.iter().find(|beat| beat.worker() == Some(&consumer.name));
            // A name that is silent and owns nothing is swept soon; it is nobody.
            if beat.is_none() && consumer.pending == 0 {
                continue;
            }
            let state = beat.map(|beat| &beat.state);
            workers.push(Worker {
                short: short(&consumer.name),
                name: consumer.name.clone(),
                pending: Count(consumer.pending),
                heard: When::age(state.and_then(|state| state.at).unwrap_or_else(|| {
                    look.at - TimeDelta::milliseconds(consumer.idle_ms.min(i64::MAX as u64) as i64)
                })),
                finished: state.map(|state| Count(state.succeeded + state.failed + state.skipped)),
                waits: state.and_then(|state| {
                    let reason = state.paused_reason.clone()?;
                    Some((reason, state.paused_until.map(When::until)))
                }),
                silent: beat.is_none(),
            });
        }
        let more = workers.len().saturating_sub(SHOWN);
        workers.truncate(SHOWN);
        Self { workers, more, trouble: look.consumers.trouble.clone() }
    }
}

/// `host-1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed` → `host-1b9d6bcd`.
fn short(name: &str) -> String {
    const UUID_CHARS: usize = 36;
    const KEPT: usize = 8;
    match name.len().checked_sub(UUID_CHARS) {
        Some(start) if name.is_char_boundary(start) && uuid::Uuid::try_parse(&name[start..]).is_ok() => {
            name[..start + KEPT].to_owned()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_what_tells_it_from_others() {
        assert_eq!(short("host-1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"), "host-1b9d6bcd");
        for odd in ["host", "", "ünïcode-1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4beé"] {
            assert_eq!(short(odd), odd);
        }
    }
}
