//! `isobar completions SHELL`: a completion script on stdout.

use std::io::Write;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::app::{App, warn_about_names};
use crate::cli::Cli;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example: isobar completions bash > ~/.local/share/bash-completion/completions/isobar"
)]
pub struct Args {
    shell: Shell,
}

#[expect(clippy::unused_async, reason = "commands share one shape")]
pub async fn run(args: Args, _: &App) -> anyhow::Result<Exit> {
    warn_about_names();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(&Cli::command()), "isobar", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Exit::Done)
}

/// The command line without what help does not show; completions would offer it.
fn visible(whole: &Command) -> Command {
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new("isobar")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args(whole.get_arguments().cloned())
        .subcommands(shown.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_commands_are_not_completed() {
        let whole = Cli::command();
        let names = |command: &Command| -> Vec<String> {
            command.get_subcommands().map(|command| command.get_name().to_owned()).collect()
        };
        let (all, shown) = (names(&whole), names(&visible(&whole)));
        let hidden: Vec<&String> = all.iter().filter(|name| !shown.contains(name)).collect();
        assert_eq!(hidden, ["trial"]);
    }
}
