//! The OpenAPI document, made from the table of routes.
//!
//! A handler describes what only it knows (`#[utoipa::path]`: summary, parameters, bodies, its own
//! answers). What follows from the row or from the gate is added here: security, common answers
//! ([`answers`]), the request id, the problem as the body of errors.
//!
//! Guarantees: `api/openapi.json` is this document; a test compares the two. After a change run
//! `isobar openapi > api/openapi.json`.
//! Next: [`resource`] (a row of the table), `resources/docs.rs` (the routes that serve it).

mod answers;
pub mod resource;

use utoipa::openapi::path::{HttpMethod, Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use crate::http::problem::ProblemBody;
use crate::http::sessions::NAME;
use resource::Resource;

const DESCRIPTION: &str = "\
Weather snapshots of cities, and the pipeline that keeps them fresh: imports, jobs, the stream.

Every route answers with and without a final slash. An empty query value counts as absent. Every \
error is `application/problem+json` with a stable `code`. Lists have a `limit`; pass `next_cursor` \
as `cursor` to get the next page. Times are RFC 3339 in UTC, except `time`, which is the provider's \
own text. When the server has a key, every route that is not public needs it.";

/// The document as it is served and committed: indented JSON with a final line break.
pub fn text(table: &[Resource]) -> String {
    let mut text = document(table).to_pretty_json().expect("a document is plain data");
    text.push('\n');
    text
}

fn document(table: &[Resource]) -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut problem = vec![("Problem".to_owned(), ProblemBody::schema())];
    ProblemBody::schemas(&mut problem);
    let mut components =
        answers::components(security(ComponentsBuilder::new())).schemas_from_iter(problem);
    for resource in table {
        components = components.schemas_from_iter(resource.handlers.0.clone());
        paths = paths.path(documented_path(resource.path), item(resource));
    }
    let info = InfoBuilder::new()
        .title("Isobar")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build()))
        .build();
    let tags =
        TAGS.map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build());
    OpenApiBuilder::new()
        .info(info)
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components.build()))
        .security(Some(["key", "bearer", "cookie"].map(requirement)))
        .build()
}

/// The operations of a row, completed with what follows from the row.
fn item(resource: &Resource) -> PathItem {
    let mut whole = PathItem::default();
    for item in resource.handlers.1.paths.values() {
        whole.merge_operations(item.clone());
    }
    for (method, operation) in operations(&mut whole) {
        operation.operation_id = Some(operation_id(&method, resource.path));
        operation.tags = Some(vec![tag(resource.path).to_owned()]);
        if resource.public {
            operation.security = Some(Vec::new());
        }
        answers::complete(operation, resource);
    }
    whole
}

/// OpenAPI has no path part that may contain slashes.
fn documented_path(path: &str) -> String {
    path.replace("{*", "{")
}

/// The methods that this API uses.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let all = [
        (HttpMethod::Get, &mut item.get),
        (HttpMethod::Post, &mut item.post),
        (HttpMethod::Delete, &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// `get_bulk_jobs_id`, because handler names are unique only within their files.
fn operation_id(method: &HttpMethod, path: &str) -> String {
    let method = match method {
        HttpMethod::Get => "get",
        HttpMethod::Post => "post",
        _ => "delete",
    };
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| format!("{id}_{word}"))
}

/// The groups of `/docs`, in their order.
const TAGS: [(&str, &str); 6] = [
    ("weather", "weather by city name, and the search history"),
    ("bulk", "imports, jobs and their results"),
    ("snapshots", "stored weather by city"),
    ("operations", "backlog, pauses, dead letters, schedules and users"),
    ("health", "probes and metrics"),
    ("pages", "pages for browsers"),
];

/// The group of a path.
fn tag(path: &str) -> &'static str {
    match path.split('/').nth(1).unwrap_or_default() {
        "weather" | "history" | "cache" | "cities" => "weather",
        "api" => "snapshots",
        "bulk" => "bulk",
        "livez" | "healthz" | "readyz" | "metrics" => "health",
        "" | "assets" | "live" | "login" | "logout" | "docs" | "openapi.json" | "map" => "pages",
        _ => "operations",
    }
}

fn security(components: ComponentsBuilder) -> ComponentsBuilder {
    let cookie = ApiKeyValue::with_description(NAME, "set by `POST /login`");
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components
        .security_scheme(
            "key",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))),
        )
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))
}

fn requirement(scheme: &str) -> SecurityRequirement {
    SecurityRequirement::new::<_, [&str; 0], _>(scheme, [])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::resource::TimeLimit;
    use super::*;
    use crate::router::table;

    #[test]
    fn the_committed_document_is_up_to_date() {
        let made = text(&table());
        let difference = made.lines().zip(include_str!("../../openapi.json").lines());
        let first = difference.enumerate().find(|(_, (made, committed))| made != committed);
        assert!(
            made == include_str!("../../openapi.json"),
            "api/openapi.json is out of date; run\n\n    \
             cargo run -- openapi > api/openapi.json\n\nfirst difference: {first:?}"
        );
    }

    #[test]
    fn each_row_is_documented_under_its_path() {
        let rows = table();
        let document = document(&rows);
        let documented: BTreeSet<&String> = document.paths.paths.keys().collect();
        let spelt: Vec<String> = rows.iter().map(|row| documented_path(row.path)).collect();
        assert_eq!(documented, spelt.iter().collect());
        assert_eq!(documented.len(), rows.len(), "two rows with one path");
        for row in &rows {
            let named: Vec<&String> = row.handlers.1.paths.keys().collect();
            assert_eq!(named, [row.path], "a handler and its row have different paths");
        }
    }

    #[test]
    fn every_reference_resolves() {
        let text = text(&table());
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let references =
            text.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next());
        for pointer in references {
            assert!(document.pointer(pointer).is_some(), "{pointer} does not exist");
        }
    }

    #[test]
    fn every_operation_has_summary_and_common_answers() {
        let mut document = document(&table());
        let mut ids = BTreeSet::new();
        for row in table() {
            let item = document.paths.paths.get_mut(&documented_path(row.path)).expect(row.path);
            for (_, operation) in operations(item) {
                let id = operation.operation_id.clone().expect("an id");
                assert!(operation.summary.as_ref().is_some_and(|text| !text.is_empty()), "{id}");
                let answers = &operation.responses.responses;
                assert!(answers.keys().any(|status| status.as_str() < "400"), "{id}");
                assert!(row.public || answers.contains_key("401"), "{id}");
                let limited = row.time_limit != TimeLimit::Probe || !row.public;
                assert_eq!(answers.contains_key("429"), limited, "{id}");
                assert!(answers.contains_key("403") && answers.contains_key("500"), "{id}");
                assert!(ids.insert(id), "two operations with one id");
            }
        }
    }
}
