//! `sql!`: the statements of a file, written out, and the list of them that a test prepares.
//!
//! A constant that is declared here cannot be missing from `STATEMENTS`, so every statement is
//! prepared against the real schema of its database (`tests/it/store.rs`) before anyone runs it.
//! It assembles nothing: what stands there is what the database gets.

macro_rules! sql {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        $($(#[$doc])* const $name: &str = $text;)+
        /// Every statement of this file.
        pub(super) const STATEMENTS: &[&str] = &[$($name),+];
    };
}
