//! Commits that PostgreSQL acknowledges are on the disk, whatever its default says.

use chrono::Utc;
use isobar_store::Store;
use isobar_store::postgres::PostgresStore;

use super::{CONNECTIONS, connect};
use crate::harness::postgres::Postgres;

/// Each search notes how its transaction commits.
const NOTE: &str = "
CREATE TABLE noted (value text NOT NULL);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO noted VALUES (current_setting('synchronous_commit'));
    RETURN NEW;
END $$;
CREATE TRIGGER note AFTER INSERT ON search_history FOR EACH ROW EXECUTE FUNCTION note();
";

#[tokio::test]
async fn only_a_default_of_off_is_changed() {
    let url = Postgres::database().await.url;
    let open = async || {
        let store = PostgresStore::open(&url, CONNECTIONS).await.map(Store::Postgres);
        store.expect("opens")
    };
    drop(open().await);
    let mut admin = connect(&url).await;
    sqlx::raw_sql(NOTE).execute(&mut admin).await.expect("creates a trigger");
    let name: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&mut admin)
        .await
        .expect("a name");
    for (default, expected) in [
        ("off", "on"),
        ("local", "local"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
        ("on", "on"),
    ] {
        let set = format!("ALTER DATABASE {name} SET synchronous_commit = {default}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&mut admin).await.expect("sets it");
        let store = open().await;
        store.record_searches(&[("Bern".to_owned(), Utc::now())]).await.expect("records");
        let noted: String = sqlx::query_scalar("DELETE FROM noted RETURNING value")
            .fetch_one(&mut admin)
            .await
            .expect("one note");
        assert_eq!(noted, expected, "the default is {default}");
        assert_eq!(store.loses_commits_by_default(), default == "off");
    }
}
