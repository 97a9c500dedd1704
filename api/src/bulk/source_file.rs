//! A file of this machine that an import may read: a regular one, beneath `ISOBAR_IMPORT_DIR`.
//!
//! The path is resolved, links and all, before it is compared with the folder, so neither `..` nor
//! a link leads out of it. What lies outside, what is missing and what is no regular file are told
//! apart by nobody who asks: all of them are the same 422.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use isobar_shared::config::values::ByteSize;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::problem::Problem;

const PIECE_BYTES: usize = 256 * 1024;

/// The file, to be read piece by piece.
#[derive(Debug)]
pub struct SourceFile {
    file: File,
    read_bytes: u64,
    limit: ByteSize,
}

pub async fn open(folder: &Path, path: &str, limit: ByteSize) -> Result<SourceFile, Problem> {
    let asked = folder.join(path);
    let folder = folder.to_owned();
    let resolved = tokio::task::spawn_blocking(move || resolve(&folder, &asked)).await;
    let Ok(Some(path)) = resolved else {
        return Err(unusable());
    };
    let file = File::open(&path).await.map_err(|_| unusable())?;
    let metadata = file.metadata().await.map_err(|_| unusable())?;
    if metadata.len() > limit.0 {
        return Err(Problem::too_large(limit));
    }
    if metadata.len() == 0 {
        return Err(Problem::body("path", "the file is empty"));
    }
    Ok(SourceFile { file, read_bytes: 0, limit })
}

impl SourceFile {
    /// `None` at the end. A file that grows meanwhile is held to the limit all the same.
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

/// Where the path really leads, if that is a regular file beneath the folder. Opening a pipe or a
/// device would block or worse, so this is looked at before.
fn resolve(folder: &Path, asked: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let path = asked.canonicalize().ok()?;
    let regular = path.metadata().ok()?.is_file();
    (regular && path.starts_with(&folder)).then_some(path)
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
}
