//! Card key: the key of card fingerprints, from `ISOBAR_CARD_KEY` or a file in the data folder.
//!
//! Guarantees: a missing file is created once and atomically, however many processes start at
//! the same time. Only its owner may read it. A file that is not a key is never replaced.
//! Next: [`FingerprintKey`], which computes the fingerprints.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use isobar_model::user::FingerprintKey;
use isobar_settings::Settings;

const FILE: &str = "card.key";
const KEY_BYTES: usize = 32;
/// Reads of a key that another process may be creating.
const TRIES: u32 = 2;

/// The key of this installation. Creates one if there is none.
pub fn open(settings: &Settings) -> io::Result<FingerprintKey> {
    match &settings.card_key {
        Some(secret) => Ok(FingerprintKey::from_secret(secret.expose())),
        None => read_or_create(&settings.data_file(FILE)),
    }
}

fn read_or_create(path: &Path) -> io::Result<FingerprintKey> {
    for _ in 0..TRIES {
        match fs::read(path) {
            Ok(key) if key.len() == KEY_BYTES => {
                return Ok(FingerprintKey::from_bytes(&key));
            }
            Ok(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "{} is not a key of Isobar; remove it and a new one is created",
                        path.display()
                    ),
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{} was created and removed by other processes", path.display())))
}

fn create(path: &Path) -> io::Result<()> {
    let key: [u8; KEY_BYTES] = rand::random();
    let draft = path.with_extension(uuid::Uuid::new_v4().to_string());
    let mut file: File =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(&key).and_then(|()| file.sync_all());
    // A link never replaces a file: two processes that start together use the first one's key.
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    fs::remove_file(&draft)?;
    linked
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_created_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        let of = || read_or_create(&path).expect("a key").fingerprint("4111111111111111");
        let first = of();
        assert_eq!(of(), first);
        assert_eq!(first.len(), 64);
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 1);
        assert_ne!(FingerprintKey::from_secret("another").fingerprint("4111111111111111"), first);
    }

    #[test]
    fn a_file_without_a_key_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        fs::write(&path, "short").expect("writes");
        assert!(read_or_create(&path).is_err());
        assert_eq!(fs::read(&path).expect("reads"), b"short");
    }
}
