//! The filter of the lists of dead letters: `code` and `job_id` of the query.
//!
//! Next: [`super::selection`] (the stricter one of replay and discard).

use isobar_store::DeadLetterFilter;
use utoipa::IntoParams;

use crate::http::params::Params;
use crate::http::problem::Problem;

/// The parameters as the document describes them; an absent one filters nothing.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the document reads its fields")]
pub struct DeadLetterQuery {
    /// filter by error code
    code: Option<String>,
    /// filter by job
    job_id: Option<uuid::Uuid>,
}

pub fn read(params: &Params) -> Result<DeadLetterFilter, Problem> {
    let job_id = params.text("job_id").map(|text| {
        text.parse().map_err(|_| Problem::parameter("job_id", "must be a job id (UUID)"))
    });
    Ok(DeadLetterFilter {
        code: params.text("code").map(str::to_owned),
        job_id: job_id.transpose()?,
        id: None,
    })
}
