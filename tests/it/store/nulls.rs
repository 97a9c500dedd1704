//! What an upstream does not know: a null in its answer erases no stored value.

use isobar_model::ids::CityId;
use isobar_store::{AirQualityRow, Commit, Records, Store};

use super::fixtures::{at, snapshot, weather};
use super::{Subject, on_both};

on_both!(a_null_of_the_upstream_erases_nothing, a_null_erases_no_air_quality,);

async fn commit(store: &Store, commit: &Commit) {
    store.commit(commit).await.expect("commits");
}

async fn a_null_of_the_upstream_erases_nothing(subject: Subject) {
    let store = &subject.store;
    let mut unknown = snapshot(1, at(15));
    unknown.temperature = None;
    unknown.windspeed = Some(9.5);
    unknown.winddirection = None;
    unknown.weathercode = None;
    unknown.humidity = Some(50);
    commit(store, &weather(vec![snapshot(1, at(0)), snapshot(2, at(0))])).await;
    commit(store, &weather(vec![unknown.clone()])).await;
    let row = store.weather(CityId(1)).await.expect("reads").expect("a row");
    assert_eq!((row.temperature, row.windspeed), (Some(21.5), Some(9.5)));
    assert_eq!((row.winddirection, row.weathercode, row.humidity), (Some(270), Some(3), Some(50)));
    assert_eq!((row.observed_at, row.raw_payload), (at(15), Some(unknown.raw_payload)));
    // A value that is known again replaces it; zero is a value.
    let mut known = snapshot(1, at(30));
    known.temperature = Some(0.0);
    known.weathercode = Some(0);
    commit(store, &weather(vec![known])).await;
    let row = store.weather(CityId(1)).await.expect("reads").expect("a row");
    assert_eq!((row.temperature, row.weathercode, row.humidity), (Some(0.0), Some(0), Some(50)));
}

async fn a_null_erases_no_air_quality(subject: Subject) {
    let store = &subject.store;
    let first = AirQualityRow {
        city_id: CityId(1),
        pm10: Some(12.5),
        pm2_5: Some(7.5),
        carbon_monoxide: None,
        nitrogen_dioxide: Some(20.0),
        ozone: Some(60.0),
        european_aqi: Some(30),
        us_aqi: None,
        observed_at: at(0),
        fresh_until: at(60),
        synced_at: at(1),
    };
    let air = |rows| Commit { records: Records::AirQuality(rows), ..Commit::default() };
    commit(store, &weather(vec![snapshot(1, at(0))])).await;
    commit(store, &air(vec![first.clone()])).await;
    let later = AirQualityRow {
        pm10: None,
        pm2_5: Some(8.0),
        european_aqi: None,
        us_aqi: Some(0),
        observed_at: at(60),
        ..first.clone()
    };
    commit(store, &air(vec![later.clone()])).await;
    let stored = store.air_quality(CityId(1)).await.expect("reads");
    let kept = AirQualityRow { pm10: Some(12.5), european_aqi: Some(30), ..later };
    assert_eq!(stored, Some(kept));
}
