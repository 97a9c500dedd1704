//! A provider's quota: its limits by window, and the use of each window.
//!
//! Guarantees: windows are fixed and aligned to UTC, as providers count them. An absent limit is
//! `None`, never zero.
//! Does not: reserve (see the broker's `quota`) or forecast (see
//! [`quota_forecast`](crate::quota_forecast)).

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::string_enum;

/// The limit of each window; `None` is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLimits {
    pub minute: Option<u64>,
    pub hour: Option<u64>,
    pub day: Option<u64>,
}

impl QuotaLimits {
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    pub fn of(&self, window: Window) -> Option<u64> {
        match window {
            Window::Minute => self.minute,
            Window::Hour => self.hour,
            Window::Day => self.day,
        }
    }
}

string_enum! {
    /// A window aligned to UTC.
    serde Window { Minute = "minute", Hour = "hour", Day = "day" }
}

impl Window {
    pub fn length_ms(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }
}

/// The use of each current window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QuotaUsage {
    pub minute: u64,
    pub hour: u64,
    pub day: u64,
    /// Set while a window is full or the provider has blocked us.
    #[serde(rename = "shut_until")]
    pub blocked_until: Option<DateTime<Utc>>,
}

impl QuotaUsage {
    pub fn of(&self, window: Window) -> u64 {
        match window {
            Window::Minute => self.minute,
            Window::Hour => self.hour,
            Window::Day => self.day,
        }
    }
}
