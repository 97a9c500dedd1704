//! OpenAPI schemas for enums of crates that do not know OpenAPI.
//!
//! A field of such an enum names the type of the same name here:
//! `#[schema(value_type = schemas::RowStatus)]`.
//!
//! Guarantees: the values are read from the enum itself, so the document cannot lack a new one.

use std::borrow::Cow;

use isobar_model::{schedule, task};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! enum_schemas {
    ($($name:ident of $module:ident;)*) => {$(
        /// Exists only in the document.
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let values = $module::$name::ALL.map($module::$name::as_str);
                let object = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values));
                Schema::Object(object.build()).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

enum_schemas! {
    JobKind of task;
    JobStatus of isobar_store;
    RowStatus of isobar_store;
    TickOutcome of schedule;
    Misfire of schedule;
    Overlap of schedule;
}
