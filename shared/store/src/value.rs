//! Values: what is bound to a statement, the same for both databases.
//!
//! `args![…]` makes the list. An absent value keeps its type, because PostgreSQL asks for it.
//! Guarantees: no number that came from outside overflows a column; it is cut to the largest.
//! Does not: remove NUL characters (see [`crate::nul`]).
//! Next: [`crate::postgres`] and [`crate::sqlite`], which bind them.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use isobar_model::ids::{CityId, JobId, TaskId, UserId};

#[derive(Clone, Debug)]
pub enum Value<'a> {
    Int(Option<i64>),
    Float(Option<f64>),
    Bool(Option<bool>),
    Text(Option<Cow<'a, str>>),
    Bytes(Option<Cow<'a, [u8]>>),
    Time(Option<DateTime<Utc>>),
    Date(Option<NaiveDate>),
    Id(Option<Uuid>),
    /// For `= ANY($n::bigint[])`.
    Ints(Vec<i64>),
    /// For `= ANY($n::uuid[])`.
    Ids(Vec<Uuid>),
}

impl Value<'_> {
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Int(value) => Value::Int(value),
            Self::Float(value) => Value::Float(value),
            Self::Bool(value) => Value::Bool(value),
            Self::Text(value) => Value::Text(value.map(|text| text.into_owned().into())),
            Self::Bytes(value) => Value::Bytes(value.map(|bytes| bytes.into_owned().into())),
            Self::Time(value) => Value::Time(value),
            Self::Date(value) => Value::Date(value),
            Self::Id(value) => Value::Id(value),
            Self::Ints(values) => Value::Ints(values),
            Self::Ids(values) => Value::Ids(values),
        }
    }
}

/// A type that can be bound; `None` is a NULL of that type.
pub trait Bind<'a>: Sized {
    fn bind(value: Option<Self>) -> Value<'a>;
}

impl<'a, T: Bind<'a>> Bind<'a> for Option<T> {
    fn bind(value: Option<Self>) -> Value<'a> {
        T::bind(value.flatten())
    }
}

impl<'a> Bind<'a> for &'a Option<String> {
    fn bind(value: Option<Self>) -> Value<'a> {
        <&str>::bind(value.and_then(Option::as_deref))
    }
}

/// `type => Variant, conversion`.
macro_rules! bind {
    ($($type:ty => $variant:ident, $convert:expr;)+) => {$(
        impl<'a> Bind<'a> for $type {
            fn bind(value: Option<Self>) -> Value<'a> {
                Value::$variant(value.map($convert))
            }
        }
    )+};
}

bind! {
    i64 => Int, |number| number;
    i32 => Int, i64::from;
    u32 => Int, clamp_i32;
    u64 => Int, clamp_i64;
    f64 => Float, |number| number;
    bool => Bool, |flag| flag;
    &'a str => Text, Cow::from;
    &'a String => Text, Cow::from;
    String => Text, Cow::from;
    Cow<'a, str> => Text, |text| text;
    &'a Vec<u8> => Bytes, Cow::from;
    DateTime<Utc> => Time, |time| time;
    NaiveDate => Date, |date| date;
    CityId => Int, |id| id.0;
    UserId => Int, |id| id.0;
    JobId => Id, |id| id.0;
    TaskId => Id, |id| id.0;
}

/// `type => Variant, conversion of one item`.
macro_rules! bind_lists {
    ($($type:ty => $variant:ident, $convert:expr;)+) => {$(
        impl<'a> Bind<'a> for &'a [$type] {
            fn bind(value: Option<Self>) -> Value<'a> {
                Value::$variant(value.unwrap_or_default().iter().map($convert).collect())
            }
        }
    )+};
}

bind_lists! {
    i64 => Ints, |number| *number;
    CityId => Ints, |id| id.0;
    UserId => Ints, |id| id.0;
    JobId => Ids, |id| id.0;
}

macro_rules! args {
    ($($value:expr),* $(,)?) => { Vec::from([$($crate::value::Bind::bind(Some($value))),*]) };
}

/// PostgreSQL keeps tries and attempts in 32 bits, with a sign.
fn clamp_i32(number: u32) -> i64 {
    i64::from(number.min(i32::MAX as u32))
}

/// A number that both databases can hold, and add to others of its kind.
pub fn clamp_i64(number: u64) -> i64 {
    const LARGEST: u64 = 1 << 60;
    number.min(LARGEST) as i64
}
