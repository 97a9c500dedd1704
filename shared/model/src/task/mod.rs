//! One city to fetch, and how it travels; tasks for users are in [`people`](crate::user).
//!
//! A task is a flat list of named text fields in the stream, so that any Redis client can
//! produce one by hand or look at one: `task_id` with `latitude_deg`, `longitude_deg`, `city_id`
//! is enough, and so is `task_id` with `city`. Decoding never trusts them: what cannot be a task
//! is [`Undecodable`] with a reason, and becomes a dead letter with its raw bytes.
//!
//! Job opens, rejects and seals are [`Control`] messages; they travel beside the tasks.

mod user;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::city::Coordinates;
use crate::ids::{CityId, JobId, TaskId};
use crate::pipeline::PipelineName;

pub use user::{Errand, PersonTask};

/// The longest field that is read; a name is never longer, and a row of a file is refused above it.
pub const MAX_FIELD_BYTES: usize = 4 * 1024;

/// An entry's fields as the stream holds them: named bytes, in order, nothing known about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(Vec<u8>, Vec<u8>)>);

impl Fields {
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// The fields as text for a person or a JSON document; bytes that are no UTF-8 are replaced.
    pub fn to_json(&self) -> serde_json::Value {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.0
            .iter()
            .map(|(key, value)| (text(key), text(value).into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// The fields that [`to_json`](Self::to_json) showed; none if the text is anything else.
    pub fn from_json(text: &[u8]) -> Option<Self> {
        let map: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text).ok()?;
        let field = |(name, value): (String, serde_json::Value)| match value {
            serde_json::Value::String(value) => Some((name.into_bytes(), value.into_bytes())),
            _ => None,
        };
        map.into_iter().map(field).collect::<Option<_>>().map(Self)
    }
}

/// What every pipeline's task has, whatever it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskHead {
    pub task_id: TaskId,
    /// Only tasks of Isobar's own producers belong to a job; others are stored with no accounting.
    pub job_id: Option<JobId>,
    /// The source row, from 1.
    pub row: Option<u64>,
    /// Number of the batch that brought it.
    pub batch: Option<u64>,
    /// 1 for a first run; a retry of a failed row publishes it again with the next number.
    pub try_number: u32,
    /// Fetch even if the snapshot is still current.
    pub force: bool,
}

/// A city whose weather is to be fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct WeatherTask {
    pub head: TaskHead,
    pub city_id: Option<CityId>,
    pub city: Option<String>,
    pub country_code: Option<String>,
    pub coordinates: Option<Coordinates>,
    pub traceparent: Option<String>,
}

/// Why an entry is no task: a stable code and a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undecodable {
    pub code: &'static str,
    pub reason: String,
}

impl Undecodable {
    pub fn new(reason: impl Into<String>) -> Self {
        Self { code: "undecodable", reason: reason.into() }
    }
}

impl TaskHead {
    pub fn from_fields(fields: &Fields) -> Result<Self, Undecodable> {
        let task_id = text(fields, "task_id")?
            .ok_or_else(|| Undecodable::new("task_id is missing"))?
            .parse()
            .map_err(|_| Undecodable::new("task_id is no UUID"))?;
        let job_id = match text(fields, "job_id")? {
            Some(id) => Some(id.parse().map_err(|_| Undecodable::new("job_id is no UUID"))?),
            None => None,
        };
        Ok(Self {
            task_id,
            job_id,
            row: number(fields, "row")?,
            batch: number(fields, "batch")?,
            try_number: number(fields, "try")?.unwrap_or(1),
            force: matches!(text(fields, "force")?, Some("1" | "true" | "True" | "TRUE")),
        })
    }

    /// The rest of a wire form that names the task already.
    pub(crate) fn add_to(&self, wire: &mut Vec<(&'static str, String)>) {
        if let Some(id) = self.job_id {
            wire.push(("job_id", id.to_string()));
        }
        if let Some(row) = self.row {
            wire.push(("row", row.to_string()));
        }
        if let Some(batch) = self.batch {
            wire.push(("batch", batch.to_string()));
        }
        if self.try_number > 1 {
            wire.push(("try", self.try_number.to_string()));
        }
        if self.force {
            wire.push(("force", "1".to_owned()));
        }
    }
}

impl WeatherTask {
    pub fn from_fields(fields: &Fields) -> Result<Self, Undecodable> {
        let head = TaskHead::from_fields(fields)?;
        let city_id = number(fields, "city_id")?.map(CityId);
        let city = text(fields, "city")?.map(str::to_owned);
        let latitude = number::<f64>(fields, "latitude_deg")?;
        let longitude = number::<f64>(fields, "longitude_deg")?;
        let coordinates = match (latitude, longitude) {
            (Some(latitude), Some(longitude)) => {
                Some(Coordinates::new(latitude, longitude).map_err(|error| Undecodable {
                    code: "bad_coordinates",
                    reason: error.to_string(),
                })?)
            }
            (None, None) => None,
            _ => {
                return Err(Undecodable::new(
                    "only one of latitude_deg and longitude_deg is there",
                ));
            }
        };
        if coordinates.is_none() && city.is_none() && city_id.is_none() {
            return Err(Undecodable::new("neither coordinates nor a city are there"));
        }
        if coordinates.is_some() && city.is_none() && city_id.is_none() {
            return Err(Undecodable::new("coordinates without a city_id or a city name no city"));
        }
        Ok(Self {
            head,
            city_id,
            city,
            country_code: text(fields, "country_code")?.map(str::to_ascii_uppercase),
            coordinates,
            traceparent: text(fields, "traceparent")?.map(str::to_owned),
        })
    }

    /// The wire form: names and values in turn, absent ones left out.
    pub fn to_wire(&self) -> Vec<(&'static str, String)> {
        let mut wire = Vec::with_capacity(10);
        wire.push(("task_id", self.head.task_id.to_string()));
        if let Some(at) = self.coordinates {
            wire.push(("latitude_deg", at.latitude().to_string()));
            wire.push(("longitude_deg", at.longitude().to_string()));
        }
        if let Some(id) = self.city_id {
            wire.push(("city_id", id.to_string()));
        }
        if let Some(city) = &self.city {
            wire.push(("city", city.clone()));
        }
        if let Some(code) = &self.country_code {
            wire.push(("country_code", code.clone()));
        }
        self.head.add_to(&mut wire);
        if let Some(traceparent) = &self.traceparent {
            wire.push(("traceparent", traceparent.clone()));
        }
        wire
    }
}

/// What travels beside the tasks: a job's first word, its unusable rows, its last word.
/// They may arrive in any order, and each more than once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Control {
    Open(JobOpen),
    Reject(Reject),
    Seal(JobSeal),
}

impl Control {
    /// Names the kinds this version knows; an entry of another kind is left for a newer worker.
    pub const KINDS: [&str; 3] = ["open", "reject", "seal"];

    pub fn job_id(&self) -> JobId {
        match self {
            Self::Open(open) => open.job_id,
            Self::Reject(reject) => reject.job_id,
            Self::Seal(seal) => seal.job_id,
        }
    }

    /// `Ok(None)` is a kind that this version does not know.
    pub fn from_fields(fields: &Fields) -> Result<Option<Self>, Undecodable> {
        let kind = text(fields, "kind")?.ok_or_else(|| Undecodable::new("kind is missing"))?;
        if !Self::KINDS.contains(&kind) {
            return Ok(None);
        }
        let body = fields.get("body").ok_or_else(|| Undecodable::new("body is missing"))?;
        serde_json::from_slice(body)
            .map(Some)
            .map_err(|error| Undecodable::new(format!("a {kind} message does not parse: {error}")))
    }

    pub fn to_wire(&self) -> Vec<(&'static str, String)> {
        let kind = match self {
            Self::Open(_) => "open",
            Self::Reject(_) => "reject",
            Self::Seal(_) => "seal",
        };
        let body = serde_json::to_string(self).expect("control messages are plain data");
        vec![("kind", kind.to_owned()), ("job_id", self.job_id().to_string()), ("body", body)]
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobOpen {
    pub job_id: JobId,
    pub job_kind: JobKind,
    /// Absent in what was written before there were others.
    #[serde(default)]
    pub pipeline: PipelineName,
    /// What a person calls the source: a file name, a URL without its query, `gazetteer`.
    pub source: String,
    pub slot: String,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reject {
    pub job_id: JobId,
    pub task_id: TaskId,
    pub row: u64,
    pub code: String,
    pub reason: String,
    /// What the row called its city, as far as it can be shown.
    pub city: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSeal {
    pub job_id: JobId,
    pub rows: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub outcome: SealOutcome,
}

/// How the source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SealOutcome {
    /// Read to its end.
    Complete,
    /// It could not be read to its end and will not be resumed.
    Failed,
    /// Someone cancelled the job: it has the rows that were taken until then.
    Cancelled,
}

impl SealOutcome {
    pub const ALL: [Self; 3] = [Self::Complete, Self::Failed, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Who started a job: `POST /api/sync/`, an upload, or `isobar produce`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    Sync,
    Import,
    Produce,
}

impl JobKind {
    pub const ALL: [Self; 3] = [Self::Sync, Self::Import, Self::Produce];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Import => "import",
            Self::Produce => "produce",
        }
    }
}

pub(crate) fn text<'a>(fields: &'a Fields, name: &str) -> Result<Option<&'a str>, Undecodable> {
    let Some(bytes) = fields.get(name) else {
        return Ok(None);
    };
    if bytes.len() > MAX_FIELD_BYTES {
        return Err(Undecodable::new(format!("{name} is longer than {MAX_FIELD_BYTES} bytes")));
    }
    let text =
        str::from_utf8(bytes).map_err(|_| Undecodable::new(format!("{name} is no UTF-8")))?;
    if text.contains('\0') {
        // PostgreSQL stores no NUL in text: refused here, or it would fail the whole commit.
        return Err(Undecodable::new(format!("{name} holds a NUL byte")));
    }
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}

pub(crate) fn number<T: std::str::FromStr>(
    fields: &Fields,
    name: &str,
) -> Result<Option<T>, Undecodable> {
    match text(fields, name)? {
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| Undecodable::new(format!("{name} is not a number that can be used"))),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        Fields(pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect())
    }

    fn wire_of(wire: &[(&'static str, String)]) -> Fields {
        Fields(wire.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect())
    }

    const ID: &str = "6fa1c1f0-52c4-4c39-9a55-000000000001";

    #[test]
    fn the_four_fields_of_the_contract_are_a_task() {
        let task = WeatherTask::from_fields(&fields(&[
            ("task_id", ID),
            ("latitude_deg", "48.85341"),
            ("longitude_deg", "2.3488"),
            ("city_id", "2988507"),
        ]))
        .expect("decodes");
        assert_eq!(task.city_id, Some(CityId(2_988_507)));
        assert_eq!(task.head.job_id, None);
        assert_eq!(WeatherTask::from_fields(&wire_of(&task.to_wire())), Ok(task));
    }

    #[test]
    fn a_name_alone_is_a_task_too() {
        let task = WeatherTask::from_fields(&fields(&[("task_id", ID), ("city", " Paris ")]));
        assert_eq!(task.expect("decodes").city.as_deref(), Some("Paris"));
    }

    #[test]
    fn rubbish_says_what_is_wrong_with_it() {
        for (entry, says) in [
            (fields(&[]), "task_id is missing"),
            (fields(&[("task_id", "x")]), "task_id is no UUID"),
            (fields(&[("task_id", ID)]), "neither coordinates nor a city are there"),
            (fields(&[("task_id", ID), ("city", "a\0b")]), "city holds a NUL byte"),
            (
                fields(&[("task_id", ID), ("city_id", "1"), ("latitude_deg", "4")]),
                "only one of latitude_deg and longitude_deg is there",
            ),
            (
                fields(&[
                    ("task_id", ID),
                    ("city_id", "1"),
                    ("latitude_deg", "NaN"),
                    ("longitude_deg", "1"),
                ]),
                "latitude must be a number from -90 to 90",
            ),
            (Fields(vec![(b"task_id".to_vec(), vec![0xff])]), "task_id is no UTF-8"),
        ] {
            assert_eq!(WeatherTask::from_fields(&entry).expect_err("refused").to_string(), says);
        }
    }

    #[test]
    fn a_control_message_survives_the_wire_and_an_unknown_kind_is_left_alone() {
        let seal = Control::Seal(JobSeal {
            job_id: JobId::derive("a", "b"),
            rows: 10,
            rejected: 1,
            duplicates: 2,
            outcome: SealOutcome::Complete,
        });
        assert_eq!(Control::from_fields(&wire_of(&seal.to_wire())), Ok(Some(seal)));
        assert_eq!(Control::from_fields(&fields(&[("kind", "from-the-future")])), Ok(None));
    }
}
