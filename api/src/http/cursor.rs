//! Cursors: where a page ended, as opaque text.
//!
//! Guarantees: a cursor names the last item of a page, not a count. So later writes do not shift the
//! next page, and a page costs the same at any depth. Each kind of list has its tag; the cursor of
//! another list is refused, not misread. The text is hexadecimal and needs no escaping in a URL.

use chrono::{DateTime, SecondsFormat, Utc};
use isobar_model::ids::{CityId, JobId};
use isobar_store::LedgerCursor;

use crate::http::problem::Problem;

/// Longer than any cursor that this API writes.
const MAX_CURSOR_BYTES: usize = 512;

/// A position in one kind of list.
pub trait Cursor: Sized {
    const TAG: &'static str;

    fn write(&self) -> String;

    fn read(text: &str) -> Option<Self>;
}

/// The text for `next_cursor`.
pub fn encode<C: Cursor>(cursor: &C) -> String {
    use std::fmt::Write;
    let plain = format!("{}:{}", C::TAG, cursor.write());
    plain.bytes().fold(String::with_capacity(plain.len() * 2), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string never fails");
        hex
    })
}

/// Reads what [`encode`] wrote for this kind of list; anything else is 400.
pub fn decode<C: Cursor>(text: &str) -> Result<C, Problem> {
    unhex(text)
        .as_deref()
        .and_then(|plain| plain.strip_prefix(C::TAG)?.strip_prefix(':'))
        .and_then(C::read)
        .ok_or_else(|| {
            let detail = "not a `next_cursor` of this list; start again without `cursor`";
            Problem::parameter("cursor", detail)
        })
}

/// Cuts a list that was fetched with one item more than `limit`, and returns the next cursor.
pub fn page<T, C: Cursor>(
    mut items: Vec<T>,
    limit: u32,
    after: impl Fn(&T) -> C,
) -> (Vec<T>, Option<String>) {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|last| encode(&after(last)));
    (items, next)
}

/// Cursors of rows with ascending ids.
macro_rules! by_number {
    ($($(#[$doc:meta])* $name:ident = $tag:literal;)*) => {$(
        $(#[$doc])*
        pub struct $name(pub i64);

        impl Cursor for $name {
            const TAG: &'static str = $tag;

            fn write(&self) -> String {
                self.0.to_string()
            }

            fn read(text: &str) -> Option<Self> {
                text.parse().ok().map(Self)
            }
        }
    )*};
}

by_number! {
    /// A search, by its id.
    SearchCursor = "search";
    /// An operation, by its id.
    OperationCursor = "operation";
    /// A dead letter, by its id.
    DeadCursor = "dead";
}

/// A snapshot, by its city.
impl Cursor for CityId {
    const TAG: &'static str = "city";

    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// A job, by its creation time and then its id.
pub struct JobCursor(pub DateTime<Utc>, pub JobId);

impl Cursor for JobCursor {
    const TAG: &'static str = "job";

    fn write(&self) -> String {
        let created_at = self.0.to_rfc3339_opts(SecondsFormat::Nanos, true);
        format!("{created_at}|{}", self.1)
    }

    fn read(text: &str) -> Option<Self> {
        let (created_at, id) = text.split_once('|')?;
        let created_at = DateTime::parse_from_rfc3339(created_at).ok()?;
        Some(Self(created_at.to_utc(), id.parse().ok()?))
    }
}

/// A tick of a schedule, by its time, which is unique in a schedule.
pub struct TickCursor(pub DateTime<Utc>);

impl Cursor for TickCursor {
    const TAG: &'static str = "tick";

    fn write(&self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Nanos, true)
    }

    fn read(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|tick| Self(tick.to_utc()))
    }
}

/// A finished task, by its row.
impl Cursor for LedgerCursor {
    const TAG: &'static str = "row";

    fn write(&self) -> String {
        let row = self.row.map(|row| row.to_string()).unwrap_or_default();
        format!("{row}|{}", self.task_id)
    }

    fn read(text: &str) -> Option<Self> {
        let (row, task_id) = text.split_once('|')?;
        let row = match row {
            "" => None,
            row => Some(row.parse().ok()?),
        };
        Some(Self { row, task_id: task_id.parse().ok()? })
    }
}

fn unhex(text: &str) -> Option<String> {
    if text.len() > MAX_CURSOR_BYTES || !text.len().is_multiple_of(2) {
        return None;
    }
    let digits: Option<Vec<u8>> =
        text.bytes().map(|digit| char::from(digit).to_digit(16).map(|digit| digit as u8)).collect();
    let bytes = digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_encoding() {
        let id = JobId::derive("a", "b");
        let at = Utc::now();
        let job: JobCursor = decode(&encode(&JobCursor(at, id))).expect("valid");
        assert_eq!((job.0, job.1), (at, id));
        for row in [None, Some(7)] {
            let cursor = LedgerCursor { row, task_id: id.task("x") };
            assert_eq!(decode::<LedgerCursor>(&encode(&cursor)).expect("valid"), cursor);
        }
        assert_eq!(decode::<CityId>(&encode(&CityId(-5))).expect("valid"), CityId(-5));
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        let other = encode(&SearchCursor(5));
        for text in ["", "zz", "abc", "é", "00", other.as_str(), &"00".repeat(400)] {
            assert!(decode::<CityId>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_page_before_another_has_a_cursor() {
        let after = |n: &i64| SearchCursor(*n);
        assert_eq!(page(vec![3, 2], 2, after).1, None);
        let (items, next) = page(vec![3, 2, 1], 2, after);
        assert_eq!(items, [3, 2]);
        assert_eq!(decode::<SearchCursor>(&next.expect("more")).expect("valid").0, 2);
    }
}
