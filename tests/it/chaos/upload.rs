//! A file is uploaded to a process that is killed on the way of it.
//!
//! What a careful client does: it sends the file with a key, and sends it again with the same key
//! until somebody has answered 202. One job comes of it, whenever the process died.

use isobar_failpoint::VARIABLE;
use reqwest::Method;

use super::arena::Arena;
use super::checker::{Fate, Job};
use super::scenario::{ABORTED, ROWS, judge};
use super::source::Source;
use crate::harness::http::{Http, send};
use crate::harness::isobar::Running;
use crate::harness::port::free_port;
use crate::harness::wait::{PATIENCE, eventually, until};

/// So that it is one import, however often it is sent.
const KEY: &str = "one-file";
const BOUNDARY: &str = "b0undary";

pub async fn survive(arena: &Arena, at: &str) -> Vec<String> {
    let source = Source::of(ROWS, 0);
    let listen = format!("127.0.0.1:{}", free_port());
    let http = Http::new(format!("http://{listen}"));

    let mut doomed = arena.isobar(["up", "--listen", &listen]).env(VARIABLE, at).spawn();
    until(PATIENCE, "the file is taken, or the process dead", async || {
        post(&http, &source.text, KEY).await.is_some() || !doomed.is_running()
    })
    .await;
    let code = doomed.wait(PATIENCE).await;
    if code != ABORTED {
        return vec![format!("it ended with {code}: {}", doomed.stderr_so_far())];
    }

    let mut up = arena.isobar(["up", "--listen", &listen]).spawn();
    let id =
        eventually(PATIENCE, "the file is taken", async || post(&http, &source.text, KEY).await)
            .await;
    until(PATIENCE, "the job is done", async || {
        let job = http.try_get(&format!("/bulk/jobs/{id}")).await;
        job.is_ok_and(|job| job.json()["status"] == "done")
    })
    .await;
    end(&mut up).await;

    confirm(arena).await;
    judge(arena, &[Job { id, source: &source, fate: Fate::Done }]).await
}

/// A relay of imports looks at once, when it starts, for what is finished.
pub async fn confirm(arena: &Arena) {
    let mut relay = arena.isobar(["serve", "--listen", "127.0.0.1:0"]).spawn();
    until(PATIENCE, "the imports are confirmed", async || arena.unconfirmed_imports() == 0).await;
    end(&mut relay).await;
}

/// The job's id if it was taken.
pub async fn post(http: &Http, csv: &str, key: &str) -> Option<String> {
    let body = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n{csv}\r\n--{BOUNDARY}--\r\n"
    );
    let request = http
        .request(Method::POST, "/bulk/import")
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .header("idempotency-key", key)
        .body(body);
    let reply = send(request).await.ok().filter(|reply| reply.status == 202)?;
    Some(reply.json()["job_id"].as_str().expect("an id").to_owned())
}

async fn end(running: &mut Running) {
    running.terminate();
    assert_eq!(running.wait(PATIENCE).await, 0, "{}", running.stderr_so_far());
}
