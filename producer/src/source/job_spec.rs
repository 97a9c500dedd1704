//! Which rows a job reads: its source, how many of them, and whether fresh snapshots count.
//!
//! Guarantees: the outbox stores the spec with the job, so any later process can open the source
//! again. Two runs with the same [`identity`](JobSpec::identity) read the same list: it holds the
//! pipeline, the kind, the URL or content, the limit and `force`, and not the path of a file.
//! Does not: open anything (see [`reader`](super::reader)).

use std::path::{Path, PathBuf};

use isobar_model::ids::JobId;
use isobar_model::pipeline::{Enrichment, PipelineName, RowKind};
use isobar_settings::Settings;
use isobar_settings::values::masked;
use isobar_store::DeadLetterFilter;
use serde::{Deserialize, Serialize};
use url::Url;

use super::csv::FileContent;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredSpec", into = "StoredSpec")]
pub struct JobSpec {
    pub pipeline: PipelineName,
    pub origin: SourceSpec,
    /// Maximum number of rows.
    pub limit: Option<u64>,
    /// Fetch even if the snapshot is current.
    pub force: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceSpec {
    Api {
        url: Url,
        /// Kept with the job: a cursor counts pages of this size.
        page_limit: u32,
        page_first: u32,
    },
    Csv {
        path: PathBuf,
        /// The name that people read: a file name, or `standard input`.
        name: String,
        content_hash: String,
        bytes: u64,
    },
    Gazetteer,
    Users {
        url: Url,
    },
    /// Users of the store that lack something.
    #[serde(rename = "lacking")]
    Incomplete {
        missing: Enrichment,
    },
    /// Tasks of the store that failed.
    #[serde(skip)]
    Republish {
        request: RepublishRequest,
        /// Tasks that matched at the request.
        expected: u64,
    },
}

/// Which tasks are published again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepublishRequest {
    /// The failed rows of a job whose input is kept.
    Retry { job_id: JobId },
    /// The dead letters of a filter, up to the newest id at the request.
    Replay { filter: DeadLetterFilter, newest: i64 },
}

/// The stored form. Republications keep the one they had before they were a source.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredSpec {
    Republish {
        pipeline: PipelineName,
        wanted: RepublishRequest,
        expected: u64,
    },
    Rows {
        /// Absent in jobs that were stored before there were several pipelines.
        #[serde(default)]
        pipeline: PipelineName,
        origin: SourceSpec,
        limit: Option<u64>,
        force: bool,
    },
}

impl From<JobSpec> for StoredSpec {
    fn from(JobSpec { pipeline, origin, limit, force }: JobSpec) -> Self {
        match origin {
            SourceSpec::Republish { request: wanted, expected } => {
                Self::Republish { pipeline, wanted, expected }
            }
            origin => Self::Rows { pipeline, origin, limit, force },
        }
    }
}

impl From<StoredSpec> for JobSpec {
    fn from(stored: StoredSpec) -> Self {
        match stored {
            StoredSpec::Republish { pipeline, wanted, expected } => {
                Self::republish(pipeline, wanted, expected)
            }
            StoredSpec::Rows { pipeline, origin, limit, force } => {
                Self { pipeline, origin, limit, force }
            }
        }
    }
}

impl SourceSpec {
    pub fn api(url: &Url, settings: &Settings) -> Self {
        Self::Api {
            url: url.clone(),
            page_limit: settings.page_limit,
            page_first: settings.page_first,
        }
    }

    pub fn csv(path: PathBuf, name: String, content: FileContent) -> Self {
        Self::Csv { path, name, content_hash: content.hash, bytes: content.bytes }
    }
}

impl JobSpec {
    /// What a bare `isobar produce` reads: the configured city service, else the built-in list.
    pub fn configured(
        pipeline: PipelineName,
        settings: &Settings,
        limit: Option<u64>,
        force: bool,
    ) -> Self {
        match &settings.city_source_url {
            Some(url) => Self { pipeline, origin: SourceSpec::api(&url.0, settings), limit, force },
            None => Self::gazetteer(pipeline, settings, limit, force),
        }
    }

    pub fn gazetteer(
        pipeline: PipelineName,
        settings: &Settings,
        limit: Option<u64>,
        force: bool,
    ) -> Self {
        let limit = limit.unwrap_or(settings.gazetteer_limit as u64);
        Self { pipeline, origin: SourceSpec::Gazetteer, limit: Some(limit), force }
    }

    /// What a run of that pipeline reads if no source is named.
    pub fn of(
        pipeline: PipelineName,
        settings: &Settings,
        limit: Option<u64>,
        force: bool,
    ) -> Self {
        match pipeline.spec().rows {
            RowKind::Cities => Self::configured(pipeline, settings, limit, force),
            RowKind::Users => {
                let origin = SourceSpec::Users { url: settings.users_url() };
                Self { pipeline, origin, limit, force }
            }
            RowKind::Incomplete(missing) => {
                let limit = limit.unwrap_or(u64::from(settings.enrich_batch_size));
                Self {
                    pipeline,
                    origin: SourceSpec::Incomplete { missing },
                    limit: Some(limit),
                    force,
                }
            }
        }
    }

    pub fn republish(pipeline: PipelineName, request: RepublishRequest, expected: u64) -> Self {
        let origin = SourceSpec::Republish { request, expected };
        Self { pipeline, origin, limit: None, force: false }
    }

    pub fn identity(&self) -> String {
        let (kind, which) = match &self.origin {
            SourceSpec::Api { url, .. } | SourceSpec::Users { url } => {
                ("api", url.as_str().trim_end_matches('/'))
            }
            SourceSpec::Csv { content_hash, .. } => ("csv", content_hash.as_str()),
            SourceSpec::Gazetteer => ("gazetteer", ""),
            SourceSpec::Incomplete { .. } => ("store", ""),
            SourceSpec::Republish { request: RepublishRequest::Retry { job_id }, .. } => {
                return format!("retry|{job_id}");
            }
            SourceSpec::Republish { request: RepublishRequest::Replay { .. }, .. } => {
                return format!("replay|{}", self.pipeline);
            }
        };
        let limit = self.limit.map(|limit| limit.to_string()).unwrap_or_default();
        format!("{}|{kind}|{which}|{limit}|{}", self.pipeline, u8::from(self.force))
    }

    /// The source's name for people.
    pub fn label(&self) -> String {
        match &self.origin {
            SourceSpec::Api { url, .. } | SourceSpec::Users { url } => masked(url),
            SourceSpec::Incomplete { missing } => match (missing, self.force) {
                (_, true) => format!("all users, for {}", self.pipeline),
                (Enrichment::Address, false) => "users without an address".to_owned(),
                (Enrichment::Card, false) => "users without a card".to_owned(),
            },
            SourceSpec::Csv { name, .. } => name.clone(),
            SourceSpec::Gazetteer => "gazetteer".to_owned(),
            SourceSpec::Republish { request: RepublishRequest::Retry { job_id }, .. } => {
                format!("retry of job {job_id}")
            }
            SourceSpec::Republish { request: RepublishRequest::Replay { .. }, .. } => {
                "replay of dead letters".to_owned()
            }
        }
    }

    /// A republication has no open and no seal: each task still belongs to the job it came from.
    pub fn is_republication(&self) -> bool {
        matches!(self.origin, SourceSpec::Republish { .. })
    }

    /// Tasks that a republication matched at its request.
    pub fn expected(&self) -> u64 {
        match self.origin {
            SourceSpec::Republish { expected, .. } => expected,
            _ => 0,
        }
    }

    pub fn path(&self) -> Option<&Path> {
        match &self.origin {
            SourceSpec::Csv { path, .. } => Some(path),
            _ => None,
        }
    }

    /// What identifies a file.
    pub fn content_hash(&self) -> Option<&str> {
        match &self.origin {
            SourceSpec::Csv { content_hash, .. } => Some(content_hash),
            _ => None,
        }
    }

    pub fn bytes_total(&self) -> Option<u64> {
        match &self.origin {
            SourceSpec::Csv { bytes, .. } => Some(*bytes),
            _ => None,
        }
    }

    /// The maximum number of rows, if it is known before reading.
    pub fn rows_total(&self) -> Option<u64> {
        match &self.origin {
            SourceSpec::Gazetteer => {
                let all = isobar_model::gazetteer::builtin().cities().len() as u64;
                Some(self.limit.map_or(all, |limit| limit.min(all)))
            }
            _ => self.limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(path: &str, hash: &str) -> JobSpec {
        JobSpec {
            pipeline: PipelineName::Weather,
            origin: SourceSpec::Csv {
                path: path.into(),
                name: "cities.csv".into(),
                content_hash: hash.into(),
                bytes: 1,
            },
            limit: None,
            force: false,
        }
    }

    #[test]
    fn content_identifies_a_file_wherever_it_is() {
        let one = csv("/a/cities.csv", "abc");
        assert_eq!(one.identity(), csv("/b/other.csv", "abc").identity());
        assert_ne!(one.identity(), csv("/a/cities.csv", "def").identity());
        let limited = JobSpec { limit: Some(5), ..one.clone() };
        let forced = JobSpec { force: true, ..one.clone() };
        assert_ne!(one.identity(), limited.identity());
        assert_ne!(one.identity(), forced.identity());
    }

    #[test]
    fn each_pipeline_has_jobs_of_its_own() {
        let weather = csv("/a/cities.csv", "abc");
        assert_eq!(weather.identity(), "weather|csv|abc||0");
        let other = JobSpec { pipeline: PipelineName::Users, ..weather };
        assert_eq!(other.identity(), "users|csv|abc||0");
    }

    #[test]
    fn stored_specs_stay_readable() {
        let stored = [
            r#"{"pipeline":"weather","origin":{"kind":"gazetteer"},"limit":5,"force":true}"#,
            r#"{"pipeline":"cards","origin":{"kind":"lacking","missing":"card"},"limit":5,"force":false}"#,
            r#"{"pipeline":"weather","wanted":{"retry":{"job_id":"6fa1c1f0-52c4-4c39-9a55-0000000000aa"}},"expected":3}"#,
            r#"{"pipeline":"users","wanted":{"replay":{"filter":{"code":null,"job_id":null,"id":4},"newest":9}},"expected":1}"#,
        ];
        for text in stored {
            let spec: JobSpec = serde_json::from_str(text).expect("reads");
            assert_eq!(serde_json::to_string(&spec).expect("plain data"), text);
        }
        let old = r#"{"origin":{"kind":"gazetteer"},"limit":null,"force":false}"#;
        let spec: JobSpec = serde_json::from_str(old).expect("reads");
        assert_eq!(spec.pipeline, PipelineName::Weather);
    }
}
