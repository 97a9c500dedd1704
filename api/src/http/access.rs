//! Access rules: the key, the Host and the Origin of a request.
//!
//! Guarantees: a change that comes through a foreign Host (DNS rebinding) or from a page of another
//! site is refused (403), with or without a key. On a loopback listener a foreign Host is refused for
//! reads too, because only this machine should read there. A page of another site cannot load what
//! spends the quota. A request with two Hosts is refused (400). When a key is set, every route that is not public
//! needs it (401): in a header, or as a session ([`sessions`]). The key is compared in constant time
//! and kept only as a digest; wrong keys are slowed down (429, [`key_guesses`]).
//!
//! Does not: TLS, or users with different rights.
//!
//! [`sessions`]: crate::http::sessions
//! [`key_guesses`]: crate::http::key_guesses

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use chrono::Utc;
use isobar_settings::Settings;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::http::connection::ConnectionAddrs;
use crate::http::key_guesses::KeyGuesses;
use crate::http::problem::Problem;
use crate::http::sessions::{ENDED_FILE, Sessions};

const KEY_HEADER: &str = "x-api-key";
const FETCH_SITE_HEADER: &str = "sec-fetch-site";
const FETCH_MODE_HEADER: &str = "sec-fetch-mode";
const FETCH_DEST_HEADER: &str = "sec-fetch-dest";

/// The rules, from the settings.
pub struct Access {
    key: Option<[u8; 32]>,
    /// Lower-case names and addresses, without ports.
    allowed_hosts: Vec<String>,
    listen: IpAddr,
    guesses: KeyGuesses,
    /// Of a server with a key.
    pub sessions: Option<Sessions>,
}

/// The facts of a request that the rules read.
pub struct RequestFacts<'a> {
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub headers: &'a HeaderMap,
    pub addrs: Option<ConnectionAddrs>,
    /// The route needs no key.
    pub public: bool,
    /// The route may spend the upstream's quota.
    pub costs_quota: bool,
}

impl Access {
    pub fn new(settings: &Settings, listen: SocketAddr) -> Self {
        let allowed_hosts = settings
            .allowed_hosts
            .iter()
            .flat_map(|names| &names.0)
            .map(|name| host_of(name).to_ascii_lowercase())
            .collect();
        Self {
            key: settings.api_key.as_ref().map(|key| digest(key.expose())),
            allowed_hosts,
            listen: listen.ip(),
            guesses: KeyGuesses::default(),
            sessions: settings
                .api_key
                .as_ref()
                .map(|key| Sessions::new(key.expose(), settings.data_file(ENDED_FILE))),
        }
    }

    /// Host and Origin are checked first: a page of another site learns nothing about keys.
    pub fn check(&self, request: &RequestFacts<'_>) -> Result<(), Problem> {
        check_one_host(request)?;
        let change = !matches!(*request.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if change || self.listen.is_loopback() {
            self.check_host(request, change)?;
        }
        if change {
            self.check_origin(request)?;
        } else if request.costs_quota && is_foreign_subresource(request.headers) {
            let detail = "a page of another site must not spend the quota; open the address itself";
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden_origin", detail));
        }
        if request.public || self.authorise(request.headers, request.addrs)? {
            Ok(())
        } else {
            let detail =
                "API key required: send X-API-Key or Authorization: Bearer, or sign in at /login";
            Err(Problem::unauthorized(detail))
        }
    }

    /// Whether no key is set, or the request carries the key or a session. An error if the client
    /// must wait before its key is compared.
    pub fn authorise(
        &self,
        headers: &HeaderMap,
        addrs: Option<ConnectionAddrs>,
    ) -> Result<bool, Problem> {
        if self.key.is_none() || self.is_signed_in(headers) {
            return Ok(true);
        }
        for candidate in keys(headers) {
            if self.is_key(candidate, addrs)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a request that was authorised is so still: its session may have ended since.
    pub fn remains_authorised(&self, headers: &HeaderMap) -> bool {
        self.key.is_none_or(|key| {
            keys(headers).any(|candidate| digest(candidate).ct_eq(&key).into())
                || self.is_signed_in(headers)
        })
    }

    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    fn is_signed_in(&self, headers: &HeaderMap) -> bool {
        self.sessions.as_ref().is_some_and(|sessions| sessions.holds(headers, Utc::now()))
    }

    /// Always true if no key is set. An error if the client must wait before its key is compared.
    pub fn is_key(
        &self,
        candidate: &[u8],
        addrs: Option<ConnectionAddrs>,
    ) -> Result<bool, Problem> {
        let Some(key) = self.key else {
            return Ok(true);
        };
        let peer = addrs.map_or(Ipv4Addr::UNSPECIFIED.into(), |addrs| addrs.peer.ip());
        let now = Instant::now();
        self.guesses.check(peer, now).map_err(Problem::too_many_guesses)?;
        let candidate = digest(candidate);
        let is_key: bool = candidate.ct_eq(&key).into();
        if !is_key {
            self.guesses.count(peer, candidate, now);
        }
        Ok(is_key)
    }

    fn check_host(&self, request: &RequestFacts<'_>, change: bool) -> Result<(), Problem> {
        match authority(request) {
            // Every browser sends a Host; a plain HTTP/1.0 health check does not.
            None if !change => Ok(()),
            Some(host) if self.is_own(&host, request.addrs.map(|addrs| addrs.local)) => Ok(()),
            _ => {
                let detail = "this Host is not allowed; add it to ISOBAR_ALLOWED_HOSTS";
                Err(Problem::new(StatusCode::FORBIDDEN, "forbidden_host", detail))
            }
        }
    }

    fn check_origin(&self, request: &RequestFacts<'_>) -> Result<(), Problem> {
        let foreign = || {
            let detail = "a page of another site must not change anything here";
            Problem::new(StatusCode::FORBIDDEN, "forbidden_origin", detail)
        };
        // `same-site` may be another port of this machine. `none` is an address typed by the user.
        let fetch_site = request.headers.get(FETCH_SITE_HEADER);
        if fetch_site.is_some_and(|site| site != "same-origin" && site != "none") {
            return Err(foreign());
        }
        let Some(origin) = request.headers.get(ORIGIN) else {
            return Ok(());
        };
        let origin = origin.to_str().ok().and_then(origin_authority);
        let same = origin.as_deref().is_some_and(|origin| {
            authority(request).is_some_and(|host| without_default_port(&host) == origin)
                || self.allowed_hosts.iter().any(|name| name == host_of(origin))
        });
        if same { Ok(()) } else { Err(foreign()) }
    }

    fn is_own(&self, authority: &str, local: Option<SocketAddr>) -> bool {
        let host = host_of(authority);
        if host == "localhost" || self.allowed_hosts.iter().any(|name| name == host) {
            return true;
        }
        host.parse::<IpAddr>().is_ok_and(|ip| {
            ip.is_loopback() || ip == self.listen || local.is_some_and(|local| local.ip() == ip)
        })
    }
}

/// A proxy in front may decide by one Host and this server by the other (RFC 9112, section 3.2).
fn check_one_host(request: &RequestFacts<'_>) -> Result<(), Problem> {
    if request.headers.get_all(HOST).iter().nth(1).is_none() {
        return Ok(());
    }
    let detail = "the request has more than one Host header";
    Err(Problem::new(StatusCode::BAD_REQUEST, "bad_request", detail))
}

/// Whether a browser loads it as a part of another site's page: an image, a script, a frame. A link
/// that a person follows is a navigation of a whole document.
fn is_foreign_subresource(headers: &HeaderMap) -> bool {
    let is_navigation = headers.get(FETCH_MODE_HEADER).is_some_and(|mode| mode == "navigate")
        && headers.get(FETCH_DEST_HEADER).is_none_or(|dest| dest == "document");
    headers.get(FETCH_SITE_HEADER).is_some_and(|site| site == "cross-site") && !is_navigation
}

/// The lower-case `host[:port]` that the request was sent to; `None` if it names none.
fn authority(request: &RequestFacts<'_>) -> Option<String> {
    let text = match request.headers.get(HOST) {
        // An unreadable host is a host too, but never an allowed one.
        Some(host) => host.to_str().unwrap_or("?"),
        None => request.uri.authority().map(Authority::as_str)?,
    };
    Some(text.to_ascii_lowercase())
}

/// `https://name:443` → `name`; `None` for `null` and everything that is not a web origin.
fn origin_authority(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))?;
    let plain = !authority.is_empty() && !authority.contains(['/', '@', '?', '#']);
    plain.then(|| without_default_port(authority).to_owned())
}

fn without_default_port(authority: &str) -> &str {
    authority.strip_suffix(":80").or_else(|| authority.strip_suffix(":443")).unwrap_or(authority)
}

/// `name:8000` → `name`, `[::1]:8000` → `::1`, `::1` → `::1`.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match authority.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') => host,
        _ => authority,
    }
}

/// The keys that a request carries.
fn keys(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().as_bytes())
    });
    let plain = headers.get(KEY_HEADER).map(HeaderValue::as_bytes);
    [plain, bearer].into_iter().flatten()
}

/// Digests have one length, so comparing them reveals nothing about the key's length.
fn digest(key: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(key.as_ref()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use isobar_settings::Environment;

    fn access(pairs: &[(&str, &str)], listen: &str) -> Access {
        let environment =
            pairs.iter().fold(Environment::empty(), |env, (name, value)| env.with(name, *value));
        let settings = Settings::load(&environment).expect("fits");
        Access::new(&settings, listen.parse().expect("an address"))
    }

    fn status(access: &Access, method: &Method, headers: &[(&'static str, &str)]) -> u16 {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (axum::http::HeaderName::from_static(name), value.parse().expect("a value"))
            })
            .collect();
        let request = RequestFacts {
            method,
            uri: &Uri::from_static("/history"),
            headers: &headers,
            addrs: Some(ConnectionAddrs {
                local: ([192, 0, 2, 7], 8000).into(),
                peer: ([192, 0, 2, 8], 50_000).into(),
            }),
            public: false,
            costs_quota: false,
        };
        match access.check(&request) {
            Ok(()) => 200,
            Err(problem) => problem.status.as_u16(),
        }
    }

    #[test]
    fn only_own_host_names_may_receive_changes() {
        let local = access(&[("ISOBAR_ALLOWED_HOSTS", "Weather.Example:443")], "127.0.0.1:8000");
        for host in [
            "localhost:8000",
            "LOCALHOST",
            "127.0.0.1:9",
            "127.9.9.9",
            "[::1]:8000",
            "weather.example",
            "192.0.2.7:8000",
        ] {
            assert_eq!(status(&local, &Method::DELETE, &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8000", "10.0.0.1", "", "["] {
            for method in [Method::POST, Method::GET] {
                assert_eq!(status(&local, &method, &[("host", host)]), 403, "{host}");
            }
        }
        assert_eq!(status(&local, &Method::GET, &[]), 200);
        assert_eq!(status(&local, &Method::POST, &[]), 403);
    }

    #[test]
    fn off_loopback_only_changes_need_an_own_host() {
        let open = access(&[("ISOBAR_API_KEY", "k")], "0.0.0.0:8000");
        let key = ("x-api-key", "k");
        assert_eq!(status(&open, &Method::GET, &[("host", "api:8000"), key]), 200);
        assert_eq!(status(&open, &Method::POST, &[("host", "api:8000"), key]), 403);
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let local = access(&[], "127.0.0.1:8000");
        let host = ("host", "127.0.0.1:8000");
        for foreign in [
            ("origin", "https://evil.example"),
            ("origin", "http://127.0.0.1:3000"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:8000@evil.example"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "an unknown value"),
        ] {
            assert_eq!(status(&local, &Method::POST, &[host, foreign]), 403, "{foreign:?}");
            assert_eq!(status(&local, &Method::GET, &[host, foreign]), 200, "{foreign:?}");
        }
        for own in [
            ("origin", "http://127.0.0.1:8000"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
        ] {
            assert_eq!(status(&local, &Method::POST, &[host, own]), 200, "{own:?}");
        }
        let proxied = access(&[("ISOBAR_ALLOWED_HOSTS", "w.example")], "127.0.0.1:8000");
        let headers = [("host", "w.example"), ("origin", "https://w.example")];
        assert_eq!(status(&proxied, &Method::POST, &headers), 200);
    }

    #[test]
    fn the_key_is_accepted_in_either_header() {
        let keyed = access(&[("ISOBAR_API_KEY", "s3cret")], "127.0.0.1:8000");
        let host = ("host", "localhost");
        assert_eq!(status(&keyed, &Method::GET, &[host]), 401);
        assert_eq!(status(&keyed, &Method::GET, &[host, ("x-api-key", "s3cre")]), 401);
        assert_eq!(status(&keyed, &Method::GET, &[host, ("x-api-key", "s3cret")]), 200);
        for (value, expected) in [("bearer s3cret", 200), ("Basic s3cret", 401), ("Bearer ", 401)] {
            assert_eq!(status(&keyed, &Method::GET, &[host, ("authorization", value)]), expected);
        }
        assert_eq!(status(&keyed, &Method::POST, &[("host", "evil.example")]), 403);
    }
}
