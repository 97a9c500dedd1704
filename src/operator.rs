//! What commands of operators share: who they are, and the desk at which they act.
//!
//! They act on store and broker themselves, so that they work while no API is up.

use isobar_admin::actions::Desk;
use isobar_settings::Environment;

use crate::app::App;
use crate::commands::consume::host_name;
use crate::context::Parts;

/// Somebody at a terminal, with everything open.
pub struct Operator {
    pub parts: Parts,
    actor: String,
}

impl Operator {
    pub async fn open(app: &App) -> anyhow::Result<Self> {
        let parts = Parts::open(app.settings()?).await?;
        let environment = Environment::of_process();
        let user = environment.get("USER").or_else(|| environment.get("LOGNAME"));
        let actor = format!("cli {}@{}", user.unwrap_or("somebody"), host_name());
        Ok(Self { parts, actor })
    }

    pub fn desk(&self) -> Desk<'_> {
        Desk {
            broker: &self.parts.broker,
            store: &self.parts.store,
            settings: &self.parts.settings,
            actor: &self.actor,
        }
    }

    /// `cli <user>@<host>`.
    pub fn actor(&self) -> &str {
        &self.actor
    }
}
