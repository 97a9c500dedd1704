//! Switches: a row each, by the stream's name, so that they can be thrown before it is there.

use rusqlite::params;

use super::{EmbeddedBroker, Result};
use crate::{BrokerError, Switch, Switches, Thrown, Topic};

impl EmbeddedBroker {
    pub async fn switches(&self, topic: &Topic) -> Result<Switches> {
        let stream = topic.stream.clone();
        let rows = self
            .read_db(move |db| {
                db.prepare_cached("SELECT name, thrown FROM switches WHERE stream = ?1")?
                    .query_map([stream], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<rusqlite::Result<Vec<(String, String)>>>()
            })
            .await?;
        Ok(Switches::read(rows.iter().map(|(name, thrown)| (name.as_str(), thrown.as_str()))))
    }

    pub async fn throw(&self, topic: &Topic, switch: &Switch, thrown: &Thrown) -> Result<Thrown> {
        let (stream, name, renewed) = (topic.stream.clone(), switch.name(), switch.is_renewed());
        let value = serde_json::to_string(thrown).expect("plain data");
        let stands: String = self
            .write_db(move |tx| {
                tx.prepare_cached(
                    "INSERT INTO switches (stream, name, thrown) VALUES (?1, ?2, ?3) \
                     ON CONFLICT DO UPDATE SET thrown = excluded.thrown WHERE ?4",
                )?
                .execute(params![stream, name, value, renewed])?;
                tx.prepare_cached("SELECT thrown FROM switches WHERE stream = ?1 AND name = ?2")?
                    .query_row([stream, name], |row| row.get(0))
            })
            .await?;
        serde_json::from_str(&stands).map_err(|error| BrokerError::Unexpected {
            location: self.location(),
            source: error.into(),
        })
    }

    pub async fn let_go(&self, topic: &Topic, switch: &Switch) -> Result<bool> {
        let (stream, name) = (topic.stream.clone(), switch.name());
        self.write_db(move |tx| {
            tx.prepare_cached("DELETE FROM switches WHERE stream = ?1 AND name = ?2")?
                .execute([stream, name])
                .map(|changed| changed > 0)
        })
        .await
    }
}
