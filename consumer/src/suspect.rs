//! Suspects: entries that may end the process they run in, and what follows a trial of one.
//!
//! A worker that vanished says nothing about the cause: hosts are drained, pods evicted, processes
//! killed. So from its third delivery on an entry is a suspect, and a child process tries it, with
//! others first, alone if that child dies.
//!
//! Guarantees: only a child that died while its worker lived on counts as a crash of the entry. A
//! child that was stopped, or that never reached the entry, counts as nothing. The pure functions of
//! this file decide all of it.
//! Next: [`crate::trial`], which runs the child.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use isobar_broker::Entry;
use serde::{Deserialize, Serialize};

use crate::settle::FailureReason;

/// From this delivery on an entry is a suspect.
pub const SUSPECT_FROM: u32 = 3;
/// From this delivery on a suspect is tried alone from the start. Where workers die with their
/// children, groups would take innocents along, up to the last delivery.
pub const ALONE_FROM: u32 = 11;
/// Deliveries after which an entry is not tried again although no worker ever saw its trial end. It
/// ends a container in which every process dies with the task.
pub const LAST_DELIVERY: u32 = 50;
/// The code of an entry that ends its processes.
const CRASH_LOOP: &str = "crash_loop";
/// Exit codes of a child that ended in order: wrong usage, try again later, wrong configuration, a
/// second Ctrl-C.
const ORDERLY_CODES: [i32; 4] = [2, 75, 78, 130];
/// Signals that ask a process to end: SIGHUP, SIGINT, SIGTERM.
const STOP_SIGNALS: [i32; 3] = [1, 2, 15];

/// A line that a trial writes on its standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrialLine {
    /// The child holds the entry and begins to work on it.
    Begun,
    /// The entry is settled or given back.
    Finished(TrialReport),
}

/// What a trial did, for the counters of its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialReport {
    pub entries: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Dead letters by code.
    pub dead: BTreeMap<String, u64>,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialEnd {
    Finished(TrialReport),
    /// The entry was not the cause, with the reason.
    NotTried(String),
    /// The child died while it worked on the entry, with the way in which it ended.
    Crashed(String),
}

/// What the worker does with the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterTrial {
    /// Nothing: the child has done it.
    Release,
    GiveBack,
    GiveBackAsCrash,
    Condemn(FailureReason),
}

pub fn is_suspect(deliveries: u32) -> bool {
    deliveries >= SUSPECT_FROM
}

pub fn is_tried_alone(entry: &Entry) -> bool {
    entry.deliveries >= ALONE_FROM
}

/// Why an entry is not tried at all; `None` if it is.
pub fn is_past_last_delivery(deliveries: u32) -> Option<FailureReason> {
    (deliveries > LAST_DELIVERY).then(|| {
        let reason = format!(
            "it was delivered {} times, and each time its worker ended as well as the process that tried it",
            deliveries - 1
        );
        FailureReason::new(CRASH_LOOP, reason)
    })
}

/// Reads the end of a child from its exit status and the lines that it wrote.
pub fn end_of(status: ExitStatus, output: &str) -> TrialEnd {
    let lines = || output.lines().filter_map(|line| serde_json::from_str(line).ok());
    let report = lines().find_map(|line| match line {
        TrialLine::Finished(report) => Some(report),
        TrialLine::Begun => None,
    });
    let how = describe(status);
    match (report, status.code(), status.signal()) {
        (Some(report), ..) => TrialEnd::Finished(report),
        (None, Some(code), _) if ORDERLY_CODES.contains(&code) => TrialEnd::NotTried(how),
        (None, _, Some(signal)) if STOP_SIGNALS.contains(&signal) => TrialEnd::NotTried(how),
        (None, ..) if lines().any(|line| line == TrialLine::Begun) => TrialEnd::Crashed(how),
        (None, ..) => TrialEnd::NotTried(format!("{how}, before it had the entry")),
    }
}

/// `crashes` are those counted before this trial, `max_crashes` is the budget.
pub fn after(end: &TrialEnd, crashes: u32, max_crashes: u32) -> AfterTrial {
    match end {
        TrialEnd::Finished(_) => AfterTrial::Release,
        TrialEnd::NotTried(_) => AfterTrial::GiveBack,
        TrialEnd::Crashed(_) if crashes + 1 < max_crashes => AfterTrial::GiveBackAsCrash,
        TrialEnd::Crashed(how) => {
            let count = crashes + 1;
            let reason =
                format!("each process that tried it alone died, {count} in all; the last: {how}");
            AfterTrial::Condemn(FailureReason::new(CRASH_LOOP, reason))
        }
    }
}

fn describe(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return format!("exit code {}", status.code().unwrap_or_default());
    };
    let name = match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL), as when memory runs out",
        11 => " (SIGSEGV)",
        _ => "",
    };
    format!("signal {signal}{name}")
}

#[cfg(test)]
mod tests {
    use isobar_broker::{EntryId, Lane};
    use isobar_model::task::Fields;

    use super::*;

    const BEGUN: &str = "\"Begun\"\n";

    /// As the kernel reports it: the signal in the low bits, the exit code above them.
    fn signal(number: i32) -> ExitStatus {
        ExitStatus::from_raw(number)
    }

    fn code(number: i32) -> ExitStatus {
        ExitStatus::from_raw(number << 8)
    }

    #[test]
    fn entries_are_suspects_from_their_third_delivery_on() {
        assert!(!is_suspect(2) && is_suspect(3));
        assert_eq!(is_past_last_delivery(LAST_DELIVERY), None);
        let why = is_past_last_delivery(LAST_DELIVERY + 1).expect("a reason");
        assert_eq!(why.code, "crash_loop");
        assert!(why.reason.contains("delivered 50 times"), "{}", why.reason);
    }

    #[test]
    fn an_eleventh_delivery_is_tried_alone() {
        for (deliveries, alone) in [(3, false), (10, false), (11, true), (12, true)] {
            let entry = Entry {
                lane: Lane::Tasks,
                id: EntryId { ms: 1, seq: 0 },
                fields: Fields::default(),
                deliveries,
                attempts: 0,
                crashes: 0,
            };
            assert_eq!(is_tried_alone(&entry), alone, "delivery {deliveries}");
        }
    }

    #[test]
    fn only_a_death_while_at_work_is_a_crash() {
        for (status, how) in [
            (signal(4), "signal 4 (SIGILL)"),
            (signal(6), "signal 6 (SIGABRT)"),
            (signal(7), "signal 7 (SIGBUS)"),
            (signal(8), "signal 8 (SIGFPE)"),
            (signal(9), "signal 9 (SIGKILL), as when memory runs out"),
            (signal(11), "signal 11 (SIGSEGV)"),
            (signal(24), "signal 24"),
            (code(1), "exit code 1"),
            (code(101), "exit code 101"),
            // An end in order comes with a report.
            (code(0), "exit code 0"),
        ] {
            assert_eq!(end_of(status, BEGUN), TrialEnd::Crashed(how.to_owned()));
            assert!(matches!(end_of(status, ""), TrialEnd::NotTried(_)), "{how} at the start");
        }
    }

    #[test]
    fn a_stop_is_not_a_crash() {
        let stops = [code(2), code(75), code(78), code(130), signal(1), signal(2), signal(15)];
        for status in stops {
            assert!(matches!(end_of(status, BEGUN), TrialEnd::NotTried(_)), "{status:?}");
        }
    }

    #[test]
    fn a_finished_trial_reports_its_counts() {
        let report = TrialReport {
            entries: 1,
            failed: 1,
            dead: BTreeMap::from([("location_rejected".to_owned(), 1)]),
            ..TrialReport::default()
        };
        let line = serde_json::to_string(&TrialLine::Finished(report.clone())).expect("JSON");
        let output = format!("{BEGUN}{line}\n");
        assert_eq!(end_of(code(0), &output), TrialEnd::Finished(report.clone()));
        // What is settled stays settled, however the process ends afterwards.
        assert_eq!(end_of(signal(11), &output), TrialEnd::Finished(report));
    }

    #[test]
    fn the_last_crash_condemns() {
        let crash = || TrialEnd::Crashed("signal 6 (SIGABRT)".to_owned());
        let free =
            (0..8).filter(|crashes| after(&crash(), *crashes, 5) == AfterTrial::GiveBackAsCrash);
        assert_eq!(free.collect::<Vec<_>>(), [0, 1, 2, 3]);
        let AfterTrial::Condemn(why) = after(&crash(), 4, 5) else { panic!("the fifth") };
        assert_eq!(why.code, "crash_loop");
        assert!(why.reason.ends_with("5 in all; the last: signal 6 (SIGABRT)"), "{}", why.reason);
        // Nothing else ever does.
        assert_eq!(after(&TrialEnd::NotTried(String::new()), 99, 5), AfterTrial::GiveBack);
        let finished = TrialEnd::Finished(TrialReport::default());
        assert_eq!(after(&finished, 99, 5), AfterTrial::Release);
    }
}
