//! Sessions: who has signed in on the page, proved by a cookie that this server has signed.
//!
//! Guarantees: a session is its expiry and 16 random bytes, signed with a key that is made from the API
//! key (HMAC-SHA256). So it survives a restart, and every process with the same API key accepts it; a new
//! API key ends all of them. It ends after [`LIFETIME`], or with a sign-out, which all processes of the
//! data folder read from one file. It grants what the key grants and nothing more.
//! Does not: end a session on hosts with another data folder; the browser has forgotten the cookie.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use chrono::{DateTime, Utc};
use rand::TryRngCore;
use rand::rngs::OsRng;
use ring::hmac;

/// The cookie that holds a session.
pub const NAME: &str = "isobar_session";
/// A working day.
pub const LIFETIME: Duration = Duration::from_hours(12);
/// The file of signed-out sessions, in the data folder.
pub const ENDED_FILE: &str = "ended-sessions";
/// Keeps the signature apart from any other use of the API key.
const PURPOSE: &str = "isobar session 1";

pub struct Sessions {
    key: hmac::Key,
    file: PathBuf,
    ended: Mutex<Ended>,
}

/// The sessions that were signed out, with their expiry.
#[derive(Default)]
struct Ended {
    by_name: HashMap<String, i64>,
    /// The file when it was read: its length, and when it was written.
    read: Option<(u64, SystemTime)>,
}

/// The signed part of a cookie: `expiry.random`, in seconds since 1970 and in hexadecimal digits.
#[derive(Debug, PartialEq, Eq)]
struct Session<'a> {
    name: &'a str,
    expires: i64,
}

impl Sessions {
    pub fn new(api_key: &str, file: PathBuf) -> Self {
        let made =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, api_key.as_bytes()), PURPOSE.as_bytes());
        let key = hmac::Key::new(hmac::HMAC_SHA256, made.as_ref());
        Self { key, file, ended: Mutex::default() }
    }

    /// A new session, for the cookie.
    pub fn open(&self, now: DateTime<Utc>) -> String {
        let mut random = [0; 16];
        OsRng.try_fill_bytes(&mut random).expect("the system has random bytes");
        let expires = now.timestamp() + LIFETIME.as_secs() as i64;
        let name = format!("{expires}.{}", hex(&random));
        let tag = hmac::sign(&self.key, name.as_bytes());
        format!("{name}.{}", hex(tag.as_ref()))
    }

    /// Whether the request's cookie is a valid session.
    pub fn holds(&self, headers: &HeaderMap, now: DateTime<Utc>) -> bool {
        cookies(headers).any(|cookie| {
            let session = self.verified(cookie, now);
            session.is_some_and(|session| !self.ended().by_name.contains_key(session.name))
        })
    }

    /// Ends the session of the request's cookie.
    pub fn close(&self, headers: &HeaderMap, now: DateTime<Utc>) {
        for session in cookies(headers).filter_map(|cookie| self.verified(cookie, now)) {
            let mut ended = self.ended();
            if ended.by_name.insert(session.name.to_owned(), session.expires).is_none()
                && let Err(error) = self.append(session.name, now)
            {
                let file = self.file.display();
                tracing::warn!(%file, %error, "a sign-out is known to this process only: the file cannot be written");
            }
        }
    }

    /// The session, if it is signed by us and not over.
    fn verified<'a>(&self, cookie: &'a str, now: DateTime<Utc>) -> Option<Session<'a>> {
        let (name, tag) = cookie.rsplit_once('.')?;
        // Compares in constant time.
        hmac::verify(&self.key, name.as_bytes(), &bytes(tag)?).ok()?;
        let expires = expiry(name)?;
        (expires > now.timestamp()).then_some(Session { name, expires })
    }

    fn append(&self, name: &str, now: DateTime<Utc>) -> std::io::Result<()> {
        let all_over = fs::read_to_string(&self.file)
            .is_ok_and(|text| text.lines().filter_map(expiry).all(|end| end <= now.timestamp()));
        let mut options = OpenOptions::new();
        options.create(true).mode(0o600);
        // Old lines mean nothing; the file is emptied when all are old.
        if all_over {
            options.write(true).truncate(true)
        } else {
            options.append(true)
        };
        options.open(&self.file)?.write_all(format!("{name}\n").as_bytes())
    }

    /// With what other processes have written since.
    fn ended(&self) -> MutexGuard<'_, Ended> {
        // After a panic elsewhere the map is still whole.
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let written = fs::metadata(&self.file).ok();
        let written = written.and_then(|file| Some((file.len(), file.modified().ok()?)));
        if written != ended.read
            && let Ok(text) = fs::read_to_string(&self.file)
        {
            let lines = text.lines().filter_map(|name| Some((name.to_owned(), expiry(name)?)));
            ended.by_name.extend(lines);
            ended.read = written;
        }
        ended
    }
}

/// The values of the session cookie: a browser sends one, other clients may send more.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='))
}

fn expiry(name: &str) -> Option<i64> {
    name.split_once('.')?.0.parse().ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string never fails");
        text
    })
}

/// The bytes of hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, cookie.parse().expect("a value"))])
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    #[test]
    fn a_session_ends_when_closed_or_expired() {
        let dir = tempfile::tempdir().expect("a folder");
        let sessions = Sessions::new("k3y", dir.path().join(ENDED_FILE));
        let life = LIFETIME.as_secs() as i64;
        let secret = sessions.open(at(0));
        let cookie = headers(&format!("theme=dark; {NAME}={secret}"));
        assert!(sessions.holds(&cookie, at(life - 1)));
        assert!(!sessions.holds(&cookie, at(life)));
        let (name, tag) = secret.rsplit_once('.').expect("signed");
        let longer = format!("{NAME}=9{name}.{tag}");
        let unsigned = format!("{NAME}={name}.");
        for foreign in
            ["", "x=y", NAME, "isobar_session=", "isobar_session=00", &secret, &longer, &unsigned]
        {
            assert!(!sessions.holds(&headers(foreign), at(0)), "{foreign}");
        }
        sessions.close(&cookie, at(0));
        assert!(!sessions.holds(&cookie, at(0)));
    }

    #[test]
    fn other_processes_with_the_key_know_a_session_and_its_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let process = |key: &str| Sessions::new(key, dir.path().join(ENDED_FILE));
        let (one, other) = (process("k3y"), process("k3y"));
        let [first, second] =
            [one.open(at(0)), one.open(at(0))].map(|secret| headers(&format!("{NAME}={secret}")));
        assert!(other.holds(&first, at(1)) && !process("new").holds(&first, at(1)));
        one.close(&first, at(2));
        assert!(!other.holds(&first, at(3)) && other.holds(&second, at(3)));
        other.close(&second, at(4));
        let restarted = process("k3y");
        assert!(!restarted.holds(&first, at(5)) && !restarted.holds(&second, at(5)));
        // All lines are old: the file is emptied before the next one.
        let later = LIFETIME.as_secs() as i64 + 10;
        let third = headers(&format!("{NAME}={}", one.open(at(later))));
        one.close(&third, at(later));
        let text = std::fs::read_to_string(dir.path().join(ENDED_FILE)).expect("reads");
        assert_eq!(text.lines().count(), 1);
        assert!(!other.holds(&third, at(later)));
    }
}
