//! User tasks: store a user, or fetch an address or a card for one.
//!
//! The field `kind` names the work. `user` carries the user's fields and needs no request;
//! `address` and `card` carry a `user_id` of the store.
//! Guarantees: any Redis client may write a user task, so decoding trusts nothing.

use chrono::{DateTime, SecondsFormat, Utc};

use super::fields::{DecodeError, Fields, number, parsed, text};
use super::header::TaskHeader;
use crate::ids::UserId;
use crate::user::profile::{User, check};

const KIND: &str = "kind";

#[derive(Clone, Debug, PartialEq)]
pub struct UserTask {
    pub head: TaskHeader,
    pub work: UserWork,
}

/// What a worker does for a user.
#[derive(Clone, Debug, PartialEq)]
pub enum UserWork {
    /// Store the user, unless a newer record is stored.
    User { user: Box<User>, seen_at: DateTime<Utc> },
    /// Fetch an address for the user.
    Address(UserId),
    /// Fetch a card for the user.
    Card(UserId),
}

impl UserWork {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User { .. } => "user",
            Self::Address(_) => "address",
            Self::Card(_) => "card",
        }
    }

    /// The key that finds duplicates within a job.
    pub fn key(&self) -> String {
        match self {
            Self::User { user, .. } => format!("user:{}", user.external_id),
            Self::Address(id) | Self::Card(id) => format!("{}:{id}", self.kind()),
        }
    }
}

impl UserTask {
    pub fn from_fields(fields: &Fields) -> Result<Self, DecodeError> {
        let head = TaskHeader::from_fields(fields)?;
        let user_id = || {
            number(fields, "user_id")?
                .map(UserId)
                .ok_or_else(|| DecodeError::new("user_id is missing"))
        };
        let work = match text(fields, KIND)? {
            Some("user") => user(fields)?,
            Some("address") => UserWork::Address(user_id()?),
            Some("card") => UserWork::Card(user_id()?),
            Some(_) => return Err(DecodeError::new("kind must be user, address or card")),
            None => return Err(DecodeError::new("kind is missing")),
        };
        Ok(Self { head, work })
    }

    /// The wire form: names and values in turn, without absent ones.
    pub fn to_wire(&self) -> Vec<(&'static str, String)> {
        let mut wire =
            vec![("task_id", self.head.task_id.to_string()), (KIND, self.work.kind().to_owned())];
        match &self.work {
            UserWork::User { user, seen_at } => {
                wire.push(("external_id", user.external_id.to_string()));
                wire.push(("name", user.name.clone()));
                wire.push(("email", user.email.clone()));
                let optional = [
                    ("username", &user.username),
                    ("phone", &user.phone),
                    ("website", &user.website),
                    ("company_name", &user.company_name),
                    ("company_catchphrase", &user.company_catchphrase),
                    ("company_bs", &user.company_bs),
                ];
                wire.extend(
                    optional
                        .into_iter()
                        .filter_map(|(name, text)| text.as_ref().map(|text| (name, text.clone()))),
                );
                wire.push(("seen_at", seen_at.to_rfc3339_opts(SecondsFormat::Millis, true)));
            }
            UserWork::Address(id) | UserWork::Card(id) => wire.push(("user_id", id.to_string())),
        }
        self.head.write_to(&mut wire);
        wire
    }
}

fn user(fields: &Fields) -> Result<UserWork, DecodeError> {
    let field = |name| text(fields, name).map(|text| text.map(str::to_owned));
    let user = User {
        external_id: number(fields, "external_id")?
            .ok_or_else(|| DecodeError::new("external_id is missing"))?,
        name: field("name")?.unwrap_or_default(),
        username: field("username")?,
        email: field("email")?.unwrap_or_default(),
        phone: field("phone")?,
        website: field("website")?,
        company_name: field("company_name")?,
        company_catchphrase: field("company_catchphrase")?,
        company_bs: field("company_bs")?,
    };
    let user = check(user).map_err(|flaw| DecodeError { code: flaw.code, reason: flaw.reason })?;
    // Without a time the record counts as the newest one.
    let seen_at = parsed(fields, "seen_at", "time")?.unwrap_or_else(Utc::now);
    Ok(UserWork::User { user: Box::new(user), seen_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, TaskId};

    fn head() -> TaskHeader {
        let job = JobId::derive("users", "slot");
        TaskHeader {
            task_id: job.task("user:7"),
            job_id: Some(job),
            row: Some(3),
            batch: Some(1),
            try_number: 2,
            force: true,
        }
    }

    fn fields(wire: &[(&'static str, String)]) -> Fields {
        Fields(wire.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect())
    }

    #[test]
    fn every_user_task_survives_the_wire() {
        let user = User {
            external_id: 7,
            name: "Zoë O'Connor".into(),
            username: None,
            email: "zoe@x.org".into(),
            phone: Some("1 x2".into()),
            website: None,
            company_name: Some("Kuhn".into()),
            company_catchphrase: None,
            company_bs: None,
        };
        let seen_at = "2026-01-16T05:00:00.250Z".parse().expect("a time");
        for work in [
            UserWork::User { user: Box::new(user), seen_at },
            UserWork::Address(UserId(4)),
            UserWork::Card(UserId(4)),
        ] {
            let task = UserTask { head: head(), work };
            assert_eq!(UserTask::from_fields(&fields(&task.to_wire())), Ok(task));
        }
    }

    #[test]
    fn invalid_fields_are_refused_with_a_reason() {
        let id = ("task_id", TaskId(uuid::Uuid::nil()).to_string());
        let kind = |kind: &str| (KIND, kind.to_owned());
        for (wire, reason) in [
            (vec![id.clone()], "kind is missing"),
            (vec![id.clone(), kind("crypto")], "kind must be user, address or card"),
            (vec![id.clone(), kind("card")], "user_id is missing"),
            (vec![id.clone(), kind("user")], "external_id is missing"),
            (
                vec![id, kind("user"), ("external_id", "1".into()), ("name", "A".into())],
                "the e-mail address is not valid",
            ),
        ] {
            let error = UserTask::from_fields(&fields(&wire)).expect_err("refused");
            assert_eq!(error.reason, reason);
        }
    }
}
