//! `/dead-letters`: tasks given up, with their reasons and their bytes.
//!
//! [`list`] shows them and [`groups`] counts them by code, both by a [`filter`]. [`replay`]
//! publishes them again and [`discard`] throws them away, both by a [`selection`], which is
//! stricter: what it means is not got back.

pub mod discard;
pub mod groups;
pub mod list;
pub mod replay;
mod selection;

use isobar_store::DeadFilter;
use utoipa::IntoParams;

use crate::http::params::Params;
use crate::http::problem::Problem;

/// Which letters are meant, for the document: what is absent restricts nothing.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "its fields are what the document says of them")]
pub struct Filter {
    /// only of this code
    code: Option<String>,
    /// only of this job
    job_id: Option<uuid::Uuid>,
}

/// `code` and `job_id` of the query.
pub fn filter(params: &Params) -> Result<DeadFilter, Problem> {
    let job_id = params.text("job_id").map(|text| {
        text.parse().map_err(|_| Problem::parameter("job_id", "it must be a job's id, a UUID"))
    });
    Ok(DeadFilter {
        code: params.text("code").map(str::to_owned),
        job_id: job_id.transpose()?,
        id: None,
    })
}
