//! One store for each stream: another one is refused, until an operator says that it is the one now.

use crate::harness::stage::Stage;

const TASK: [(&str, &str); 3] = [
    ("task_id", "6fa1c1f0-52c4-4c39-9a55-000000000001"),
    ("city_id", "2988507"),
    ("city", "Paris"),
];

#[tokio::test]
async fn another_store_is_refused_until_it_is_adopted() {
    let stage = Stage::set(&[]).await;
    stage.add(&TASK).await;
    stage.drain().await.expect_code(0);
    let folder = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite://{}", folder.path().join("other.db").display());
    let other =
        |args: &[&str]| stage.isobar([]).args(args.iter().copied()).env("DATABASE_URL", &database);
    stage.add(&TASK).await;
    for args in [&["consume", "--drain"][..], &["serve"], &["up"]] {
        let refused = other(args).run().await.expect_code(78);
        for words in ["belongs to another store", "postgres at ", "sqlite at ", "isobar adopt"] {
            assert!(refused.stderr.contains(words), "{args:?}: {}", refused.stderr);
        }
    }
    assert_eq!(stage.unfinished().await, 1, "nothing was taken");
    let doctor = other(&["doctor"]).run().await.expect_code(1);
    assert!(doctor.stdout.contains("belongs to another store"), "{}", doctor.stdout);
    let dry = other(&["adopt", "--dry-run"]).run().await.expect_code(0);
    assert!(dry.stdout.contains("would belong to this store"), "{}", dry.stdout);
    other(&["consume", "--drain"]).run().await.expect_code(78);
    let adopted = other(&["adopt", "--json"]).run().await.expect_code(0).json();
    assert_eq!(adopted["adopted"].as_array().map(Vec::len), Some(3));
    other(&["consume", "--drain"]).run().await.expect_code(0);
    assert_eq!(stage.unfinished().await, 0);
    let refused = stage.drain().await.expect_code(78);
    assert!(refused.stderr.contains("belongs to another store"), "{}", refused.stderr);
}
