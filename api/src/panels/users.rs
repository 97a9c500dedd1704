//! Users, and what was found for them: the second pipeline in one row.

use askama::Template;
use isobar_model::pipeline::PipelineName;

use crate::panels::format::Count;
use crate::panels::snapshot::Look;

#[derive(Template)]
#[template(path = "panels/users.html")]
pub struct Users {
    tallies: Vec<Tally>,
    /// There are none, and none is on the way.
    unused: bool,
    /// Why some of it may be old.
    trouble: Option<String>,
}

struct Tally {
    name: &'static str,
    /// `None` where its keeper has never answered.
    count: Option<Count>,
    meaning: &'static str,
    /// The list that shows them.
    link: Option<&'static str>,
    /// What it counts needs somebody.
    alarming: bool,
}

impl Users {
    pub fn of(look: &Look) -> Self {
        let totals = look.totals.value.as_ref();
        let unfinished = look.users.value.as_ref().map(|depth| depth.undelivered + depth.pending);
        let of_users = look.pipelines.value.as_ref().map(|pipelines| {
            pipelines.get(&PipelineName::Users).map_or(0, |pipeline| pipeline.dead_letters)
        });
        let tally = |name, count: Option<u64>, meaning| Tally {
            name,
            count: count.map(Count),
            meaning,
            link: None,
            alarming: false,
        };
        let tallies = vec![
            Tally {
                link: Some("/users/ui"),
                ..tally("Users", totals.map(|totals| totals.users), "synced from the source")
            },
            Tally {
                link: Some("/users/ui?has_address=true"),
                ..tally("Addresses", totals.map(|totals| totals.addresses), "one a user")
            },
            Tally {
                link: Some("/users/ui?has_card=true"),
                ..tally("Cards", totals.map(|totals| totals.cards), "one a user, last four digits")
            },
            tally("Unfinished", unfinished, "undelivered and pending"),
            Tally {
                alarming: of_users.is_some_and(|count| count > 0),
                ..tally("Dead", of_users, "given up, kept for replay")
            },
        ];
        let troubles = [&look.totals.trouble, &look.users.trouble, &look.pipelines.trouble];
        Self {
            unused: tallies.iter().all(|tally| tally.count == Some(Count(0))),
            tallies,
            trouble: troubles.into_iter().flatten().next().cloned(),
        }
    }
}
