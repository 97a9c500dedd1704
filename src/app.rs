//! What every command shares: settings, the wish to stop, and where output goes.
//!
//! [`App::settings`] is where configuration is read and logs start; a command that must not see
//! the environment (`demo`) brings its own. The first Ctrl-C or SIGTERM asks for an orderly end
//! through [`App::shutdown`]; the second ends the process at once.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use isobar_settings::{Environment, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::Global;
use crate::exit::Stop;
use crate::{logs, progress};

/// What a shell reports for a process ended by Ctrl-C.
const ENDED_BY_INTERRUPT: i32 = 130;

#[derive(Clone, Debug)]
pub struct App {
    pub global: Global,
    pub shutdown: CancellationToken,
}

impl App {
    pub fn new(global: Global) -> Self {
        Self { global, shutdown: CancellationToken::new() }
    }

    /// Reads the settings of the process and starts logging.
    pub fn settings(&self) -> anyhow::Result<Arc<Settings>> {
        self.settings_from(&Environment::of_process())
    }

    /// The same from another environment. Flags of the command are values put over it.
    pub fn settings_from(&self, environment: &Environment) -> anyhow::Result<Arc<Settings>> {
        let settings = Settings::load(environment)?;
        if let Some(spec) = environment.get(isobar_failpoint::VARIABLE) {
            isobar_failpoint::arm(spec).map_err(Stop::config)?;
        }
        let directives = match (self.global.quiet, self.global.verbose) {
            (true, _) => "warn".to_owned(),
            (_, 0) => settings.log.clone(),
            (_, 1) => "debug".to_owned(),
            _ => "trace".to_owned(),
        };
        logs::log_to(&directives, settings.log_format, progress::LogWriter::default)
            .map_err(Stop::config)?;
        Ok(Arc::new(settings))
    }

    /// Starts listening for Ctrl-C and SIGTERM.
    pub fn stop_on_signals(&self) -> anyhow::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let shutdown = self.shutdown.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "lives as long as the process, owns nothing"
        )]
        tokio::spawn(async move {
            for asked_before in [false, true] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if asked_before {
                    std::process::exit(ENDED_BY_INTERRUPT);
                }
                progress::say("finishing what is in flight; press Ctrl-C again to end at once");
                shutdown.cancel();
            }
        });
        Ok(())
    }

    /// Prints to stdout: `value` as JSON if asked for, otherwise `text`.
    pub fn print(
        &self,
        value: &impl serde::Serialize,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        let mut line = if self.global.json { serde_json::to_string(value)? } else { text() };
        if !line.ends_with('\n') {
            line.push('\n');
        }
        std::io::stdout().lock().write_all(line.as_bytes())?;
        Ok(())
    }
}
