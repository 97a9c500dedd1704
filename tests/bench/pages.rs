//! Pages of a large job's results: the last ones must cost what the first ones do.
//!
//! The ledger is written by the committer's own statements, one row for each task of one job, and
//! read page by page through the API, as a client would. Then pages at each depth are timed in
//! turn, so that what the store still does with the rows it was given hits all depths alike.

use std::time::Instant;

use chrono::{SubsecRound, Utc};
use isobar_model::ids::JobId;
use isobar_store::Store;

use crate::cities;
use crate::fixtures::{Ground, folder};
use crate::harness::http::Http;
use crate::http::serve;
use crate::table::{Row, Target};

/// The largest page.
const PAGE: usize = 500;
/// Where pages are timed, in hundredths of the job.
const DEPTHS: [usize; 3] = [0, 50, 99];
/// Times that a page is asked for at each depth; the median counts.
const LOOKS: usize = 25;
/// How much longer a page may take than the first ones; less could be told from chance only by
/// measuring longer.
const TIMES: f64 = 1.5;
/// Rows in one transaction.
const COMMIT_ROWS: usize = 2_000;

pub async fn results(ground: &Ground) -> Vec<Row> {
    let mut rows = Vec::new();
    let database = ground.postgres.fresh_database().await.url;
    for (store, database) in [("PostgreSQL", Some(database)), ("SQLite", None)] {
        let times = of_store(ground, database.as_deref()).await;
        let mut of_store: Vec<Row> = Vec::new();
        for (depth, times) in std::iter::zip(DEPTHS, times) {
            let row =
                Row::new(format!("results of a job, {store}, page at {depth} %"), "ms", times);
            of_store.push(match of_store.first() {
                Some(first) => row.share_of(first, Some(Target::AtMost(TIMES))),
                None => row,
            });
        }
        rows.append(&mut of_store);
    }
    rows
}

/// Milliseconds of the pages at each depth.
async fn of_store(ground: &Ground, database: Option<&str>) -> [Vec<f64>; 3] {
    let dir = folder();
    let more: Vec<(&str, &str)> = database
        .into_iter()
        .flat_map(|url| [("DATABASE_URL", url), ("ISOBAR_BROKER", "embedded")])
        .collect();
    let job = JobId::derive("bench", "results");
    let rows = ground.scale.rows;
    {
        let store = Store::open(&ground.settings(dir.path(), &more)).await.expect("a store");
        let mut inserted = 0;
        for commit in cities::ledger(rows, COMMIT_ROWS, job, Utc::now().trunc_subsecs(0)) {
            inserted += store.commit(&commit).await.expect("a commit").succeeded;
        }
        assert_eq!(inserted, rows as u64, "every row was new to its job");
    }
    let command = more
        .iter()
        .fold(ground.isobar(dir.path(), ["serve"]), |all, (name, value)| all.env(name, *value));
    let (_api, base) = serve(command).await;
    let http = Http::new(base);
    let depths = walk(&http, job, rows).await;
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..LOOKS {
        for (cursor, times) in std::iter::zip(&depths, &mut times) {
            let began = Instant::now();
            let answer = http.get(&page(job, cursor)).await;
            times.push(began.elapsed().as_secs_f64() * 1_000.0);
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
    times
}

/// Reads all pages; the cursors of those at the depths.
async fn walk(http: &Http, job: JobId, rows: usize) -> [String; 3] {
    let pages = rows.div_ceil(PAGE);
    let mut depths = [const { String::new() }; 3];
    let (mut seen, mut cursor) = (0, String::new());
    for number in 0..pages {
        for (depth, own) in std::iter::zip(DEPTHS, &mut depths) {
            if number == pages * depth / 100 {
                own.clone_from(&cursor);
            }
        }
        let answer = http.get(&page(job, &cursor)).await.json();
        seen += answer["items"].as_array().map_or(0, Vec::len);
        answer["next_cursor"].as_str().unwrap_or_default().clone_into(&mut cursor);
    }
    assert_eq!((seen, cursor.as_str()), (rows, ""), "every row was on a page");
    depths
}

fn page(job: JobId, cursor: &str) -> String {
    format!("/bulk/jobs/{job}/results?limit={PAGE}&cursor={cursor}")
}
