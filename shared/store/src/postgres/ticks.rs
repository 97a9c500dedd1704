//! Claims on ticks in PostgreSQL. Its clock sets the lease and ends it.

use super::connection::PostgresStore;
use crate::error::Result;
use crate::ticks::TickClaim;

sql! {
    /// At most one of both changes a row. The claimer that loses a row, or its place in an index,
    /// waits for the other transaction and then finds nothing to do.
    CLAIM = r"
WITH taken AS (
    UPDATE schedule_ticks
    SET owner = $3, job_id = $4, lease_until = clock_timestamp() + make_interval(secs => $6)
    WHERE schedule = $1 AND tick = $2 AND done_at IS NULL AND lease_until <= clock_timestamp()
    RETURNING tick
), added AS (
    INSERT INTO schedule_ticks (schedule, tick, owner, job_id, started_at, lease_until)
    VALUES ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => $6))
    ON CONFLICT DO NOTHING
    RETURNING tick
)
SELECT EXISTS (SELECT FROM taken UNION ALL SELECT FROM added) AS answer
";
}

impl PostgresStore {
    pub(crate) async fn claim_tick(&self, claim: &TickClaim) -> Result<bool> {
        let args = args![
            &claim.schedule,
            claim.tick,
            &claim.owner,
            claim.job_id,
            claim.started_at,
            claim.lease.as_secs_f64(),
        ];
        Ok(self.one(&CLAIM, args).await?.unwrap_or_default())
    }
}
