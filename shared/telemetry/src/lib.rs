//! Logs and counters: set up once per process, before anything else speaks.
//!
//! Logs go to stderr, as one flat JSON object a line (`ts`, `level`, `target`, `msg` and the
//! event's own fields) or in a form for people. Counters are Prometheus' text under `/metrics`.
//! Events that matter are structs that write the line and move the counter together, so that the
//! two cannot diverge; they live with the code that they describe.

use std::fmt;
use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::values::LogFormat;

/// Buckets of every duration, in seconds: from a cache hit to the longest request.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

const TIDY_EVERY: Duration = Duration::from_secs(5);

/// Starts logging to `writer` (stderr, or a progress bar's stand-in for it). `directives` is
/// `ISOBAR_LOG`; an error says what in it does not parse.
pub fn log_to<W>(directives: &str, format: Option<LogFormat>, writer: W) -> Result<(), String>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(directives).map_err(|error| format!("ISOBAR_LOG: {error}"))?;
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A second call (a test in the same process) keeps the first logger.
    let _ = match format {
        LogFormat::Json => builder.event_format(JsonLine).finish().try_init(),
        LogFormat::Pretty => builder.with_target(false).with_ansi(terminal).finish().try_init(),
    };
    Ok(())
}

/// Starts counting; the handle renders what was counted. Once per process.
pub fn count() -> anyhow::Result<PrometheusHandle> {
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .install_recorder()?)
}

/// Keeps the recorder small until `stop`: its histograms would grow while nobody scrapes.
pub async fn tidy(counted: PrometheusHandle, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(TIDY_EVERY)).await.is_some() {
        counted.run_upkeep();
    }
}

/// One flat JSON object a line.
struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let mut line = Line::default();
        line.put("ts", &now);
        line.put("level", event.metadata().level().as_str().to_ascii_lowercase().as_str());
        line.put("target", event.metadata().target());
        event.record(&mut line);
        writer.write_str(&line.end())
    }
}

/// A JSON object as it grows; there is one for every request, so nothing is gathered first.
#[derive(Default)]
struct Line(Vec<u8>);

impl Line {
    fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.write(name);
        self.0.push(b':');
        self.write(value);
    }

    fn write<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.0, value).expect("text and numbers are JSON");
    }

    fn end(mut self) -> String {
        self.0.extend_from_slice(b"}\n");
        String::from_utf8(self.0).expect("JSON is UTF-8")
    }

    fn record<T: Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        let name = if field.name() == "message" { "msg" } else { field.name() };
        self.put(name, value);
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record(field, &chain(value));
    }
}

/// An error and its sources as one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        // Some errors repeat their source in their own words.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_flat_object_on_one_line_whatever_it_says() {
        let written = Written::default();
        let into = written.clone();
        let logger = tracing_subscriber::fmt()
            .event_format(JsonLine)
            .with_writer(move || into.clone())
            .finish();
        tracing::subscriber::with_default(logger, || {
            let path = "/a\"b\\\n\u{1}é";
            tracing::info!(path, status = 200, part = 0.5, odd = f64::NAN, ok = true, "said so");
            tracing::warn!(list = ?["x"], "again");
        });
        let text = written.0.lock().expect("one thread").clone();
        let text = String::from_utf8(text).expect("UTF-8");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2, "{text}");
        let said = json!({
            "ts": lines[0]["ts"], "level": "info", "target": lines[0]["target"], "msg": "said so",
            "path": "/a\"b\\\n\u{1}é", "status": 200, "part": 0.5, "odd": null, "ok": true,
        });
        assert_eq!(lines[0], said);
        assert_eq!((&lines[1]["level"], &lines[1]["list"]), (&json!("warn"), &json!("[\"x\"]")));
    }
}
