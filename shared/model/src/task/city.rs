//! Weather tasks: one city whose weather a worker fetches.
//!
//! Guarantees: `task_id` with `latitude_deg`, `longitude_deg` and `city_id` is a complete task, and
//! so is `task_id` with `city`.

use super::fields::{DecodeError, Fields, number, text};
use super::header::TaskHeader;
use crate::city::Coordinates;
use crate::ids::CityId;

#[derive(Clone, Debug, PartialEq)]
pub struct CityTask {
    pub head: TaskHeader,
    pub city_id: Option<CityId>,
    pub city: Option<String>,
    pub country_code: Option<String>,
    pub coordinates: Option<Coordinates>,
    pub traceparent: Option<String>,
}

impl CityTask {
    pub fn from_fields(fields: &Fields) -> Result<Self, DecodeError> {
        let head = TaskHeader::from_fields(fields)?;
        let city_id = number(fields, "city_id")?.map(CityId);
        let city = text(fields, "city")?.map(str::to_owned);
        let latitude = number::<f64>(fields, "latitude_deg")?;
        let longitude = number::<f64>(fields, "longitude_deg")?;
        let coordinates = match (latitude, longitude) {
            (Some(latitude), Some(longitude)) => {
                Some(Coordinates::new(latitude, longitude).map_err(|error| DecodeError {
                    code: "bad_coordinates",
                    reason: error.to_string(),
                })?)
            }
            (None, None) => None,
            _ => {
                return Err(DecodeError::new("only one of latitude_deg and longitude_deg is set"));
            }
        };
        if city.is_none() && city_id.is_none() {
            return Err(DecodeError::new(if coordinates.is_some() {
                "coordinates need a city_id or a city"
            } else {
                "coordinates and city are both missing"
            }));
        }
        Ok(Self {
            head,
            city_id,
            city,
            country_code: text(fields, "country_code")?.map(str::to_ascii_uppercase),
            coordinates,
            traceparent: text(fields, "traceparent")?.map(str::to_owned),
        })
    }

    /// The wire form: names and values in turn, without absent ones.
    pub fn to_wire(&self) -> Vec<(&'static str, String)> {
        let mut wire = Vec::with_capacity(10);
        wire.push(("task_id", self.head.task_id.to_string()));
        if let Some(at) = self.coordinates {
            wire.push(("latitude_deg", at.latitude().to_string()));
            wire.push(("longitude_deg", at.longitude().to_string()));
        }
        if let Some(id) = self.city_id {
            wire.push(("city_id", id.to_string()));
        }
        if let Some(city) = &self.city {
            wire.push(("city", city.clone()));
        }
        if let Some(code) = &self.country_code {
            wire.push(("country_code", code.clone()));
        }
        self.head.write_to(&mut wire);
        if let Some(traceparent) = &self.traceparent {
            wire.push(("traceparent", traceparent.clone()));
        }
        wire
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        Fields(pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect())
    }

    const ID: &str = "6fa1c1f0-52c4-4c39-9a55-000000000001";

    #[test]
    fn the_four_fields_of_the_contract_are_a_task() {
        let task = CityTask::from_fields(&fields(&[
            ("task_id", ID),
            ("latitude_deg", "48.85341"),
            ("longitude_deg", "2.3488"),
            ("city_id", "2988507"),
        ]))
        .expect("decodes");
        assert_eq!(task.city_id, Some(CityId(2_988_507)));
        assert_eq!(task.head.job_id, None);
        let wire = task.to_wire();
        let wire: Vec<_> = wire.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(CityTask::from_fields(&fields(&wire)), Ok(task));
    }

    #[test]
    fn a_name_alone_is_a_task_too() {
        let task = CityTask::from_fields(&fields(&[("task_id", ID), ("city", " Paris ")]));
        assert_eq!(task.expect("decodes").city.as_deref(), Some("Paris"));
    }

    #[test]
    fn invalid_fields_are_refused_with_a_reason() {
        for (entry, reason) in [
            (fields(&[]), "task_id is missing"),
            (fields(&[("task_id", "x")]), "task_id is not a valid UUID"),
            (fields(&[("task_id", ID)]), "coordinates and city are both missing"),
            (fields(&[("task_id", ID), ("city", "a\0b")]), "city contains a NUL byte"),
            (
                fields(&[("task_id", ID), ("city_id", "1"), ("latitude_deg", "4")]),
                "only one of latitude_deg and longitude_deg is set",
            ),
            (
                fields(&[
                    ("task_id", ID),
                    ("city_id", "1"),
                    ("latitude_deg", "NaN"),
                    ("longitude_deg", "1"),
                ]),
                "latitude must be a number from -90 to 90",
            ),
            (Fields(vec![(b"task_id".to_vec(), vec![0xff])]), "task_id is not valid UTF-8"),
        ] {
            assert_eq!(CityTask::from_fields(&entry).expect_err("refused").to_string(), reason);
        }
    }
}
