//! What is not counted but asked for at a scrape, as Prometheus' text.
//!
//! What a process counts itself is in the recorder for good. What it hears from others (broker,
//! store, heartbeats) is true only at the moment of asking: kept in the recorder, a gauge would
//! stay at its last value when its source goes away, and an alert would see calm. A [`Page`] is
//! written anew for each scrape, so that what could not be asked is not there.

use std::fmt::Write as _;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::metric::Metric;

/// The content type of the text format.
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics of one scrape. A family is written by one call, which is what the format asks for.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// A metric without labels.
    pub fn put(&mut self, metric: &Metric, value: f64) {
        self.put_each(metric, [([], value)]);
    }

    /// One series for each set of values, in the order of the metric's labels. None is no family.
    pub fn put_each<'a, const N: usize>(
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

    /// One series for each of `states`, 1 for the one that is so and 0 for the others: an alert can
    /// then ask for how long a state has lasted.
    pub fn put_state(&mut self, metric: &Metric, states: &[&str], is: &str) {
        self.put_each(metric, states.iter().map(|state| ([*state], one_if(*state == is))));
    }

    /// This page, and what the process has counted.
    pub fn with_counted(self, counted: &PrometheusHandle) -> String {
        let mut text = counted.render();
        text.push_str(&self.text);
        text
    }
}

/// Yes and no as Prometheus knows them.
pub fn one_if(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Label;

    const PLAIN: Metric = Metric::gauge("isobar_plain", "Plain.");
    const STATE: Metric = Metric::gauge("isobar_state", "State.").by(&[Label::open("state")]);

    #[test]
    fn a_family_is_written_with_its_meaning_and_an_empty_one_is_not() {
        let mut page = Page::default();
        page.put(&PLAIN, 0.5);
        page.put_each::<1>(&STATE, []);
        assert_eq!(
            page.text,
            "# HELP isobar_plain Plain.\n# TYPE isobar_plain gauge\nisobar_plain 0.5\n"
        );
        let mut page = Page::default();
        page.put_state(&STATE, &["open", "a \"b\"\\"], "open");
        let series: Vec<&str> = page.text.lines().skip(2).collect();
        assert_eq!(
            series,
            ["isobar_state{state=\"open\"} 1", "isobar_state{state=\"a \\\"b\\\"\\\\\"} 0"]
        );
    }
}
