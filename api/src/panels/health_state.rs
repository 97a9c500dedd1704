//! Health states of lights, jobs, ticks and workers.
//!
//! Guarantees: each has a colour and a shape, for readers who cannot distinguish the colours.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    Good,
    Warn,
    Bad,
    Idle,
}

impl HealthState {
    /// The CSS class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Idle => "idle",
        }
    }

    pub fn shape(self) -> &'static str {
        match self {
            Self::Good => "●",
            Self::Warn => "▲",
            Self::Bad => "■",
            Self::Idle => "○",
        }
    }
}
