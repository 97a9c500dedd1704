//! Two files that number their rows from 1 end as four cities, whatever the order and `force`.

use std::path::{Path, PathBuf};

use isobar_model::city::fold_name;
use isobar_store::Store;
use isobar_store::postgres::PostgresStore;
use isobar_store::sqlite::SqliteStore;
use tempfile::TempDir;

use crate::harness::isobar::Isobar;
use crate::harness::postgres::Postgres;
use crate::harness::sim::Sim;

const CITIES: [(&str, f64, f64); 4] = [
    ("Uppsala", 59.858, 17.645),
    ("Lund", 55.706, 13.187),
    ("Suva", -18.142, 178.442),
    ("Apia", -13.833, -171.767),
];

struct Home {
    dir: TempDir,
    sim: Sim,
    url: Option<String>,
    store: Store,
}

impl Home {
    async fn embedded() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&dir.path().join("isobar.db")).map(Store::Sqlite);
        let sim = Sim::start(Vec::<String>::new()).await;
        Self { dir, sim, url: None, store: store.expect("opens") }
    }

    fn isobar<const N: usize>(&self, args: [&str; N]) -> Isobar {
        let isobar = Isobar::new(self.dir.path())
            .env("ISOBAR_OPEN_METEO_URL", self.sim.url())
            .env("ISOBAR_GEOCODING_URL", self.sim.url())
            .args(args);
        match &self.url {
            Some(url) => isobar.env("DATABASE_URL", url.clone()).env("ISOBAR_BROKER", "embedded"),
            None => isobar,
        }
    }

    async fn produce(&self, file: &Path, args: &[&str]) {
        let path = file.to_string_lossy();
        let run = self.isobar(["produce", "--csv", &path]).args(args.iter().copied());
        run.run().await.expect_code(0);
    }

    async fn drain(&self) {
        self.isobar(["consume", "--drain"]).run().await.expect_code(0);
    }

    /// Each city is stored once, with its own position and weather, and the first ones have their
    /// numbers.
    async fn has_four_cities(&self, first: [&str; 2]) {
        for (name, latitude, longitude) in CITIES {
            let found = self.store.find_cities(&fold_name(name), None).await.expect("reads");
            let [city] = &found[..] else { panic!("{name}: {found:?}") };
            let at = city.coordinates.expect("placed");
            assert_eq!((at.latitude(), at.longitude()), (latitude, longitude), "{name}");
            assert!(city.last_refreshed_at.is_some(), "{name}");
            assert_eq!(city.id.0 > 0, first.contains(&name), "{name} is {}", city.id);
        }
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cases/csv").join(name)
}

async fn files_with_equal_numbers_are_four_cities(home: Home) {
    let [a, b] = ["numbered-a.csv", "numbered-b.csv"].map(file);
    home.produce(&a, &["--slot", "1"]).await;
    home.drain().await;
    home.produce(&b, &["--slot", "1"]).await;
    home.drain().await;
    home.has_four_cities(["Uppsala", "Lund"]).await;
    // Forced, and again: nothing is replaced.
    home.produce(&b, &["--slot", "2", "--force"]).await;
    home.produce(&a, &["--slot", "2", "--force"]).await;
    home.drain().await;
    home.has_four_cities(["Uppsala", "Lund"]).await;
}

#[tokio::test]
async fn equal_numbers_are_four_cities_in_sqlite() {
    files_with_equal_numbers_are_four_cities(Home::embedded().await).await;
}

#[tokio::test]
async fn equal_numbers_are_four_cities_in_postgres() {
    let database = Postgres::database().await;
    let store = PostgresStore::open(&database.url, 2).await.map(Store::Postgres);
    let home = Home::embedded().await;
    let home = Home { url: Some(database.url.clone()), store: store.expect("opens"), ..home };
    files_with_equal_numbers_are_four_cities(home).await;
}

#[tokio::test]
async fn equal_numbers_in_flight_are_four_cities() {
    let home = Home::embedded().await;
    home.produce(&file("numbered-a.csv"), &["--slot", "1"]).await;
    home.produce(&file("numbered-b.csv"), &["--slot", "1", "--force"]).await;
    home.drain().await;
    home.has_four_cities(["Uppsala", "Lund"]).await;
}
