//! Who may read the data: only the account that Isobar runs under, whatever its umask is.
//!
//! The files hold keys of users' cards, addresses and every city that somebody looked for. A folder
//! that an administrator has made keeps the mode that it was given.

use std::fs::{Permissions, create_dir, metadata, read_dir, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use reqwest::Method;

use crate::harness::http::{Http, send};
use crate::harness::isobar::Isobar;
use crate::harness::wait::PATIENCE;

/// The folder itself and everything in it, with the bits of the mode that others could use.
fn open_to_others(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = vec![folder.to_owned()];
    let mut at = 0;
    while at < found.len() {
        if found[at].is_dir() {
            found.extend(
                read_dir(&found[at]).expect("a folder").map(|entry| entry.expect("one").path()),
            );
        }
        at += 1;
    }
    let modes = found.into_iter().map(|path| {
        let mode = metadata(&path).expect("there").permissions().mode();
        (path, mode & 0o077)
    });
    modes.filter(|(_, mode)| *mode != 0).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("one").file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn nobody_else_can_read_the_data_whatever_the_umask_is() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let data = dir.path().join("deeper/data");
    let isobar =
        || Isobar::new(dir.path()).env("ISOBAR_DATA_DIR", data.to_string_lossy()).with_umask("000");
    let produced = isobar().args(["produce", "--csv", "-"]).input("city\nParis\n").run().await;
    produced.expect_code(0);
    assert_eq!(open_to_others(&dir.path().join("deeper")), []);

    let up = isobar().args(["up", "--sim", "--listen", "127.0.0.1:0"]).spawn();
    let said = up.wait_for_line(|line| line.starts_with("listening on http://"), PATIENCE).await;
    let http = Http::new(said.trim_start_matches("listening on "));
    let body =
        "--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\ncity\nRome\n\r\n--b--\r\n";
    let upload = http
        .request(Method::POST, "/bulk/import")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body);
    assert_eq!(send(upload).await.expect("an answer").status, 202);
    let there = names(&data);
    for file in
        ["isobar.db-wal", "isobar.db-shm", "imports.db", "outbox.db.lock", "card.key", "spool"]
    {
        assert!(there.iter().any(|name| name == file), "{file} is not in {there:?}");
    }
    assert_eq!(open_to_others(&dir.path().join("deeper")), []);
}

#[tokio::test]
async fn a_folder_that_exists_keeps_its_mode_and_the_files_in_it_are_private() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let data = dir.path().join("data");
    create_dir(&data).expect("create a folder");
    set_permissions(&data, Permissions::from_mode(0o755)).expect("set the mode");
    let isobar = Isobar::new(dir.path())
        .env("ISOBAR_DATA_DIR", data.to_string_lossy())
        .with_umask("000")
        .args(["produce", "--csv", "-"])
        .input("city\nParis\n");
    isobar.run().await.expect_code(0);
    assert_eq!(open_to_others(&data), [(data.clone(), 0o055)]);
}
