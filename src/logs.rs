//! Logs on stderr: one flat JSON object a line, or a form for people.
//!
//! Guarantees: with the JSON format every event is one line (`ts`, `level`, `target`, `msg` and the
//! event's own fields), whatever its values contain.
//! Does not: count (see `telemetry::recorder`).

use std::fmt;
use std::io::IsTerminal;

use isobar_settings::values::LogFormat;
use isobar_telemetry::error_chain;
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging to `writer` (stderr, or the writer that hides progress bars). `directives` is
/// `ISOBAR_LOG`; an error names the part that does not parse.
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

/// A JSON object under construction. Fields are written as they come, without an intermediate map.
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
        self.record(field, &error_chain(value));
    }
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
    fn an_event_is_one_flat_object_on_one_line() {
        let written = Written::default();
        let into = written.clone();
        let logger = tracing_subscriber::fmt()
            .event_format(JsonLine)
            .with_writer(move || into.clone())
            .finish();
        tracing::subscriber::with_default(logger, || {
            let path = "/a\"b\\\n\u{1}é";
            tracing::info!(path, status = 200, part = 0.5, odd = f64::NAN, ok = true, "done");
            tracing::warn!(list = ?["x"], "later");
        });
        let text = written.0.lock().expect("one thread").clone();
        let text = String::from_utf8(text).expect("UTF-8");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2, "{text}");
        let said = json!({
            "ts": lines[0]["ts"], "level": "info", "target": lines[0]["target"], "msg": "done",
            "path": "/a\"b\\\n\u{1}é", "status": 200, "part": 0.5, "odd": null, "ok": true,
        });
        assert_eq!(lines[0], said);
        assert_eq!((&lines[1]["level"], &lines[1]["list"]), (&json!("warn"), &json!("[\"x\"]")));
    }
}
