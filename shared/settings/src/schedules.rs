//! The schedules that the settings configure.
//!
//! Guarantees: a pipeline has a schedule once its expression is set, or once the URL of its source is
//! set and [`PIPELINES`] has a default expression.

use isobar_model::pipeline::{PIPELINES, PipelineName, PipelineSpec};
use isobar_model::schedule::{Expression, Schedule};

use crate::table::Settings;
use crate::values::HttpUrl;

impl Settings {
    /// The schedules with an expression of their own or a default one.
    pub fn schedules(&self) -> Vec<Schedule> {
        let schedule = |spec: &PipelineSpec| {
            let (cron, url) = self.cron_of(spec.name);
            let default = spec.default_cron.filter(|_| url.is_some());
            let default =
                || default.map(|cron| cron.parse().expect("the table holds an expression"));
            Some(Schedule {
                name: spec.schedule,
                expression: cron.clone().or_else(default)?,
                timezone: self.timezone.0,
                misfire: self.misfire,
                overlap: self.overlap,
            })
        };
        PIPELINES.iter().filter_map(schedule).collect()
    }

    /// The expression of a pipeline and the URL of its source, where they are set.
    fn cron_of(&self, pipeline: PipelineName) -> (&Option<Expression>, &Option<HttpUrl>) {
        match pipeline {
            PipelineName::Weather => (&self.sync_cron, &self.city_source_url),
            PipelineName::Air => (&self.air_quality_cron, &self.city_source_url),
            PipelineName::Users => (&self.users_cron, &self.users_url),
            PipelineName::Addresses => (&self.addresses_cron, &self.addresses_url),
            PipelineName::Cards => (&self.cards_cron, &self.cards_url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    fn load(pairs: &[(&str, &str)]) -> Settings {
        let environment =
            pairs.iter().fold(Environment::empty(), |env, (name, value)| env.with(name, *value));
        Settings::load(&environment).expect("fits")
    }

    #[test]
    fn a_schedule_exists_once_it_has_an_expression() {
        let set = [("ISOBAR_SYNC_CRON", "30 2 * * *"), ("ISOBAR_TIMEZONE", "Europe/Berlin")];
        let schedules = load(&set).schedules();
        assert_eq!((schedules.len(), schedules[0].name), (1, "sync"));
        assert_eq!(schedules[0].timezone, chrono_tz::Europe::Berlin);
        assert_eq!(load(&set[1..]).schedules(), []);
    }

    #[test]
    fn a_source_url_enables_its_default_schedule() {
        let shown = |pairs: &[(&str, &str)]| {
            let schedules = load(pairs).schedules();
            let text = |schedule: &Schedule| format!("{} {}", schedule.name, schedule.expression);
            schedules.iter().map(text).collect::<Vec<_>>()
        };
        let cards = ("ISOBAR_CARDS_URL", "http://127.0.0.1:8090/api/v2/credit_cards");
        assert_eq!(shown(&[cards]), ["cards @every 900s"]);
        assert_eq!(shown(&[cards, ("ISOBAR_CARDS_CRON", "@every 5s")]), ["cards @every 5s"]);
        assert_eq!(shown(&[("ISOBAR_USERS_CRON", "0 * * * *")]), ["users 0 * * * *"]);
    }
}
