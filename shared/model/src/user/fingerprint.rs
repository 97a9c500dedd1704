//! How a changed card is noticed without its number: HMAC-SHA256 under a key of this installation.
//!
//! Card numbers are few, so a plain hash of one is as good as the number. The key is the setting
//! `ISOBAR_CARD_KEY`, else a random one in the data dir, never in the store: who takes a copy of the
//! tables cannot try numbers. Workers on several hosts need the same key, or each takes a card that
//! another one stored for a changed one; nothing else depends on it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::hmac;

use crate::config::Settings;

const FILE: &str = "card.key";
const KEY_BYTES: usize = 32;
/// Tries of reading a key that another process is writing.
const TRIES: u32 = 2;

/// Cheap to clone; shows nothing.
#[derive(Clone)]
pub struct CardKey(hmac::Key);

impl std::fmt::Debug for CardKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CardKey(***)")
    }
}

impl CardKey {
    /// The key of this installation; makes one where there is none.
    pub fn open(settings: &Settings) -> io::Result<Self> {
        match &settings.card_key {
            Some(secret) => Ok(Self::from_secret(secret.expose())),
            None => of_file(&settings.data_file(FILE)),
        }
    }

    pub fn from_secret(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// Equal for equal digits, and nothing that could be reversed without the key.
    pub fn fingerprint(&self, digits: &str) -> String {
        use std::fmt::Write;
        let tag = hmac::sign(&self.0, digits.as_bytes());
        tag.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string never fails");
            text
        })
    }
}

/// Reads the key, or writes one: whole or not at all, however many start at once.
fn of_file(path: &Path) -> io::Result<CardKey> {
    for _ in 0..TRIES {
        match fs::read(path) {
            Ok(key) if key.len() == KEY_BYTES => {
                return Ok(CardKey(hmac::Key::new(hmac::HMAC_SHA256, &key)));
            }
            Ok(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} is no key of ours; remove it to have a new one", path.display()),
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{} comes and goes", path.display())))
}

fn create(path: &Path) -> io::Result<()> {
    let key: [u8; KEY_BYTES] = rand::random();
    let draft = path.with_extension(uuid::Uuid::new_v4().to_string());
    let mut file: File =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(&key).and_then(|()| file.sync_all());
    // A link never replaces: of two that start at once, both read the key of the first.
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
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        let of = || of_file(&path).expect("a key").fingerprint("4111111111111111");
        let first = of();
        assert_eq!(of(), first);
        assert_eq!(first.len(), 64);
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 1);
        assert_ne!(CardKey::from_secret("another").fingerprint("4111111111111111"), first);
    }

    #[test]
    fn a_file_that_is_no_key_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        fs::write(&path, "short").expect("writes");
        assert!(of_file(&path).is_err());
        assert_eq!(fs::read(&path).expect("reads"), b"short");
    }
}
