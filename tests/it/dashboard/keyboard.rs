//! The page by keyboard alone: everything is reached, seen to be reached, and named.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{CSV, Visit};

/// More often than there are places to stop at.
const STOPS: usize = 60;

#[tokio::test]
async fn everything_is_reached_seen_and_named_without_a_mouse() {
    let visit = Visit::begin(&[]).await;
    let browser = &visit.browser;
    visit.open("/").await;
    visit.is_live().await;
    visit.import(CSV).await;
    visit.is_done().await;
    // From the top again, for the file was chosen further down.
    visit.open("/").await;
    visit.is_live().await;
    let reached = "const here = document.activeElement;\
        const { outlineStyle, outlineWidth } = getComputedStyle(here);\
        return [here.outerHTML.slice(0, 100), outlineStyle !== 'none' && outlineWidth !== '0px']";
    let mut stops = BTreeSet::new();
    for _ in 0..STOPS {
        browser.press("Tab").await;
        let stop = browser.evaluate(reached).await;
        let [Value::String(html), Value::Bool(seen)] = &stop.as_array().expect("a stop")[..] else {
            panic!("{stop}");
        };
        if html.starts_with("<body") {
            break;
        }
        assert!(seen, "it is not seen to have the focus: {html}");
        stops.insert(html.clone());
    }
    for part in ["class=\"skip\"", "id=\"city\"", "href=\"/docs\"", "Pause workers", "id=\"file\""]
    {
        assert!(stops.iter().any(|stop| stop.contains(part)), "{part} is not among {stops:#?}");
    }
    let nameless = "return [...document.querySelectorAll('button, a[href], input, canvas[role], svg[role], section, [role=region]')]\
        .filter((element) => element.type !== 'hidden' && !element.innerText?.trim() && !element.ariaLabel\
          && !element.getAttribute('aria-labelledby') && !element.labels?.length && !element.hidden)\
        .map((element) => element.outerHTML.slice(0, 120))";
    assert_eq!(browser.evaluate(nameless).await, json!([]), "these have no name");
    visit.end().await;
}

#[tokio::test]
async fn a_slash_leads_to_the_search_enter_to_the_city_and_escape_back() {
    let visit = Visit::begin(&[]).await;
    let browser = &visit.browser;
    visit.open("/").await;
    visit.is_live().await;
    browser.press("/").await;
    let focused = "return document.activeElement.id";
    assert_eq!(browser.evaluate(focused).await, "city");
    browser.type_into("#city", "Lima").await;
    browser.press("Enter").await;
    browser.sees("#found", "not imported yet").await;
    assert_eq!(browser.evaluate(focused).await, "h-found");
    browser.press("Escape").await;
    browser.becomes("return document.getElementById('found').hidden", &json!(true)).await;
    assert!(browser.url().await.ends_with('/'));
    visit.end().await;
}
