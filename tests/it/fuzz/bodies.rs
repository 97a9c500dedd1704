//! Answers of any text under any status: read or refused, and never a value that was not there.

use std::sync::Arc;

use isobar_broker::Broker;
use isobar_model::city::Coordinates;
use isobar_settings::{Environment, Settings};
use isobar_upstream::{Answer, Observation, Priority, WeatherClient};
use proptest::sample::select;
use serde_json::json;
use tempfile::TempDir;

use super::{mangled, some};
use crate::harness::http::Http;
use crate::harness::sim::Sim;

const CASES: usize = 150;
const STATUSES: [u16; 8] = [200, 200, 200, 200, 400, 404, 429, 503];

struct Asker {
    sim: Sim,
    upstream: WeatherClient,
    _dir: TempDir,
}

impl Asker {
    async fn new(provider: &str) -> Self {
        let sim = Sim::start(Vec::<String>::new()).await;
        let dir = tempfile::tempdir().expect("a folder");
        let data = dir.path().to_string_lossy().into_owned();
        let given = [
            ("ISOBAR_DATA_DIR", data.as_str()),
            ("ISOBAR_WEATHER_PROVIDER", provider),
            ("ISOBAR_OPENWEATHER_API_KEY", "a-key"),
            ("ISOBAR_OPEN_METEO_URL", sim.url()),
            ("ISOBAR_OPENWEATHER_URL", sim.url()),
            ("ISOBAR_GEOCODING_URL", sim.url()),
            ("ISOBAR_AIR_QUALITY_URL", sim.url()),
        ];
        let with = |env: Environment, (name, value): &(&str, &str)| env.with(name, *value);
        let environment = given.iter().fold(Environment::empty(), with);
        let settings = Arc::new(Settings::load(&environment).expect("settings"));
        let broker = Broker::open(&settings).expect("opens");
        let upstream = WeatherClient::new(settings, broker).expect("a client");
        Self { sim, upstream, _dir: dir }
    }

    /// A right answer to mangle.
    async fn right(&self, path: &str) -> Vec<u8> {
        let answer = Http::new(self.sim.url()).get(path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body.into_bytes()
    }

    /// Has the next request answered so. A fresh client: what was said before shuts nothing.
    async fn answers(&self, status: u16, body: &[u8]) {
        let body = String::from_utf8_lossy(body);
        let plan = json!({ "status": status, "body": body, "count": 1 });
        self.sim.clear_faults().await;
        self.sim.fault(&plan).await;
    }
}

/// What is believed of the weather must be possible.
fn check(answer: &Answer<Vec<Observation>>, asked: usize, body: &[u8]) {
    let Answer::Ok(observations) = answer else { return };
    assert_eq!(observations.len(), asked, "{}", String::from_utf8_lossy(body));
    for seen in observations {
        let numbers = [seen.temperature, seen.windspeed];
        assert!(numbers.iter().flatten().all(|number| number.is_finite()), "{seen:?}");
        // Numbers may be larger than ours, as the provider said them.
        let raw = serde_json::from_str::<serde::de::IgnoredAny>(&seen.raw_payload);
        assert!(raw.is_ok(), "{seen:?}");
    }
}

async fn mangle_weather(provider: &str, path: &str, locations: &[Coordinates]) {
    let right = Asker::new(provider).await.right(path).await;
    let mut asker = Asker::new(provider).await;
    let mut believed = 0;
    for (status, body) in some(CASES, &(select(&STATUSES[..]), mangled(right))) {
        asker.answers(status, &body).await;
        let answer = asker.upstream.weather(locations, Priority::Interactive).await;
        if matches!(answer, Answer::Wait { .. }) {
            asker = Asker::new(provider).await;
        }
        check(&answer, locations.len(), &body);
        believed += usize::from(matches!(answer, Answer::Ok(_)));
    }
    assert!((1..CASES).contains(&believed), "{believed} of {CASES} were believed");
}

fn place(latitude: f64, longitude: f64) -> Coordinates {
    Coordinates::new(latitude, longitude).expect("on the globe")
}

const CURRENT: &str =
    "current=temperature_2m,relative_humidity_2m,weather_code,wind_speed_10m,wind_direction_10m";

#[tokio::test]
async fn any_answer_of_open_meteo_for_one_place() {
    let path = format!("/v1/forecast?latitude=48.85&longitude=2.35&{CURRENT}");
    mangle_weather("open-meteo", &path, &[place(48.85, 2.35)]).await;
}

#[tokio::test]
async fn any_answer_of_open_meteo_for_three_places() {
    let path = format!("/v1/forecast?latitude=48.85,1,2&longitude=2.35,3,4&{CURRENT}");
    let places = [place(48.85, 2.35), place(1.0, 3.0), place(2.0, 4.0)];
    mangle_weather("open-meteo", &path, &places).await;
}

#[tokio::test]
async fn any_answer_of_openweather() {
    let path = "/data/2.5/weather?lat=48.85&lon=2.35&units=metric&appid=a-key";
    mangle_weather("openweather", path, &[place(48.85, 2.35)]).await;
}

#[tokio::test]
async fn any_answer_of_the_geocoder() {
    let path = "/v1/search?name=Paris&count=10&language=en&format=json";
    let mut asker = Asker::new("open-meteo").await;
    let right = asker.right(path).await;
    for (status, body) in some(CASES, &(select(&STATUSES[..]), mangled(right))) {
        asker.answers(status, &body).await;
        let answer = asker.upstream.geocode("Paris", None, Priority::Interactive).await;
        if matches!(answer, Answer::Wait { .. }) {
            asker = Asker::new("open-meteo").await;
        }
    }
}
