//! Gauges that are read at scrape time, in Prometheus text format.
//!
//! Guarantees: a value that cannot be read is absent, not stale. A [`Exposition`] is written again for
//! each scrape, because values from the broker, the store and heartbeats are true only at that
//! moment. A gauge in the recorder would keep its last value when its source fails, and an alert
//! would stay silent.
//! Does not: hold what this process counts itself (see [`recorder`](crate::recorder)).

use std::fmt::Write as _;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::metric::Metric;

/// The content type of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics of one scrape. One call writes a whole family, as the format requires.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// A metric without labels.
    pub fn add(&mut self, metric: &Metric, value: f64) {
        self.add_series(metric, [([], value)]);
    }

    /// One series for each set of label values, in the order of the metric's labels. Without series
    /// the family is absent.
    pub fn add_series<'a, const N: usize>(
        &mut self,
        metric: &Metric,
        series: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return;
        }
        debug_assert_eq!(metric.labels.len(), N, "the labels of {}", metric.name);
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "# HELP {} {}", metric.name, metric.help);
        let _ = writeln!(self.text, "# TYPE {} {}", metric.name, metric.kind.as_str());
        for (values, value) in series {
            self.text.push_str(metric.name);
            for (at, (label, value)) in metric.labels.iter().zip(values).enumerate() {
                let before = if at == 0 { '{' } else { ',' };
                let _ = write!(self.text, "{before}{}=\"{}\"", label.name, escaped(value));
            }
            let end = if N == 0 { "" } else { "}" };
            let _ = writeln!(self.text, "{end} {value}");
        }
    }

    /// One series for each of `states`, 1 for the current one and 0 for the others, so an alert can
    /// measure how long a state lasts.
    pub fn add_state(&mut self, metric: &Metric, states: &[&str], current: &str) {
        self.add_series(
            metric,
            states.iter().map(|state| ([*state], bool_value(*state == current))),
        );
    }

    /// The metrics of the recorder, followed by this page.
    pub fn with_recorder(self, recorder: &PrometheusHandle) -> String {
        let mut text = recorder.render();
        text.push_str(&self.text);
        text
    }
}

/// 1 for true and 0 for false.
pub fn bool_value(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Label;

    const PLAIN: Metric = Metric::gauge("isobar_plain", "Plain.");
    const STATE: Metric =
        Metric::gauge("isobar_state", "State.").with_labels(&[Label::dynamic("state")]);

    #[test]
    fn only_a_family_with_series_is_written() {
        let mut page = Exposition::default();
        page.add(&PLAIN, 0.5);
        page.add_series::<1>(&STATE, []);
        assert_eq!(
            page.text,
            "# HELP isobar_plain Plain.\n# TYPE isobar_plain gauge\nisobar_plain 0.5\n"
        );
        let mut page = Exposition::default();
        page.add_state(&STATE, &["open", "a \"b\"\\"], "open");
        let series: Vec<&str> = page.text.lines().skip(2).collect();
        assert_eq!(
            series,
            ["isobar_state{state=\"open\"} 1", "isobar_state{state=\"a \\\"b\\\"\\\\\"} 0"]
        );
    }
}
