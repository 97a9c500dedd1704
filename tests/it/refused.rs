//! What another side refuses is told as refused (exit 78), and not waited for as if it were away.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::harness::isobar::Isobar;
use crate::harness::postgres::Postgres;
use crate::harness::redis::OtherRedis;
use crate::harness::stage::Stage;

/// An authority (`ca.pem`), and a server's and a client's certificate that it has issued.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let extensions = [
        ("server", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ("client", "extendedKeyUsage=clientAuth"),
    ];
    openssl(
        folder.path(),
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
         -addext basicConstraints=critical,CA:TRUE",
    );
    for (name, extension) in extensions {
        std::fs::write(folder.path().join("extensions"), extension).expect("writes");
        openssl(
            folder.path(),
            &format!(
                "req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
            ),
        );
        openssl(
            folder.path(),
            &format!(
                "x509 -req -days 2 -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions -out {name}.pem"
            ),
        );
    }
    folder
}

fn openssl(folder: &Path, words: &str) {
    let made = Command::new("openssl")
        .args(words.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("openssl is installed (tests/run)");
    assert!(made.status.success(), "{words}: {}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn a_private_authority_is_refused_until_it_is_trusted() {
    let made = certificates();
    let file = |name: &str| made.path().join(name).to_string_lossy().into_owned();
    let (_redis, port) = OtherRedis::with_tls(made.path(), false).await;
    let dir = tempfile::tempdir().expect("a folder");
    let produce = || {
        Isobar::new(dir.path())
            .args(["produce", "--limit", "3"])
            .env("REDIS_URL", format!("rediss://127.0.0.1:{port}/0"))
    };
    let refused = produce().run().await.expect_code(78);
    assert!(refused.stderr.contains("an authority that is not trusted here"), "{}", refused.stderr);
    assert!(refused.stderr.contains("ISOBAR_CA_FILE"), "{}", refused.stderr);
    produce().env("ISOBAR_CA_FILE", file("ca.pem")).run().await.expect_code(0);
    produce().env("SSL_CERT_FILE", file("ca.pem")).run().await.expect_code(0);
    let key = produce().env("ISOBAR_CA_FILE", file("ca.key")).run().await.expect_code(78);
    assert!(key.stderr.contains("ca.key holds no PEM certificate"), "{}", key.stderr);
}

#[tokio::test]
async fn a_redis_that_asks_for_a_certificate_gets_one() {
    let made = certificates();
    let file = |name: &str| made.path().join(name).to_string_lossy().into_owned();
    let (_redis, port) = OtherRedis::with_tls(made.path(), true).await;
    let dir = tempfile::tempdir().expect("a folder");
    let produce = || {
        Isobar::new(dir.path())
            .args(["produce", "--limit", "3"])
            .env("REDIS_URL", format!("rediss://127.0.0.1:{port}/0"))
            .env("ISOBAR_CA_FILE", file("ca.pem"))
    };
    let refused = produce().run().await.expect_code(78);
    assert!(refused.stderr.contains("asks for one"), "{}", refused.stderr);
    let half = produce().env("REDIS_CLIENT_CERT", file("client.pem")).run().await.expect_code(78);
    assert!(half.stderr.contains("must be set together"), "{}", half.stderr);
    produce()
        .env("REDIS_CLIENT_CERT", file("client.pem"))
        .env("REDIS_CLIENT_KEY", file("client.key"))
        .run()
        .await
        .expect_code(0);
}

fn migrate(dir: &Path, database: &str) -> Isobar {
    let isobar = Isobar::new(dir).env("DATABASE_URL", database).env("ISOBAR_BROKER", "embedded");
    isobar.args(["migrate"])
}

#[tokio::test]
async fn a_database_in_an_encoding_of_few_letters_is_refused() {
    let database = Postgres::database_in("LATIN1").await;
    let dir = tempfile::tempdir().expect("a folder");
    let refused = migrate(dir.path(), &database.url).run().await.expect_code(78);
    assert!(refused.stderr.contains("LATIN1"), "{}", refused.stderr);
    assert!(refused.stderr.contains("ENCODING 'UTF8'"), "{}", refused.stderr);
    let ascii = Postgres::database_in("SQL_ASCII").await;
    migrate(dir.path(), &ascii.url).run().await.expect_code(0);
}

#[tokio::test]
async fn a_role_without_rights_is_told_which_it_lacks() {
    let database = Postgres::database_for_guests().await;
    let dir = tempfile::tempdir().expect("a folder");
    let refused = migrate(dir.path(), &database.url).run().await.expect_code(78).stderr;
    assert!(refused.contains("GRANT USAGE, CREATE ON SCHEMA public"), "{refused}");
    assert!(refused.contains("permission denied for schema public (SQLSTATE 42501)"), "{refused}");
    assert!(!refused.contains("at line"), "{refused}");
}

/// The rule of the documents for a Redis user.
fn documented_user() -> Vec<String> {
    let text = include_str!("../../docs/operations/deploy.md");
    let line = text.lines().map(str::trim).find(|line| line.starts_with("ACL SETUSER"));
    line.expect("the rule").replace("PASSWORD", "secret").split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn the_documented_redis_user_may_do_everything_that_is_done() {
    let stage = Stage::set(&["--cities", "40"]).await;
    let rule = documented_user();
    let words: Vec<&str> = rule.iter().map(String::as_str).collect();
    let _: String = stage.redis.cli(&words).await;
    let url = stage.redis.url().replace("redis://", "redis://weather:secret@");
    let run = async |args: &[&str]| {
        let isobar = stage.isobar([]).args(args.iter().copied()).env("REDIS_URL", url.clone());
        isobar.run().await.expect_code(0)
    };
    for args in [
        &["produce", "--limit", "20"][..],
        &["consume", "--drain"],
        &["produce", "--pipeline", "air"],
        &["consume", "--drain"],
        &["outbox", "flush"],
        &["status"],
        &["jobs", "list"],
        &["pause"],
        &["resume"],
        &["verify", "--repair"],
        &["doctor"],
    ] {
        run(args).await;
    }
    let log: Vec<redis::Value> = stage.redis.cli(&["ACL", "LOG"]).await;
    assert!(log.is_empty(), "{log:?}");
}

#[tokio::test]
async fn a_worker_that_may_not_use_its_keys_says_so() {
    let stage = Stage::set(&["--cities", "40"]).await;
    let rule = documented_user();
    let words: Vec<&str> =
        rule.iter().map(String::as_str).filter(|word| *word != "~isobar:*").collect();
    let _: String = stage.redis.cli(&words).await;
    let url = stage.redis.url().replace("redis://", "redis://weather:secret@");
    let refused = stage.isobar(["consume", "--drain"]).env("REDIS_URL", url.clone()).run().await;
    let refused = refused.expect_code(78).stderr;
    assert!(refused.contains("needs the keys ~isobar:* too"), "{refused}");
    let found = stage.isobar(["doctor"]).env("REDIS_URL", url).run().await.expect_code(1).stdout;
    assert!(found.contains("needs the keys ~isobar:* too") && !found.contains("quota"), "{found}");
}
