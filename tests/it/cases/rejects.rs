//! Rejected rows keep what they had: the file of `--rejects` can be corrected and imported again.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::isobar::{Finished, Isobar};

const CITIES: &str = "Stations,,,\nname;notes;lat;lon\nOslo;=1+1;59,9;10,7\nBergen;\"a\nb\";91;5,3\nJena;x;50,9;11,6;7\nZ\u{fffd}rich;y;1;2\n";

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    async fn produce(&self, csv: &str, rejects: &str, args: &[&str]) -> Finished {
        let (csv, rejects) = (self.path(csv), self.path(rejects));
        let all = ["produce", "--json", "--csv", &csv, "--rejects", &rejects];
        Isobar::new(self.0.path()).args(all).args(args.iter().copied()).run().await
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("reads")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("writes");
    }
}

fn counts(report: &Value) -> [&Value; 3] {
    ["rows", "tasks", "rejected"].map(|name| &report[name])
}

#[tokio::test]
async fn rejected_rows_are_corrected_and_imported_again() {
    let home = Home::new();
    home.write("cities.csv", CITIES);
    let first = home.produce("cities.csv", "rejects.csv", &["--slot", "1"]).await.expect_code(0);
    assert_eq!(counts(&first.json()), [4, 1, 3]);
    let listed = home.read("rejects.csv");
    let start = "row,code,reason,line,value,name,notes,lat,lon\n2,bad_latitude,";
    assert!(listed.starts_with(start), "{listed}");
    for part in [
        ",4,91,Bergen,\"a\nb\",91,\"5,3\"\n",
        ",6,\"Jena;x;50,9;11,6;7\",Jena,x,\"50,9\",\"11,6\",7\n",
        ",7,Z\u{fffd}rich,Z\u{fffd}rich,y,1,2\n",
    ] {
        assert!(listed.contains(part), "{part:?} is not in:\n{listed}");
    }
    // As it is, each row is rejected again for the same reason.
    let again = home.produce("rejects.csv", "others.csv", &["--slot", "1"]).await;
    assert_eq!(counts(&again.json()), [3, 0, 3], "{again:?}");
    let code = |line: &str| line.split(',').nth(1).map(str::to_owned);
    let codes = |text: &str| -> Vec<_> { text.lines().filter_map(code).collect() };
    for name in ["rejects.csv", "others.csv"] {
        let text = home.read(name);
        for wanted in ["bad_latitude", "ragged_row", "invalid_utf8"] {
            assert!(codes(&text).iter().any(|code| code == wanted), "{name}: {text}");
        }
    }
    let corrected = listed
        .replace(",91,\"5,3\"", ",\"60,4\",\"5,3\"")
        .replace("\"11,6\",7\n", "\"11,6\"\n")
        .replace("Z\u{fffd}rich,y", "Zürich,y");
    home.write("corrected.csv", &corrected);
    let done = home.produce("corrected.csv", "none.csv", &["--slot", "1"]).await.expect_code(0);
    assert_eq!(counts(&done.json()), [3, 3, 0]);
}

#[tokio::test]
async fn a_dry_run_shows_reasons_and_writes_the_rejects() {
    let home = Home::new();
    home.write("cities.csv", CITIES);
    let plan = home.produce("cities.csv", "rejects.csv", &["--dry-run"]).await.expect_code(0);
    let first = &plan.json()["first_rejects"][0];
    assert_eq!(
        [&first["row"], &first["code"], &first["city"]],
        [&json!(2), &json!("bad_latitude"), &json!("Bergen")]
    );
    assert!(first["reason"].as_str().is_some_and(|reason| reason.ends_with("it is \"91\"")));
    assert!(home.read("rejects.csv").contains("ragged_row"));
}
