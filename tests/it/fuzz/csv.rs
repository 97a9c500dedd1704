//! Files of any bytes: each record is a row, wherever the reading was interrupted.

use std::path::Path;

use isobar_producer::source::csv::{CsvSource, content};
use isobar_producer::source::{CsvCursor, SourceRow};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::mangled;

const RIGHT: &str = "city_id,city,country,latitude,longitude\n\
    1,Paris,FR,48.85,2.35\n2,\"Foz do \"\"Igua\u{e7}u\"\"\",BR,-25.5,-54.5\r\n\
    3,\"two\nlines\",US,1,2\n\n,Z\u{fc}rich,CH,,\n5,Nowhere,FR,91,0\n1,Paris,FR,48.85,2.35\n";

/// The rows and where the reading ended, `at_once` so many; in between, all that is known of the
/// place is what a cursor says.
fn read(path: &Path, at_once: usize) -> Result<(Vec<SourceRow>, CsvCursor), String> {
    let hash = content(path).map_err(|error| error.to_string())?.hash;
    let mut rows = Vec::new();
    let mut cursor: Option<CsvCursor> = None;
    loop {
        let mut csv =
            CsvSource::open(path, &hash, cursor.as_ref()).map_err(|error| error.to_string())?;
        let page = csv.read(at_once).map_err(|error| error.to_string())?;
        let kept = serde_json::to_string(&csv.cursor()).expect("a cursor is plain data");
        let kept = serde_json::from_str(&kept).expect("what was written is read");
        if page.is_empty() {
            return Ok((rows, kept));
        }
        cursor = Some(kept);
        rows.extend(page);
    }
}

fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("writes");
    let whole = read(file.path(), 10_000);
    prop_assert_eq!(&read(file.path(), 1), &whole);
    if let Ok((rows, cursor)) = whole {
        let numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
        prop_assert_eq!(numbers, (1..=rows.len() as u64).collect::<Vec<_>>());
        let hash = content(file.path()).expect("reads").hash;
        let csv = CsvSource::open(file.path(), &hash, Some(&cursor)).expect("opens");
        prop_assert_eq!(csv.bytes_done(), bytes.len() as u64);
    }
    Ok(())
}

fn utf16(text: &str) -> Vec<u8> {
    let marked = format!("\u{feff}{text}");
    marked.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// What was wrong once.
const KNOWN: [&[u8]; 1] = [
    // A byte order mark before a later row was taken for none where reading went on there.
    b"city_id,city,country,latitude,longitude\n1,Paris,FR,48.85,2.35\n\xef\xbb\xbf2,Oslo,NO,60,10\n",
];

#[test]
fn what_was_wrong_once_is_right() {
    for bytes in KNOWN {
        check(bytes).unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_a_row_wherever_the_reading_was_interrupted(bytes in mangled(RIGHT.into())) {
        check(&bytes)?;
    }

    #[test]
    fn utf16_is_read_alike_wherever_the_reading_was_interrupted(bytes in mangled(utf16(RIGHT))) {
        check(&bytes)?;
    }
}
