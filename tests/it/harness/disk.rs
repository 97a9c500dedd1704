//! A disk of a few megabytes that a test may fill: a file system in memory, mounted for it alone.
//!
//! Mounting takes root, or `sudo` without a question; where neither is allowed the test says so and
//! fails. A shell under `guard` holds the mount, so that it never outlives the test process.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::guard::{Guarded, Spec, clean_environment, tail};
use super::wait::{PATIENCE, until};

/// `mount FOLDER MEBIBYTES`, until it is told to end.
const MOUNT: &str = r#"
mount -t tmpfs -o "size=$2m,mode=0777" isobar-test "$1" || exit 1
sleep infinity &
trap 'kill $!' TERM
echo mounted
wait
umount -l "$1"
"#;
const FILLER: &str = "filler";

#[derive(Debug)]
pub struct Disk {
    // Before the folder, which must not be busy when it is removed.
    _mounted: Guarded,
    point: PathBuf,
    _folder: TempDir,
}

impl Disk {
    pub async fn of_mebibytes(size: u32) -> Self {
        // Servers that run as another user must reach it, too.
        let folder = tempfile::Builder::new()
            .prefix("isobar-disk-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a folder");
        let point = folder.path().join("disk");
        std::fs::create_dir(&point).expect("a folder");
        let (said, size) = (folder.path().join("mount.log"), size.to_string());
        let shell = ["sh", "-c", MOUNT, "mount"].map(OsStr::new);
        let mut words = as_root();
        words.extend(shell);
        words.extend([point.as_os_str(), OsStr::new(&size)]);
        let mut mounted = Guarded::start(&Spec {
            program: words[0],
            arguments: words[1..].to_vec(),
            environment: clean_environment(),
            working_dir: folder.path(),
            input: None,
            stdout: said.clone(),
            stderr: said.clone(),
            last_signal: "TERM",
            remove: None,
        });
        until(PATIENCE, "the disk is mounted", async || {
            let ended = mounted.exit_code();
            assert_eq!(ended, None, "to mount a disk takes root or sudo\n{}", tail(&said));
            std::fs::read_to_string(&said).is_ok_and(|said| said.contains("mounted"))
        })
        .await;
        Self { _mounted: mounted, point, _folder: folder }
    }

    pub fn path(&self) -> &Path {
        &self.point
    }

    /// Takes every byte that is left.
    pub fn fill(&self) {
        let mut filler = File::create(self.point.join(FILLER)).expect("a file");
        for size in [1 << 16, 1 << 12, 1] {
            let block = vec![0; size];
            loop {
                let Err(full) = filler.write_all(&block) else { continue };
                assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
                break;
            }
        }
    }

    /// `ro` or `rw`; nobody may have a file open for writing.
    pub fn remount(&self, how: &str) {
        let mut words = as_root();
        let how = format!("remount,{how}");
        words.extend(["mount", "-o", &how].map(OsStr::new));
        let done = Command::new(words[0]).args(&words[1..]).arg(&self.point).status();
        assert!(done.expect("mount").success(), "{how}");
    }

    /// Gives it back.
    pub fn empty(&self) {
        std::fs::remove_file(self.point.join(FILLER)).expect("it was filled");
    }
}

/// The words that come before a command that only root may run.
fn as_root() -> Vec<&'static OsStr> {
    let id = Command::new("id").arg("-u").output().expect("id");
    let sudo = ["sudo", "-n"].map(OsStr::new);
    if id.stdout.trim_ascii() == b"0" { Vec::new() } else { sudo.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_disk_is_full_until_it_is_emptied_and_gone_with_the_test() {
        let disk = Disk::of_mebibytes(1).await;
        let (point, file) = (disk.path().to_owned(), disk.path().join("f"));
        disk.fill();
        let full = std::fs::write(&file, [0; 9_000]).expect_err("no room");
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        disk.empty();
        std::fs::write(&file, [0; 9_000]).expect("room");
        drop(disk);
        assert!(!point.exists());
    }
}
