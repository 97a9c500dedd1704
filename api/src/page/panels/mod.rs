//! The panels of the page: each a template over one look, and nothing else.
//!
//! A panel does not ask anybody anything; what it shows was seen already, and what was not seen it
//! says so. One file each: [`lights`] (is it well?), [`flow`] (how much waits where), [`pulse`]
//! (how fast), [`quota`] (how much is left), [`jobs`], [`workers`].

mod flow;
mod jobs;
mod lights;
mod pulse;
mod quota;
mod workers;

use askama::Template;

use super::look::Look;

/// A piece of the page that is sent again when it differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panel {
    /// The id of its place in the page.
    pub id: &'static str,
    pub html: String,
}

/// All of them, in the order of the page.
pub fn all(look: &Look) -> Vec<Panel> {
    vec![
        panel("lights", &lights::Lights::of(look)),
        panel("flow", &flow::Flow::of(look)),
        panel("pulse", &pulse::Chart::of(&look.pulse)),
        panel("quota", &quota::Quota::of(look)),
        panel("jobs", &jobs::Jobs::of(look)),
        panel("workers", &workers::Workers::of(look)),
    ]
}

fn panel(id: &'static str, template: &impl Template) -> Panel {
    // Rendering into a string fails only where a value's own Display does.
    Panel { id, html: template.render().expect("our values can be written") }
}
