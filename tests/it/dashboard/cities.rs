//! A city is searched, or clicked on the map: its snapshot, and what became of it.

use serde_json::json;

use super::{CSV, Visit};

#[tokio::test]
async fn a_city_is_found_with_its_snapshot_and_what_became_of_it() {
    let visit = Visit::begin(&[]).await;
    let browser = &visit.browser;
    visit.open("/").await;
    visit.is_live().await;
    browser.type_into("#city", "paris").await;
    browser.click("form.search button").await;
    browser.sees("#found", "not imported yet").await;
    visit.import(CSV).await;
    visit.is_done().await;

    browser.click("form.search button").await;
    browser.sees("#found", "The last refresh succeeded").await;
    let found = browser.text("#found").await.expect("a story");
    assert!(found.contains("°C") && found.contains("some-cities.csv"), "{found}");
    assert!(browser.url().await.ends_with("/?city=paris"));
    visit.keep_picture("city").await;
    browser.click("#found .close").await;
    assert!(browser.url().await.ends_with('/'));
    browser.evaluate("history.back()").await;
    browser.sees("#found", "The last refresh succeeded").await;
    visit.end().await;
}

#[tokio::test]
async fn a_city_of_the_map_is_named_and_a_click_tells_its_story() {
    let visit = Visit::begin(&[]).await;
    let browser = &visit.browser;
    visit.open("/").await;
    visit.is_live().await;
    visit.import(CSV).await;
    visit.is_done().await;
    browser.sees("#map-note", "2 of 2 cities").await;
    // Lima, by its own place: the map shows latitudes 78 to -57.
    let at = |kind: &str| {
        format!(
            "const map = document.getElementById('map');\
             const box = map.getBoundingClientRect();\
             map.dispatchEvent(new PointerEvent('{kind}', {{ bubbles: true,\
               clientX: box.x + (-77.03 + 180) / 360 * box.width,\
               clientY: box.y + (78 + 12.04) / 135 * box.height }}));"
        )
    };
    browser.evaluate(&at("pointermove")).await;
    browser.sees("#map-tip", "Lima").await;
    browser.evaluate(&at("click")).await;
    browser.sees("#found", "The last refresh succeeded").await;
    browser.sees("#h-found", "Lima").await;
    let coloured = "const map = document.getElementById('map');\
        const { data } = map.getContext('2d').getImageData(0, 0, map.width, map.height);\
        return data.some((channel, at) => at % 4 === 0 && channel > 100)";
    assert_eq!(browser.evaluate(coloured).await, json!(true), "no point is drawn");
    visit.end().await;
}

#[tokio::test]
async fn of_namesakes_the_largest_is_meant_and_the_others_are_a_link_away() {
    let visit = Visit::begin(&[]).await;
    let browser = &visit.browser;
    visit.open("/").await;
    visit.is_live().await;
    // In Ontario and in England; the smaller one has the smaller place in the file.
    visit
        .import("city_id,city,country,latitude,longitude\n6058560,London,CA,42.98339,-81.23304\n2643743,London,GB,51.50853,-0.12574\n")
        .await;
    visit.is_done().await;
    browser.type_into("#city", "LONDON").await;
    browser.click("form.search button").await;
    browser.sees("#h-found", "GB").await;
    browser.click(".others a").await;
    browser.sees("#h-found", "CA").await;
    assert!(browser.url().await.ends_with("/?city_id=6058560"));
    visit.end().await;
}
