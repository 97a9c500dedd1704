//! A failed task on its way back: its own fields, with the try one higher. Pure.
//!
//! Guarantees: unknown fields stay; the new try is above every known try (I5).

use isobar_model::ids::{JobId, TaskId};
use isobar_model::pipeline::{PipelineName, RowKind};
use isobar_model::task::{CityTask, Fields, UserTask};

const TRY: &str = "try";
const JOB: &str = "job_id";

#[derive(Clone, Debug, PartialEq)]
pub struct RepublishedTask {
    pub task_id: TaskId,
    pub job_id: Option<JobId>,
    /// The pipeline whose stream it goes to.
    pub pipeline: PipelineName,
    /// Names and values as they will be in the stream.
    fields: Vec<(String, String)>,
}

impl RepublishedTask {
    /// Reads what the ledger or a dead letter of `pipeline` keeps of a task. `None` if it is not
    /// text or not a task: a control message, or an entry that would fail to decode once more.
    /// `last_try` is the highest try known from elsewhere.
    pub fn from_input(pipeline: PipelineName, input: &[u8], last_try: u32) -> Option<Self> {
        let fields = Fields::from_json(input)?;
        let head = match pipeline.spec().rows {
            RowKind::Cities => CityTask::from_fields(&fields).ok()?.head,
            RowKind::Users | RowKind::Incomplete(_) => UserTask::from_fields(&fields).ok()?.head,
        };
        let next = head.try_number.max(last_try).saturating_add(1);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
        let mut own: Vec<(String, String)> = fields
            .0
            .into_iter()
            .map(|(name, value)| Some((text(name)?, text(value)?)))
            .collect::<Option<_>>()?;
        own.retain(|(name, _)| name != TRY);
        own.push((TRY.to_owned(), next.to_string()));
        let pipeline = pipeline.stream();
        Some(Self { task_id: head.task_id, job_id: head.job_id, pipeline, fields: own })
    }

    /// The task without its job. It is counted in no ledger, because that of its job is deleted.
    #[must_use]
    pub fn without_job(mut self) -> Self {
        self.fields.retain(|(name, _)| name != JOB);
        Self { job_id: None, ..self }
    }

    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "6fa1c1f0-52c4-4c39-9a55-000000000001";
    const OF_JOB: &str = "6fa1c1f0-52c4-4c39-9a55-0000000000aa";

    fn city(input: &[u8], last_try: u32) -> Option<RepublishedTask> {
        RepublishedTask::from_input(PipelineName::Weather, input, last_try)
    }

    fn value<'a>(task: &'a RepublishedTask, name: &str) -> Option<&'a str> {
        task.fields().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    #[test]
    fn a_task_returns_with_the_next_try() {
        let input = format!(
            r#"{{"city":"Zürich","colour":"blue","job_id":"{OF_JOB}","row":"7","task_id":"{TASK}"}}"#
        );
        let second = city(input.as_bytes(), 1).expect("a task");
        assert_eq!((second.task_id.to_string(), second.job_id.is_some()), (TASK.into(), true));
        assert_eq!((value(&second, "try"), value(&second, "row")), (Some("2"), Some("7")));
        assert_eq!(value(&second, "colour"), Some("blue"), "unknown fields stay");
        let alone = second.without_job();
        assert_eq!((value(&alone, "job_id"), alone.job_id), (None, None));
    }

    #[test]
    fn the_pipeline_decides_how_a_task_is_read() {
        let input = format!(r#"{{"task_id":"{TASK}","kind":"card","user_id":"7","city":"Paris"}}"#);
        for pipeline in PipelineName::ALL {
            let task = RepublishedTask::from_input(pipeline, input.as_bytes(), 1).expect("a task");
            assert_eq!(task.pipeline, pipeline.stream());
        }
        let no_user = format!(r#"{{"task_id":"{TASK}","city":"Paris"}}"#);
        let cards = RepublishedTask::from_input(PipelineName::Cards, no_user.as_bytes(), 1);
        assert_eq!(cards, None);
    }

    #[test]
    fn the_next_try_is_above_every_known_try() {
        for (field, known, next) in
            [("3", 1, "4"), ("1", 5, "6"), ("", 1, "2"), ("4294967295", 1, "4294967295")]
        {
            let input = format!(r#"{{"task_id":"{TASK}","city":"Paris","try":"{field}"}}"#);
            let task = city(input.as_bytes(), known).expect("a task");
            assert_eq!(value(&task, "try"), Some(next));
        }
    }

    #[test]
    fn input_that_is_not_a_task_is_refused() {
        for input in [
            &b""[..],
            b"task_id=\xff\n",
            b"[]",
            br#"{"kind":"seal","job_id":"x","body":"{}"}"#,
            br#"{"task_id":"x","city":"Paris"}"#,
            br#"{"task_id":7,"city":"Paris"}"#,
        ] {
            assert_eq!(city(input, 1), None, "{}", String::from_utf8_lossy(input));
        }
    }
}
