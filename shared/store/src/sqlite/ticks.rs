//! Claims on ticks in SQLite. The host's clock sets the lease, read when the write has its turn.

use super::connection::SqliteStore;
use super::query::run;
use crate::error::Result;
use crate::ticks::TickClaim;

sql! {
    TAKE_OVER = r"
UPDATE schedule_ticks SET owner = $3, job_id = $4,
    lease_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', $5 || ' seconds')
WHERE schedule = $1 AND tick = $2 AND done_at IS NULL
    AND lease_until <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
";
    /// A row that is in one of the indexes stays.
    ADD = r"
INSERT INTO schedule_ticks (schedule, tick, owner, job_id, started_at, lease_until)
VALUES ($1, $2, $3, $4, $6, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', $5 || ' seconds'))
ON CONFLICT DO NOTHING
";
}

impl SqliteStore {
    pub(crate) async fn claim_tick(&self, claim: &TickClaim) -> Result<bool> {
        let claim = claim.clone();
        self.transaction(move |tx| {
            let lease = claim.lease.as_secs_f64();
            let mut args = args![&claim.schedule, claim.tick, &claim.owner, claim.job_id, lease];
            if run(tx, &TAKE_OVER, &args)? > 0 {
                return Ok(true);
            }
            args.extend(args![claim.started_at]);
            Ok(run(tx, &ADD, &args)? > 0)
        })
        .await
    }
}
