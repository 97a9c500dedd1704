//! Users, addresses and cards: the second pipeline from its sources to its tables.
//!
//! The real binary, once over Redis and PostgreSQL and once with nothing but a folder. What was
//! found stays found however often it is asked for again, a provider that is away holds up nobody
//! but itself, and no card number is anywhere (`secrecy`).

mod over_http;
mod secrecy;

use isobar_store::postgres::PostgresStore;
use isobar_store::sqlite::SqliteStore;
use isobar_store::{Store, TableCounts, UserFilter};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::isobar::Isobar;
use crate::harness::postgres::{Database, Postgres};
use crate::harness::redis::Redis;
use crate::harness::sim::Sim;
use crate::harness::wait::{PATIENCE, until};

const PLACEHOLDER: &str = "/jsonplaceholder/users";
const DUMMY: &str = "/dummyjson/users";
const ADDRESSES: &str = "/api/v2/addresses";
const CARDS: &str = "/api/v2/credit_cards";

/// `promise` becomes `promise::over_redis_and_postgres` and `promise::embedded`.
macro_rules! on_both {
    ($($promise:ident),+ $(,)?) => {
        $(mod $promise {
            #[tokio::test]
            async fn over_redis_and_postgres() {
                super::$promise(crate::users::Home::servers().await).await;
            }

            #[tokio::test]
            async fn embedded() {
                super::$promise(crate::users::Home::embedded().await).await;
            }
        })+
    };
}
use on_both;

on_both!(
    three_runs_of_every_producer_leave_one_of_each,
    one_run_of_up_serves_every_configured_pipeline,
    pages_are_read_to_their_end_and_enrichment_takes_so_many_at_a_time,
    a_provider_that_is_away_holds_up_nobody_else_and_is_gone_on_with_by_itself,
    a_bad_find_is_a_failed_row_with_its_reason_and_can_be_tried_again,
);

/// Everything that the pipeline needs, and a look into its store.
pub struct Home {
    dir: TempDir,
    sim: Sim,
    servers: Option<(Redis, Database)>,
    store: Store,
}

impl Home {
    pub async fn servers() -> Self {
        let (redis, database) = (Redis::start().await, Postgres::database().await);
        let store = PostgresStore::open(&database.url, 2).await.map(Store::Postgres);
        let dir = tempfile::tempdir().expect("a folder");
        Self::with(store.expect("opens"), dir, Some((redis, database))).await
    }

    pub async fn embedded() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&dir.path().join("isobar.db")).map(Store::Sqlite);
        Self::with(store.expect("opens"), dir, None).await
    }

    async fn with(store: Store, dir: TempDir, servers: Option<(Redis, Database)>) -> Self {
        let sim = Sim::start(Vec::<String>::new()).await;
        Self { dir, sim, servers, store }
    }

    fn isobar<const N: usize>(&self, args: [&str; N]) -> Isobar {
        let at = |path: &str| format!("{}{path}", self.sim.url());
        let isobar = Isobar::new(self.dir.path())
            .env("ISOBAR_OPEN_METEO_URL", self.sim.url())
            .env("ISOBAR_GEOCODING_URL", self.sim.url())
            .env("ISOBAR_AIR_QUALITY_URL", self.sim.url())
            .env("ISOBAR_USERS_URL", at(PLACEHOLDER))
            .env("ISOBAR_ADDRESSES_URL", at(ADDRESSES))
            .env("ISOBAR_CARDS_URL", at(CARDS))
            .env("ISOBAR_CLAIM_IDLE", "3s")
            .env("ISOBAR_REQUEST_TIMEOUT", "1s")
            .args(args);
        match &self.servers {
            None => isobar,
            Some((redis, database)) => {
                isobar.env("REDIS_URL", redis.url()).env("DATABASE_URL", database.url.clone())
            }
        }
    }

    fn produce(&self, pipeline: &str, slot: &str) -> Isobar {
        self.isobar(["produce", "--json", "--pipeline", pipeline, "--slot", slot])
    }

    async fn drain(&self) -> Value {
        self.isobar(["consume", "--drain", "--json"]).run().await.expect_code(0).json()
    }

    async fn found(&self) -> [u64; 3] {
        let TableCounts { users, addresses, cards, .. } = self.store.totals().await.expect("reads");
        [users, addresses, cards]
    }
}

async fn one_run_of_up_serves_every_configured_pipeline(home: Home) {
    let once = || {
        home.isobar(["up", "--once", "--json"])
            .env("ISOBAR_GAZETTEER_LIMIT", "20")
            .env("ISOBAR_AIR_QUALITY_CRON", "@daily")
    };
    let ran = once().run().await.expect_code(0);
    let reports = ran.json();
    let tasks: Vec<_> =
        reports.as_array().expect("reports").iter().map(|run| &run["tasks"]).collect();
    assert_eq!(tasks, [20, 20, 10, 10, 10], "{reports}");
    assert_eq!(home.found().await, [10, 10, 10]);
    for pipeline in [
        "weather: 20 rows",
        "air: 20 rows",
        "users: 10 rows",
        "addresses: 10 rows",
        "cards: 10 rows",
    ] {
        assert!(ran.stderr.contains(pipeline), "{pipeline}: {ran:?}");
    }
    let verified = home.isobar(["verify"]).run().await.expect_code(0).stdout;
    assert!(verified.starts_with("nothing is on its way: "), "{verified}");
}

async fn three_runs_of_every_producer_leave_one_of_each(home: Home) {
    for (slot, rows) in [("one", 10), ("two", 0), ("three", 0)] {
        for pipeline in ["users", "addresses", "cards"] {
            let report = home.produce(pipeline, slot).run().await.expect_code(0).json();
            let expected = if pipeline == "users" { 10 } else { rows };
            assert_eq!(report["tasks"], json!(expected), "{report}");
            home.drain().await;
        }
        assert_eq!(home.found().await, [10, 10, 10], "after run {slot}");
    }
    // All of them asked for twice at once: what is found first is enough.
    let users = home.store.users(&UserFilter::default(), 0, 100).await.expect("reads");
    for slot in ["four", "five"] {
        home.produce("addresses", slot).args(["--force"]).run().await.expect_code(0);
    }
    home.drain().await;
    assert_eq!(home.found().await, [10, 10, 10]);
    let now = home.store.users(&UserFilter::default(), 0, 100).await.expect("reads");
    assert!(now.iter().zip(&users).all(|(now, then)| now.user == then.user));
    home.isobar(["verify"]).run().await.expect_code(0);
}

async fn pages_are_read_to_their_end_and_enrichment_takes_so_many_at_a_time(home: Home) {
    let dummy = format!("{}{DUMMY}", home.sim.url());
    let sync = home.isobar(["users", "sync", "--json"]).env("ISOBAR_USERS_URL", &dummy);
    let report = sync.run().await.expect_code(0).json();
    assert_eq!((&report["rows"], &report["rejected"]), (&json!(208), &json!(0)), "{report}");
    home.drain().await;
    home.isobar(["users", "enrich"]).run().await.expect_code(0);
    let before = home.sim.stats().await;
    home.drain().await;
    assert_eq!(home.found().await, [208, 20, 20]);
    let after = home.sim.stats().await;
    for endpoint in [ADDRESSES, CARDS] {
        let of = |stats: &Value| stats["endpoints"][endpoint]["requests"].as_u64().unwrap_or(0);
        assert_eq!(of(&after) - of(&before), 1, "one request for all of them: {after}");
    }
    // One is answered with a bare object, and one user's own address is as good as any.
    home.produce("addresses", "one").args(["--limit", "1"]).run().await.expect_code(0);
    home.drain().await;
    home.produce("addresses", "two").run().await.expect_code(0);
    home.produce("cards", "two").run().await.expect_code(0);
    home.isobar(["consume", "--drain", "--pipeline", "users"])
        .env("ISOBAR_ADDRESSES_URL", &dummy)
        .env("ISOBAR_CARDS_URL", &dummy)
        .run()
        .await
        .expect_code(0);
    assert_eq!(home.found().await, [208, 41, 40]);
}

async fn a_provider_that_is_away_holds_up_nobody_else_and_is_gone_on_with_by_itself(home: Home) {
    home.produce("users", "one").run().await.expect_code(0);
    home.drain().await;
    home.sim.fault(&json!({ "endpoint": ADDRESSES, "status": 503, "count": 1_000_000 })).await;
    home.produce("addresses", "one").run().await.expect_code(0);
    let worker = home
        .isobar(["consume"])
        .env("ISOBAR_UPSTREAM_BREAKER", "2/30s/1s")
        .env("ISOBAR_MAX_ATTEMPTS", "1000")
        .spawn();
    until(PATIENCE, "the breaker of addresses opens", async || {
        worker.stderr_so_far().contains("the provider has to wait") || {
            let stats = home.sim.stats().await;
            stats["endpoints"][ADDRESSES]["requests"].as_u64() >= Some(2)
        }
    })
    .await;
    // Others go on meanwhile.
    let dummy = format!("{}{DUMMY}", home.sim.url());
    let more = home.produce("users", "two").env("ISOBAR_USERS_URL", dummy);
    more.run().await.expect_code(0);
    home.produce("cards", "one").run().await.expect_code(0);
    until(PATIENCE, "users are synced and have cards", async || {
        home.found().await == [208, 0, 10] || home.found().await == [208, 0, 20]
    })
    .await;
    home.sim.clear_faults().await;
    until(PATIENCE, "addresses are found", async || home.found().await[1] == 10).await;
    assert_eq!(home.store.totals().await.expect("reads").dead_letters, 0);
}

async fn a_bad_find_is_a_failed_row_with_its_reason_and_can_be_tried_again(home: Home) {
    home.produce("users", "one").run().await.expect_code(0);
    home.drain().await;
    let expired = json!([{ "credit_card_number": "4000-1111-2222-3333",
        "credit_card_expiry_date": "2020-01-31", "credit_card_type": "visa" }]);
    let fault =
        json!({ "endpoint": CARDS, "status": 200, "count": 1, "body": expired.to_string() });
    home.sim.fault(&fault).await;
    let report =
        home.produce("cards", "one").args(["--limit", "1"]).run().await.expect_code(0).json();
    let job = report["job_id"].as_str().expect("an id");
    home.isobar(["consume", "--drain"]).run().await.expect_code(3);
    let results = home.isobar(["jobs", "results", job, "--json"]).run().await.expect_code(0).json();
    let row = &results["items"][0];
    assert_eq!((&row["status"], &row["error_code"]), (&json!("failed"), &json!("card_expired")));
    assert!(!results.to_string().contains("3333"), "{results}");

    home.isobar(["dead", "replay", "--all"]).run().await.expect_code(0);
    home.drain().await;
    assert_eq!(home.found().await, [10, 0, 1]);
    assert_eq!(home.store.totals().await.expect("reads").dead_letters, 0);
    let stats = home.isobar(["stats", "--json"]).run().await.expect_code(0).json();
    let users = &stats["pipelines"]["users"];
    assert_eq!((&users["backlog"], &users["jobs"]["done"]), (&json!(0), &json!(2)), "{stats}");
    home.isobar(["verify"]).run().await.expect_code(0);
}
