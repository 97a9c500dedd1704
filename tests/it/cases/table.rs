//! The table of cases as values: reads `files.txt`, and compares ends.

use std::fmt;
use std::path::Path;

const TABLE: &str = include_str!("files.txt");

/// A file and how it should end.
pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
    pub end: End,
}

#[derive(Debug)]
pub enum End {
    /// Of the words each must occur in the sentence.
    Refused {
        status: u16,
        words: Vec<String>,
    },
    Rows(Vec<Row>),
}

#[derive(Debug)]
pub enum Row {
    /// Name, country, coordinates and id, with commas between.
    Task(String),
    /// Of the words each must occur in name or reason.
    Reject { code: String, words: Vec<String> },
}

impl End {
    fn parse(text: &str) -> Self {
        if let Some((status @ ("415" | "422"), words)) = text.split_once(' ') {
            return Self::Refused {
                status: status.parse().expect("a number"),
                words: parts(words),
            };
        }
        Self::Rows(text.split(" / ").map(Row::parse).collect())
    }

    /// Whether this end of a table is the end that came. A command has no status.
    pub fn fits(&self, came: &Self) -> bool {
        match (self, came) {
            (Self::Refused { status, words }, Self::Refused { status: their, words: texts }) => {
                (*their == 0 || status == their) && has_all(words, texts)
            }
            (Self::Rows(rows), Self::Rows(their)) => {
                rows.len() == their.len()
                    && rows.iter().zip(their).all(|(row, came)| row.fits(came))
            }
            _ => false,
        }
    }
}

impl Row {
    fn parse(text: &str) -> Self {
        match text.strip_prefix("! ") {
            None => Self::Task(text.to_owned()),
            Some(reject) => {
                let (code, words) = reject.split_once(' ').unwrap_or((reject, ""));
                Self::Reject { code: code.to_owned(), words: parts(words) }
            }
        }
    }

    fn fits(&self, came: &Self) -> bool {
        match (self, came) {
            (Self::Task(task), Self::Task(their)) => task == their,
            (Self::Reject { code, words }, Self::Reject { code: their, words: texts }) => {
                code == their && has_all(words, texts)
            }
            _ => false,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, words } => write!(f, "{status} {}", words.join(" & ")),
            Self::Rows(rows) => {
                let rows = rows.iter().map(|row| match row {
                    Row::Task(task) => task.clone(),
                    Row::Reject { code, words } => format!("! {code} {}", words.join(" & ")),
                });
                write!(f, "{}", rows.collect::<Vec<_>>().join(" / "))
            }
        }
    }
}

fn parts(words: &str) -> Vec<String> {
    words.split(" & ").filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn has_all(words: &[String], texts: &[String]) -> bool {
    words.iter().all(|word| texts.iter().any(|text| text.contains(word)))
}

/// All lines of the table.
pub fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cases/csv");
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (file, end) = line.rsplit_once(" | ").expect("a file and its end");
            let quoted = file.strip_prefix('"').and_then(|file| file.strip_suffix('"'));
            let bytes = match quoted {
                Some(text) => unescape(text),
                None => std::fs::read(folder.join(file)).expect(file),
            };
            Case { name: file.to_owned(), bytes, end: End::parse(end) }
        })
        .collect()
}

/// The bytes of a text with `\n`, `\r`, `\t`, `\\`, `\"`, `\xHH` and `\u{HHHH}`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at + 1..].chars().next().expect("an escape");
        rest = &rest[at + 2..];
        match escape {
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'x' => {
                bytes.push(u8::from_str_radix(&rest[..2], 16).expect("two digits"));
                rest = &rest[2..];
            }
            'u' => {
                let (code, after) = rest[1..].split_once('}').expect("braces");
                let code = u32::from_str_radix(code, 16).expect("digits");
                let c = char::from_u32(code).expect("a character");
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
            }
            other => bytes.push(u8::try_from(other).expect("a sign")),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
