//! `POST /bulk/import`: a file becomes a job.
//!
//! Guarantees: an upload is written to disk as it arrives, never held in memory; what surrounds the
//! file in its body has a limit of its own. The 202 is sent after
//! the file is safe (fsync, rename) and the job is recorded. A crash before the 202 leaves at most a
//! spool file, which is removed; after it, the job is found at the next start. The same
//! `Idempotency-Key` with the same content is the same job; with other content it is 422.

use std::time::Duration;

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::response::Response;
use bytes::Bytes;
use isobar_admin::schemas;
use isobar_model::ids::JobId;
use isobar_producer::disk;
use isobar_producer::source::RefusalKind;
use isobar_producer::{ImportError, IncomingUpload, NewImport};
use isobar_settings::values::ByteSize;
use isobar_store::{JobStatus, NewJob};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::jobs::accepted;
use super::source_file;
use crate::http::body_meter::{BodyLimits, BodyMeter, metered};
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::state::SharedState;

/// How long an uploading client may be silent.
const UPLOAD_IDLE: Duration = Duration::from_secs(30);
/// For the rest of a multipart body: boundaries, headers, small fields.
const MULTIPART_SLACK_BYTES: u64 = 64 * 1024;
/// The limit of preamble, boundaries and headers, which the parser keeps in memory. Browsers send a
/// few hundred bytes. The rest is for pieces that are read and not yet parsed, two of 64 KiB.
const MULTIPART_AROUND: ByteSize = ByteSize(256 * 1024);
/// The limit of a flag's value, and of a body that names a path.
const SMALL_BYTES: usize = 16 * 1024;
/// `Retry-After` while another process keeps the outbox locked.
const BUSY_PAUSE: Duration = Duration::from_secs(5);
const MAX_KEY_BYTES: usize = 200;
const MAX_NAME_CHARS: usize = 200;

#[derive(Debug, Serialize, ToSchema)]
pub struct ImportAccepted {
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    /// `queued`; the present status of a job that an earlier request with the key has made.
    #[schema(value_type = schemas::JobStatus)]
    pub status: JobStatus,
}

/// The JSON or form body that names a file in `ISOBAR_IMPORT_DIR`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ImportPath {
    pub path: String,
    #[serde(default)]
    pub force: bool,
}

/// The multipart body as the document describes it; it is read field by field.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the document reads its fields")]
pub struct ImportFile {
    /// The CSV.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
    /// Fetch even if the stored value is current.
    #[schema(default = false)]
    force: Option<bool>,
}

struct ImportBody {
    spool: IncomingUpload,
    name: String,
    force: bool,
}

/// Import a file
///
/// The file itself, or the path of a file in `ISOBAR_IMPORT_DIR`. The answer is sent when the file is
/// safe on disk; the job survives the end of this process.
#[utoipa::path(
    post,
    path = "/bulk/import",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 200,
            description = "the same key with the same file is the same job")),
    request_body(content(
        (ImportFile = "multipart/form-data"),
        (ImportPath = "application/json"),
        (ImportPath = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 202, body = ImportAccepted, description = "the file is safe on disk, the job is queued",
         headers(("Location" = String, description = "the job"))),
        (status = 400, description = "malformed body or Idempotency-Key"),
        (status = 408, description = "request body timed out"),
        (status = 415, description = "unsupported content type, or a file that is not a table"),
        (status = 422, description = "no usable file or header, or `idempotency_key_reused`"),
    ),
)]
pub async fn import(State(app): State<SharedState>, request: Request) -> Result<Response, Problem> {
    if app.phase.is_draining() {
        let detail = "this server is shutting down; nothing was imported, try again";
        return Err(Problem::unavailable("not_ready", detail, Duration::from_secs(1)));
    }
    let idempotency_key = idempotency_key(request.headers())?;
    let received = match kind(request.headers()) {
        Some(ImportBodyKind::Multipart) => from_multipart(&app, request).await?,
        Some(ImportBodyKind::Json) => from_path(&app, json(&small_body(request).await?)?).await?,
        Some(ImportBodyKind::Form) => from_path(&app, form(&small_body(request).await?)?).await?,
        None => return Err(unsupported()),
    };
    let import = NewImport {
        name: received.name,
        force: received.force,
        idempotency_key,
        ..NewImport::default()
    };
    let accepted_job = app.imports.accept(received.spool, import).await?;
    let is_new = accepted_job.is_new;
    let job = NewJob::from(accepted_job);
    isobar_failpoint::hit("api.import.accepted");
    // The file is already safe. If this fails, the relay stores the job later.
    if let Err(error) = app.store.create_job(&job).await {
        let error = isobar_telemetry::error_chain(&error);
        tracing::warn!(error, job_id = %job.id, "import accepted; its job is stored later");
    }
    let status = if is_new { JobStatus::Queued } else { status_of(&app, job.id).await };
    Ok(accepted(job.id, ImportAccepted { job_id: job.id, status }))
}

/// A job that no worker has seen yet, or whose store does not answer, is queued.
async fn status_of(app: &SharedState, id: JobId) -> JobStatus {
    let job = app.store.job(id).await.ok().flatten();
    job.map_or(JobStatus::Queued, |job| job.status)
}

async fn from_multipart(app: &SharedState, request: Request) -> Result<ImportBody, Problem> {
    let limit = app.settings.max_upload;
    let declared = request
        .headers()
        .get("content-length")
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let whole = ByteSize(limit.0.saturating_add(MULTIPART_SLACK_BYTES));
    if declared.is_some_and(|bytes| bytes > whole.0) {
        return Err(Problem::too_large(limit));
    }
    let limits = BodyLimits { whole, around: MULTIPART_AROUND };
    let (head, body) = request.into_parts();
    let (body, meter) = metered(body, limits);
    let mut request = Request::from_parts(head, body);
    // The file is counted while it is spooled; axum's own limit is for bodies in memory.
    axum::extract::DefaultBodyLimit::disable().apply(&mut request);
    let mut multipart = Multipart::from_request(request, &())
        .await
        .map_err(|error| Problem::malformed(error.body_text()))?;
    let mut file = None;
    let mut force = false;
    while let Some(field) = next_part(&meter, multipart.next_field()).await? {
        let mut content = Content { field, meter: &meter };
        match content.field.name() {
            Some("file") if file.is_some() => {
                return Err(Problem::body("file", "only one file per request"));
            }
            Some("file") => {
                let name = display_name(content.field.file_name());
                file = Some((spool(app, &mut content, limit).await?, name));
            }
            Some("force") => force = flag(&small_field(&mut content).await?)?,
            // Unknown fields are ignored, like unknown parameters.
            _ => while content.next_piece().await?.is_some() {},
        }
    }
    let Some((spool, name)) = file else {
        let detail = "required: a multipart field with the file";
        return Err(Problem::body("file", detail));
    };
    Ok(ImportBody { spool, name, force })
}

/// The content of a field, piece by piece.
struct Content<'a> {
    field: Field<'a>,
    meter: &'a BodyMeter,
}

impl Content<'_> {
    async fn next_piece(&mut self) -> Result<Option<Bytes>, Problem> {
        let piece = next_part(self.meter, self.field.chunk()).await?;
        self.meter.take(piece.as_ref().map_or(0, Bytes::len));
        Ok(piece)
    }
}

async fn spool(
    app: &SharedState,
    content: &mut Content<'_>,
    limit: ByteSize,
) -> Result<IncomingUpload, Problem> {
    let mut spool = app.imports.spool().await?;
    let mut bytes = 0;
    while let Some(piece) = content.next_piece().await? {
        bytes += piece.len() as u64;
        if bytes > limit.0 {
            return Err(Problem::too_large(limit));
        }
        spool.write(&piece).await?;
    }
    if bytes == 0 {
        return Err(Problem::body("file", "the file is empty"));
    }
    Ok(spool)
}

async fn from_path(app: &SharedState, source: ImportPath) -> Result<ImportBody, Problem> {
    let limit = app.settings.max_upload;
    let folder = app.settings.import_dir.as_ref();
    let folder = folder.ok_or_else(|| {
        Problem::body("path", "imports by path are disabled; set ISOBAR_IMPORT_DIR")
    })?;
    let mut file = source_file::open(&folder.0, &source.path, limit).await?;
    let mut spool = app.imports.spool().await?;
    while let Some(piece) = file.next_piece().await? {
        spool.write(&piece).await?;
    }
    Ok(ImportBody { spool, name: display_name(Some(&source.path)), force: source.force })
}

enum ImportBodyKind {
    Multipart,
    Json,
    Form,
}

fn kind(headers: &HeaderMap) -> Option<ImportBodyKind> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = text.split(';').next().unwrap_or(text).trim();
    match essence.to_ascii_lowercase().as_str() {
        "multipart/form-data" => Some(ImportBodyKind::Multipart),
        "application/json" => Some(ImportBodyKind::Json),
        "application/x-www-form-urlencoded" => Some(ImportBodyKind::Form),
        _ => None,
    }
}

fn unsupported() -> Problem {
    let detail = "send multipart/form-data with a file, or JSON or a form with a path";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

fn json(body: &[u8]) -> Result<ImportPath, Problem> {
    let value: serde_json::Value = serde_json::from_slice(body)
        .map_err(|error| Problem::malformed(format!("not valid JSON: {error}")))?;
    serde_json::from_value(value).map_err(|error| Problem::body("path", error.to_string()))
}

fn form(body: &[u8]) -> Result<ImportPath, Problem> {
    let text =
        str::from_utf8(body).map_err(|_| Problem::malformed("the form is not valid UTF-8"))?;
    let fields = Params::from_query(text);
    let path = fields.text("path").ok_or_else(|| Problem::body("path", "required"))?;
    Ok(ImportPath { path: path.to_owned(), force: fields.text("force").map_or(Ok(false), flag)? })
}

fn flag(text: &str) -> Result<bool, Problem> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "0" | "false" | "no" | "off" => Ok(false),
        "1" | "true" | "yes" | "on" => Ok(true),
        _ => Err(Problem::body("force", "must be true or false")),
    }
}

async fn small_body(request: Request) -> Result<Bytes, Problem> {
    let body = axum::body::to_bytes(request.into_body(), SMALL_BYTES);
    match timeout(UPLOAD_IDLE, body).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Problem::too_large(ByteSize(SMALL_BYTES as u64))),
        Err(_) => Err(too_slow()),
    }
}

async fn small_field(content: &mut Content<'_>) -> Result<String, Problem> {
    let mut value = Vec::new();
    while let Some(piece) = content.next_piece().await? {
        value.extend_from_slice(&piece);
        if value.len() > SMALL_BYTES {
            return Err(Problem::too_large(ByteSize(SMALL_BYTES as u64)));
        }
    }
    String::from_utf8(value).map_err(|_| Problem::malformed("a field is not valid UTF-8"))
}

/// Waits for a part of the body, for [`UPLOAD_IDLE`] at most.
async fn next_part<T>(
    meter: &BodyMeter,
    piece: impl Future<Output = Result<T, MultipartError>>,
) -> Result<T, Problem> {
    match timeout(UPLOAD_IDLE, piece).await {
        Ok(Ok(piece)) => Ok(piece),
        Ok(Err(_)) if let Some(problem) = meter.problem() => Err(problem),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Problem::too_large("this server accepts"))
        }
        Ok(Err(error)) => Err(Problem::malformed(error.body_text())),
        Err(_) => Err(too_slow()),
    }
}

fn too_slow() -> Problem {
    let detail = "the request body timed out; nothing was imported";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match key.to_str().map(str::trim) {
        Ok("") => Ok(None),
        Ok(key) if key.len() <= MAX_KEY_BYTES => Ok(Some(key.to_owned())),
        _ => {
            let detail = format!(
                "Idempotency-Key must be at most {MAX_KEY_BYTES} printable ASCII characters"
            );
            Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail))
        }
    }
}

/// The last part of the path without control characters; people know the file by it.
fn display_name(path: Option<&str>) -> String {
    let last = path.unwrap_or_default().rsplit(['/', '\\']).next();
    let name: String =
        last.unwrap_or_default().chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect();
    if name.trim().is_empty() { "upload".to_owned() } else { name }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::KeyReused => {
                let detail = "this Idempotency-Key was used with another file";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
            }
            ImportError::OtherOptions => {
                let detail = "this Idempotency-Key was used with the same file and other options (force); send the same options, or another key";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
            }
            ImportError::Refused(refusal) => {
                let (status, code) = match refusal.kind {
                    RefusalKind::NotATable => {
                        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
                    }
                    RefusalKind::NoHeader => (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable"),
                };
                Self::new(status, code, refusal.detail)
            }
            ImportError::Store(error) => error.into(),
            error if disk::is_full(&error) => Self::disk_full(error),
            ImportError::Outbox(error) if error.is_transient() => {
                let detail =
                    "the outbox of imports is not available; nothing was changed, try again";
                Self::unavailable("store_unavailable", detail, BUSY_PAUSE).with_cause(error)
            }
            error @ (ImportError::Spool(_) | ImportError::Open(_) | ImportError::Outbox(_)) => {
                Self::internal(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_last_part() {
        for (path, name) in [
            (Some("cities.csv"), "cities.csv"),
            (Some("../../etc/passwd"), "passwd"),
            (Some("C:\\data\\a b.csv"), "a b.csv"),
            (Some("x\r\ny"), "xy"),
            (Some("a/"), "upload"),
            (None, "upload"),
        ] {
            assert_eq!(display_name(path), name);
        }
    }

    #[test]
    fn a_body_that_names_no_path_is_refused() {
        let body = json(br#"{"path":"a.csv","force":true}"#).expect("valid");
        assert!(body.force && body.path == "a.csv");
        assert_eq!(json(b"{").expect_err("not JSON").status, StatusCode::BAD_REQUEST);
        for wrong in [&b"{}"[..], b"[]", b"{\"path\":1}"] {
            let problem = json(wrong).expect_err("unusable");
            assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
        assert!(form(b"path=a.csv&force=1").expect("valid").force);
        assert!(form(b"force=1").is_err() && form(b"path=a&force=maybe").is_err());
    }
}
