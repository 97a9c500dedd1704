//! Numbers and durations as people read them: grouped digits, plurals, two units of time.
//!
//! Guarantees: pure functions of their arguments; a time that means "now" is passed in.
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

/// `1 task`, `12,500 tasks`.
pub fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
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
    fn numbers_are_grouped_by_thousands() {
        let numbers = [0, 999, 1_000, 34_006, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "34,006", "1,234,567"]);
        assert_eq!(plural(1, "task", "tasks"), "1 task");
        assert_eq!(plural(12_500, "task", "tasks"), "12,500 tasks");
    }

    #[test]
    fn a_duration_has_at_most_two_units() {
        let spans = [0, 59, 61, 3_600, 7_380, 90_000].map(two_units);
        assert_eq!(spans, ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "2 h 3 min", "1 d 1 h"]);
    }
}
