//! What an open page is sent: all panels first, then what changed, until the session or the server
//! ends.

use std::collections::BTreeSet;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::{Api, is_problem};
use crate::harness::http::{Http, send};
use crate::harness::wait::PATIENCE;

const KEY: &str = "k3y";

/// A page that listens.
struct Page {
    response: Response,
    text: String,
}

impl Page {
    async fn open(http: &Http) -> Self {
        let response = http.request(Method::GET, "/live").send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next look, or none at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(data) = event.strip_prefix("event: state\ndata: ") {
                    return Some(serde_json::from_str(data).expect("JSON"));
                }
                continue;
            }
            let piece = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let piece = piece.expect("something comes").expect("no error")?;
            self.text.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    /// The first look in which this panel has changed to say `words`.
    async fn sees(&mut self, panel: &str, words: &str) -> Value {
        loop {
            let look = self.next().await.expect("the stream goes on");
            if look["panels"][panel].as_str().is_some_and(|html| html.contains(words)) {
                return look;
            }
        }
    }
}

fn panels(look: &Value) -> BTreeSet<String> {
    look["panels"].as_object().expect("panels").keys().cloned().collect()
}

#[tokio::test]
async fn a_page_is_sent_all_panels_first_and_then_what_changed_until_the_server_ends() {
    let mut api = Api::start().await;
    let mut page = Page::open(&api.http).await;
    let first = page.next().await.expect("a look");
    let html = api.get("/").await.body;
    let all = panels(&first);
    assert!(all.len() >= 9, "{all:?}");
    for panel in &all {
        assert!(html.contains(&format!("data-panel=\"{panel}\"")), "the page has no {panel}");
    }

    assert_eq!(api.http.post("/stream/pause", &json!({})).await.status, 200);
    let changed = page.sees("health", "paused").await;
    assert!(panels(&changed).is_subset(&all) && !panels(&changed).contains("chart"), "{changed}");
    // Another page that comes later knows as much.
    let mut late = Page::open(&api.http).await;
    let look = late.next().await.expect("a look");
    assert_eq!(panels(&look), all);
    assert!(look["panels"]["health"].as_str().expect("HTML").contains("paused"));
    api.stop().await;
    while page.next().await.is_some() {}
    while late.next().await.is_some() {}
}

#[tokio::test]
async fn what_a_page_is_sent_needs_the_key_and_ends_with_the_session() {
    let api = Api::with(&[("ISOBAR_API_KEY", KEY)]).await;
    is_problem(&api.get("/live").await, 401, "unauthorized");
    let page = api.get("/").await;
    assert_eq!(
        (page.status.as_u16(), &page.headers["location"]),
        (303, &"/login".parse().expect("a path"))
    );

    let signed_in = api.http.request(Method::POST, "/login").body(format!("key={KEY}"));
    let signed_in = send(signed_in).await;
    let cookie = signed_in.expect("an answer").headers["set-cookie"].clone();
    let session = cookie.to_str().expect("text").split(';').next().expect("a cookie");
    let browser = Http::with_header(&api.base, "cookie", session);
    let mut page = Page::open(&browser).await;
    assert!(page.next().await.is_some());
    let signed_out = send(browser.request(Method::POST, "/logout")).await;
    assert_eq!(signed_out.expect("an answer").status, 303);
    while page.next().await.is_some() {}
    is_problem(&browser.get("/live").await, 401, "unauthorized");
}

#[tokio::test]
async fn a_part_of_the_page_that_is_known_is_not_sent_again() {
    let api = Api::start().await;
    let styles = api.get("/assets/page.css").await;
    assert_eq!(styles.headers["content-type"], "text/css; charset=utf-8");
    let tag = styles.headers["etag"].to_str().expect("text");
    let again = Http::with_header(&api.base, "if-none-match", tag).get("/assets/page.css").await;
    assert_eq!((again.status.as_u16(), again.body.as_str()), (304, ""));
    for name in ["page.cs", "..%2Fsrc%2Flib.rs", "%00"] {
        is_problem(&api.get(&format!("/assets/{name}")).await, 404, "not_found");
    }
}
