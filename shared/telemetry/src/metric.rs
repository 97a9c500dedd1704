//! A metric as a value: its name, what it means and its labels, each spelt once.
//!
//! A file that counts has its metrics as constants beside the code and lists them in a `METRICS`;
//! each crate gathers its lists, and the binary hands all of them to [`describe`] once per process.
//! So nothing is counted without a word about it, and the tests can hold README, dashboard and
//! alerts to what exists. Names follow Prometheus: prefix `isobar_`, base units, counters end in
//! `_total`. No city and no job ever is a label: series would grow with the work.
//!
//! Next: [`exposition`](crate::exposition), for what is not counted but asked for at a scrape.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, histogram};

/// One family of series.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    pub labels: &'static [Label],
    /// Read from somewhere at a scrape and put on a page, so that nothing is to be started.
    pub asked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A label, with its values where they are known beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    pub name: &'static str,
    pub values: &'static [&'static str],
}

impl Metric {
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, help, labels: &[], asked: false }
    }

    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, help, labels: &[], asked: false }
    }

    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Histogram, help, labels: &[], asked: false }
    }

    #[must_use]
    pub const fn by(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    #[must_use]
    pub const fn asked(self) -> Self {
        Self { asked: true, ..self }
    }
}

impl Label {
    /// A label whose values turn up as the process runs; they must be few.
    pub const fn open(name: &'static str) -> Self {
        Self { name, values: &[] }
    }

    pub const fn of(name: &'static str, values: &'static [&'static str]) -> Self {
        Self { name, values }
    }
}

impl Kind {
    /// As Prometheus' text calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Tells the recorder what each metric means, and starts every counter whose labels are known at
/// zero: an increase can only be seen from a value that was there before.
pub fn describe<'a>(metrics: impl IntoIterator<Item = &'a Metric>) {
    for metric in metrics.into_iter().filter(|metric| !metric.asked) {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.help),
        }
        start(metric);
    }
}

fn start(metric: &Metric) {
    match (metric.kind, metric.labels) {
        (Kind::Counter, []) => counter!(metric.name).increment(0),
        (Kind::Counter, [label]) => {
            for value in label.values {
                counter!(metric.name, label.name => *value).increment(0);
            }
        }
        // Made, and thereby shown with no samples.
        (Kind::Histogram, []) => drop(histogram!(metric.name)),
        // A gauge that nobody has set says nothing, which is true.
        _ => {}
    }
}
