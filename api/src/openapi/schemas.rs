//! Schemas that no derive gives: words of other crates' enums, and the parameters of every list.
//!
//! The crates beside this one know nothing of OpenAPI. A field of one of their enums names the type
//! of the same name here: `#[schema(value_type = schemas::RowStatus)]`. The words come from the enum
//! itself, so that a new one is in the document as soon as it exists.

use std::borrow::Cow;

use isobar_model::{schedule, task};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::http::params::{DEFAULT_LIMIT, MAX_LIMIT};

macro_rules! words_of {
    ($($name:ident of $module:ident;)*) => {$(
        /// For the document alone.
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words = $module::$name::ALL.map($module::$name::as_str);
                let words = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
                Schema::Object(words.build()).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

words_of! {
    JobKind of task;
    JobStatus of isobar_store;
    RowStatus of isobar_store;
    TickOutcome of schedule;
    Misfire of schedule;
    Overlap of schedule;
}

/// `limit` and `cursor`, as most lists have them: `params(Paging)`.
pub struct Paging;

impl IntoParams for Paging {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(MAX_LIMIT))
            .default(Some(DEFAULT_LIMIT.into()));
        let cursor = ObjectBuilder::new().schema_type(Type::String);
        vec![
            query("limit", "items on a page", limit),
            query("cursor", "what next_cursor of the page before said", cursor),
        ]
    }
}

fn query(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .description(Some(description))
        .schema(Some(Schema::Object(schema.build())))
        .build()
}
