//! Refusals: files that are not a table of cities, known by their first bytes. Pure.
//!
//! Each refusal is one sentence for the owner of the file: what the file is or what it lacks, what
//! to do, and what its first line has.

use super::shown::{quoted, shorten};

/// Whether the file is not a table, or a table that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    NotATable,
    NoHeader,
}

/// Why a whole file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    pub kind: RefusalKind,
    pub detail: String,
}

impl RefusalKind {
    /// The stable code of a job that failed for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotATable => "not_a_table",
            Self::NoHeader => "no_header",
        }
    }
}

impl Refusal {
    pub fn not_a_table(what: &str, first: &[u8]) -> Self {
        let first = String::from_utf8_lossy(&first[..first.len().min(200)]);
        let line = first.split(['\n', '\r']).find(|line| !line.trim().is_empty());
        let line = quoted(line.unwrap_or_default());
        Self {
            kind: RefusalKind::NotATable,
            detail: format!(
                "the file is {what}, not a CSV; save the table as CSV in UTF-8; the first line has {line}"
            ),
        }
    }

    pub fn empty() -> Self {
        let detail = "the file is empty: it has neither a header nor a row".to_owned();
        Self { kind: RefusalKind::NoHeader, detail }
    }

    /// `missing` is a sentence without its end.
    pub fn no_header(missing: &str, first_line: &[String]) -> Self {
        Self {
            kind: RefusalKind::NoHeader,
            detail: format!("{missing}; the first line has: {}", listed(first_line)),
        }
    }
}

/// The cells of a line, some of them if there are many.
fn listed(cells: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut names: Vec<String> = cells.iter().take(SHOWN).map(|cell| shorten(cell, 40)).collect();
    if cells.len() > SHOWN {
        names.push("…".to_owned());
    }
    names.join(", ")
}

/// Formats by their first bytes.
const MAGIC: [(&[u8], &str); 29] = [
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet (XLSX or ODS)"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"PK\x07\x08", "a part of a ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet or document of old Microsoft Office (XLS or DOC)"),
    (b"\x1f\x8b", "compressed (gzip)"),
    (b"BZh", "compressed (bzip2)"),
    (b"\xfd7zXZ\0", "compressed (xz)"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a", "a RAR archive"),
    (b"%PDF", "a PDF document"),
    (b"{\\rtf", "an RTF document"),
    (b"\x89PNG", "an image (PNG)"),
    (b"\xff\xd8\xff", "an image (JPEG)"),
    (b"GIF87a", "an image (GIF)"),
    (b"GIF89a", "an image (GIF)"),
    (b"II*\0", "an image (TIFF)"),
    (b"MM\0*", "an image (TIFF)"),
    (b"RIFF", "an image, a sound or a video (RIFF)"),
    (b"\0\0\x01\0", "an image (ICO)"),
    (b"SQLite format 3\0", "a database (SQLite)"),
    (b"PAR1", "a Parquet file"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"\x7fELF", "a program"),
    (b"ID;PWXL", "a spreadsheet (SYLK)"),
    (b"ID;PSCALC", "a spreadsheet (SYLK)"),
    (b"\xff\xfe\0\0", "text in UTF-32"),
    (b"\0\0\xfe\xff", "text in UTF-32"),
];

/// Refuses files that do not hold text.
pub fn check_bytes(head: &[u8]) -> Result<(), Refusal> {
    // "ORC" may start a name; formats have bytes that no text has soon after.
    let is_binary = head.iter().take(4096).any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31));
    for (magic, what) in MAGIC {
        let is_text = magic.len() < 5 && magic.iter().all(u8::is_ascii_alphanumeric);
        if head.starts_with(magic) && (is_binary || !is_text) {
            return Err(Refusal::not_a_table(what, head));
        }
    }
    if head.starts_with(b"PK") && is_binary {
        return Err(Refusal::not_a_table("a ZIP archive or a spreadsheet", head));
    }
    if head.starts_with(b"BM") && head.get(6..10) == Some(&[0; 4]) {
        return Err(Refusal::not_a_table("an image (BMP)", head));
    }
    Ok(())
}

/// Refuses text that is a format of its own; `text` starts without white space.
pub fn check_text(text: &[u8]) -> Result<(), Refusal> {
    let what = match text.first() {
        Some(b'<') if starts_without_case(text, b"<!doctype html") => "HTML",
        Some(b'<') if starts_without_case(text, b"<?xml") => "XML",
        Some(b'<') => "HTML or XML",
        Some(b'{' | b'[') => "JSON",
        _ => return Ok(()),
    };
    Err(Refusal::not_a_table(what, text))
}

fn starts_without_case(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start))
}
