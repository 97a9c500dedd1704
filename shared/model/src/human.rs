//! Numbers as people read them in sentences and tables.

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
}
