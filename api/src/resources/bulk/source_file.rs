//! Opens a file of this machine for an import: a regular file beneath `ISOBAR_IMPORT_DIR`.
//!
//! Guarantees: the path is resolved with all links before it is compared with the folder, so neither
//! `..` nor a link leads out of it. The resolved path is then opened part by part without following
//! links, so a link that is swapped in between gains nothing. Files that are outside, missing or not
//! regular give the same 422, so a caller learns nothing about them.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use bytes::{Bytes, BytesMut};
use isobar_settings::values::ByteSize;
use rustix::fs::{Mode, OFlags};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::http::problem::Problem;

const PIECE_BYTES: usize = 256 * 1024;

/// An open file that is read piece by piece.
#[derive(Debug)]
pub struct SourceFile {
    file: File,
    read_bytes: u64,
    limit: ByteSize,
}

pub async fn open(folder: &Path, path: &str, limit: ByteSize) -> Result<SourceFile, Problem> {
    let (folder, path) = (folder.to_owned(), PathBuf::from(path));
    let opened = tokio::task::spawn_blocking(move || {
        let (folder, inside) = resolve(&folder, &path)?;
        open_beneath(&folder, &inside)
    });
    let Ok(Some(file)) = opened.await else {
        return Err(unusable());
    };
    let metadata = file.metadata().map_err(|_| unusable())?;
    let file = File::from_std(file);
    if metadata.len() > limit.0 {
        return Err(Problem::too_large(limit));
    }
    if metadata.len() == 0 {
        return Err(Problem::body("path", "the file is empty"));
    }
    Ok(SourceFile { file, read_bytes: 0, limit })
}

impl SourceFile {
    /// `None` at the end. The limit also holds for a file that grows while it is read.
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>, Problem> {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let read = self.file.read_buf(&mut piece).await.map_err(Problem::internal)?;
        self.read_bytes += read as u64;
        if self.read_bytes > self.limit.0 {
            return Err(Problem::too_large(self.limit));
        }
        Ok((read > 0).then(|| piece.freeze()))
    }
}

/// The resolved folder, and the resolved path relative to it. `None` if the path is not beneath it.
fn resolve(folder: &Path, path: &Path) -> Option<(PathBuf, PathBuf)> {
    let folder = folder.canonicalize().ok()?;
    let path = folder.join(path).canonicalize().ok()?;
    let inside = path.strip_prefix(&folder).ok()?.to_owned();
    Some((folder, inside))
}

/// Opens a path without following links. A pipe or a device is opened without waiting and refused.
fn open_beneath(folder: &Path, inside: &Path) -> Option<std::fs::File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut parts: Vec<&OsStr> = Vec::new();
    for part in inside.components() {
        let Component::Normal(part) = part else { return None };
        parts.push(part);
    }
    let name = parts.pop()?;
    let mut at = rustix::fs::open(folder, flags | OFlags::DIRECTORY, Mode::empty()).ok()?;
    for part in parts {
        at = rustix::fs::openat(&at, part, flags | OFlags::DIRECTORY, Mode::empty()).ok()?;
    }
    let file = rustix::fs::openat(&at, name, flags, Mode::empty()).ok()?;
    let file = std::fs::File::from(file);
    file.metadata().ok()?.is_file().then_some(file)
}

fn unusable() -> Problem {
    Problem::body("path", "no such file in the import folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: ByteSize = ByteSize(10);

    #[tokio::test]
    async fn only_regular_files_beneath_the_folder_are_read() {
        let outer = tempfile::tempdir().expect("a folder");
        let inner = outer.path().join("in");
        std::fs::create_dir_all(inner.join("deep")).expect("creates");
        std::fs::create_dir(outer.path().join("in-beside")).expect("creates");
        for (name, content) in [
            ("secret", "s"),
            ("in-beside/x", "x"),
            ("in/deep/a.csv", "city\n"),
            ("in/empty", ""),
            ("in/large", "12345678901"),
        ] {
            std::fs::write(outer.path().join(name), content).expect("writes");
        }
        std::os::unix::fs::symlink(outer.path().join("secret"), inner.join("link")).expect("links");

        let mut file = open(&inner, "deep/a.csv", LIMIT).await.expect("opens");
        assert_eq!(file.next_piece().await.expect("reads").expect("a piece"), "city\n");
        assert_eq!(file.next_piece().await.expect("reads"), None);
        assert!(open(&inner, "deep/../deep/a.csv", LIMIT).await.is_ok());

        let absolute = outer.path().join("secret");
        for path in [
            "../secret",
            "link",
            "../in-beside/x",
            "deep",
            "nowhere",
            "",
            "a\0b",
            "/dev/null",
            absolute.to_str().expect("UTF-8"),
        ] {
            let problem = open(&inner, path, LIMIT).await.expect_err(path);
            assert_eq!(problem.detail, unusable().detail, "{path}");
        }
        assert_eq!(open(&inner, "large", LIMIT).await.expect_err("large").status, 413);
        assert_eq!(open(&inner, "empty", LIMIT).await.expect_err("empty").status, 422);
    }

    #[test]
    fn a_link_created_later_is_not_followed() {
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("in");
        let deep = folder.join("deep");
        std::fs::create_dir_all(&deep).expect("creates");
        std::fs::create_dir(outer.path().join("secrets")).expect("creates");
        for file in ["in/deep/a.csv", "secrets/a.csv"] {
            std::fs::write(outer.path().join(file), "city\n").expect("writes");
        }
        let path = Path::new("deep/a.csv");
        let (folder, inside) = resolve(&folder, path).expect("beneath");
        assert!(open_beneath(&folder, &inside).is_some());

        let swap = |what: &Path, target: &str| {
            std::fs::rename(what, outer.path().join("aside")).expect("moves");
            std::os::unix::fs::symlink(outer.path().join(target), what).expect("links");
        };
        let restore = |what: &Path| {
            std::fs::remove_file(what).expect("removes");
            std::fs::rename(outer.path().join("aside"), what).expect("moves");
        };
        swap(&deep.join("a.csv"), "secrets/a.csv");
        assert!(open_beneath(&folder, &inside).is_none(), "the file became a link");
        restore(&deep.join("a.csv"));
        swap(&deep, "secrets");
        assert!(open_beneath(&folder, &inside).is_none(), "its folder became a link");
        restore(&deep);
        assert!(open_beneath(&folder, &inside).is_some());
    }

    #[tokio::test]
    async fn a_link_within_the_folder_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("monday.csv"), "city\n").expect("writes");
        let latest = folder.path().join("latest.csv");
        std::os::unix::fs::symlink("monday.csv", latest).expect("links");
        assert!(open(folder.path(), "latest.csv", LIMIT).await.is_ok());
    }

    #[tokio::test]
    async fn a_pipe_is_refused_without_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        assert_eq!(open(folder.path(), "pipe", LIMIT).await.expect_err("a pipe").status, 422);
    }
}
