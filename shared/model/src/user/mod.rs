//! Users, their addresses and their cards, read from the JSON of their providers.
//!
//! Guarantees: card numbers exist only while a response is parsed ([`card::read`]). No type has a
//! field for one.
//! Next: [`profile`] (a user), [`address`], [`card`] with [`fingerprint`], and the file
//! `provider_json.rs` (the shapes of responses). [`task`](crate::task) has the user tasks.

pub mod address;
pub mod card;
pub mod fingerprint;
mod invalid_record;
pub mod profile;
mod provider_json;

pub use address::Address;
pub use card::Card;
pub use fingerprint::FingerprintKey;
pub use invalid_record::InvalidRecord;
pub use profile::User;
pub use provider_json::records;
