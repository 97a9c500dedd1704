//! Metrics as constants: name, help text and labels, each written once.
//!
//! Guarantees: a file that counts has its metrics as constants and lists them in `METRICS`. Each
//! crate gathers its lists, and the binary passes all of them to [`describe`] once per process. So
//! every metric has a help text, and the tests compare README, dashboard and alerts with this list.
//! Names follow Prometheus: prefix `isobar_`, base units, counters end in `_total`. No label is a
//! city or a job, because series would grow with the work.
//! Next: [`exposition`](crate::exposition), for gauges that are read at scrape time.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, histogram};

/// One family of series.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: MetricKind,
    pub help: &'static str,
    pub labels: &'static [Label],
    /// Read at scrape time and written to a page; the recorder does not know it.
    pub scraped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// A label, with its values where they are constants.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    pub name: &'static str,
    pub values: &'static [&'static str],
}

impl Metric {
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Counter, help, labels: &[], scraped: false }
    }

    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Gauge, help, labels: &[], scraped: false }
    }

    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Histogram, help, labels: &[], scraped: false }
    }

    #[must_use]
    pub const fn with_labels(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    #[must_use]
    pub const fn scraped(self) -> Self {
        Self { scraped: true, ..self }
    }
}

impl Label {
    /// A label whose values appear while the process runs; they must be few.
    pub const fn dynamic(name: &'static str) -> Self {
        Self { name, values: &[] }
    }

    pub const fn with_values(name: &'static str, values: &'static [&'static str]) -> Self {
        Self { name, values }
    }
}

impl MetricKind {
    /// The name in Prometheus text format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Registers the help text of each metric with the recorder, and starts every counter with constant
/// labels at zero. Prometheus sees an increase only after an earlier value.
pub fn describe<'a>(metrics: impl IntoIterator<Item = &'a Metric>) {
    for metric in metrics.into_iter().filter(|metric| !metric.scraped) {
        match metric.kind {
            MetricKind::Counter => describe_counter!(metric.name, metric.help),
            MetricKind::Gauge => describe_gauge!(metric.name, metric.help),
            MetricKind::Histogram => describe_histogram!(metric.name, metric.help),
        }
        start(metric);
    }
}

fn start(metric: &Metric) {
    match (metric.kind, metric.labels) {
        (MetricKind::Counter, []) => counter!(metric.name).increment(0),
        (MetricKind::Counter, [label]) => {
            for value in label.values {
                counter!(metric.name, label.name => *value).increment(0);
            }
        }
        // Registered, so it is shown without samples.
        (MetricKind::Histogram, []) => drop(histogram!(metric.name)),
        // A gauge without a value is absent.
        _ => {}
    }
}
