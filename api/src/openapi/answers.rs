//! Answers that follow from a route's row and from the gate, so that no handler lists them.
//!
//! Every operation may be refused (403) or fail (500). An operation that needs the key has 401 and
//! 429; all but probes have 429 and 503. A parameter or header may be invalid or unknown (400), a `{part}` of the path may
//! name nothing (404), a body may be too large (413).
//!
//! Guarantees: an answer that a handler lists itself stays as it is. An error without a body of its
//! own is a problem. Each answer carries the request id.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{
    ComponentsBuilder, Content, Header, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
    Schema,
};

use super::resource::{Resource, TimeLimit};

const PROBLEM: &str = "application/problem+json";

struct Common {
    status: u16,
    name: &'static str,
    description: &'static str,
}

const fn common(status: u16, name: &'static str, description: &'static str) -> Common {
    Common { status, name, description }
}

const BAD_REQUEST: Common = common(400, "BadRequest", "invalid parameter; `errors` names it");
const UNAUTHORIZED: Common = common(401, "Unauthorized", "API key required");
const FORBIDDEN: Common = common(403, "Forbidden", "foreign Host, or a page of another site");
const NOT_FOUND: Common = common(404, "NotFound", "not found");
const TOO_LARGE: Common = common(413, "PayloadTooLarge", "body too large");
const TOO_MANY: Common =
    common(429, "TooManyRequests", "rate limit exceeded, or too many wrong keys");
const INTERNAL: Common = common(500, "Internal", "internal error");
const UNAVAILABLE: Common = common(
    503,
    "Unavailable",
    "store or broker unavailable, or too many requests at once; nothing was changed",
);
const ALL: [Common; 8] =
    [BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_LARGE, TOO_MANY, INTERNAL, UNAVAILABLE];

/// The common answers and headers, as components that operations refer to.
pub fn components(components: ComponentsBuilder) -> ComponentsBuilder {
    let text = |description: &str| header(Type::String, description);
    let components = ALL.iter().fold(components, |components, common| {
        let response = ResponseBuilder::new().description(common.description).build();
        components.response(common.name, completed(common.status, response))
    });
    let mut components = components.build();
    components.headers.extend(
        [
            ("X-Request-Id", text("the caller's own id if it is usable, else a new one")),
            ("Retry-After", header(Type::Integer, "seconds to wait before the next attempt")),
            ("WWW-Authenticate", text("authentication scheme of the key")),
        ]
        .map(|(name, header)| (name.to_owned(), RefOr::T(header))),
    );
    components.into()
}

/// Adds the common answers that the handler does not list itself.
pub fn complete(operation: &mut Operation, row: &Resource) {
    let locations: Vec<ParameterIn> =
        operation.parameters.iter_mut().flatten().filter_map(location_of).collect();
    let has_input = locations.iter().any(|location| *location != ParameterIn::Path);
    let has_id = locations.contains(&ParameterIn::Path);
    let applies = [
        (has_input || !row.any_query, BAD_REQUEST),
        (!row.public, UNAUTHORIZED),
        (true, FORBIDDEN),
        (has_id, NOT_FOUND),
        (operation.request_body.is_some(), TOO_LARGE),
        (row.time_limit != TimeLimit::Probe || !row.public, TOO_MANY),
        (true, INTERNAL),
        (row.time_limit != TimeLimit::Probe, UNAVAILABLE),
    ];
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        if let (Ok(status), RefOr::T(response)) = (status.parse(), response) {
            *response = completed(status, std::mem::take(response));
        }
    }
    for (_, common) in applies.into_iter().filter(|(applies, _)| *applies) {
        responses
            .entry(common.status.to_string())
            .or_insert_with(|| Ref::from_response_name(common.name).into());
    }
}

/// The location of a parameter. Its schema loses the `null` of an `Option`: an absent parameter is
/// absent, not null.
fn location_of(parameter: &mut RefOr<Parameter>) -> Option<ParameterIn> {
    let RefOr::T(parameter) = parameter else {
        return None;
    };
    match &mut parameter.schema {
        Some(RefOr::T(Schema::Object(object))) => {
            if let SchemaType::Array(types) = &mut object.schema_type {
                types.retain(|one| *one != Type::Null);
                if let [one] = types.as_slice() {
                    object.schema_type = one.clone().into();
                }
            }
        }
        Some(RefOr::T(Schema::OneOf(choice))) => {
            let reference = choice.items.iter().find(|item| matches!(item, RefOr::Ref(_)));
            if let Some(reference) = reference.cloned() {
                parameter.schema = Some(reference);
            }
        }
        _ => {}
    }
    Some(parameter.parameter_in.clone())
}

fn completed(status: u16, mut response: Response) -> Response {
    if status >= 400 && response.content.is_empty() {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        response.content.insert(PROBLEM.to_owned(), RefOr::T(problem));
    }
    let common: &[&str] = match status {
        401 => &["X-Request-Id", "WWW-Authenticate"],
        429 | 503 => &["X-Request-Id", "Retry-After"],
        _ => &["X-Request-Id"],
    };
    for name in common {
        let header = Ref::new(format!("#/components/headers/{name}"));
        response.headers.entry((*name).to_owned()).or_insert(RefOr::Ref(header));
    }
    response
}

fn header(kind: Type, description: &str) -> Header {
    let mut header = Header::new(ObjectBuilder::new().schema_type(kind));
    header.description = Some(description.to_owned());
    header
}
