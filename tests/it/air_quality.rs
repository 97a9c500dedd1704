//! Air quality: the third pipeline, from a source to the store.

use serde_json::Value;

use crate::harness::stage::{Stage, counts};

async fn produced(stage: &Stage, more: &[&str]) -> Value {
    let produce = stage.isobar(["produce", "--pipeline", "air", "--source", "api", "--json"]);
    produce.args(more.iter().copied()).run().await.expect_code(0).json()
}

async fn drained(stage: &Stage) -> Value {
    let drain = ["consume", "--pipeline", "air", "--drain", "--json"];
    stage.isobar(drain).run().await.expect_code(0).json()
}

#[tokio::test]
async fn every_city_gets_its_air_quality_once() {
    let stage = Stage::set(&["--cities", "700"]).await;
    assert_eq!(counts(&produced(&stage, &[]).await, ["rows", "published"]), [700, 700]);
    assert_eq!(counts(&drained(&stage).await, ["succeeded", "failed"]), [700, 0]);
    assert_eq!(stage.count("SELECT count(*) FROM air_quality").await, 700);
    assert_eq!(stage.count("SELECT count(*) FROM weather").await, 0, "a pipeline of its own");
    stage.isobar(["verify"]).run().await.expect_code(0);

    // I4: what is current is skipped, and costs no request.
    produced(&stage, &["--slot", "again"]).await;
    assert_eq!(counts(&drained(&stage).await, ["succeeded", "skipped"]), [0, 700]);
}
