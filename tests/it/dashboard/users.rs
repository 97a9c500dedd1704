//! Users on the dashboard and on their own page, brought by schedules alone.

use super::Visit;
use super::layout::TOO_WIDE;
use serde_json::json;

#[tokio::test]
async fn schedules_bring_users_and_their_page_lists_searches_and_narrows_them() {
    let visit = Visit::begin(&[
        ("ISOBAR_API_KEY", "k3y"),
        ("ISOBAR_USERS_URL", "{sim}/dummyjson/users"),
        ("ISOBAR_ADDRESSES_URL", "{sim}/api/v2/addresses"),
        ("ISOBAR_CARDS_URL", "{sim}/api/v2/credit_cards"),
        ("ISOBAR_USERS_CRON", "@every 2s"),
        ("ISOBAR_ADDRESSES_CRON", "@every 2s"),
        ("ISOBAR_CARDS_CRON", "@every 2s"),
        ("ISOBAR_ENRICH_BATCH_SIZE", "60"),
    ])
    .await;
    let browser = &visit.browser;
    visit.open("/users/ui").await;
    // The console notes the 401, as it should.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("401")), "{complaints:#?}");
    browser.type_into("#key", "k3y").await;
    browser.click("button").await;
    browser.sees("h1", "users").await;
    visit.open("/").await;
    visit.is_live().await;
    // Users, addresses and cards, after cities, weather and air quality.
    for at in [4, 5, 6] {
        browser.sees(&format!("[data-panel=pipelines] li:nth-child({at}) .number"), "208").await;
    }
    visit.keep_picture("with-users").await;

    browser.click("[data-panel=pipelines] a").await;
    browser.sees("h1", "users").await;
    browser.sees("section.users .head", "1–20 of 208").await;
    browser.sees("tbody tr:first-child [data-label=Card]", "**** **** **** ").await;
    browser.resize(1280, 900).await;
    visit.keep_picture("users").await;
    browser.click("a[rel=next]").await;
    browser.sees("section.users .head", "21–40 of 208").await;
    browser.type_into("#q", "emily").await;
    browser.click(".filters button").await;
    browser.sees("tbody", "emily").await;
    assert!(browser.url().await.contains("q=emily"));
    visit.open("/users/ui?has_address=false").await;
    browser.sees("section.users", "No users match.").await;
    browser.resize(360, 740).await;
    visit.open("/users/ui").await;
    assert_eq!(browser.evaluate(TOO_WIDE).await, json!([]), "these are too wide");
    visit.keep_picture("users-phone").await;
    visit.end().await;
}
