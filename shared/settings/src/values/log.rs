//! Log levels: one for everything, or directives per module.
//!
//! Does not: check the names of modules, which the code of other crates may have.

use std::fmt;
use std::str::FromStr;

/// The last two switch logging off and turn every level on, as in the `tracing` crates.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// `info`, or `info,isobar_consumer=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirectives(pub String);

impl FromStr for LogDirectives {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        // A span in brackets may contain anything; the log filter checks it.
        let level = |part: &str| {
            let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
            part.contains('[') || LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level))
        };
        match parts.clone().find(|part| !level(part)) {
            None if parts.count() > 0 => Ok(Self(text.to_owned())),
            invalid => Err(format!(
                "invalid log level {:?}: expected error, warn, info, debug or trace, or \
                 directives, for example info,isobar_consumer=debug",
                invalid.unwrap_or(text)
            )),
        }
    }
}

impl fmt::Display for LogDirectives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_levels_are_refused() {
        for text in ["info", "WARN", "off", "warn,isobar_consumer=trace", "[span{id=1}]=debug"] {
            assert_eq!(text.parse::<LogDirectives>().expect(text).to_string(), text);
        }
        for text in ["shout", "info,loud", "isobar_consumer=loud", ",", "info=", "warning"] {
            let error = text.parse::<LogDirectives>().expect_err(text);
            assert!(error.contains("for example info,isobar_consumer=debug"), "{error}");
        }
    }
}
