//! The OpenAPI document as a server gives it.

use std::collections::BTreeSet;

use reqwest::Method;

use super::{Api, is_problem};
use crate::harness::http::send;
use crate::harness::isobar::Isobar;

#[tokio::test]
async fn the_document_names_the_methods_that_each_path_answers_and_no_other() {
    let api = Api::start().await;
    let document = api.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, item) in document["paths"].as_object().expect("paths") {
        let mut expected: BTreeSet<String> =
            item.as_object().expect("an item").keys().map(|method| method.to_uppercase()).collect();
        if expected.contains("GET") {
            expected.insert("HEAD".to_owned());
        }
        for spelt in [path.clone(), toggled(path)] {
            let asked = api.http.request(Method::PATCH, &spelt.replace(['{', '}'], ""));
            let reply = send(asked).await.expect("an answer");
            is_problem(&reply, 405, "method_not_allowed");
            let allowed = reply.headers["allow"].to_str().expect("text");
            let allowed: BTreeSet<String> = allowed.split(',').map(str::to_owned).collect();
            assert_eq!(allowed, expected, "{spelt}");
        }
    }
}

#[tokio::test]
async fn the_command_prints_what_the_server_serves() {
    let api = Api::start().await;
    let printed = Isobar::new(api.dir.path()).args(["openapi"]).run().await.expect_code(0);
    assert_eq!(printed.stdout, api.get("/openapi.json").await.body);
}

/// With the final slash if it had none, and the other way round; `/` has but one spelling.
fn toggled(path: &str) -> String {
    match path.strip_suffix('/') {
        Some("") => path.to_owned(),
        Some(plain) => plain.to_owned(),
        None => format!("{path}/"),
    }
}
