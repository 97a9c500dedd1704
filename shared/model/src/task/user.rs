//! What is to be done for a user, and how it travels.
//!
//! Flat named fields, as every task: `kind` says which errand it is. `user` brings the user along
//! and needs no request; `address` and `card` name a `user_id` of the store and are fetched. Any
//! Redis client may write one, so decoding trusts nothing.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::ids::UserId;
use crate::task::{Fields, TaskHead, Undecodable, number, text};
use crate::user::profile::{User, check};

const KIND: &str = "kind";

#[derive(Clone, Debug, PartialEq)]
pub struct PersonTask {
    pub head: TaskHead,
    pub errand: Errand,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Errand {
    /// Store them, unless something newer is stored.
    User { user: Box<User>, seen_at: DateTime<Utc> },
    /// Find them an address.
    Address(UserId),
    /// Find them a card.
    Card(UserId),
}

impl Errand {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User { .. } => "user",
            Self::Address(_) => "address",
            Self::Card(_) => "card",
        }
    }

    /// What finds duplicates within a job.
    pub fn key(&self) -> String {
        match self {
            Self::User { user, .. } => format!("user:{}", user.external_id),
            Self::Address(id) | Self::Card(id) => format!("{}:{id}", self.kind()),
        }
    }
}

impl PersonTask {
    pub fn from_fields(fields: &Fields) -> Result<Self, Undecodable> {
        let head = TaskHead::from_fields(fields)?;
        let user_id = || {
            number(fields, "user_id")?
                .map(UserId)
                .ok_or_else(|| Undecodable::new("user_id is missing"))
        };
        let errand = match text(fields, KIND)? {
            Some("user") => user(fields)?,
            Some("address") => Errand::Address(user_id()?),
            Some("card") => Errand::Card(user_id()?),
            Some(_) => return Err(Undecodable::new("kind is none of user, address and card")),
            None => return Err(Undecodable::new("kind is missing")),
        };
        Ok(Self { head, errand })
    }

    /// The wire form: names and values in turn, absent ones left out.
    pub fn to_wire(&self) -> Vec<(&'static str, String)> {
        let mut wire =
            vec![("task_id", self.head.task_id.to_string()), (KIND, self.errand.kind().to_owned())];
        match &self.errand {
            Errand::User { user, seen_at } => {
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
            Errand::Address(id) | Errand::Card(id) => wire.push(("user_id", id.to_string())),
        }
        self.head.add_to(&mut wire);
        wire
    }
}

fn user(fields: &Fields) -> Result<Errand, Undecodable> {
    let own = |name| text(fields, name).map(|text| text.map(str::to_owned));
    let user = User {
        external_id: number(fields, "external_id")?
            .ok_or_else(|| Undecodable::new("external_id is missing"))?,
        name: own("name")?.unwrap_or_default(),
        username: own("username")?,
        email: own("email")?.unwrap_or_default(),
        phone: own("phone")?,
        website: own("website")?,
        company_name: own("company_name")?,
        company_catchphrase: own("company_catchphrase")?,
        company_bs: own("company_bs")?,
    };
    let user = check(user).map_err(|flaw| Undecodable { code: flaw.code, reason: flaw.reason })?;
    let seen_at = match text(fields, "seen_at")? {
        Some(text) => text.parse().map_err(|_| Undecodable::new("seen_at is no time"))?,
        // Of someone who says not: as if nothing newer could be stored.
        None => Utc::now(),
    };
    Ok(Errand::User { user: Box::new(user), seen_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, TaskId};

    fn head() -> TaskHead {
        let job = JobId::derive("users", "slot");
        TaskHead {
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
    fn every_errand_survives_the_wire() {
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
        for errand in [
            Errand::User { user: Box::new(user), seen_at },
            Errand::Address(UserId(4)),
            Errand::Card(UserId(4)),
        ] {
            let task = PersonTask { head: head(), errand };
            assert_eq!(PersonTask::from_fields(&fields(&task.to_wire())), Ok(task));
        }
    }

    #[test]
    fn rubbish_says_what_is_wrong_with_it() {
        let id = ("task_id", TaskId(uuid::Uuid::nil()).to_string());
        let kind = |kind: &str| (KIND, kind.to_owned());
        for (wire, says) in [
            (vec![id.clone()], "kind is missing"),
            (vec![id.clone(), kind("crypto")], "kind is none of user, address and card"),
            (vec![id.clone(), kind("card")], "user_id is missing"),
            (vec![id.clone(), kind("user")], "external_id is missing"),
            (
                vec![id, kind("user"), ("external_id", "1".into()), ("name", "A".into())],
                "the e-mail address is none",
            ),
        ] {
            let error = PersonTask::from_fields(&fields(&wire)).expect_err("refused");
            assert_eq!(error.reason, says);
        }
    }
}
