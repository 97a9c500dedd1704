//! The weather of a city by its name, from the nearest place that has it.
//!
//! [`city`] decides which city a name means, [`lookup`] where its weather comes from. [`answer`]
//! decides how long an answer is kept. [`single_flight`] lets concurrent callers share one request.
//!
//! Next: `resources/weather.rs` (the route).

pub mod answer;
pub mod city;
pub mod lookup;
mod single_flight;

pub use lookup::{METRICS, WeatherLookup};
