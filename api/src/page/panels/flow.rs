//! The backlog as one row of numbers that adds up, from left to right as a task moves.

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};

use crate::page::look::Look;
use crate::page::words::{Count, When, counted};

#[derive(Template)]
#[template(path = "panels/flow.html")]
pub struct Flow {
    steps: Vec<Step>,
    /// What is unfinished, all together.
    sum: Option<Count>,
    sentence: String,
    trouble: Option<String>,
}

pub struct Step {
    name: &'static str,
    class: &'static str,
    means: &'static str,
    count: Option<Count>,
    oldest: Option<When>,
}

impl Flow {
    pub fn of(look: &Look) -> Self {
        let depth = look.depth.value.as_ref();
        let outbox = look.outbox.value.map(|outbox| outbox.unsent_tasks);
        let undelivered = depth.map(|depth| depth.undelivered);
        let pending = depth.map(|depth| depth.pending);
        let dead = look.totals.value.as_ref().map(|totals| totals.dead_letters);
        let ago = |ms: u64| look.at - TimeDelta::milliseconds(ms as i64);
        let steps = vec![
            step("Outbox", "read, not yet in the stream", outbox, None),
            step("Undelivered", "in the stream, no worker has it yet", undelivered, None),
            step(
                "Pending",
                "with a worker, or given back to be tried again",
                pending,
                depth.map(|depth| ago(depth.oldest_pending_ms)),
            ),
            Step { class: "dead", ..step("Dead", "given up, each with its reason", dead, None) },
        ];
        let sum = outbox.zip(undelivered).zip(pending).map(|((a, b), c)| a + b + c);
        Self {
            sentence: sentence(sum, dead),
            steps,
            sum: sum.map(Count),
            trouble: look.depth.trouble.clone().or_else(|| look.outbox.trouble.clone()),
        }
    }
}

fn step(
    name: &'static str,
    means: &'static str,
    count: Option<u64>,
    oldest: Option<DateTime<Utc>>,
) -> Step {
    let oldest = oldest.filter(|_| count.is_some_and(|count| count > 0)).map(When::age);
    let class = if count == Some(0) { "none" } else { "some" };
    Step { name, class, means, count: count.map(Count), oldest }
}

fn sentence(unfinished: Option<u64>, dead: Option<u64>) -> String {
    let unfinished = match unfinished {
        None => return "How much waits is not known at the moment.".to_owned(),
        Some(0) => "Nothing waits".to_owned(),
        Some(n) => format!("{} unfinished", counted(n, "task is", "tasks are")),
    };
    match dead {
        None => format!("{unfinished}."),
        Some(0) => format!("{unfinished}, none was given up."),
        Some(n) => format!("{unfinished}, {} given up.", counted(n, "was", "were")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_what_the_numbers_say() {
        assert_eq!(sentence(Some(0), Some(0)), "Nothing waits, none was given up.");
        assert_eq!(sentence(Some(1), Some(1)), "1 task is unfinished, 1 was given up.");
        assert_eq!(
            sentence(Some(16_300), Some(12)),
            "16,300 tasks are unfinished, 12 were given up."
        );
        assert_eq!(sentence(None, Some(0)), "How much waits is not known at the moment.");
    }
}
