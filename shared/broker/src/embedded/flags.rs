//! Flags: one row each, keyed by the stream's name, so a flag can be set before the topic exists.

use rusqlite::params;

use super::broker::EmbeddedBroker;
use crate::error::Result;
use crate::flags::{Flag, Flags, SetBy};
use crate::topic::Topic;

impl EmbeddedBroker {
    pub async fn flags(&self, topic: &Topic) -> Result<Flags> {
        let stream = topic.stream.clone();
        let rows = self
            .read_db(move |db| {
                db.prepare_cached("SELECT name, thrown FROM switches WHERE stream = ?1")?
                    .query_map([stream], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<rusqlite::Result<Vec<(String, String)>>>()
            })
            .await?;
        Ok(Flags::read(rows.iter().map(|(name, set_by)| (name.as_str(), set_by.as_str()))))
    }

    pub async fn set_flag(&self, topic: &Topic, flag: &Flag, set_by: &SetBy) -> Result<SetBy> {
        let (stream, name) = (topic.stream.clone(), flag.name());
        let is_replaced = flag.is_replaced_on_set();
        let value = serde_json::to_string(set_by).expect("plain data");
        let flag_after: String = self
            .write_db(move |tx| {
                tx.prepare_cached(
                    "INSERT INTO switches (stream, name, thrown) VALUES (?1, ?2, ?3) \
                     ON CONFLICT DO UPDATE SET thrown = excluded.thrown WHERE ?4",
                )?
                .execute(params![stream, name, value, is_replaced])?;
                tx.prepare_cached("SELECT thrown FROM switches WHERE stream = ?1 AND name = ?2")?
                    .query_row([stream, name], |row| row.get(0))
            })
            .await?;
        serde_json::from_str(&flag_after).map_err(|error| self.unexpected(error))
    }

    pub async fn clear_flag(&self, topic: &Topic, flag: &Flag) -> Result<bool> {
        let (stream, name) = (topic.stream.clone(), flag.name());
        self.write_db(move |tx| {
            tx.prepare_cached("DELETE FROM switches WHERE stream = ?1 AND name = ?2")?
                .execute([stream, name])
                .map(|changed| changed > 0)
        })
        .await
    }
}
