//! Placeholder, being written.
use super::*;
use crate::ids::*;
use std::time::Duration;
type Result<T> = std::result::Result<T, BrokerError>;
#[derive(Clone, Debug)]
pub struct EmbeddedBroker;
impl EmbeddedBroker {
    pub fn open(path: &std::path::Path) -> Result<Self> {
        let _ = path;
        unimplemented!()
    }
    pub fn location(&self) -> String {
        unimplemented!()
    }
    pub async fn ping(&self) -> Result<()> {
        let _ = ();
        unimplemented!()
    }
    pub async fn heal(&self, topic: &Topic) -> Result<Healed> {
        let _ = (topic,);
        unimplemented!()
    }
    pub async fn append(&self, topic: &Topic, batch: &Append<'_>) -> Result<Appended> {
        let _ = (topic, batch);
        unimplemented!()
    }
    pub async fn watermarks(&self, topic: &Topic, jobs: &[JobId]) -> Result<Watermarks> {
        let _ = (topic, jobs);
        unimplemented!()
    }
    pub async fn unfinished(&self, topic: &Topic, receipts: &[Receipt]) -> Result<Vec<bool>> {
        let _ = (topic, receipts);
        unimplemented!()
    }
    pub async fn forget(&self, topic: &Topic, job: JobId) -> Result<()> {
        let _ = (topic, job);
        unimplemented!()
    }
    pub async fn read(
        &self,
        topic: &Topic,
        consumer: &str,
        count: usize,
        wait: Duration,
    ) -> Result<Vec<Entry>> {
        let _ = (topic, consumer, count, wait);
        unimplemented!()
    }
    pub async fn owned(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        after: EntryId,
        count: usize,
    ) -> Result<Vec<Entry>> {
        let _ = (topic, consumer, lane, after, count);
        unimplemented!()
    }
    pub async fn ack(&self, topic: &Topic, lane: Lane, ids: &[EntryId]) -> Result<u64> {
        let _ = (topic, lane, ids);
        unimplemented!()
    }
    pub async fn renew(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        ids: &[EntryId],
    ) -> Result<Vec<EntryId>> {
        let _ = (topic, consumer, lane, ids);
        unimplemented!()
    }
    pub async fn claim(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        position: &mut Position,
        limits: ClaimLimits,
    ) -> Result<Vec<Entry>> {
        let _ = (topic, consumer, lane, position, limits);
        unimplemented!()
    }
    pub async fn give_back(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        entries: &[GiveBack],
        claim_idle: Duration,
    ) -> Result<Vec<EntryId>> {
        let _ = (topic, consumer, lane, entries, claim_idle);
        unimplemented!()
    }
    pub async fn adopt_orphans(
        &self,
        topic: &Topic,
        lane: Lane,
        position: &mut Position,
        claim_idle: Duration,
    ) -> Result<u64> {
        let _ = (topic, lane, position, claim_idle);
        unimplemented!()
    }
    pub async fn remove_consumer(
        &self,
        topic: &Topic,
        consumer: &str,
        idle: Duration,
    ) -> Result<Removal> {
        let _ = (topic, consumer, idle);
        unimplemented!()
    }
    pub async fn depth(&self, topic: &Topic, claim_idle: Duration) -> Result<Depth> {
        let _ = (topic, claim_idle);
        unimplemented!()
    }
    pub async fn consumers(&self, topic: &Topic) -> Result<Vec<ConsumerInfo>> {
        let _ = (topic,);
        unimplemented!()
    }
    pub async fn peek(
        &self,
        topic: &Topic,
        lane: Lane,
        after: EntryId,
        count: usize,
    ) -> Result<Vec<Entry>> {
        let _ = (topic, lane, after, count);
        unimplemented!()
    }
    pub async fn cache_get(&self, key: &str) -> Result<Option<(Vec<u8>, Duration)>> {
        let _ = (key,);
        unimplemented!()
    }
    pub async fn cache_set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<()> {
        let _ = (key, value, ttl);
        unimplemented!()
    }
    pub async fn cache_len(&self) -> Result<u64> {
        let _ = ();
        unimplemented!()
    }
    pub async fn quota_reserve(
        &self,
        host: &str,
        limits: &QuotaLimits,
        weight: u64,
        keep_back: bool,
    ) -> Result<QuotaAnswer> {
        let _ = (host, limits, weight, keep_back);
        unimplemented!()
    }
    pub async fn quota_settle(
        &self,
        host: &str,
        reservation: &Reservation,
        used: u64,
    ) -> Result<()> {
        let _ = (host, reservation, used);
        unimplemented!()
    }
    pub async fn quota_shut(&self, host: &str, wait: Duration) -> Result<()> {
        let _ = (host, wait);
        unimplemented!()
    }
    pub async fn quota_use(&self, host: &str, limits: &QuotaLimits) -> Result<QuotaUse> {
        let _ = (host, limits);
        unimplemented!()
    }
    pub async fn slot_acquire(
        &self,
        host: &str,
        holder: &str,
        limit: u32,
        ttl: Duration,
    ) -> Result<bool> {
        let _ = (host, holder, limit, ttl);
        unimplemented!()
    }
    pub async fn slot_release(&self, host: &str, holder: &str) -> Result<()> {
        let _ = (host, holder);
        unimplemented!()
    }
    pub async fn heartbeat(
        &self,
        name: &str,
        state: &serde_json::Value,
        ttl: Duration,
    ) -> Result<()> {
        let _ = (name, state, ttl);
        unimplemented!()
    }
    pub async fn heartbeats(&self) -> Result<Vec<(String, serde_json::Value)>> {
        let _ = ();
        unimplemented!()
    }
}
