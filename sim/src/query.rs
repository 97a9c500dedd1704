//! Request parameters: the query of a GET, the form body of a POST, or both.
//!
//! As the upstreams do it: `%2C` and `,` are the same list separator, a repeated name continues the
//! list, an empty value counts as absent, names no one asks about are ignored.

use std::borrow::Cow;

use url::form_urlencoded;

#[derive(Debug, Default)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    pub fn parse(query: &'a str, form: &'a [u8]) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes())
            .chain(form_urlencoded::parse(form))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        Self { pairs }
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// All elements of a comma list, spaces around them dropped.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name)
            .flat_map(|value| value.split(','))
            .map(str::trim)
    }

    /// The decoded parameters as one text, for faults that look for a part of it.
    pub fn text(&self) -> String {
        let pairs: Vec<String> = self
            .pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_at_plain_and_encoded_commas_and_over_repeated_names() {
        let query = Query::parse(
            "latitude=1%2C2&latitude=3,%204&empty=",
            b"name=S%C3%A3o+Paulo",
        );
        assert_eq!(
            query.list("latitude").collect::<Vec<_>>(),
            ["1", "2", "3", "4"]
        );
        assert_eq!(query.get("name"), Some("São Paulo"));
        assert_eq!(query.get("empty"), None);
        assert_eq!(query.text(), "latitude=1,2&latitude=3, 4&name=São Paulo");
    }
}
