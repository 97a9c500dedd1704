//! `isobar users sync|enrich`: short for `isobar produce --pipeline users|addresses|cards`.

use isobar_model::pipeline::PipelineName;

use crate::app::App;
use crate::commands::produce::run_all;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar users sync")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Sync users from ISOBAR_USERS_URL
    Sync,
    /// Look up addresses and cards for users without them
    Enrich {
        /// At most N users (ISOBAR_ENRICH_BATCH_SIZE)
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
    },
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    match args.action {
        Action::Sync => run_all(&[PipelineName::Users], None, app).await,
        Action::Enrich { limit } => {
            run_all(&[PipelineName::Addresses, PipelineName::Cards], limit, app).await
        }
    }
}
