//! What readers may rely on: stable pages, names that find their cities, history that ends.

use std::time::Duration;

use isobar_model::city::Coordinates;
use isobar_model::ids::CityId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::JobKind;
use isobar_store::{
    Commit, DeadLetter, JobStatus, LedgerCursor, LedgerRow, NewJob, NewOperation, OperatorAction,
    RowStatus, TableCounts,
};

use super::fixtures::{at, dead, failure, job, ledger, place, row, seal, snapshot, task, weather};
use super::{Subject, on_both};

const DAY: Duration = Duration::from_hours(24);

on_both!(
    pages_of_a_ledger_are_stable_while_it_grows,
    tasks_that_are_missing_from_the_ledger_are_named,
    pages_of_weather_follow_the_ids,
    jobs_come_newest_first,
    a_city_is_found_under_its_name_and_the_name_that_was_asked_for,
    searches_come_newest_first_and_can_be_cleared,
    what_is_old_goes_and_its_totals_stay,
    a_counter_that_was_tampered_with_is_found,
    totals_count_what_is_there,
    cities_are_paged_by_number_and_drawn_on_a_map,
    a_task_is_found_by_its_job_and_its_city,
    failures_are_counted_by_code_and_the_city_that_was_refreshed_last_comes_first,
    others_can_query_the_tables_of_the_contract,
);

async fn pages_of_a_ledger_are_stable_while_it_grows(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    let mut rows: Vec<_> =
        (1..=9).map(|number| row(id, number * 10, RowStatus::ALL[number as usize % 3])).collect();
    // Two without a row number: last, by task.
    for number in [101, 102] {
        let mut unnumbered = row(id, number, RowStatus::Failed);
        unnumbered.row = None;
        rows.push(unnumbered);
    }
    let others = ledger(vec![row(job("other"), 5, RowStatus::Success)]);
    store.commit(&others).await.expect("commits");
    let first = weather(vec![snapshot(10, at(0))]);
    let first = Commit { ledger: rows.clone(), ..first };
    store.commit(&first).await.expect("commits");

    for status in [None, Some(RowStatus::Failed)] {
        let mut expected: Vec<_> = rows
            .iter()
            .filter(|row| status.is_none_or(|status| row.status == status))
            .map(|row| (row.row.unwrap_or(u64::MAX), row.task_id))
            .collect();
        expected.sort_unstable();
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store.ledger(id, status, after, 2).await.expect("reads");
            let Some(last) = page.last() else { break };
            after = Some(LedgerCursor { row: last.row, task_id: last.task_id });
            seen.extend(page.iter().map(|row| (row.row.unwrap_or(u64::MAX), row.task_id)));
            // What comes before the cursor meanwhile moves nothing.
            let number = seen.len() as u64;
            let mut early = row(id, number, RowStatus::Failed);
            early.row = Some(0);
            store.commit(&ledger(vec![early])).await.expect("commits");
        }
        seen.retain(|(row, _)| *row != 0);
        assert_eq!(seen, expected);
    }
    let page = store.ledger(id, Some(RowStatus::Failed), None, 50).await;
    let stored = page.expect("reads");
    let thirty = stored.iter().find(|row| row.row == Some(40)).cloned();
    assert_eq!(thirty, rows.iter().find(|row| row.row == Some(40)).cloned());
    let page = store.ledger(id, None, None, 50).await.expect("reads");
    let ten = page.iter().find(|row| row.row == Some(10)).expect("there");
    assert_eq!(ten.last_refreshed_at, Some(at(1)), "the city's");
}

async fn tasks_that_are_missing_from_the_ledger_are_named(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    let retried = LedgerRow { try_number: 3, ..row(id, 5, RowStatus::Success) };
    let rows = vec![row(id, 1, RowStatus::Success), row(id, 3, RowStatus::Failed), retried];
    store.commit(&ledger(rows)).await.expect("commits");
    let asked = [(3, 1), (2, 1), (1, 2), (4, 1), (5, 3), (5, 2)];
    let asked = asked.map(|(number, tried)| (task(id, number), tried));
    let missing = store.missing_from_ledger(id, &asked).await.expect("reads");
    assert_eq!(missing, [2, 1, 4].map(|number| task(id, number)), "a lower try will not do");
}

async fn pages_of_weather_follow_the_ids(subject: Subject) {
    let store = &subject.store;
    let ids = [-5, 3, 40, 41];
    let snapshots = ids.map(|id| snapshot(id, at(0))).to_vec();
    let whole = Commit { failed_cities: vec![failure(7)], ..weather(snapshots) };
    store.commit(&whole).await.expect("commits");
    let first = store.weather_page(None, 3).await.expect("reads");
    let second = store.weather_page(Some(CityId(40)), 3).await.expect("reads");
    let seen: Vec<_> = first.iter().chain(&second).map(|row| row.city_id.0).collect();
    assert_eq!(seen, ids, "a city without a snapshot is not among them");
    assert!(first.iter().all(|row| row.raw_payload.is_none()));
}

async fn jobs_come_newest_first(subject: Subject) {
    let store = &subject.store;
    for (slot, minute) in [("a", 1), ("b", 3), ("c", 2), ("d", 3)] {
        let new = NewJob {
            pipeline: PipelineName::Weather,
            id: job(slot),
            kind: JobKind::Produce,
            source: slot.into(),
            created_at: at(minute),
        };
        store.create_job(&new).await.expect("creates");
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = store.jobs(before, 1).await.expect("reads");
        let Some(last) = page.last() else { break };
        before = Some((last.created_at, last.id));
        seen.extend(page.into_iter().map(|job| job.source));
    }
    let twins = if job("b") > job("d") { ["b", "d"] } else { ["d", "b"] };
    assert_eq!(seen, [twins[0], twins[1], "c", "a"]);
}

async fn a_city_is_found_under_its_name_and_the_name_that_was_asked_for(subject: Subject) {
    let store = &subject.store;
    let named = async |name: &str, country: Option<&str>| {
        let cities = store.find_cities(name, country).await.expect("reads");
        cities.iter().map(|city| city.id.0).collect::<Vec<_>>()
    };
    for (asked, country, place) in [
        ("paris", None, place(1, "Paris", "FR", 2_000_000)),
        ("paris", Some("US"), place(2, "Paris", "US", 25_000)),
        ("munich", None, place(3, "München", "DE", 1_500_000)),
        // The geocoder may know a country that its answer does not name.
        ("lutetia", Some("FR"), place(1, "Paris", "FR", 2_000_000)),
    ] {
        let remembered = store.save_city(asked, country, &place).await;
        remembered.expect("remembers");
        let again = store.save_city(asked, country, &place).await;
        again.expect("is repeated");
    }
    assert_eq!(named("paris", None).await, [1, 2], "most populous first");
    assert_eq!(named("paris", Some("US")).await, [2]);
    assert_eq!(named("paris", Some("fr")).await, [1]);
    assert_eq!(named("munich", None).await, [3]);
    assert_eq!(named("munchen", Some("DE")).await, [3]);
    assert_eq!(named("lutetia", Some("FR")).await, [1]);
    assert_eq!(named("lutetia", Some("DE")).await, [0; 0]);
    assert_eq!(named("atlantis", None).await, [0; 0]);

    let pending = store.city(CityId(3)).await.expect("reads").expect("there");
    assert_eq!(pending.last_status.as_deref(), Some("pending"));
    assert_eq!(pending.coordinates.map(Coordinates::latitude), Some(48.85));
    store.commit(&weather(vec![snapshot(3, at(0))])).await.expect("commits");
    let again = place(3, "Monaco di Baviera", "XX", 1);
    store.save_city("monaco", None, &again).await.expect("remembers");
    let known = store.city(CityId(3)).await.expect("reads").expect("there");
    assert_eq!(known.name, "Città 3", "what is known of a city stays");
    assert_eq!(known.country_code.as_deref(), Some("IT"));
    assert!(known.weather.is_some());
}

async fn searches_come_newest_first_and_can_be_cleared(subject: Subject) {
    let store = &subject.store;
    let searches = ["Paris", "Lyon", "Nice"].map(|city| (city.to_owned(), at(0)));
    store.record_searches(&searches).await.expect("records");
    let newest = store.searches(None, 2).await.expect("reads");
    let names: Vec<_> = newest.iter().map(|search| search.city_name.as_str()).collect();
    assert_eq!(names, ["Nice", "Lyon"]);
    let next = store.searches(Some(newest[1].id), 2).await.expect("reads");
    assert_eq!((next.len(), next[0].city_name.as_str()), (1, "Paris"));
    assert_eq!(next[0].timestamp, at(0));
    store.clear_searches().await.expect("clears");
    assert_eq!(store.searches(None, 2).await.expect("reads"), vec![]);
    store.record_searches(&searches[..1]).await.expect("records");
    let after = store.searches(None, 2).await.expect("reads");
    assert!(after[0].id > newest[0].id, "a number is never given twice");
}

async fn what_is_old_goes_and_its_totals_stay(subject: Subject) {
    let store = &subject.store;
    let (old, open) = (job("old"), job("open"));
    let rows = (1..=1_200).map(|number| row(old, number, RowStatus::Success));
    let done = Commit { seals: vec![seal(old, 1_200, 0, 0)], ..ledger(rows.collect()) };
    store.commit(&done).await.expect("commits");
    let unfinished = ledger(vec![row(open, 1, RowStatus::Success)]);
    store.commit(&unfinished).await.expect("commits");
    let now = chrono::Utc::now();
    let searches = [("Paris".to_owned(), now - DAY * 3), ("Lyon".to_owned(), now)];
    store.record_searches(&searches).await.expect("records");

    let pruned = store.prune(now, DAY, DAY * 2).await.expect("prunes");
    assert_eq!(pruned, (0, 1), "the job has only just ended");
    let later = now + DAY * 2;
    let pruned = store.prune(later, DAY, DAY * 30).await.expect("prunes");
    assert_eq!(pruned, (1_200, 0));
    let again = store.prune(later, DAY, DAY * 30).await.expect("prunes");
    assert_eq!(again, (0, 0));

    let job = store.job(old).await.expect("reads").expect("stays");
    assert_eq!((job.status, job.succeeded), (JobStatus::Done, 1_200));
    let rows = store.ledger(old, None, None, 10).await.expect("reads");
    assert_eq!(rows, vec![]);
    let kept = store.ledger(open, None, None, 10).await.expect("reads");
    assert_eq!(kept.len(), 1, "an unfinished job keeps its rows");
    assert_eq!(store.imbalances().await.expect("reads"), vec![]);
}

async fn a_counter_that_was_tampered_with_is_found(subject: Subject) {
    let store = &subject.store;
    let (good, bad) = (job("good"), job("bad"));
    let rows = vec![
        row(good, 1, RowStatus::Success),
        row(bad, 1, RowStatus::Success),
        row(bad, 2, RowStatus::Failed),
    ];
    store.commit(&ledger(rows)).await.expect("commits");
    assert_eq!(store.imbalances().await.expect("reads"), vec![]);
    let tamper = "UPDATE jobs SET failed = 5 WHERE failed = 1";
    subject.execute(tamper).await;
    let found = store.imbalances().await.expect("reads");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].job_id, bad);
    assert!(found[0].detail.contains("failed is 5, the ledger has 1"));
}

async fn totals_count_what_is_there(subject: Subject) {
    let store = &subject.store;
    assert_eq!(store.totals().await.expect("reads"), TableCounts::default());
    let (done, running) = (job("done"), job("running"));
    let whole = Commit {
        failed_cities: vec![failure(9)],
        dead: vec![dead("tasks/1-0 of 1")],
        ledger: vec![row(done, 1, RowStatus::Success), row(running, 1, RowStatus::Success)],
        seals: vec![seal(done, 1, 0, 0)],
        ..weather(vec![snapshot(1, at(0)), snapshot(2, at(0))])
    };
    store.commit(&whole).await.expect("commits");
    let search = [("Paris".to_owned(), at(0))];
    store.record_searches(&search).await.expect("records");
    let expected = TableCounts {
        cities: 3,
        snapshots: 2,
        jobs: 2,
        unfinished_jobs: 1,
        ledger_rows: 2,
        dead_letters: 1,
        searches: 1,
        operations: 1,
        ticks: 0,
        air_quality: 0,
        users: 0,
        addresses: 0,
        cards: 0,
    };
    let operation = NewOperation::now("cli ada@host", OperatorAction::HistoryClear);
    store.record_operation(&operation).await.expect("records");
    assert_eq!(store.totals().await.expect("reads"), expected);
    let by_stream = store.pipeline_totals().await.expect("reads");
    let weather = &by_stream[&PipelineName::Weather];
    assert_eq!(weather.jobs, [(JobStatus::Done, 1), (JobStatus::Running, 1)].into());
    assert_eq!((weather.dead_letters, by_stream.len()), (expected.dead_letters, 1));
    store.ping().await.expect("answers");
}

async fn cities_are_paged_by_number_and_drawn_on_a_map(subject: Subject) {
    let store = &subject.store;
    let commit = Commit {
        failed_cities: vec![failure(9)],
        ..weather(vec![snapshot(3, at(0)), snapshot(1, at(0)), snapshot(2, at(0))])
    };
    store.commit(&commit).await.expect("commits");
    let page = async |offset, limit| {
        let cities = store.cities_page(offset, limit).await.expect("reads");
        cities.iter().map(|city| city.id.0).collect::<Vec<_>>()
    };
    assert_eq!(
        (page(0, 2).await, page(2, 2).await, page(4, 2).await),
        (vec![1, 2], vec![3, 9], vec![])
    );
    assert_eq!(page(u64::MAX, 2).await, Vec::<i64>::new());
    let points = store.map_points().await.expect("reads");
    let with_weather: Vec<_> =
        points.iter().filter(|point| point.temperature.is_some()).map(|point| point.id.0).collect();
    assert_eq!(with_weather, [1, 2, 3]);
}

async fn a_task_is_found_by_its_job_and_its_city(subject: Subject) {
    let store = &subject.store;
    let (one, other) = (job("a"), job("b"));
    let rows = vec![row(one, 1, RowStatus::Success), row(other, 2, RowStatus::Failed)];
    let letter = DeadLetter { city_id: Some(CityId(2)), ..dead("tasks/1-0 of 1") };
    let commit = Commit { dead: vec![letter], ..ledger(rows.clone()) };
    store.commit(&commit).await.expect("commits");
    let asked = [(one, task(one, 1)), (one, task(one, 2)), (other, task(other, 2))];
    let mut found = store.ledger_rows(&asked).await.expect("reads");
    found.sort_by_key(|row| row.row);
    assert_eq!(found, rows);
    let letters =
        async |city| store.dead_letters_of_city(CityId(city), 9).await.expect("reads").len();
    assert_eq!((letters(2).await, letters(1).await), (1, 0));
}

async fn failures_are_counted_by_code_and_the_city_that_was_refreshed_last_comes_first(
    subject: Subject,
) {
    let store = &subject.store;
    let id = job("a");
    let failed = |number, code: &str| LedgerRow {
        error_code: Some(code.to_owned()),
        ..row(id, number, RowStatus::Failed)
    };
    let rows = vec![
        failed(1, "rare"),
        failed(2, "often"),
        failed(3, "often"),
        row(id, 4, RowStatus::Success),
    ];
    let snapshots = vec![snapshot(1, at(5)), snapshot(2, at(9)), snapshot(3, at(7))];
    store.commit(&Commit { ledger: rows, ..weather(snapshots) }).await.expect("commits");
    let failures = store.failures(10).await.expect("reads");
    let counted: Vec<_> = failures.iter().map(|group| (group.code.as_str(), group.count)).collect();
    assert_eq!(counted, [("often", 2), ("rare", 1)]);
    assert_eq!(failures[0].sample, "the upstream answered 500");
    assert_eq!(store.failures(1).await.expect("reads").len(), 1);
    let recent = store.recently_refreshed(2).await.expect("reads");
    assert_eq!(recent.iter().map(|city| city.id).collect::<Vec<_>>(), [CityId(2), CityId(3)]);
}

async fn others_can_query_the_tables_of_the_contract(subject: Subject) {
    let store = &subject.store;
    let id = job("a");
    let mut unnumbered = row(id, 1, RowStatus::Failed);
    unnumbered.row = None;
    let whole = Commit { ledger: vec![unnumbered], ..weather(vec![snapshot(1, at(0))]) };
    store.commit(&whole).await.expect("commits");
    for sql in [
        "SELECT CAST(count(*) AS TEXT) FROM (SELECT id, name, country_code, admin1_code, latitude, \
         longitude, population, last_refreshed_at, last_status, last_error FROM cities) AS t",
        "SELECT CAST(count(*) AS TEXT) FROM (SELECT city_id, city_name, latitude, longitude, \
         temperature, windspeed, winddirection, weathercode, humidity, \"time\", observed_at, \
         raw_payload, synced_at FROM weather) AS t",
        "SELECT CAST(count(*) AS TEXT) FROM (SELECT job_id, kind, source, status, total, \
         processed, succeeded, failed, skipped, rejected, duplicates, created_at, started_at, \
         finished_at FROM jobs) AS t",
        "SELECT CAST(count(*) AS TEXT) FROM (SELECT job_id, task_id, try, \"row\", city_id, city, \
         status, error_code, last_error, attempts, input, finished_at FROM job_tasks) AS t \
         WHERE t.\"row\" IS NULL",
        "SELECT CAST(count(*) + 1 AS TEXT) FROM (SELECT id, city_name, \"timestamp\" \
         FROM search_history) AS t",
        "SELECT CAST(count(*) + 1 AS TEXT) FROM (SELECT id, task_id, job_id, city_id, code, reason, \
         payload, deliveries, attempts, first_seen, last_seen FROM dead_letters) AS t",
    ] {
        assert_eq!(subject.ask(sql).await.as_deref(), Some("1"), "{sql}");
    }
    let time = subject.ask("SELECT \"time\" FROM weather").await;
    assert_eq!(time, Some(at(0).format("%Y-%m-%dT%H:%M").to_string()));
    let id_text = subject.ask("SELECT CAST(job_id AS TEXT) FROM job_tasks").await;
    assert_eq!(id_text, Some(id.to_string()));
}
