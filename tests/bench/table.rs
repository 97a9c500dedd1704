//! What comes out: rows of a table, the same as JSON, and the facts of the machine.
//!
//! A row is the median of its runs with its unit; beside it, where that makes sense, its share of
//! a limit measured in the same run, and the targets that the project has set itself. Nothing is
//! judged here but "met" or "missed".

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixtures::Scale;

/// One measured thing.
#[derive(Debug)]
pub struct Row {
    name: String,
    unit: &'static str,
    /// One value per run; empty where it could not be measured.
    runs: Vec<f64>,
    target: Option<Target>,
    share: Option<Share>,
    note: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// The row as a part of another.
#[derive(Debug)]
struct Share {
    of: String,
    value: f64,
    target: Option<Target>,
}

impl Row {
    pub fn new(name: impl Into<String>, unit: &'static str, runs: Vec<f64>) -> Self {
        Self { name: name.into(), unit, runs, target: None, share: None, note: None }
    }

    pub fn absent(name: impl Into<String>, unit: &'static str, why: impl Into<String>) -> Self {
        Self { note: Some(why.into()), ..Self::new(name, unit, Vec::new()) }
    }

    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    #[must_use]
    pub fn share_of(mut self, limit: &Row, target: Option<Target>) -> Self {
        if let (Some(value), Some(of)) = (self.median(), limit.median()) {
            self.share = Some(Share { of: limit.name.clone(), value: value / of, target });
        }
        self
    }

    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.runs.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(sorted[middle]),
            _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
        }
    }

    pub fn brief(&self) -> String {
        match self.runs.as_slice() {
            [] => format!("  {}: n/a", self.name),
            runs => {
                let runs: Vec<String> = runs.iter().map(|&run| number(run)).collect();
                format!("  {}: {} {}", self.name, runs.join(" · "), self.unit)
            }
        }
    }

    fn json(&self) -> Value {
        let share = self.share.as_ref().map(|share| {
            json!({
                "of": share.of, "value": share.value,
                "target": share.target.map(Target::json),
                "met": share.target.map(|target| target.is_met(share.value)),
            })
        });
        let median = self.median();
        json!({
            "name": self.name, "unit": self.unit, "median": median, "runs": self.runs,
            "target": self.target.map(Target::json),
            "met": self.target.zip(median).map(|(target, value)| target.is_met(value)),
            "share": share, "note": self.note,
        })
    }

    fn cells(&self) -> [String; 5] {
        let median = self.median();
        let share = self.share.as_ref();
        [
            self.name.clone(),
            median.map_or_else(
                || "n/a".to_owned(),
                |value| format!("{} {}", number(value), self.unit),
            ),
            verdict(self.target, median),
            share.map_or_else(String::new, |share| format!("{:.2} of {}", share.value, share.of)),
            share.map_or_else(String::new, |share| verdict(share.target, Some(share.value))),
        ]
    }
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn json(self) -> Value {
        match self {
            Self::AtLeast(least) => json!({ "at_least": least }),
            Self::AtMost(most) => json!({ "at_most": most }),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {}", number(*least)),
            Self::AtMost(most) => write!(f, "≤ {}", number(*most)),
        }
    }
}

/// All rows, and where they were measured.
#[derive(Debug)]
pub struct Table {
    machine: Machine,
    scale: Scale,
    quick: bool,
    rows: Vec<Row>,
    failed: Vec<String>,
    took: Duration,
}

impl Table {
    pub fn new(machine: Machine, scale: Scale, quick: bool) -> Self {
        Self { machine, scale, quick, rows: Vec::new(), failed: Vec::new(), took: Duration::ZERO }
    }

    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// A part of which there are no figures.
    pub fn failed(&mut self, part: &str) {
        self.failed.push(part.to_owned());
    }

    pub fn took(&mut self, took: Duration) {
        self.took = took;
    }

    pub fn is_whole(&self) -> bool {
        self.failed.is_empty()
    }

    pub fn json(&self) -> Value {
        json!({
            "machine": self.machine.json(),
            "scale": { "cities": self.scale.cities, "rows": self.scale.rows, "runs": self.scale.runs, "quick": self.quick },
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "failed": self.failed,
            "elapsed_ms": self.took.as_millis() as u64,
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scale { cities, rows, runs, .. } = self.scale;
        writeln!(f, "{}", self.machine)?;
        writeln!(
            f,
            "{} cities, {} rows, median of {runs}{}, {:.0} s\n",
            number(cities as f64),
            number(rows as f64),
            if self.quick { ", QUICK: no measurement" } else { "" },
            self.took.as_secs_f64()
        )?;
        let head = ["what", "median", "target", "share", "target"].map(str::to_owned);
        let lines: Vec<[String; 5]> =
            std::iter::once(head).chain(self.rows.iter().map(Row::cells)).collect();
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
        };
        let widths: [usize; 5] = std::array::from_fn(width);
        for [what, median, target, share, share_target] in &lines {
            let [what_width, median_width, target_width, share_width, _] = widths;
            let line = format!(
                "{what:<what_width$}  {median:>median_width$}  {target:<target_width$}  \
                 {share:<share_width$}  {share_target}"
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        for row in &self.rows {
            if let Some(note) = &row.note {
                writeln!(f, "{}: {note}", row.name)?;
            }
        }
        for part in &self.failed {
            writeln!(f, "{part}: FAILED, see above")?;
        }
        Ok(())
    }
}

/// What the figures depend on. What cannot be found out is left empty.
#[derive(Debug)]
pub struct Machine {
    cores: usize,
    processor: String,
    load_before: String,
    kernel: String,
}

impl Machine {
    pub fn look() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1.to_owned()))
            .unwrap_or_default();
        let load: Vec<String> =
            read("/proc/loadavg").split_whitespace().take(3).map(str::to_owned).collect();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor,
            load_before: load.join(" "),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "cores": self.cores, "processor": self.processor, "kernel": self.kernel,
            "load_average_before": self.load_before,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, load_before, kernel } = self;
        write!(f, "{cores} cores ({processor}), Linux {kernel}, load before {load_before}")
    }
}

fn verdict(target: Option<Target>, value: Option<f64>) -> String {
    match (target, value) {
        (Some(target), Some(value)) => {
            format!("{target} {}", if target.is_met(value) { "met" } else { "MISSED" })
        }
        (Some(target), None) => target.to_string(),
        (None, _) => String::new(),
    }
}

/// Thousands apart where there are some, decimals where there are few digits.
fn number(value: f64) -> String {
    if value >= 1_000.0 {
        isobar_model::human::grouped(value.round() as u64)
    } else if value >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}
