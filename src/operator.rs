//! What operator commands share: the name of the operator, and the actions.
//!
//! They use store and broker directly, so they work while no API is running.

use isobar_admin::actions::OperatorActions;
use isobar_settings::Environment;
use isobar_telemetry::host_name;

use crate::app::App;
use crate::context::Context;

/// The person at the terminal, with everything open.
pub struct Operator {
    pub context: Context,
    actor: String,
}

impl Operator {
    pub async fn open(app: &App) -> anyhow::Result<Self> {
        let context = Context::open(app.settings()?).await?;
        let environment = Environment::from_process();
        let user = environment.get("USER").or_else(|| environment.get("LOGNAME"));
        let actor = format!("cli {}@{}", user.unwrap_or("unknown"), host_name());
        Ok(Self { context, actor })
    }

    pub fn desk(&self) -> OperatorActions<'_> {
        OperatorActions {
            broker: &self.context.broker,
            store: &self.context.store,
            settings: &self.context.settings,
            actor: &self.actor,
        }
    }

    /// `cli <user>@<host>`.
    pub fn actor(&self) -> &str {
        &self.actor
    }
}
