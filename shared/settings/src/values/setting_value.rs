//! Parsing of one setting: numbers with an error that a person understands, the rest by `FromStr`.

use isobar_model::freshness::FreshFor;
use isobar_model::schedule::{Expression, Misfire, Overlap, TimeZone};

use super::{
    BreakerSpec, BrokerKind, ByteSize, DatabaseUrl, HostNames, HttpUrl, ListenAddress,
    LogDirectives, LogFormat, PathSetting, PositiveDuration, QuotaSpec, RedisUrl, Secret,
    WeatherProvider,
};
use crate::rate_limit::RateSpec;

/// A type that a row of the table may have.
pub(crate) trait SettingValue: Sized {
    /// The error says what is expected, with an example, and never shows a secret.
    fn parse_setting(text: &str) -> Result<Self, String>;
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl SettingValue for $type {
            fn parse_setting(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| {
                    format!("invalid number {text:?}: expected a whole number, for example 100")
                })
            }
        }
    )*};
}

macro_rules! texts {
    ($($type:ty),* $(,)?) => {$(
        impl SettingValue for $type {
            fn parse_setting(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error| format!("{error}"))
            }
        }
    )*};
}

numbers!(u32, u64, usize);
texts!(
    BreakerSpec,
    BrokerKind,
    ByteSize,
    DatabaseUrl,
    Expression,
    FreshFor,
    HostNames,
    HttpUrl,
    ListenAddress,
    LogDirectives,
    LogFormat,
    Misfire,
    Overlap,
    PathSetting,
    PositiveDuration,
    QuotaSpec,
    RateSpec,
    RedisUrl,
    Secret,
    String,
    TimeZone,
    WeatherProvider,
);
