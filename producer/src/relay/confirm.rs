//! Confirmation: whether a sent batch is finished, still in the stream, or lost.
//!
//! A batch is confirmed if the watermark covers it, the stream has the epoch of its receipt, and no
//! entry of it is left there. By I3 their results are then committed. Only then it is pruned,
//! always from the lowest upwards.
//!
//! If the epoch differs or the watermark is below a sent batch, the stream has lost it. Its receipt
//! is cleared and it is sent again; the ledger makes that harmless. Does not: ask the store.

use isobar_broker::Receipt;
use isobar_model::ids::JobId;

use super::step::{Relay, RelayError};
use crate::outbox::{JobKey, OpenJob, SentBatch};

/// Receipts in one query.
const PAGE: u32 = 200;

/// The state of a page of receipts of one job.
#[derive(Debug, Default, PartialEq)]
struct Confirmation {
    /// The unbroken run from the lowest batch on; these may be finished.
    candidates: Vec<SentBatch>,
    /// From this batch on, the stream has lost what was sent.
    lost_from: Option<u64>,
}

impl Relay {
    /// Heals the stream, clears the receipts of lost batches, prunes finished ones.
    pub async fn reconcile(&mut self) -> Result<(), RelayError> {
        isobar_failpoint::hit("producer.heal.before");
        let healed = self.broker.heal(&self.topic).await?;
        isobar_failpoint::hit("producer.heal.after");
        if healed.recreated && self.outbox.has_sent().await? {
            tracing::warn!(stream = %self.topic.stream, epoch = %healed.epoch, "the stream was missing and has been recreated; batches that are not confirmed will be sent again");
        }
        self.outbox.flush_marks().await?;
        let open = self.outbox.open_jobs(self.pipeline).await?;
        let ids: Vec<JobId> = open.iter().map(|job| job.job_id).collect();
        let marks = self.broker.watermarks(&self.topic, &ids).await?;
        // Another process may have healed the stream: use the epoch of the watermarks.
        let epoch = marks.epoch.unwrap_or_default();
        for job in open {
            let watermark = marks.last_seq.get(&job.job_id).copied();
            self.settle_sent(&job, &epoch, watermark).await?;
        }
        self.ahead = None;
        self.refresh_jobs().await?;
        Ok(())
    }

    async fn settle_sent(
        &mut self,
        job: &OpenJob,
        epoch: &str,
        watermark: Option<u64>,
    ) -> Result<(), RelayError> {
        let mut confirmed = job.confirmed_seq;
        let mut unbroken = true;
        let mut after = confirmed;
        loop {
            let sent = self.outbox.sent(job.key, after, PAGE).await?;
            let Some(last) = sent.last().map(|batch| batch.seq) else { break };
            after = last;
            let state = confirmed_prefix(epoch, watermark, confirmed, sent);
            if unbroken {
                let candidates = state.candidates.len();
                let finished = self.finished(state.candidates).await?;
                unbroken = finished.len() == candidates && candidates as u32 == PAGE;
                confirmed = finished.last().copied().unwrap_or(confirmed);
            }
            if let Some(seq) = state.lost_from {
                tracing::warn!(job_id = %job.job_id, from = seq, "the stream has lost batches; they are sent again");
                isobar_failpoint::hit("producer.unmark.before");
                self.outbox.unmark_from(job.key, seq).await?;
                isobar_failpoint::hit("producer.unmark.after");
                if let Some(lane) = self.lanes.get_mut(&job.key) {
                    lane.next = lane.next.min(seq);
                }
                break;
            }
        }
        if confirmed > job.confirmed_seq {
            isobar_failpoint::hit("producer.confirm.before");
            self.outbox.prune(job.key, confirmed).await?;
            isobar_failpoint::hit("producer.prune.after");
        }
        if job.sealed && confirmed == job.last_seq {
            self.finish(job.key, job.job_id).await?;
        }
        Ok(())
    }

    /// The leading batches that have no entry left in the stream.
    async fn finished(&self, candidates: Vec<SentBatch>) -> Result<Vec<u64>, RelayError> {
        let (seqs, receipts): (Vec<u64>, Vec<Receipt>) =
            candidates.into_iter().map(|batch| (batch.seq, batch.receipt)).unzip();
        if seqs.is_empty() {
            return Ok(seqs);
        }
        let unfinished = self.broker.has_unfinished(&self.topic, &receipts).await?;
        Ok(seqs
            .into_iter()
            .zip(unfinished)
            .take_while(|(_, unfinished)| !unfinished)
            .map(|(seq, _)| seq)
            .collect())
    }

    async fn finish(&mut self, key: JobKey, job_id: JobId) -> Result<(), RelayError> {
        self.broker.drop_watermark(&self.topic, job_id).await?;
        isobar_failpoint::hit("producer.forget.after");
        self.outbox.finish_job(key).await?;
        isobar_failpoint::hit("producer.finish.after");
        self.lanes.remove(&key);
        Ok(())
    }
}

/// Examines a page of receipts that starts after `confirmed`.
fn confirmed_prefix(
    epoch: &str,
    watermark: Option<u64>,
    confirmed: u64,
    sent: Vec<SentBatch>,
) -> Confirmation {
    let reached = watermark.unwrap_or_default();
    let mut state = Confirmation::default();
    let mut expected = confirmed + 1;
    for batch in sent {
        if batch.receipt.epoch != epoch || batch.seq > reached {
            state.lost_from = Some(batch.seq);
            break;
        }
        if batch.seq == expected {
            expected += 1;
            state.candidates.push(batch);
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(batches: &[(u64, &str)]) -> Vec<SentBatch> {
        batches
            .iter()
            .map(|(seq, epoch)| SentBatch {
                seq: *seq,
                receipt: Receipt { epoch: (*epoch).to_owned(), tasks: None, control: None },
            })
            .collect()
    }

    fn state(watermark: Option<u64>, batches: &[(u64, &str)]) -> (Vec<u64>, Option<u64>) {
        let state = confirmed_prefix("now", watermark, 2, sent(batches));
        (state.candidates.iter().map(|batch| batch.seq).collect(), state.lost_from)
    }

    #[test]
    fn covered_batches_of_this_epoch_may_be_finished() {
        assert_eq!(state(Some(4), &[(3, "now"), (4, "now")]), (vec![3, 4], None));
    }

    #[test]
    fn batches_beyond_epoch_or_watermark_are_lost() {
        assert_eq!(state(Some(3), &[(3, "now"), (4, "now"), (5, "now")]), (vec![3], Some(4)));
        assert_eq!(state(Some(9), &[(3, "before"), (4, "before")]), (vec![], Some(3)));
        assert_eq!(state(None, &[(3, "now")]), (vec![], Some(3)));
    }

    #[test]
    fn batches_above_a_gap_are_not_pruned() {
        assert_eq!(state(Some(9), &[(4, "now"), (5, "now")]), (vec![], None));
    }
}
