//! The OpenAPI document, made from the router's table.
//!
//! What only a handler knows stands on the handler (`#[utoipa::path]`: summary, parameters, bodies,
//! its own answers and their headers). What follows from the row or from the gate is added here,
//! once for all: who needs the key, what every route may answer (`answers`), the request id, the
//! problem as the body of every error that has no other. `api/openapi.json` is this document; a
//! test compares the two, and `isobar openapi > api/openapi.json` writes it anew.
//!
//! Next: [`answers`] (the common answers and which operation has which), [`schemas`] (types of
//! other crates), [`page`] (the routes that show it).

mod answers;
pub mod schemas;

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
use crate::router::{Resource, table};

const DESCRIPTION: &str = "\
Weather snapshots of cities, and the pipeline that keeps them fresh: imports, jobs, the stream.

Every route answers with and without a final slash; an empty query value counts as absent. Every \
error is `application/problem+json` with a stable `code`. Lists have a `limit`; what `next_cursor` \
says goes into `cursor` of the next request. Times are RFC 3339 in UTC, but for `time`, which is \
the provider's own text. When the server has a key, everything but the open routes needs it.";

/// The whole document as it is served and committed: indented JSON with a final line break.
pub fn text() -> String {
    let mut text = document().to_pretty_json().expect("a document is plain data");
    text.push('\n');
    text
}

pub fn document() -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut problem = vec![("Problem".to_owned(), ProblemBody::schema())];
    ProblemBody::schemas(&mut problem);
    let mut components =
        answers::components(security(ComponentsBuilder::new())).schemas_from_iter(problem);
    for resource in table() {
        components = components.schemas_from_iter(resource.handlers.0.clone());
        paths = paths.path(documented_path(resource.path), item(&resource));
    }
    let info = InfoBuilder::new()
        .title("Isobar")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build()))
        .build();
    let tags =
        TAGS.map(|(name, words)| TagBuilder::new().name(name).description(Some(words)).build());
    OpenApiBuilder::new()
        .info(info)
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components.build()))
        .security(Some(["key", "bearer", "cookie"].map(requirement)))
        .build()
}

/// What the handlers of a row say, completed by what the row says.
fn item(resource: &Resource) -> PathItem {
    let mut whole = PathItem::default();
    for item in resource.handlers.1.paths.values() {
        whole.merge_operations(item.clone());
    }
    for (method, operation) in operations(&mut whole) {
        operation.operation_id = Some(operation_id(&method, resource.path));
        operation.tags = Some(vec![tag(resource.path).to_owned()]);
        if resource.open {
            operation.security = Some(Vec::new());
        }
        answers::complete(operation, resource);
    }
    whole
}

/// OpenAPI knows no part that may hold slashes.
fn documented_path(path: &str) -> String {
    path.replace("{*", "{")
}

/// The methods that we use.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let all = [
        (HttpMethod::Get, &mut item.get),
        (HttpMethod::Post, &mut item.post),
        (HttpMethod::Delete, &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// `get_bulk_jobs_id`: the names of handlers are unique only within their files.
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
    ("weather", "the weather by name, and what was asked for"),
    ("bulk", "files in, jobs and their results out"),
    ("snapshots", "what is stored, city by city"),
    ("operations", "the pipeline: what waits, what holds it up, what was given up"),
    ("health", "for whoever restarts, watches and routes"),
    ("pages", "for people"),
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
    let cookie = ApiKeyValue::with_description(NAME, "what POST /login sets");
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

    use super::*;

    #[test]
    fn the_committed_document_is_the_one_that_the_code_makes() {
        let made = text();
        let difference = made.lines().zip(include_str!("../../openapi.json").lines());
        let first = difference.enumerate().find(|(_, (made, committed))| made != committed);
        assert!(
            made == include_str!("../../openapi.json"),
            "api/openapi.json is not what the code makes; write it anew:\n\n    \
             cargo run -- openapi > api/openapi.json\n\nthe first line that differs: {first:?}"
        );
    }

    #[test]
    fn each_row_is_in_the_document_under_the_path_that_its_handlers_name() {
        let rows = table();
        let document = document();
        let documented: BTreeSet<&String> = document.paths.paths.keys().collect();
        let spelt: Vec<String> = rows.iter().map(|row| documented_path(row.path)).collect();
        assert_eq!(documented, spelt.iter().collect());
        assert_eq!(documented.len(), rows.len(), "two rows of one path");
        for row in &rows {
            let named: Vec<&String> = row.handlers.1.paths.keys().collect();
            assert_eq!(named, [row.path], "a handler's path is not that of its row");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let text = text();
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let references =
            text.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next());
        for pointer in references {
            assert!(document.pointer(pointer).is_some(), "there is no {pointer}");
        }
    }

    #[test]
    fn every_operation_says_what_it_is_and_what_follows_from_its_row() {
        let mut document = document();
        let mut ids = BTreeSet::new();
        for row in table() {
            let item = document.paths.paths.get_mut(&documented_path(row.path)).expect(row.path);
            for (_, operation) in operations(item) {
                let id = operation.operation_id.clone().expect("an id");
                assert!(operation.summary.as_ref().is_some_and(|text| !text.is_empty()), "{id}");
                let answers = &operation.responses.responses;
                assert!(answers.keys().any(|status| status.as_str() < "400"), "{id}");
                assert!(row.open || answers.contains_key("401"), "{id}");
                assert_eq!(
                    answers.contains_key("429"),
                    row.pace != crate::gate::Pace::Probe,
                    "{id}"
                );
                assert!(answers.contains_key("403") && answers.contains_key("500"), "{id}");
                assert!(ids.insert(id), "two operations of one id");
            }
        }
    }
}
