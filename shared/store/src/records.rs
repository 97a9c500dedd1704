//! Records: what each pipeline stores with a commit.
//!
//! A further pipeline adds a variant and an arm here. Its types, statements and reads are a file of
//! their own, as [`crate::weather`] and [`crate::users`]; its table joins [`crate::totals`].

use crate::air_quality::{self, AirQualityRow};
use crate::commit::Observed;
use crate::sql::Batch;
use crate::users::UserRecords;
use crate::weather::{self, WeatherSnapshot};
use isobar_model::ids::CityId;

/// The records of one commit.
#[derive(Clone, Debug)]
pub enum Records {
    Weather(Vec<WeatherSnapshot>),
    AirQuality(Vec<AirQualityRow>),
    UserRecords(UserRecords),
}

impl Default for Records {
    fn default() -> Self {
        Self::Weather(Vec::new())
    }
}

impl Records {
    /// The statements that write them, in the order that every commit keeps.
    pub(crate) fn batches(&self) -> Vec<Batch<'_>> {
        match self {
            Self::Weather(snapshots) => weather::batches(snapshots),
            Self::AirQuality(rows) => air_quality::batches(rows),
            Self::UserRecords(people) => people.batches(),
        }
    }

    /// When each value was observed, and the statement that reads the same of the stored ones.
    pub(crate) fn observed(&self) -> Option<Observed> {
        let (sql, values) = match self {
            Self::Weather(rows) => (
                &weather::FRESHNESS,
                rows.iter().map(|row| (row.city_id, row.observed_at)).collect(),
            ),
            Self::AirQuality(rows) => (
                &air_quality::FRESHNESS,
                rows.iter().map(|row| (row.city_id, row.observed_at)).collect(),
            ),
            Self::UserRecords(_) => return None,
        };
        Some(Observed { sql, values })
    }

    /// The rows of `cities` that the batches write.
    pub(crate) fn cities(&self) -> Vec<CityId> {
        match self {
            Self::Weather(snapshots) => snapshots.iter().map(|row| row.city_id).collect(),
            _ => Vec::new(),
        }
    }
}
