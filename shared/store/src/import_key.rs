//! Import keys: the job of each `Idempotency-Key`, the same for all hosts of a store.
//!
//! Guarantees: of all jobs that claim a key the first has it. Every later claim, on any host, returns
//! the first one, with the name and the time that the job's first batch contains.
//!
//! A key expires [`KEPT_FOR`] after the end of its job. Without a job it expires that long after the
//! claim.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::nul::strip_nul;
use crate::store::Store;
use isobar_model::ids::JobId;

/// As long as an outbox knows the slots of its jobs that are done.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportKey {
    pub key: String,
    pub job_id: JobId,
    /// The name of the file for people.
    pub name: String,
    pub claimed_at: DateTime<Utc>,
}

sql! {
    EXPIRE = r"
DELETE FROM import_keys WHERE claimed_at < $1 AND NOT EXISTS (
    SELECT 1 FROM jobs
    WHERE jobs.job_id = import_keys.job_id AND (finished_at IS NULL OR finished_at >= $1)
)
";
    CLAIM = r"
INSERT INTO import_keys (key, job_id, name, claimed_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (key) DO NOTHING
";
    CLAIMED = "SELECT key, job_id, name, claimed_at FROM import_keys WHERE key = $1";
}

row! { ImportKey { key, job_id, name, claimed_at } }

impl Store {
    /// Claims the key, and returns the claim that has it: this one, or an earlier one.
    pub async fn claim_import_key(&self, claim: &ImportKey) -> Result<ImportKey> {
        let expired = claim.claimed_at - KEPT_FOR;
        let (key, name) = (strip_nul(&claim.key), strip_nul(&claim.name));
        let args = args![key, claim.job_id, name, claim.claimed_at];
        self.run_together(vec![(&EXPIRE, args![expired]), (&CLAIM, args)]).await?;
        let claimed = self.one(&CLAIMED, args![strip_nul(&claim.key)]).await?;
        Ok(claimed.unwrap_or_else(|| claim.clone()))
    }
}
