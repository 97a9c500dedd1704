//! A task that was given up, on its way back: its own fields, with the try one higher. Pure.

use isobar_model::ids::{JobId, TaskId};
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{Fields, PersonTask, WeatherTask};

const TRY: &str = "try";
const JOB: &str = "job_id";

/// What is published again.
#[derive(Clone, Debug, PartialEq)]
pub struct Again {
    pub task_id: TaskId,
    pub job_id: Option<JobId>,
    /// Whose stream it goes to.
    pub pipeline: PipelineName,
    /// Names and values, as they will be in the stream.
    pub fields: Vec<(String, String)>,
}

/// Reads what ledger and dead letters keep of a task. None if it is no text, or no task: a control
/// message, or an entry that could not be decoded and would not be the second time either.
/// `last_try` is what else is known of its tries.
pub fn again(kept: &[u8], last_try: u32) -> Option<Again> {
    let fields = Fields::from_json(kept)?;
    let (pipeline, head) = match WeatherTask::from_fields(&fields) {
        Ok(task) => (PipelineName::Weather, task.head),
        Err(_) => (PipelineName::Users, PersonTask::from_fields(&fields).ok()?.head),
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
    Some(Again { task_id: head.task_id, job_id: head.job_id, pipeline, fields: own })
}

impl Again {
    /// The task without its job, whose ledger is gone: nobody counts it any more.
    #[must_use]
    pub fn without_job(mut self) -> Self {
        self.fields.retain(|(name, _)| name != JOB);
        Self { job_id: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "6fa1c1f0-52c4-4c39-9a55-000000000001";
    const OF_JOB: &str = "6fa1c1f0-52c4-4c39-9a55-0000000000aa";

    fn value<'a>(again: &'a Again, name: &str) -> Option<&'a str> {
        again.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_task_comes_back_with_all_its_fields_and_the_next_try() {
        let kept = format!(
            r#"{{"city":"Zürich","colour":"blue","job_id":"{OF_JOB}","row":"7","task_id":"{TASK}"}}"#
        );
        let second = again(kept.as_bytes(), 1).expect("a task");
        assert_eq!((second.task_id.to_string(), second.job_id.is_some()), (TASK.into(), true));
        assert_eq!((value(&second, "try"), value(&second, "row")), (Some("2"), Some("7")));
        assert_eq!(value(&second, "colour"), Some("blue"), "what we do not know travels along");
        let alone = second.without_job();
        assert_eq!((value(&alone, "job_id"), alone.job_id), (None, None));
    }

    #[test]
    fn a_task_for_a_user_goes_back_to_the_stream_of_users() {
        let kept = format!(r#"{{"task_id":"{TASK}","kind":"card","user_id":"7"}}"#);
        let task = again(kept.as_bytes(), 1).expect("a task");
        assert_eq!((task.pipeline, value(&task, "user_id")), (PipelineName::Users, Some("7")));
    }

    #[test]
    fn the_next_try_is_above_whatever_is_known_of_the_last() {
        for (field, known, next) in
            [("3", 1, "4"), ("1", 5, "6"), ("", 1, "2"), ("4294967295", 1, "4294967295")]
        {
            let kept = format!(r#"{{"task_id":"{TASK}","city":"Paris","try":"{field}"}}"#);
            let task = again(kept.as_bytes(), known).expect("a task");
            assert_eq!(value(&task, "try"), Some(next));
        }
    }

    #[test]
    fn what_is_no_task_does_not_come_back() {
        for kept in [
            &b""[..],
            b"task_id=\xff\n",
            b"[]",
            br#"{"kind":"seal","job_id":"x","body":"{}"}"#,
            br#"{"task_id":"x","city":"Paris"}"#,
            br#"{"task_id":7,"city":"Paris"}"#,
        ] {
            assert_eq!(again(kept, 1), None, "{}", String::from_utf8_lossy(kept));
        }
    }
}
