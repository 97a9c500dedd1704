//! SQL: statements as they are written, and their text for each database.
//!
//! A statement is written once, in PostgreSQL's dialect, beside the type it serves. SQLite's text
//! is made from it once, by six replacements (see [`Sql::sqlite`]). Where that does not suffice,
//! a statement has two texts, one above the other. `FROM given` reads the rows that a caller gives:
//! `unnest` of one array a column in PostgreSQL, a prepared loop in SQLite (see [`Given`]).
//!
//! Guarantees: a statement declared with `sql!` is in its file's `STATEMENTS`, and a test prepares
//! both of its texts against the real schemas (`tests/it/store/schema.rs`).
//! Next: [`crate::value`] (what is bound) and [`crate::row`] (what is read).

use std::sync::OnceLock;

use crate::value::Value;

/// A statement with its two texts.
#[derive(Debug)]
pub struct Sql {
    text: &'static str,
    /// The text for SQLite, where it is not made from the other.
    sqlite_text: Option<&'static str>,
    /// Names and PostgreSQL types of the columns of `given`.
    given: &'static [(&'static str, &'static str)],
    postgres: OnceLock<String>,
    sqlite: OnceLock<String>,
}

impl Sql {
    pub const fn new(
        text: &'static str,
        sqlite_text: Option<&'static str>,
        given: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { text, sqlite_text, given, postgres: OnceLock::new(), sqlite: OnceLock::new() }
    }

    pub fn postgres(&'static self) -> &'static str {
        self.postgres.get_or_init(|| {
            let columns = self.given.iter().enumerate();
            let arrays = columns.map(|(at, (_, kind))| format!("${}::{kind}[]", at + 1));
            let names = self.given.iter().map(|(name, _)| format!(r#""{name}""#));
            let (arrays, names) = (join(arrays), join(names));
            self.text.replace("FROM given", &format!("FROM unnest({arrays}) AS given ({names})"))
        })
    }

    pub fn sqlite(&'static self) -> &'static str {
        self.sqlite.get_or_init(|| {
            let columns = self.given.iter().enumerate();
            let columns = columns.map(|(at, (name, _))| format!(r#"${} AS "{name}""#, at + 1));
            let given = format!("FROM (SELECT {}) AS given", join(columns));
            let text = self.sqlite_text.unwrap_or(self.text).replace("FROM given", &given);
            lists_to_json(&without_casts(&text))
                .replace('$', "?")
                .replace("strpos(", "instr(")
                .replace(
                    "excluded.synced_at + interval '1 hour'",
                    "strftime('%Y-%m-%dT%H:%M:%fZ', excluded.synced_at, '+1 hour')",
                )
                // A generated column, since SQLite compares no row with an expression by an index.
                .replace(r#"coalesce("row", 9223372036854775807)"#, "rank")
        })
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// Drops each `::type` and `::type[]`; SQLite needs no type to understand a parameter.
fn without_casts(text: &str) -> String {
    let mut parts = text.split("::");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        plain.push_str(rest.strip_prefix("[]").unwrap_or(rest));
    }
    plain
}

/// `= ANY($1)` → `IN (SELECT value FROM json_each($1))`: SQLite takes a list as JSON.
fn lists_to_json(text: &str) -> String {
    let mut parts = text.split("= ANY(");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str("IN (SELECT value FROM json_each(");
        plain.push_str(&part.replacen(')', "))", 1));
    }
    plain
}

/// A type whose values a statement takes as rows of `given`.
pub trait Given {
    /// Names and PostgreSQL types, in the order of [`Given::values`].
    const COLUMNS: &'static [(&'static str, &'static str)];
    fn values(&self) -> Vec<Value<'_>>;
}

/// A statement and the rows that it writes.
#[derive(Debug)]
pub struct Batch<'a> {
    pub sql: &'static Sql,
    pub rows: Vec<Vec<Value<'a>>>,
}

impl<'a> Batch<'a> {
    pub fn new<T: Given + 'a>(sql: &'static Sql, rows: impl IntoIterator<Item = &'a T>) -> Self {
        Self { sql, rows: rows.into_iter().map(T::values).collect() }
    }

    /// The rows in the order of `key`, so that two transactions never wait for each other.
    pub fn sorted<T: Given + 'a, K: Ord>(
        sql: &'static Sql,
        rows: &'a [T],
        key: impl Fn(&T) -> K,
    ) -> Self {
        let mut rows: Vec<&T> = rows.iter().collect();
        rows.sort_by_key(|row| key(row));
        Self::new(sql, rows)
    }
}

/// `sql! { NAME = "one text"; OTHER(Row) = "… FROM given …"; THIRD = "PostgreSQL" | "SQLite"; }`
macro_rules! sql {
    ($($(#[$doc:meta])* $name:ident $(($given:ty))? = $text:expr $(=> $sqlite:expr)?;)+) => {
        $(
            $(#[$doc])*
            pub(crate) static $name: $crate::sql::Sql = $crate::sql::Sql::new(
                $text,
                [$(Some($sqlite),)? None][0],
                [$(<$given as $crate::sql::Given>::COLUMNS,)? &[]][0],
            );
        )+
        /// Every statement of this file.
        pub(crate) static STATEMENTS: &[&$crate::sql::Sql] = &[$(&$name),+];
    };
}

/// `given! { Type as row { column: type = row.field, … } }` makes `Type` a row of `given`.
macro_rules! given {
    ($type:ty as $row:ident { $($column:ident: $kind:ident = $value:expr,)+ }) => {
        impl $crate::sql::Given for $type {
            const COLUMNS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($column), stringify!($kind))),+];

            fn values(&self) -> Vec<$crate::value::Value<'_>> {
                let $row = self;
                args![$($value),+]
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_text_is_made_from_the_other() {
        static SQL: Sql = Sql::new(
            r#"SELECT strpos(a, $1::text) FROM t
WHERE id = ANY($2::bigint[]) AND coalesce("row", 9223372036854775807) > $3"#,
            None,
            &[],
        );
        assert_eq!(
            SQL.sqlite(),
            "SELECT instr(a, ?1) FROM t\n\
             WHERE id IN (SELECT value FROM json_each(?2)) AND rank > ?3"
        );
    }

    #[test]
    fn given_rows_are_arrays_or_one_row() {
        static SQL: Sql =
            Sql::new("SELECT id FROM given WHERE true", None, &[("id", "uuid"), ("row", "bigint")]);
        assert_eq!(
            SQL.postgres(),
            r#"SELECT id FROM unnest($1::uuid[], $2::bigint[]) AS given ("id", "row") WHERE true"#
        );
        assert_eq!(
            SQL.sqlite(),
            r#"SELECT id FROM (SELECT ?1 AS "id", ?2 AS "row") AS given WHERE true"#
        );
    }
}
