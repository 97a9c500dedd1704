//! `dispatch!`: one expression for both backends of a store.
//!
//! It has no time limit; see [`crate::store::Store::timed`].

macro_rules! dispatch {
    ($store:ident, $backend:ident => $call:expr) => {
        match $store {
            $crate::store::Store::Postgres($backend) => $call,
            $crate::store::Store::Sqlite($backend) => $call,
        }
    };
}
