//! Countries: finds the two-letter code of a country in what people write. Pure.
//!
//! Accepts ISO 3166-1 alpha-2 and alpha-3 codes and English names with their common short forms, in
//! any case and without accents. The table is `data/countries.txt`, compiled in.
//! Guarantees: a text that is not in the table is `None`, never the country with the nearest name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use crate::city::fold_name;

const COUNTRIES: &str = include_str!("../../../data/countries.txt");

/// Codes that are widely written and are not of ISO 3166-1: British and European usage.
const OTHER_CODES: [(&str, &str); 2] = [("UK", "GB"), ("EL", "GR")];

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::parse(COUNTRIES));

struct Table {
    /// A bit for each pair of letters that is a code.
    codes: [u32; 26],
    /// Folded name or three-letter code → two-letter code.
    names: HashMap<Box<str>, &'static str>,
}

/// The two-letter code in capitals; `None` if the text is not a known country.
pub fn country_code(text: &str) -> Option<Cow<'static, str>> {
    let text = text.trim();
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        let code = text.to_ascii_uppercase();
        if let Some((_, iso)) = OTHER_CODES.iter().find(|(other, _)| *other == code) {
            return Some(Cow::Borrowed(iso));
        }
        return TABLE.has(&code).then_some(Cow::Owned(code));
    }
    TABLE.names.get(fold(text).as_str()).map(|code| Cow::Borrowed(*code))
}

impl Table {
    fn parse(text: &'static str) -> Self {
        let mut table = Self { codes: [0; 26], names: HashMap::new() };
        for line in text.lines().skip(1) {
            let (code, names) = line.split_once('|').expect("the table is well-formed");
            let [row, column] = position(code);
            table.codes[row] |= 1 << column;
            for name in names.split('|') {
                table.names.insert(fold(name).into(), code);
            }
        }
        table
    }

    fn has(&self, code: &str) -> bool {
        let [row, column] = position(code);
        self.codes[row] >> column & 1 == 1
    }
}

/// Two capital letters as numbers below 26.
fn position(code: &str) -> [usize; 2] {
    [0, 1].map(|at| usize::from(code.as_bytes()[at] - b'A'))
}

/// A name without case, accents, punctuation, article and abbreviation.
fn fold(name: &str) -> String {
    let mut words = String::with_capacity(name.len());
    for c in fold_name(name).chars() {
        match c {
            '&' => words.push_str(" and "),
            '.' | '\'' => {}
            c if c.is_alphanumeric() => words.push(c),
            _ => words.push(' '),
        }
    }
    let words = words.split_whitespace().filter(|word| *word != "the");
    words.map(|word| if word == "st" { "saint" } else { word }).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_find_their_country() {
        for (text, code) in [
            ("fr", "FR"),
            ("UK", "GB"),
            ("JPN", "JP"),
            ("usa", "US"),
            ("France", "FR"),
            (" SOUTH  KOREA ", "KR"),
            ("Korea, South", "KR"),
            ("Russia", "RU"),
            ("Czech Republic", "CZ"),
            ("Turkey", "TR"),
            ("TÜRKİYE", "TR"),
            ("Côte d'Ivoire", "CI"),
            ("Cote d’Ivoire", "CI"),
            ("Ivory Coast", "CI"),
            ("The Netherlands", "NL"),
            ("Bahamas, The", "BS"),
            ("St. Lucia", "LC"),
            ("Trinidad & Tobago", "TT"),
            ("Guinea Bissau", "GW"),
            ("Congo (Kinshasa)", "CD"),
            ("U.S.A.", "US"),
            ("Kosovo", "XK"),
        ] {
            assert_eq!(country_code(text).as_deref(), Some(code), "{text}");
        }
        for text in ["Atlantis", "ZZ", "XYZ", "C4", "", "Korea", "Fra nce", "日本"] {
            assert_eq!(country_code(text), None, "{text}");
        }
    }

    #[test]
    fn every_name_belongs_to_one_country() {
        let mut seen: HashMap<String, &str> = HashMap::new();
        let mut codes = 0;
        for line in COUNTRIES.lines().skip(1) {
            codes += 1;
            let (code, names) = line.split_once('|').expect("a code and names");
            for name in names.split('|') {
                let other = seen.insert(fold(name), code);
                assert!(other.is_none_or(|other| other == code), "{name} is {other:?} and {code}");
            }
        }
        assert_eq!(codes, 250, "249 of ISO 3166-1, and Kosovo");
    }
}
