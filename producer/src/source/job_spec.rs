//! Which rows a job takes: its source, how many of them, and whether freshness counts.
//!
//! A [`JobSpec`] is written into the outbox with the job, so that any later process can open the
//! source again and go on. Its [`identity`](JobSpec::identity) says when two runs mean the same
//! list: pipeline, kind, URL or content, limit and force; where a file lies is no part of it.

use std::path::PathBuf;

use isobar_model::pipeline::{Enrichment, PipelineName, RowKind};
use isobar_settings::Settings;
use isobar_settings::values::masked;
use isobar_store::Store;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::csv::{Content, Csv};
use super::gazetteer::Gazetteer;
use super::incomplete_users::{Lacking, LackingCursor};
use super::paged_api::{Api, ApiCursor, Connection, Limits, List};
use super::{Cursor, Source, SourceError};
use crate::outbox::Outbox;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Absent in what was written before there were others.
    #[serde(default)]
    pub pipeline: PipelineName,
    pub origin: Origin,
    /// Rows to take at most.
    pub limit: Option<u64>,
    /// Fetch even where the snapshot is current.
    pub force: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Origin {
    Api {
        url: Url,
        /// Kept with the job: a cursor counts pages of this size.
        page_limit: u32,
        page_first: u32,
    },
    Csv {
        path: PathBuf,
        /// What people call it: a file name, or `standard input`.
        name: String,
        content_hash: String,
        bytes: u64,
    },
    Gazetteer,
    Users {
        url: Url,
    },
    /// Users of the store who miss something.
    Lacking {
        missing: Enrichment,
    },
}

impl Origin {
    pub fn api(url: &Url, settings: &Settings) -> Self {
        Self::Api {
            url: url.clone(),
            page_limit: settings.page_limit,
            page_first: settings.page_first,
        }
    }

    pub fn csv(path: PathBuf, name: String, content: Content) -> Self {
        Self::Csv { path, name, content_hash: content.hash, bytes: content.bytes }
    }
}

/// What a source may need to be opened.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub settings: &'a Settings,
    pub outbox: &'a Outbox,
    /// For sources that are the store.
    pub store: Option<&'a Store>,
    pub shutdown: &'a CancellationToken,
}

impl Surroundings<'_> {
    fn connection(self, base: &Url, list: List) -> Connection {
        let Self { settings, outbox, shutdown, .. } = self;
        Connection {
            base: base.clone(),
            list,
            limits: Limits {
                attempts: settings.source_attempts,
                breaker: settings.source_breaker,
                timeout: settings.request_timeout.0,
            },
            outbox: outbox.clone(),
            shutdown: shutdown.clone(),
        }
    }
}

impl JobSpec {
    /// What a bare `isobar produce` takes: the configured city source, else the built-in list.
    pub fn configured(settings: &Settings, limit: Option<u64>, force: bool) -> Self {
        match &settings.city_source_url {
            Some(url) => {
                let origin = Origin::api(&url.0, settings);
                Self { pipeline: PipelineName::Weather, origin, limit, force }
            }
            None => Self::gazetteer(settings, limit, force),
        }
    }

    pub fn gazetteer(settings: &Settings, limit: Option<u64>, force: bool) -> Self {
        let limit = limit.unwrap_or(settings.gazetteer_limit as u64);
        let (pipeline, origin) = (PipelineName::Weather, Origin::Gazetteer);
        Self { pipeline, origin, limit: Some(limit), force }
    }

    /// What a run of that pipeline takes where nothing else is said.
    pub fn of(
        pipeline: PipelineName,
        settings: &Settings,
        limit: Option<u64>,
        force: bool,
    ) -> Self {
        let lacking = |missing| Self {
            pipeline,
            origin: Origin::Lacking { missing },
            limit: Some(limit.unwrap_or(u64::from(settings.enrich_batch_size))),
            force,
        };
        match pipeline.spec().rows {
            RowKind::Cities => Self::configured(settings, limit, force),
            RowKind::Users => {
                let origin = Origin::Users { url: settings.users_url() };
                Self { pipeline, origin, limit, force }
            }
            RowKind::Incomplete(missing) => lacking(missing),
        }
    }

    pub fn identity(&self) -> String {
        let (kind, which) = match &self.origin {
            Origin::Api { url, .. } | Origin::Users { url } => {
                ("api", url.as_str().trim_end_matches('/'))
            }
            Origin::Csv { content_hash, .. } => ("csv", content_hash.as_str()),
            Origin::Gazetteer => ("gazetteer", ""),
            Origin::Lacking { .. } => ("store", ""),
        };
        let limit = self.limit.map(|limit| limit.to_string()).unwrap_or_default();
        format!("{}|{kind}|{which}|{limit}|{}", self.pipeline, u8::from(self.force))
    }

    /// What a person calls the source.
    pub fn label(&self) -> String {
        match &self.origin {
            Origin::Api { url, .. } | Origin::Users { url } => masked(url),
            Origin::Lacking { missing } => match (missing, self.force) {
                (_, true) => format!("all users, for {}", self.pipeline),
                (Enrichment::Address, false) => "users without an address".to_owned(),
                (Enrichment::Card, false) => "users without a card".to_owned(),
            },
            Origin::Csv { name, .. } => name.clone(),
            Origin::Gazetteer => "gazetteer".to_owned(),
        }
    }

    pub fn path(&self) -> Option<&std::path::Path> {
        match &self.origin {
            Origin::Csv { path, .. } => Some(path),
            _ => None,
        }
    }

    /// What identifies a file.
    pub fn content_hash(&self) -> Option<&str> {
        match &self.origin {
            Origin::Csv { content_hash, .. } => Some(content_hash),
            _ => None,
        }
    }

    pub fn bytes_total(&self) -> Option<u64> {
        match &self.origin {
            Origin::Csv { bytes, .. } => Some(*bytes),
            _ => None,
        }
    }

    /// Rows there will be at most, where that is known beforehand.
    pub fn rows_total(&self) -> Option<u64> {
        match &self.origin {
            Origin::Gazetteer => {
                let all = isobar_model::gazetteer::builtin().cities().len() as u64;
                Some(self.limit.map_or(all, |limit| limit.min(all)))
            }
            _ => self.limit,
        }
    }

    /// Opens the source, at its beginning or where `cursor` says.
    pub async fn open(
        &self,
        cursor: Option<Cursor>,
        around: Surroundings<'_>,
    ) -> Result<Source, SourceError> {
        match (&self.origin, cursor) {
            (
                Origin::Api { url, page_limit, page_first },
                cursor @ (None | Some(Cursor::Api(_))),
            ) => {
                let connection = around.connection(url, List::Cities { page_limit: *page_limit });
                let cursor = match cursor {
                    Some(Cursor::Api(cursor)) => cursor,
                    _ => ApiCursor::first(*page_first),
                };
                Ok(Source::Api(Box::new(Api::open(connection, cursor)?)))
            }
            (Origin::Csv { path, content_hash, .. }, cursor @ (None | Some(Cursor::Csv(_)))) => {
                let (path, content_hash) = (path.clone(), content_hash.clone());
                let opened = tokio::task::spawn_blocking(move || {
                    let cursor = match &cursor {
                        Some(Cursor::Csv(cursor)) => Some(cursor),
                        _ => None,
                    };
                    Csv::open(&path, &content_hash, cursor)
                })
                .await
                .map_err(|panic| SourceError::unusable(format!("opening the file: {panic}")))?;
                Ok(Source::Csv(Some(Box::new(opened?))))
            }
            (Origin::Gazetteer, None) => Ok(Source::Gazetteer(Gazetteer::at(0))),
            (Origin::Gazetteer, Some(Cursor::Gazetteer(position))) => {
                Ok(Source::Gazetteer(Gazetteer::at(position)))
            }
            (Origin::Users { url }, cursor @ (None | Some(Cursor::Api(_)))) => {
                let key = around.settings.users_api_key.clone();
                let connection = around.connection(url, List::Users { key });
                let cursor = match cursor {
                    Some(Cursor::Api(cursor)) => cursor,
                    _ => ApiCursor::default(),
                };
                Ok(Source::Api(Box::new(Api::open(connection, cursor)?)))
            }
            (Origin::Lacking { missing }, cursor @ (None | Some(Cursor::Lacking(_)))) => {
                let cursor = match cursor {
                    Some(Cursor::Lacking(cursor)) => cursor,
                    _ => LackingCursor::default(),
                };
                let Some(store) = around.store.cloned() else {
                    return Err(SourceError::unusable("the store was not opened"));
                };
                Ok(Source::Lacking(Lacking::open(store, *missing, self.force, cursor)))
            }
            (_, Some(_)) => {
                Err(SourceError::unusable("the outbox holds a position in another kind of source"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(path: &str, hash: &str) -> JobSpec {
        JobSpec {
            pipeline: PipelineName::Weather,
            origin: Origin::Csv {
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
    fn the_same_content_is_the_same_source_wherever_it_lies() {
        let one = csv("/a/cities.csv", "abc");
        assert_eq!(one.identity(), csv("/b/other.csv", "abc").identity());
        assert_ne!(one.identity(), csv("/a/cities.csv", "def").identity());
        let limited = JobSpec { limit: Some(5), ..one.clone() };
        let forced = JobSpec { force: true, ..one.clone() };
        assert_ne!(one.identity(), limited.identity());
        assert_ne!(one.identity(), forced.identity());
    }
}
