//! Confirmation: whether a sent batch is finished, still in the stream, or lost.
//!
//! A batch is confirmed by proof: the stream counts what workers acknowledge of each batch, and all
//! of it is. By I3 the results are then committed. Batches are confirmed from the lowest
//! upwards, and kept for some time after that.
//!
//! If the stream does not know a batch, or entries of it were removed without a worker, the batch is
//! sent again; the ledger makes that harmless. Does not: ask the store.

use isobar_broker::BatchRecord;

use super::step::{Relay, RelayError};
use crate::outbox::OpenJob;

/// Batches in one query.
const PAGE: u32 = 200;

impl Relay {
    /// Heals the stream, confirms finished batches, and marks lost ones to be sent again.
    pub async fn reconcile(&mut self) -> Result<(), RelayError> {
        isobar_failpoint::hit("producer.heal.before");
        let healed = self.broker.heal(&self.topic).await?;
        isobar_failpoint::hit("producer.heal.after");
        if healed.recreated && self.outbox.has_sent().await? {
            tracing::warn!(stream = %self.topic.stream, epoch = %healed.epoch, "the stream was missing and has been recreated; batches that are not confirmed will be sent again");
        }
        self.outbox.flush_marks().await?;
        // Before a job ends: that forgets old jobs, whose batches must not be here any more.
        self.outbox.delete_expired(self.keep).await?;
        for job in self.outbox.open_jobs(self.pipeline).await? {
            self.settle_sent(&job).await?;
        }
        self.ahead = None;
        for lane in self.lanes.values_mut() {
            // Asked again: the other outbox may have published more, or have ended.
            lane.taken = None;
        }
        self.refresh_jobs().await?;
        Ok(())
    }

    async fn settle_sent(&mut self, job: &OpenJob) -> Result<(), RelayError> {
        let mut confirmed = job.confirmed_seq;
        let mut after = confirmed;
        let outbox = self.outbox_id().await?;
        loop {
            let sent = self.outbox.sent(job.key, after, PAGE).await?;
            // Asked also without a batch: it says that this outbox is still at work.
            let asked = self.broker.batch_records(&self.topic, job.job_id, &outbox, &sent);
            let records = asked.await?;
            let Some(last) = sent.last() else { break };
            after = *last;
            let page = examine(confirmed, &sent, &records);
            confirmed = page.confirmed;
            if page.lost.is_empty() {
                continue;
            }
            tracing::warn!(job_id = %job.job_id, batches = page.lost.len(), removed_entries = page.removed, "the stream has lost batches or entries of them; they are sent again");
            isobar_failpoint::hit("producer.unmark.before");
            let first = page.lost[0];
            self.outbox.unmark(job.key, page.lost).await?;
            isobar_failpoint::hit("producer.unmark.after");
            if let Some(lane) = self.lanes.get_mut(&job.key) {
                lane.next = lane.next.min(first);
            }
        }
        if confirmed > job.confirmed_seq {
            isobar_failpoint::hit("producer.confirm.before");
            self.outbox.confirm(job.key, confirmed).await?;
            isobar_failpoint::hit("producer.prune.after");
            let finished = job.confirmed_seq + 1..=confirmed;
            self.broker.forget_batches(&self.topic, job.job_id, finished).await?;
        }
        if job.sealed && confirmed == job.last_seq {
            self.finish(job).await?;
        }
        Ok(())
    }

    async fn finish(&mut self, job: &OpenJob) -> Result<(), RelayError> {
        self.broker.end_job(&self.topic, job.job_id).await?;
        isobar_failpoint::hit("producer.forget.after");
        self.outbox.finish_job(job.key).await?;
        isobar_failpoint::hit("producer.finish.after");
        self.lanes.remove(&job.key);
        Ok(())
    }
}

/// What a page of sent batches turned out to be.
#[derive(Debug, Default, PartialEq)]
struct Examined {
    /// Every batch up to this one is finished.
    confirmed: u64,
    lost: Vec<u64>,
    /// Entries of lost batches that neither are in the stream nor were acknowledged.
    removed: u64,
}

/// Examines batches above `confirmed`, in order, by what the stream knows of each.
fn examine(confirmed: u64, sent: &[u64], records: &[Option<BatchRecord>]) -> Examined {
    let mut page = Examined { confirmed, ..Examined::default() };
    for (&seq, record) in sent.iter().zip(records) {
        match record {
            Some(record) if record.is_finished() => {
                if seq == page.confirmed + 1 {
                    page.confirmed = seq;
                }
            }
            Some(record) if !record.is_lost() => {}
            record => {
                page.lost.push(seq);
                page.removed += record.map_or(0, |record| record.size - record.acked);
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_acknowledged_is_confirmed_and_only_what_is_gone_is_lost() {
        let finished = Some(BatchRecord { size: 5, acked: 5, is_left: false });
        let in_work = Some(BatchRecord { size: 5, acked: 2, is_left: true });
        let trimmed = Some(BatchRecord { size: 5, acked: 2, is_left: false });
        let seen = |records: &[Option<BatchRecord>]| {
            let sent: Vec<u64> = (3..).take(records.len()).collect();
            let page = examine(2, &sent, records);
            (page.confirmed, page.lost, page.removed)
        };
        assert_eq!(seen(&[finished, finished]), (4, vec![], 0));
        assert_eq!(seen(&[finished, in_work, finished]), (3, vec![], 0));
        assert_eq!(seen(&[in_work, finished]), (2, vec![], 0));
        assert_eq!(seen(&[trimmed, finished, None]), (2, vec![3, 5], 3));
        assert_eq!(examine(2, &[4], &[finished]).confirmed, 2, "batch 3 is not sent");
    }
}
