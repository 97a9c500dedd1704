//! `isobar schedule --list`: when each schedule fires next. It asks nobody.

use chrono::{SecondsFormat, Utc};
use isobar_shared::schedule::Schedule;
use serde_json::{Value, json};

use crate::app::App;
use crate::exit::Exit;

/// Ticks that are shown of each.
const NEXT: usize = 10;

pub fn print(schedules: &[Schedule], app: &App) -> anyhow::Result<Exit> {
    let now = Utc::now();
    let next = |schedule: &Schedule| {
        let ticks = std::iter::successors(schedule.next(now), |tick| schedule.next(*tick));
        ticks.take(NEXT).collect::<Vec<_>>()
    };
    let items: Vec<Value> = schedules
        .iter()
        .map(|schedule| {
            json!({
                "name": schedule.name,
                "expression": schedule.expression.to_string(),
                "timezone": schedule.timezone.name(),
                "misfire": schedule.misfire.to_string(),
                "overlap": schedule.overlap.to_string(),
                "next": next(schedule),
            })
        })
        .collect();
    app.print(&json!({ "items": items }), || {
        let mut lines = Vec::new();
        for schedule in schedules {
            lines.push(format!(
                "{}: {} in {}, misfire {}, overlap {}",
                schedule.name,
                schedule.expression,
                schedule.timezone,
                schedule.misfire,
                schedule.overlap
            ));
            lines.extend(next(schedule).into_iter().map(|tick| {
                let local = tick.with_timezone(&schedule.timezone);
                format!("  {}", local.to_rfc3339_opts(SecondsFormat::Secs, true))
            }));
        }
        lines.join("\n")
    })?;
    Ok(Exit::Done)
}
