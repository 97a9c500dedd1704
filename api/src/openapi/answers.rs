//! The answers that follow from a row and from the gate, so that no handler has to list them.
//!
//! A handler names only what is its own. Every operation may be refused (403) or fail (500); one
//! that needs the key may be told so (401); all but probes may be told to come back (429, 503). A
//! query or header may be unusable (400), a `{part}` of the path may name nothing (404), a body may
//! be too large (413). Whatever a handler lists itself stands; an error without a body of its own
//! has a problem. Each answer carries the request id.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{
    ComponentsBuilder, Content, Header, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder,
    Schema,
};

use crate::gate::Pace;
use crate::router::Resource;

const PROBLEM: &str = "application/problem+json";

struct Common {
    status: u16,
    name: &'static str,
    description: &'static str,
}

const fn common(status: u16, name: &'static str, description: &'static str) -> Common {
    Common { status, name, description }
}

const BAD_REQUEST: Common =
    common(400, "BadRequest", "a parameter cannot be used; `errors` says which");
const UNAUTHORIZED: Common = common(401, "Unauthorized", "this needs the key");
const FORBIDDEN: Common =
    common(403, "Forbidden", "asked through a foreign Host, or by a page of another site");
const NOT_FOUND: Common = common(404, "NotFound", "there is nothing of this id");
const TOO_LARGE: Common = common(413, "PayloadTooLarge", "the body is too large");
const TOO_MANY: Common = common(429, "TooManyRequests", "this client asks too often");
const INTERNAL: Common = common(500, "Internal", "a defect of ours; the log knows more");
const UNAVAILABLE: Common = common(
    503,
    "Unavailable",
    "the store or the broker is away, or there are too many requests at once; nothing was changed",
);
const ALL: [Common; 8] =
    [BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_LARGE, TOO_MANY, INTERNAL, UNAVAILABLE];

/// The common answers and headers, to be referred to.
pub fn components(components: ComponentsBuilder) -> ComponentsBuilder {
    let text = |description: &str| header(Type::String, description);
    let components = ALL.iter().fold(components, |components, common| {
        let response = ResponseBuilder::new().description(common.description).build();
        components.response(common.name, completed(common.status, response))
    });
    let mut components = components.build();
    components.headers.extend(
        [
            ("X-Request-Id", text("the caller's own if it can be used, else a new one")),
            ("Retry-After", header(Type::Integer, "seconds after which it is worth trying again")),
            ("WWW-Authenticate", text("the scheme of the key")),
        ]
        .map(|(name, header)| (name.to_owned(), RefOr::T(header))),
    );
    components.into()
}

/// Adds to an operation what its handler did not say.
pub fn complete(operation: &mut Operation, row: &Resource) {
    let places: Vec<ParameterIn> =
        operation.parameters.iter_mut().flatten().filter_map(place_of).collect();
    let asks = places.iter().any(|place| matches!(place, ParameterIn::Query | ParameterIn::Header));
    let names = places.iter().any(|place| matches!(place, ParameterIn::Path));
    let applies = [
        (asks, BAD_REQUEST),
        (!row.open, UNAUTHORIZED),
        (true, FORBIDDEN),
        (names, NOT_FOUND),
        (operation.request_body.is_some(), TOO_LARGE),
        (row.pace != Pace::Probe, TOO_MANY),
        (true, INTERNAL),
        (row.pace != Pace::Probe, UNAVAILABLE),
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

/// Where a parameter stands. Its type loses the `null` that an `Option` brought: a parameter that
/// is not there is not there.
fn place_of(parameter: &mut RefOr<Parameter>) -> Option<ParameterIn> {
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
            let real = choice.items.iter().find(|item| matches!(item, RefOr::Ref(_)));
            if let Some(real) = real.cloned() {
                parameter.schema = Some(real);
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
    let ours: &[&str] = match status {
        401 => &["X-Request-Id", "WWW-Authenticate"],
        429 | 503 => &["X-Request-Id", "Retry-After"],
        _ => &["X-Request-Id"],
    };
    for name in ours {
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
