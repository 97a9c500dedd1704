//! Names that look like settings and are not: they are reported with the nearest known name.
//!
//! Does not: report what Kubernetes sets for a service with the name `isobar`.
//! Next: [`crate::table`].

use crate::table::SETTINGS;

const PREFIX: &str = "ISOBAR_";
/// Known names that are not settings: the crash points of tests.
const OTHERS: [&str; 1] = ["ISOBAR_CRASH_AT"];
/// A setting may come from a file; see [`crate::environment`].
const FILE: &str = "_FILE";

/// What to say about a variable that has no effect; `None` for all others.
pub(crate) fn warning(name: &str, value: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    if !upper.starts_with(PREFIX) || is_known(name) || is_service_link(name, value) {
        return None;
    }
    let advice = match nearest(&upper) {
        Some(known) => format!("do you mean {known}?"),
        None => "`isobar doctor` lists all settings".to_owned(),
    };
    Some(format!("{name} is unknown and has no effect: {advice}"))
}

fn is_known(name: &str) -> bool {
    // The name of a setting may itself end so: ISOBAR_CA_FILE.
    let setting = name.strip_suffix(FILE).unwrap_or(name);
    OTHERS.contains(&name) || SETTINGS.iter().any(|known| [name, setting].contains(&known.name))
}

/// `ISOBAR_SERVICE_HOST`, `ISOBAR_PORT_8000_TCP_ADDR` and similar names.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = value.starts_with("tcp://") || value.starts_with("udp://");
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_") && (name.contains("_TCP") || name.contains("_UDP"))
        || name.ends_with("_PORT") && is_address
}

/// The known name with the fewest different letters, if at most a third of them differ.
fn nearest(name: &str) -> Option<String> {
    // Without the prefix, which `REDIS_URL` and `DATABASE_URL` do not have.
    let own = name.strip_prefix(PREFIX).unwrap_or(name);
    let distance_to = |known: &String| distance(own, known.strip_prefix(PREFIX).unwrap_or(known));
    let plain = SETTINGS.iter().map(|known| known.name.to_owned());
    let in_files = SETTINGS.iter().map(|known| format!("{}{FILE}", known.name));
    let best = plain.chain(in_files).min_by_key(distance_to)?;
    let most = (own.len() / 3).max(1);
    (distance_to(&best) <= most).then_some(best)
}

/// The Levenshtein distance: insertions, deletions and replacements of one letter.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_reported_with_the_nearest() {
        for (name, expected) in [
            ("ISOBAR_BATCHSIZE", "do you mean ISOBAR_BATCH_SIZE?"),
            ("ISOBAR_TIME_ZONE", "do you mean ISOBAR_TIMEZONE?"),
            ("ISOBAR_REDIS_URL", "do you mean REDIS_URL?"),
            ("ISOBAR_DATABASE_URL", "do you mean DATABASE_URL?"),
            ("ISOBAR_LOGLEVEL", "`isobar doctor` lists"),
            ("isobar_batch_size", "do you mean ISOBAR_BATCH_SIZE?"),
            ("ISOBAR_APIKEY_FILE", "do you mean ISOBAR_API_KEY_FILE?"),
            ("ISOBAR_PORT", "`isobar doctor` lists all settings"),
        ] {
            let warning = warning(name, "8000").expect(name);
            assert!(warning.starts_with(name) && warning.contains(expected), "{warning}");
            assert!(!warning.contains("8000"));
        }
    }

    #[test]
    fn known_and_foreign_names_are_not_reported() {
        for setting in SETTINGS {
            assert_eq!(warning(setting.name, "x"), None);
        }
        for (name, value) in [
            ("ISOBAR_API_KEY_FILE", "/run/key"),
            ("ISOBAR_CRASH_AT", "x"),
            ("ISOBARIC", "x"),
            ("PATH", "/bin"),
            ("ISOBAR_SERVICE_HOST", "10.0.0.1"),
            ("ISOBAR_PORT", "tcp://10.0.0.1:8000"),
            ("ISOBAR_PORT_8000_TCP_ADDR", "10.0.0.1"),
            ("ISOBAR_API_SERVICE_PORT_HTTP", "8000"),
        ] {
            assert_eq!(warning(name, value), None, "{name}");
        }
    }
}
