//! What operators see and do, alike for terminal, HTTP and page.
//!
//! [`actions`]: pause, resume, cancel and reset, each recorded before it takes effect.
//! Does not: speak HTTP or parse a command line.

pub mod actions;
