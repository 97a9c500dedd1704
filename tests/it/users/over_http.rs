//! People over HTTP: listed, filtered, shown one by one and as a page, only to who has the key.

use serde_json::json;

use super::{Home, on_both};
use crate::harness::http::Http;
use crate::harness::wait::{PATIENCE, until};

on_both!(users_are_listed_filtered_and_shown_with_a_masked_card_and_only_with_the_key);

const KEY: &str = "a-key-of-the-tests";

async fn users_are_listed_filtered_and_shown_with_a_masked_card_and_only_with_the_key(home: Home) {
    home.produce("users", "one").run().await.expect_code(0);
    home.drain().await;
    home.produce("addresses", "one").args(["--limit", "4"]).run().await.expect_code(0);
    home.produce("cards", "one").args(["--limit", "3"]).run().await.expect_code(0);
    home.drain().await;
    let server =
        home.isobar(["serve", "--listen", "127.0.0.1:0"]).env("ISOBAR_API_KEY", KEY).spawn();
    let said = server.wait_for_line(|line| line.starts_with("listening on "), PATIENCE).await;
    let base = said.trim_start_matches("listening on ");
    let http = Http::with_header(base, "x-api-key", KEY);
    until(PATIENCE, "the API is ready", async || {
        http.try_get("/readyz").await.is_ok_and(|reply| reply.status.is_success())
    })
    .await;

    let stranger = Http::new(base);
    for path in ["/users", "/users/1", "/users/ui"] {
        assert_eq!(stranger.get(path).await.status, 401, "{path}");
    }
    let page = http.get("/users?limit=3&offset=8").await.json();
    assert_eq!(
        (&page["total"], &page["limit"], &page["offset"]),
        (&json!(10), &json!(3), &json!(8))
    );
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    let total =
        async |query: &str| http.get(&format!("/users?{query}")).await.json()["total"].clone();
    assert_eq!(total("has_address=true").await, 4);
    assert_eq!(total("has_card=false&has_address=true").await, 1);
    assert_eq!(total("external_id=7").await, 1);
    assert_eq!(http.get("/users?limit=101").await.status, 400);

    let first = http.get("/users?has_card=true&limit=1").await.json()["items"][0].clone();
    let id = &first["id"];
    let one = http.get(&format!("/users/{id}/")).await.json();
    let card = one["credit_cards"][0]["card_number"].as_str().expect("a card");
    assert!(card.starts_with("**** **** **** ") && card.len() == 19, "{card}");
    assert!(one["address"]["city"].is_string(), "{one}");
    let bare = http.get("/users?has_address=false&limit=1").await.json()["items"][0]["id"].clone();
    let bare = http.get(&format!("/users/{bare}")).await.json();
    assert_eq!((&bare["address"], &bare["credit_cards"]), (&json!(null), &json!([])));
    for id in ["0", "no-number", "99999999999999999999"] {
        assert_eq!(http.get(&format!("/users/{id}")).await.status, 404, "{id}");
    }

    let name = first["name"].as_str().expect("a name");
    let shown = http.get("/users/ui?limit=5").await.body;
    assert!(shown.contains(name) && shown.contains(card) && shown.contains("1–5 of 10"), "{shown}");
    let none = http.get("/users/ui?q=%3Cscript%3Ealert").await.body;
    assert!(none.contains("No users match.") && !none.contains("<script>alert"), "{none}");

    // One Isobar is the source of another, in pages: known already, so nothing changes.
    let url = format!("{base}/users?has_address=false&limit=4");
    let sync = home.isobar(["users", "sync", "--json"]).env("ISOBAR_USERS_URL", url);
    let report = sync.env("ISOBAR_USERS_API_KEY", KEY).run().await.expect_code(0).json();
    assert_eq!((&report["tasks"], &report["rejected"]), (&json!(6), &json!(0)), "{report}");
    home.drain().await;
    assert_eq!(home.found().await, [10, 4, 3]);
}
