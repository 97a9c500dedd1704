//! Looking, on the terminal: commands say what the API says, and change nothing.

use serde_json::{Value, json};

use crate::harness::http::Http;
use crate::harness::wait::{PATIENCE, until};
use crate::republish::{CITIES, Place, on_both};

on_both!(
    commands_and_the_api_say_the_same,
    the_status_adds_up_and_says_how_old_the_oldest_is,
    watching_ends_with_the_job_and_says_how,
    what_is_not_there_is_said_and_what_is_wrong_refused,
);

async fn commands_and_the_api_say_the_same(place: Place) {
    let job = place.failed_job("monday").await;
    place.bury(&[b"\xff", b"{}"]).await;
    let later = place.produce("tuesday", 3).await;
    place.drain().await.expect_code(3);
    let (_server, http) = place.serve().await;
    let letter = place.letters(job).await[0].id;
    for (command, path) in [
        (vec!["jobs".to_owned(), "list".into()], "/bulk/jobs".to_owned()),
        (vec!["jobs".into(), "show".into(), job.to_string()], format!("/bulk/jobs/{job}")),
        (vec!["jobs".into(), "show".into(), later.to_string()], format!("/bulk/jobs/{later}")),
        (
            vec!["jobs".into(), "results".into(), job.to_string()],
            format!("/bulk/jobs/{job}/results"),
        ),
        (
            vec!["jobs".into(), "results".into(), later.to_string(), "--status=skipped".into()],
            format!("/bulk/jobs/{later}/results?status=skipped"),
        ),
        (vec!["dead".into(), "list".into(), "--limit=7".into()], "/dead-letters?limit=7".into()),
        (
            vec!["dead".into(), "list".into(), format!("--job={job}")],
            format!("/dead-letters?job_id={job}&limit=20"),
        ),
        (vec!["dead".into(), "groups".into()], "/dead-letters/groups".into()),
        (
            vec!["dead".into(), "groups".into(), format!("--job={job}")],
            format!("/dead-letters/groups?job_id={job}"),
        ),
        (vec!["dead".into(), "show".into(), letter.to_string()], format!("/dead-letters/{letter}")),
        (vec!["stats".into()], "/stats".into()),
    ] {
        let said = place.isobar(["--json"]).args(command.clone()).run().await.expect_code(0);
        let (said, mut answer) = (said.json(), http.get(&path).await.json());
        // A command has no second page.
        if let Some(page) = answer.as_object_mut() {
            page.remove("next_cursor");
        }
        assert_eq!(said, answer, "{command:?} and {path}");
    }
    exported(&place, &http).await;
}

async fn exported(place: &Place, http: &Http) {
    let all = place.isobar(["dead", "export"]).run().await.expect_code(0).stdout;
    let all: Vec<Value> =
        all.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(json!(all), http.get("/dead-letters?limit=500").await.json()["items"]);
    assert_eq!(all.len() as u64, CITIES + 2);
    let some = place.isobar(["dead", "export", "--code", "no_such"]).run().await.expect_code(0);
    assert_eq!(some.stdout, "");
}

async fn the_status_adds_up_and_says_how_old_the_oldest_is(place: Place) {
    let job = place.failed_job("monday").await;
    place.produce("tuesday", 3).await;
    let status = place.isobar(["status", "--json"]).run().await.expect_code(0).json();
    let depth = &status["stream"]["depth"];
    // The file has a reject too, and there are the job's open and seal.
    assert_eq!(depth["undelivered"], json!(3 + 1 + 2), "{status}");
    assert!(depth["oldest_undelivered_ms"].as_u64().is_some_and(|age| age > 0), "{status}");
    assert_eq!((&depth["pending"], &depth["oldest_pending_ms"]), (&json!(0), &json!(0)));
    assert_eq!(status["outbox"], json!({"unsent_tasks": 0, "oldest_unsent_seconds": null}));
    assert_eq!(status["totals"]["dead_letters"], json!(CITIES));
    let first = &status["jobs"][0];
    assert_eq!((&first["job_id"], &first["failed"]), (&json!(job), &json!(CITIES + 1)));
    let said = place.isobar(["status"]).run().await.expect_code(0).stdout;
    let row = said.lines().next().expect("a line");
    assert!(row.starts_with("outbox 0 → undelivered 6 (oldest "), "{row}");
    assert!(row.ends_with(&format!(" → pending 0 → dead {CITIES}")), "{row}");
    assert!(
        said.contains(&format!("{job}  done        26 of 26 (25 failed, 1 skipped)")),
        "{said}"
    );
}

async fn watching_ends_with_the_job_and_says_how(place: Place) {
    let job = place.produce("monday", CITIES).await;
    let watch = ["jobs", "watch", &job.to_string()];
    // No worker has opened it in the store.
    let mut watching = place.isobar(watch).spawn();
    watching.wait_for_line(|line| line.contains("no worker has started it yet"), PATIENCE).await;
    place.drain().await.expect_code(3);
    assert_eq!(watching.wait(PATIENCE).await, 3, "a row was rejected");
    let said = watching.stdout_so_far();
    assert!(said.contains("26 of 26 (1 failed, 1 skipped)"), "{said}");
    let again = place.isobar(watch).run().await.expect_code(3);
    assert_eq!(again.stdout.split("  ").next(), said.split("  ").next());

    let other = place.produce("tuesday", CITIES).await;
    let mut stopped = place.isobar(["jobs", "watch", &other.to_string()]).spawn();
    stopped.wait_for_line(|line| line.contains("no worker has started it yet"), PATIENCE).await;
    stopped.terminate();
    assert_eq!(stopped.wait(PATIENCE).await, 75);
    place.isobar(["jobs", "cancel", &other.to_string()]).run().await.expect_code(0);
    place.drain().await;
    until(PATIENCE, "the job ends", async || {
        place.store.job(other).await.expect("reads").is_some_and(|job| job.status.is_final())
    })
    .await;
    let ended = place.isobar(["jobs", "watch", &other.to_string()]).run().await.expect_code(1);
    assert!(ended.stdout.contains("cancelled"), "{ended:?}");
}

async fn what_is_not_there_is_said_and_what_is_wrong_refused(place: Place) {
    for (args, code, words) in [
        (["jobs", "list"], 0, "no jobs yet"),
        (["dead", "list"], 0, "no dead letters"),
        (["dead", "groups"], 0, "no dead letters"),
    ] {
        let said = place.isobar(args).run().await.expect_code(code);
        assert!(said.stdout.contains(words), "{said:?}");
    }
    let nobody = "6fa1c1f0-52c4-4c39-9a55-000000000001";
    // A retry has an id too, but is no job.
    let job = place.failed_job("monday").await;
    let retry = place.retry(job).await["retry_id"].as_str().expect("an id").to_owned();
    for id in [nobody, &retry] {
        for verb in ["show", "watch", "results", "cancel", "retry"] {
            let said = place.isobar(["jobs", verb, id]).run().await.expect_code(1);
            assert!(said.stderr.contains(&format!("job {id} does not exist")), "{said:?}");
            assert_eq!(said.stdout, "");
        }
    }
    let said = place.isobar(["dead", "show", "17"]).run().await.expect_code(1);
    assert!(said.stderr.contains("dead letter 17 does not exist"), "{said:?}");
    for args in [
        vec!["jobs", "list", "--limit", "0"],
        vec!["jobs", "list", "--limit", "501"],
        vec!["jobs", "show", "monday"],
        vec!["jobs", "results", nobody, "--status", "lost"],
        vec!["dead", "list", "--limit", "x"],
        vec!["dead", "export", "--code", ""],
        vec!["dead", "show", "first"],
    ] {
        let said = place.isobar([]).args(args.clone()).run().await.expect_code(2);
        assert!(said.stderr.contains("error: "), "{args:?}: {said:?}");
    }
}
