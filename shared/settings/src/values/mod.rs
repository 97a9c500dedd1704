//! The types of settings: how each is written and shown.
//!
//! Guarantees: parsing accepts what people write (`15m`, `256 MiB`, `600/m,5000/h`). `Display` gives
//! a text that parses to the same value, except for secrets, which show as `***`.

mod choice;
mod policy;
mod quantity;
mod text;
mod url;

pub use choice::{BrokerKind, LogFormat, WeatherProvider};
pub use policy::{BreakerSpec, QuotaSpec};
pub use quantity::{ByteSize, PositiveDuration};
pub use text::{NameList, PathSetting, Secret};
pub use url::{DatabaseUrl, HttpUrl, RedisUrl, masked};
