//! Secrets in the words of a provider: some services repeat the request, key included.
//!
//! Guarantees: neither the configured keys nor the value of a parameter that names a key or a token
//! is left in a text.

use isobar_settings::Settings;
use isobar_settings::values::Secret;
use url::Url;

const HIDDEN: &str = "***";
/// A shorter one would blank out half of a sentence.
const MIN_SECRET: usize = 4;
/// Parameters whose values are secrets, in lower case.
const PARAMETERS: [&str; 7] =
    ["appid", "apikey", "api_key", "access_token", "token", "key", "password"];

/// The text without secrets.
pub fn hide(text: &str, settings: &Settings) -> String {
    let keys = [&settings.openweather_api_key, &settings.users_api_key];
    let keys = keys.into_iter().flatten().map(Secret::expose).map(str::to_owned);
    let urls = [settings.upstream_url(), &settings.geocoding_url.0, &settings.air_quality_url.0];
    let known: Vec<String> = keys.chain(urls.into_iter().flat_map(in_url)).collect();
    let mut text = text.to_owned();
    for secret in known.iter().filter(|secret| secret.len() >= MIN_SECRET) {
        text = text.replace(secret.as_str(), HIDDEN);
    }
    hide_parameters(&text)
}

/// What a base URL has that messages must not show.
fn in_url(url: &Url) -> impl Iterator<Item = String> {
    let user = [Some(url.username()), url.password()].into_iter().flatten().map(str::to_owned);
    user.chain(url.query_pairs().map(|(_, value)| value.into_owned()))
}

/// Hides the value in `appid=value`, up to the next `&`, space or quote.
fn hide_parameters(text: &str) -> String {
    let mut parts = text.split('=');
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let name = shown.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next();
        let is_secret =
            name.is_some_and(|name| PARAMETERS.contains(&name.to_ascii_lowercase().as_str()));
        shown.push('=');
        let value = part.trim_start_matches(['"', '\'']);
        let end = value.find(|c: char| c.is_whitespace() || "&\"'`<>),;".contains(c));
        let end = end.unwrap_or(value.len());
        if is_secret && end > 0 {
            shown.push_str(HIDDEN);
            shown.push_str(&value[end..]);
        } else {
            shown.push_str(part);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use isobar_settings::Environment;

    use super::*;

    #[test]
    fn keys_are_hidden_and_advice_is_kept() {
        let environment = Environment::empty()
            .with("ISOBAR_OPENWEATHER_API_KEY", "s3cret")
            .with("ISOBAR_OPEN_METEO_URL", "https://u5er@api.example/?x=qu3ry");
        let settings = Settings::load(&environment).expect("fits");
        for (text, expected) in [
            ("Invalid key s3cret.", "Invalid key ***."),
            ("GET /?appid=abc&lat=1 failed", "GET /?appid=***&lat=1 failed"),
            ("\"?APIKEY=abc\" or token=x y", "\"?APIKEY=***\" or token=*** y"),
            ("appid=\"abc\" is unknown", "appid=***\" is unknown"),
            ("u5er and qu3ry", "*** and ***"),
            (
                "API key required. Please add &apikey= to the URL.",
                "API key required. Please add &apikey= to the URL.",
            ),
            ("monkey=5, lat=1", "monkey=5, lat=1"),
        ] {
            assert_eq!(hide(text, &settings), expected);
        }
    }
}
