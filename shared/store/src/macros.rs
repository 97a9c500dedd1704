//! `dispatch!` and `dispatch_timed!`: one expression for whichever backend a store has.

macro_rules! dispatch {
    ($store:ident, $backend:ident => $call:expr) => {
        match $store {
            $crate::store::Store::Postgres($backend) => $call,
            $crate::store::Store::Sqlite($backend) => $call,
        }
    };
}

/// The same for a future, with PostgreSQL's time limit.
macro_rules! dispatch_timed {
    ($store:ident, $backend:ident => $call:expr) => {
        match $store {
            $crate::store::Store::Postgres($backend) => $backend.with_timeout($call).await,
            $crate::store::Store::Sqlite($backend) => $call.await,
        }
    };
}
