//! Numbers and durations as people read them: grouped digits, plurals, two units of time.
//!
//! Guarantees: pure functions of their arguments.
//! Does not: write for machines (times there are RFC 3339, durations are seconds).

/// `12500` as `12,500`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 task`, `12,500 tasks`, `2 cities`, `2 batches`; `noun` is one of them.
pub fn plural(count: u64, noun: &str) -> String {
    let number = grouped(count);
    if count == 1 {
        return format!("{number} {noun}");
    }
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{number} {stem}ies"),
        _ if noun.ends_with("ch") => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

/// `59 s`, `1 min 1 s`, `2 h 3 min`, `1 d 1 h`: at most two units, rounded down.
pub fn two_units(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated_by_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (12_500, "12,500"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn nouns_follow_their_number() {
        for (count, noun, text) in [
            (1, "task", "1 task"),
            (0, "task", "0 tasks"),
            (12_500, "dead letter", "12,500 dead letters"),
            (2, "city", "2 cities"),
            (2, "day", "2 days"),
            (2, "batch", "2 batches"),
        ] {
            assert_eq!(plural(count, noun), text);
        }
    }

    #[test]
    fn a_duration_has_at_most_two_units() {
        let spans = [0, 59, 61, 3_600, 7_380, 90_000].map(two_units);
        assert_eq!(spans, ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "2 h 3 min", "1 d 1 h"]);
    }
}
