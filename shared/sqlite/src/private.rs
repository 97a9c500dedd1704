//! Private files: what Isobar creates can be read only by the account that it runs under.
//!
//! Guarantees: a new folder has the mode 0700 and a new file 0600, whatever the umask of the process
//! is. What exists keeps its mode: an administrator may have given a folder to a group.
//!
//! SQLite gives `-wal` and `-shm` the mode of their database, so they need nothing here.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Creates the folder and the folders above it that are missing.
pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Creates the file for writing; an error if it exists.
pub fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Opens the file for reading and writing, with its content, or creates it.
pub fn open_or_create_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn new_folders_and_files_are_private_and_existing_ones_keep_their_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("a/b");
        create_folder(&deep).expect("creates");
        assert_eq!((mode(&deep), mode(&folder.path().join("a"))), (0o700, 0o700));
        let file = deep.join("f");
        create_file(&file).expect("creates");
        assert!(create_file(&file).is_err());
        assert_eq!(mode(&file), 0o600);
        for (path, given) in [(&deep, 0o750), (&file, 0o640)] {
            set_permissions(path, Permissions::from_mode(given)).expect("sets the mode");
        }
        create_folder(&deep).expect("exists");
        open_or_create_file(&file).expect("opens");
        assert_eq!((mode(&deep), mode(&file)), (0o750, 0o640));
    }
}
