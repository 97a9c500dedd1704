//! Two hosts fire the same tick: one job comes of it, whatever each of them has read.
//!
//! Each host has a data folder of its own. What it reads is a page that the simulator is given.

use super::*;
use crate::harness::sim::Sim;

const CITIES: usize = 40;

/// A Redis, a source, and the folder of a second host.
struct Hosts {
    field: Field,
    second: TempDir,
    sim: Sim,
}

impl Hosts {
    async fn new() -> Self {
        let sim = Sim::start(["--cities=1"]).await;
        let second = tempfile::tempdir().expect("a folder");
        Self { field: Field::new().await, second, sim }
    }

    /// The first host was killed when it had published a part of its list.
    async fn with_half_a_list() -> Self {
        let hosts = Self::new().await;
        hosts.list(1..=CITIES).await;
        let killed = hosts.first().env("ISOBAR_CRASH_AT", "producer.append.after:2").run().await;
        assert_eq!(killed.code, 134, "{}", killed.stderr);
        hosts
    }

    /// The source lists these cities from now on.
    async fn list(&self, cities: std::ops::RangeInclusive<usize>) {
        self.sim.list(cities).await;
    }

    fn first(&self) -> Isobar {
        self.run(self.field.dir.path())
    }

    fn second(&self) -> Isobar {
        self.run(self.second.path())
    }

    fn run(&self, folder: &std::path::Path) -> Isobar {
        self.at(folder).args(["produce", "--json", "--slot", "monday"])
    }

    fn at(&self, folder: &std::path::Path) -> Isobar {
        Isobar::new(folder)
            .env("REDIS_URL", self.field.redis.url())
            .env("ISOBAR_CITY_SOURCE_URL", self.sim.url())
            .env("ISOBAR_BATCH_SIZE", "10")
    }

    /// The state of the second host's job, and what is said of it.
    async fn second_job(&self) -> (String, String) {
        let status = self.at(self.second.path()).args(["outbox", "status", "--json"]).run().await;
        let status = status.expect_code(0).json();
        assert_eq!(
            (&status["unsent_tasks"], &status["unconfirmed_batches"]),
            (&0.into(), &0.into())
        );
        let job = &status["jobs"][0];
        let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
        (text("state"), text("error"))
    }
}

#[tokio::test]
async fn the_same_list_is_published_once_and_the_second_host_is_done() {
    let hosts = Hosts::new().await;
    hosts.list(1..=CITIES).await;
    hosts.first().run().await.expect_code(0);
    // While the tasks are in the stream, and after the job has ended.
    let report = hosts.second().run().await.expect_code(0).json();
    assert_eq!(numbers(&report, ["rows", "published", "unsent"]), [CITIES as u64, 0, 0]);
    assert_eq!(hosts.second_job().await, ("done".to_owned(), String::new()));
    assert_eq!(hosts.field.multiset().await, once_each(CITIES));
    hosts.field.finish().await;
    hosts.at(hosts.field.dir.path()).args(["outbox", "flush"]).run().await.expect_code(0);
    let third = tempfile::tempdir().expect("a folder");
    let report = hosts.run(third.path()).run().await.expect_code(0).json();
    assert_eq!(numbers(&report, ["published", "unsent"]), [0, 0]);
    assert_eq!(hosts.field.multiset().await, BTreeMap::new());
}

#[tokio::test]
async fn another_list_is_superseded_and_nothing_of_it_is_published() {
    for cities in [CITIES + 7, CITIES - 7] {
        for ended in [false, true] {
            let hosts = Hosts::new().await;
            hosts.list(1..=CITIES).await;
            hosts.first().run().await.expect_code(0);
            if ended {
                hosts.field.finish().await;
                hosts
                    .at(hosts.field.dir.path())
                    .args(["outbox", "flush"])
                    .run()
                    .await
                    .expect_code(0);
            }
            let before = hosts.field.multiset().await;
            hosts.list(1..=cities).await;
            let second = hosts.second().run().await.expect_code(0);
            let both = [format!("with {CITIES} rows"), format!("{cities} rows")];
            assert!(both.iter().all(|words| second.stderr.contains(words)), "{}", second.stderr);
            assert_eq!(numbers(&second.json(), ["published", "unsent"]), [0, 0]);
            let (state, error) = hosts.second_job().await;
            assert_eq!(state, "superseded");
            assert!(error.contains("has published this slot"), "{error}");
            // Neither the next tick of that host nor a flush changes that.
            hosts.at(hosts.second.path()).args(["outbox", "flush"]).run().await.expect_code(0);
            hosts.second().run().await.expect_code(0);
            assert_eq!(hosts.field.multiset().await, before);
        }
    }
}

#[tokio::test]
async fn the_list_of_a_host_that_died_is_continued_by_the_other() {
    let hosts = Hosts::with_half_a_list().await;
    let report = hosts.second().run().await.expect_code(0).json();
    assert_eq!(numbers(&report, ["unsent"]), [0]);
    assert_eq!(hosts.field.multiset().await, once_each(CITIES), "what was there is not repeated");
    // The first host comes back: its list is published.
    hosts.first().run().await.expect_code(0);
    assert_eq!(hosts.field.multiset().await, once_each(CITIES));
}

/// Once the outbox of the publisher is lost, only the next run of the slot can heal the stream.
#[tokio::test]
async fn trimmed_rows_come_back_with_the_same_list_once_the_publisher_is_silent() {
    let hosts = Hosts::new().await;
    hosts.list(1..=CITIES).await;
    hosts.first().run().await.expect_code(0);
    let _: u64 = hosts.field.redis.cli(&["XTRIM", STREAM, "MAXLEN", "10"]).await;
    assert_eq!(hosts.field.finish().await.len(), 10);
    // The publisher may be at work, and would heal it.
    hosts.second().run().await.expect_code(0);
    assert_eq!(hosts.field.multiset().await, BTreeMap::new());
    hosts.field.redis.silence_publisher().await;
    let third = tempfile::tempdir().expect("a folder");
    hosts.run(third.path()).run().await.expect_code(0);
    assert_eq!(hosts.field.multiset().await, once_each(30));
}

#[tokio::test]
async fn with_another_list_a_host_waits_while_the_first_may_be_at_work() {
    let hosts = Hosts::with_half_a_list().await;
    hosts.list(2..=CITIES).await;
    let before = hosts.field.multiset().await;
    let refused = hosts.second().run().await.expect_code(75);
    says(&refused, &["is publishing this slot", "safe in the outbox"]);
    hosts.field.redis.silence_publisher().await;
    let second = hosts.second().run().await.expect_code(0);
    says(&second, &["has published part of this slot", "none of them is published"]);
    assert_eq!(hosts.second_job().await.0, "superseded");
    assert_eq!(hosts.field.multiset().await, before);
}
