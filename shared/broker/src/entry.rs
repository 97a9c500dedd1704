//! Entries: what a worker reads, claims and gives back.
//!
//! Next: [`lane`](crate::lane) for the position of an entry.

use std::time::Duration;

use isobar_model::task::Fields;

use crate::lane::{EntryId, Lane};

/// A task or control message as the stream delivered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub lane: Lane,
    pub id: EntryId,
    pub fields: Fields,
    /// How often it was delivered, this time included. Giving it back takes this delivery off.
    pub deliveries: u32,
    /// How often it failed with a transient error.
    pub attempts: u32,
    /// How often it ended the process that tried it alone.
    pub crashes: u32,
}

/// Where a scan continues. It starts at the beginning of the stream and wraps at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScanCursor(pub EntryId);

/// How much a claim may take.
#[derive(Clone, Copy, Debug)]
pub struct ClaimLimits {
    pub claim_idle: Duration,
    /// Most entries that are not suspects.
    pub count: usize,
    /// Most suspects: entries whose next delivery is number `suspect_from` or later. A suspect
    /// runs alone, so a worker claims only as many as it can start right now.
    pub suspects: usize,
    pub suspect_from: u32,
}

/// One entry that its owner gives back.
#[derive(Clone, Copy, Debug)]
pub struct GiveBack {
    pub id: EntryId,
    /// When it falls due again, at most the claim idle.
    pub delay: Duration,
    /// What it is counted as, if anything (I7).
    pub counted: Option<Budget>,
}

/// The two things that an entry may do only so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Fail in a way that may pass.
    Attempt,
    /// End the process that tries it alone.
    Crash,
}
