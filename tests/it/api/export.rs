//! Results as CSV: whole, harmless in a spreadsheet, and fit to be imported again.

use isobar_broker::embedded::EmbeddedBroker;
use isobar_broker::{Broker, EntryId, Lane, Topic};
use isobar_model::ids::{CityId, JobId};
use isobar_store::{Commit, LedgerRow, Records};
use reqwest::Method;

use super::lists::{ledger_row, snapshot};
use super::{Api, is_problem};
use crate::harness::http::{Reply, send};
use crate::harness::isobar::Isobar;

async fn csv(api: &Api, job: JobId, query: &str) -> Reply {
    let path = format!("/bulk/jobs/{job}/results{query}");
    let request = api.http.request(Method::GET, &path).header("accept", "text/csv");
    send(request).await.expect("an answer")
}

async fn commit(api: &Api, ledger: Vec<LedgerRow>) {
    let records = Records::Weather(vec![snapshot(1), snapshot(2)]);
    let commit = Commit { records, ledger, ..Commit::default() };
    api.store.commit(&commit).await.expect("commits");
}

#[tokio::test]
async fn all_rows_are_sent_and_imported_again_they_are_the_same_cities() {
    let api = Api::start().await;
    let job = JobId::derive("test", "slot");
    let names = ["=1+1", "'s-Hertogenbosch", "'-x", "São \"Paulo\", SP", "Plain"];
    let named = |(row, name): (u64, &str)| LedgerRow {
        city: Some(name.to_owned()),
        city_id: (row == 5).then_some(CityId(1)),
        ..ledger_row(job, row)
    };
    commit(&api, (1..).zip(names).map(named).collect()).await;
    let reply = csv(&api, job, "").await;
    assert_eq!(reply.headers["content-type"], "text/csv; charset=utf-8");
    let lines: Vec<&str> = reply.body.lines().collect();
    assert_eq!(lines.len(), 6);
    // A link of a page cannot say what it accepts.
    let path = format!("/bulk/jobs/{job}/results");
    assert_eq!(api.http.get(&format!("{path}?format=csv")).await.body, reply.body);
    assert_eq!(csv(&api, job, "?format=json").await.headers["content-type"], "application/json");
    assert_eq!(api.http.get(&format!("{path}?format=xml")).await.status, 400);
    assert!(lines[0].starts_with("row,city,city_id,country_code,latitude,longitude,status,"));
    assert!(lines[1].starts_with("1,'=1+1,"), "{}", lines[1]);
    assert!(lines[2].starts_with("2,'s-Hertogenbosch,"), "{}", lines[2]);
    assert!(lines[5].starts_with("5,Plain,1,FR,1.5,2.5,success,"), "{}", lines[5]);

    let dir = tempfile::tempdir().expect("temporary folder");
    let file = dir.path().join("results.csv");
    std::fs::write(&file, &reply.body).expect("write the export");
    let arguments = ["produce", "--csv", &file.to_string_lossy()];
    Isobar::new(dir.path()).args(arguments).run().await.expect_code(0);
    let broker = EmbeddedBroker::open(&dir.path().join("broker.db")).expect("opens");
    let topic = Topic::new("owm-ingestion-stream", "ingestion-workers");
    let entries = Broker::Embedded(broker).peek(&topic, Lane::Tasks, EntryId::ZERO, 10).await;
    let city = |fields: &isobar_model::task::Fields| {
        String::from_utf8_lossy(fields.get("city").expect("a city")).into_owned()
    };
    let again: Vec<String> =
        entries.expect("reads").iter().map(|entry| city(&entry.fields)).collect();
    assert_eq!(again, names);
}

#[tokio::test]
async fn more_rows_than_a_page_come_once_each_and_a_status_narrows_them() {
    let api = Api::start().await;
    let job = JobId::derive("test", "slot");
    commit(&api, (1..=2_500).map(|row| ledger_row(job, row)).collect()).await;
    let rows = |reply: &Reply| -> Vec<u64> {
        let cells = reply.body.lines().skip(1).filter_map(|line| line.split(',').next());
        cells.map(|row| row.parse().expect("a row")).collect()
    };
    assert_eq!(rows(&csv(&api, job, "").await), (1..=2_500).collect::<Vec<_>>());
    let failed = csv(&api, job, "?status=failed&limit=3").await;
    assert_eq!(rows(&failed).len(), 833);
    assert!(failed.body.lines().nth(1).is_some_and(|line| line.contains("bad_answer")));
    is_problem(&csv(&api, job, "?status=x").await, 400, "invalid_parameter");
    is_problem(&csv(&api, JobId::derive("nobody", "x"), "").await, 404, "not_found");
    let page = api.get(&format!("/bulk/jobs/{job}/results?limit=1")).await.json();
    assert_eq!(page["items"][0]["status"], "success", "without a word it is JSON");
}
