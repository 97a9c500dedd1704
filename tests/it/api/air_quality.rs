//! `/air-quality`: the values that the service reports, and what a failure of it means.

use serde_json::json;

use super::Api;

const PARIS: i64 = 2_988_507;
const VALUES: [&str; 7] =
    ["pm10", "pm2_5", "carbon_monoxide", "nitrogen_dioxide", "ozone", "european_aqi", "us_aqi"];

#[tokio::test]
async fn an_answer_is_what_the_service_reports() {
    let api = Api::start().await;
    let expected = api.sim.get(&format!("/_sim/expected?city_id={PARIS}")).await.json();
    let first = api.get("/air-quality?city=Paris&country=FR").await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(first.headers["x-cache"], "miss");
    let body = first.json();
    for field in VALUES {
        assert_eq!(body[field], expected["air_quality"][field], "{field}: {body}");
    }
    assert_eq!((&body["city"], &body["city_id"]), (&json!("Paris"), &json!(PARIS)));

    let fault = json!({"endpoint": "/v1/air-quality", "status": 503, "count": 10});
    api.sim.post("/_sim/faults", &fault).await;
    assert_eq!(api.get("/air-quality?city=Paris").await.json()["cache"], "hit");
    let failed = api.get("/air-quality?city=Berlin").await;
    assert!(failed.status == 502 || failed.status == 503, "{}", failed.body);
    assert_eq!(api.get("/air-quality?city=Zzyzxville").await.json()["code"], "city_not_found");
}
