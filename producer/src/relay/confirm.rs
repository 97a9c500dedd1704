//! What became of sent batches: finished, still in the stream, or lost with it.
//!
//! A batch is confirmed when the watermark covers it, the stream's epoch is the one it was sent in
//! and none of its entries is left in the stream: by I3 their results are committed then. Only
//! then is it pruned, and always from the lowest on. Where the epoch is another one or the
//! watermark is below a batch that was sent, the stream lost it: its receipt is taken back and it
//! is sent again; the ledger makes that harmless. The stream alone tells, no store is asked.

use isobar_broker::Receipt;
use isobar_model::ids::JobId;

use super::{Relay, RelayError};
use crate::outbox::{JobKey, OpenJob, SentBatch};

/// Receipts asked about at a time.
const PAGE: u32 = 200;

/// What the receipts of one job say, lowest first.
#[derive(Debug, Default, PartialEq)]
struct Verdict {
    /// May be finished: the unbroken run from the lowest batch on.
    candidates: Vec<SentBatch>,
    /// From here on nothing that was sent is there any more.
    lost_from: Option<u64>,
}

impl Relay {
    /// Makes the stream whole, takes back what it lost, prunes what is finished.
    pub async fn reconcile(&mut self) -> Result<(), RelayError> {
        isobar_failpoint::hit("producer.heal.before");
        let healed = self.broker.heal(&self.topic).await?;
        isobar_failpoint::hit("producer.heal.after");
        if healed.recreated && self.outbox.has_sent().await? {
            tracing::warn!(stream = %self.topic.stream, epoch = %healed.epoch, "the stream was missing and is whole again; what was sent and is not confirmed will be sent again");
        }
        self.outbox.flush_marks().await?;
        let open = self.outbox.open_jobs(self.pipeline).await?;
        let ids: Vec<JobId> = open.iter().map(|job| job.job_id).collect();
        let marks = self.broker.watermarks(&self.topic, &ids).await?;
        // Someone may have healed in between: judge by the epoch that the watermarks are of.
        let epoch = marks.epoch.unwrap_or_default();
        for job in open {
            let watermark = marks.last_seq.get(&job.job_id).copied();
            self.settle_sent(&job, &epoch, watermark).await?;
        }
        self.ahead = None;
        self.look().await?;
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
            let verdict = judge(epoch, watermark, confirmed, sent);
            if unbroken {
                let candidates = verdict.candidates.len();
                let finished = self.finished(verdict.candidates).await?;
                unbroken = finished.len() == candidates && candidates as u32 == PAGE;
                confirmed = finished.last().copied().unwrap_or(confirmed);
            }
            if let Some(seq) = verdict.lost_from {
                tracing::warn!(job_id = %job.job_id, from = seq, "batches are not in the stream any more and are sent again");
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

    /// The leading batches of which nothing is left in the stream.
    async fn finished(&self, candidates: Vec<SentBatch>) -> Result<Vec<u64>, RelayError> {
        let (seqs, receipts): (Vec<u64>, Vec<Receipt>) =
            candidates.into_iter().map(|batch| (batch.seq, batch.receipt)).unzip();
        if seqs.is_empty() {
            return Ok(seqs);
        }
        let unfinished = self.broker.unfinished(&self.topic, &receipts).await?;
        Ok(seqs
            .into_iter()
            .zip(unfinished)
            .take_while(|(_, unfinished)| !unfinished)
            .map(|(seq, _)| seq)
            .collect())
    }

    async fn finish(&mut self, key: JobKey, job_id: JobId) -> Result<(), RelayError> {
        self.broker.forget(&self.topic, job_id).await?;
        isobar_failpoint::hit("producer.forget.after");
        self.outbox.finish_job(key).await?;
        isobar_failpoint::hit("producer.finish.after");
        self.lanes.remove(&key);
        Ok(())
    }
}

/// Judges a page of receipts that starts behind `confirmed`.
fn judge(epoch: &str, watermark: Option<u64>, confirmed: u64, sent: Vec<SentBatch>) -> Verdict {
    let reached = watermark.unwrap_or_default();
    let mut verdict = Verdict::default();
    let mut expected = confirmed + 1;
    for batch in sent {
        if batch.receipt.epoch != epoch || batch.seq > reached {
            verdict.lost_from = Some(batch.seq);
            break;
        }
        if batch.seq == expected {
            expected += 1;
            verdict.candidates.push(batch);
        }
    }
    verdict
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

    fn verdict(watermark: Option<u64>, batches: &[(u64, &str)]) -> (Vec<u64>, Option<u64>) {
        let verdict = judge("now", watermark, 2, sent(batches));
        (verdict.candidates.iter().map(|batch| batch.seq).collect(), verdict.lost_from)
    }

    #[test]
    fn what_the_watermark_covers_in_this_epoch_may_be_finished() {
        assert_eq!(verdict(Some(4), &[(3, "now"), (4, "now")]), (vec![3, 4], None));
    }

    #[test]
    fn what_was_sent_in_another_epoch_or_above_the_watermark_is_lost() {
        assert_eq!(verdict(Some(3), &[(3, "now"), (4, "now"), (5, "now")]), (vec![3], Some(4)));
        assert_eq!(verdict(Some(9), &[(3, "before"), (4, "before")]), (vec![], Some(3)));
        assert_eq!(verdict(None, &[(3, "now")]), (vec![], Some(3)));
    }

    #[test]
    fn nothing_above_a_gap_is_pruned_before_the_gap_is_closed() {
        assert_eq!(verdict(Some(9), &[(4, "now"), (5, "now")]), (vec![], None));
    }
}
