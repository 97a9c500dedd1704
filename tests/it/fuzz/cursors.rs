//! Cursors that were ours and are not any more: the list, or 400, and never another list's page.

use std::fmt::Write;

use super::{mangled, some};
use crate::harness::http::send;
use crate::republish::Place;

#[tokio::test]
async fn a_mangled_cursor_is_a_place_in_its_list_or_refused() {
    let place = Place::embedded().await;
    let job = place.failed_job("monday").await;
    place.produce("tuesday", 1).await;
    place.drain().await;
    let (_server, http) = place.serve().await;
    for list in ["/bulk/jobs", &format!("/bulk/jobs/{job}/results"), "/dead-letters"] {
        let first = http.get(&format!("{list}?limit=1")).await.json();
        let right = first["next_cursor"].as_str().unwrap_or_else(|| panic!("{list}: {first}"));
        // By its letters, and by what they stand for.
        let plain: Vec<u8> = (0..right.len() / 2)
            .map(|at| u8::from_str_radix(&right[2 * at..2 * at + 2], 16).expect("hexadecimal"))
            .collect();
        let hex = |bytes: Vec<u8>| {
            bytes.iter().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").expect("writing to a string never fails");
                hex
            })
        };
        let plain = some(60, &mangled(plain)).into_iter().map(hex);
        let letters = some(60, &mangled(right.into()));
        let letters = letters.into_iter().map(|text| String::from_utf8_lossy(&text).into_owned());
        for cursor in plain.chain(letters) {
            let asked = http
                .request(reqwest::Method::GET, list)
                .query(&[("limit", "1"), ("cursor", &cursor)]);
            let answer = send(asked).await.expect("an answer");
            let status = answer.status.as_u16();
            // A request line that is too long is no matter of cursors.
            assert!([200, 400, 414, 431].contains(&status), "{cursor:?}: {}", answer.body);
        }
    }
}
