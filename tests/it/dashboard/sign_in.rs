//! With a key nobody sees anything before the sign-in, nor after the sign-out.

use super::Visit;

#[tokio::test]
async fn who_has_not_signed_in_sees_nothing_and_who_signs_out_is_shown_out() {
    let visit = Visit::begin(&[("ISOBAR_API_KEY", "k3y")]).await;
    let browser = &visit.browser;
    visit.open("/").await;
    assert!(browser.url().await.ends_with("/login"));
    browser.type_into("#key", "wrong").await;
    browser.click("button").await;
    browser.sees("[role=alert]", "Wrong API key").await;
    // The console notes the 401, as it should.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("401")), "{complaints:#?}");
    browser.type_into("#key", "k3y").await;
    browser.click("button").await;
    visit.is_live().await;
    browser.sees("[data-panel=health]", "healthy").await;
    browser.click("form[action='/logout'] button").await;
    browser.sees("h1", "Isobar").await;
    assert!(browser.url().await.ends_with("/login"));
    visit.end().await;
}
