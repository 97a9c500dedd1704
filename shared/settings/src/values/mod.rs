//! The types of settings: how each is written and shown.
//!
//! Guarantees: parsing accepts what people write (`15m`, `256 MiB`, `600/m,5000/h`). An error shows
//! an example of a valid value. `Display` gives a text that parses to the same value, except for
//! secrets, which show as `***`.

mod choice;
mod database_url;
mod listen;
mod log;
mod masked;
mod policy;
mod quantity;
mod text;
mod url;

pub use choice::{BrokerKind, LogFormat, WeatherProvider};
pub use database_url::DatabaseUrl;
pub use listen::ListenAddress;
pub use log::LogDirectives;
pub use masked::masked;
pub use policy::{BreakerSpec, QuotaSpec};
pub use quantity::{ByteSize, PositiveDuration};
pub use text::{HostNames, PathSetting, Secret};
pub use url::{HttpUrl, RedisUrl};
