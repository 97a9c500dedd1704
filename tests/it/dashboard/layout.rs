//! How the page lies on a phone, and in the dark.

use serde_json::json;

use super::{CSV, Visit};

/// What sticks out to the right, though it may not.
pub const TOO_WIDE: &str = "return [...document.querySelectorAll('body *')].filter((element) => \
    !element.closest('.scroll, .skip, .hidden') && element.getBoundingClientRect().right > innerWidth + 1)\
    .map((element) => element.outerHTML.slice(0, 120))";

#[tokio::test]
async fn the_page_fits_a_phone_and_is_dark_where_that_is_preferred() {
    let quota = ("ISOBAR_QUOTA", "600/m,5000/h,10000/d");
    let visit = Visit::begin(&[quota, ("ISOBAR_SYNC_CRON", "0 3 * * *")]).await;
    let browser = &visit.browser;
    browser.resize(360, 740).await;
    visit.open("/?city=Paris").await;
    visit.is_live().await;
    visit.import(CSV).await;
    visit.is_done().await;
    browser.sees("[data-panel=schedules]", "0 3 * * *").await;
    assert_eq!(browser.evaluate(TOO_WIDE).await, json!([]), "these are too wide");
    let ground = "return getComputedStyle(document.body).backgroundColor";
    browser.prefer("light").await;
    let light = browser.evaluate(ground).await;
    visit.keep_picture("phone").await;
    browser.prefer("dark").await;
    assert_ne!(browser.evaluate(ground).await, light);
    browser.resize(1280, 900).await;
    visit.keep_picture("dark").await;
    visit.end().await;
}
