//! Progress bars on the terminal, and log lines that do not break them.
//!
//! Guarantees: all bars share one [`MultiProgress`], which is hidden while a log line is written.
//! If stderr is not a terminal, nothing is animated: long work logs a plain line every 10 s.

use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a bar is redrawn, and how often a line is logged without a terminal.
const REDRAWS_PER_S: u8 = 10;
const LOG_EVERY: Duration = Duration::from_secs(10);

static BARS: LazyLock<MultiProgress> = LazyLock::new(|| {
    MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_S))
});

static ON_TERMINAL: LazyLock<bool> = LazyLock::new(|| io::stderr().is_terminal());

/// Prints a sentence above the bars.
pub fn print_status(sentence: &str) {
    // A closed stderr must not end the process.
    let _ = above_bars(|| writeln!(io::stderr(), "{sentence}"));
}

/// Writes while the bars are hidden. Without bars no lock is needed.
fn above_bars(write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if *ON_TERMINAL { BARS.suspend(write) } else { write() }
}

/// The writer of logs: stderr, with the bars hidden during the write.
#[derive(Debug, Default)]
pub struct LogWriter {
    line: Vec<u8>,
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        above_bars(|| io::stderr().write_all(&line))
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        // A closed stderr must not end the process.
        let _ = self.flush();
    }
}

/// A counter of finished work, with or without a known total.
#[derive(Debug)]
pub struct Bar {
    drawn: ProgressBar,
    animated: bool,
    label: &'static str,
    logged_at: Instant,
}

impl Bar {
    /// `unit` is what is counted: `rows`, `cities`.
    pub fn new(label: &'static str, unit: &'static str, quiet: bool) -> Self {
        let animated = *ON_TERMINAL && !quiet;
        let bar = if animated { BARS.add(ProgressBar::no_length()) } else { ProgressBar::hidden() };
        let template = format!(
            "{{prefix:>10}} {{bar:32}} {{human_pos}}/{{human_len}} {unit}  {{per_sec}}  {{eta}} left  {{msg}}"
        );
        let style = ProgressStyle::with_template(&template).expect("the template is well-formed");
        bar.set_style(style.progress_chars("━╸ "));
        bar.set_prefix(label);
        Self { drawn: bar, animated, label, logged_at: Instant::now() }
    }

    pub fn set(&mut self, done: u64, total: Option<u64>, message: String) {
        if let Some(total) = total {
            self.drawn.set_length(total);
        }
        self.drawn.set_position(done);
        if !self.animated && self.logged_at.elapsed() >= LOG_EVERY {
            self.logged_at = Instant::now();
            let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
            tracing::info!(done, total, "{}: {done}{of} {message}", self.label);
        }
        self.drawn.set_message(message);
    }

    pub fn finish(self) {
        self.drawn.finish_and_clear();
    }
}
