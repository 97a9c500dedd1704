//! What every command shares: global options, settings, shutdown and output.
//!
//! [`App::settings`] reads the configuration and starts logging. A command that must not see the
//! environment (`demo`) passes its own.
//! Guarantees: the first Ctrl-C or SIGTERM cancels [`App::shutdown`], and roles finish what is in
//! flight; the second ends the process at once.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use isobar_consumer::TrialCommand;
use isobar_settings::{Environment, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::ExitError;
use crate::{logs, progress};

/// The exit code that a shell reports after Ctrl-C.
const ENDED_BY_INTERRUPT: i32 = 130;

/// The options that every command has.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Global {
    /// Print one JSON document on stdout, for machines
    #[arg(long, global = true)]
    pub json: bool,
    /// Only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More detail (-vv for all)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

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
        self.settings_from(&Environment::from_process())
    }

    /// Reads them from another environment, into which the caller has put the command's flags.
    pub fn settings_from(&self, environment: &Environment) -> anyhow::Result<Arc<Settings>> {
        let warnings = environment.warnings();
        let settings = self.load(environment).inspect_err(|_| print_warnings(&warnings))?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(settings)
    }

    /// The same without warnings, for a trial: its worker has already shown them.
    pub fn load(&self, environment: &Environment) -> anyhow::Result<Arc<Settings>> {
        let settings = Settings::load(environment)?;
        if let Some(spec) = environment.get(isobar_failpoint::VARIABLE) {
            isobar_failpoint::arm(spec).map_err(ExitError::config)?;
        }
        let directives = match (self.global.quiet, self.global.verbose) {
            (true, _) => "warn".to_owned(),
            (_, 0) => settings.log.0.clone(),
            (_, 1) => "debug".to_owned(),
            _ => "trace".to_owned(),
        };
        logs::log_to(&directives, settings.log_format, progress::LogWriter::default)
            .map_err(ExitError::config)?;
        Ok(Arc::new(settings))
    }

    /// How a worker of this process starts a trial: with the same settings and the same logs.
    pub fn trial_command(&self, environment: &Environment) -> TrialCommand {
        let quiet = self.global.quiet.then(|| "--quiet".to_owned());
        let verbose = (0..self.global.verbose).map(|_| "--verbose".to_owned());
        TrialCommand {
            options: quiet.into_iter().chain(verbose).collect(),
            environment: environment.variables(),
        }
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
            for is_second in [false, true] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if is_second {
                    std::process::exit(ENDED_BY_INTERRUPT);
                }
                progress::print_status(
                    "finishing what is in flight; press Ctrl-C again to exit at once",
                );
                shutdown.cancel();
            }
        });
        Ok(())
    }

    /// Prints to stdout: `value` as JSON with `--json`, otherwise `text`.
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

/// For commands without settings: reports variables that no command knows.
pub fn warn_about_names() {
    print_warnings(&Environment::from_process().warnings());
}

fn print_warnings(warnings: &[String]) {
    for warning in warnings {
        progress::print_status(&format!("warning: {warning}"));
    }
}
