//! Loading: reads every setting and checks how they fit together.
//!
//! Guarantees: the error lists everything that is wrong, so one start finds all of it.

use crate::environment::Environment;
use crate::table::Settings;

/// Everything that is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[error("bad configuration: {}", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

impl Settings {
    pub fn load(environment: &Environment) -> Result<Self, ConfigError> {
        let mut errors = environment.problems();
        let Some(settings) = Self::read(environment, &mut errors) else {
            return Err(ConfigError(errors));
        };
        let errors = settings.validation_errors();
        if errors.is_empty() { Ok(settings) } else { Err(ConfigError(errors)) }
    }

    /// The defaults, as if no variable were set.
    pub fn defaults() -> Self {
        Self::load(&Environment::empty()).expect("the defaults fit together")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_reported_at_once() {
        let environment =
            Environment::empty().with("ISOBAR_BATCH_SIZE", "many").with("REDIS_URL", "http://x");
        let error = Settings::load(&environment).expect_err("wrong");
        assert_eq!(error.0.len(), 2, "{error}");
    }
}
