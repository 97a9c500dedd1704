//! Users, their addresses and their cards: what is kept of them, and how they travel.
//!
//! [`profile`] (who someone is, and what makes a record unusable) · [`address`] and [`card`] (read from
//! whatever shape a provider answers in) · [`fingerprint`] (how a changed card is noticed without its
//! number) · [`task`] (how they travel through the stream).
//!
//! A card's number exists in memory only while its answer is read ([`card::read`]): nothing here, and
//! so nothing anywhere else, has a field that could hold one.

pub mod address;
pub mod card;
pub mod fingerprint;
pub mod profile;
mod provider_json;

pub use address::Address;
pub use card::Card;
pub use fingerprint::CardKey;
pub use profile::User;
pub use provider_json::items;

/// Why a record is unusable: a stable code and a sentence that quotes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    pub code: &'static str,
    pub reason: String,
}

impl Flaw {
    pub fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}
