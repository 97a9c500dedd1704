//! Query: the parameters of a request, from its URL, its form body, or both.
//!
//! Guarantees: parameters mean what they mean upstream. `%2C` and `,` both separate lists, a
//! repeated name continues its list, and an empty value counts as absent.
//! Does not: reject unknown names.

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

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// All elements of a comma list, without spaces around them.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name).flat_map(|value| value.split(',')).map(str::trim)
    }

    /// The decoded parameters as one text, for the `match` of a fault.
    pub fn text(&self) -> String {
        let pairs: Vec<String> =
            self.pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_accept_encoded_commas_and_repeated_names() {
        let query = Query::parse("latitude=1%2C2&latitude=3,%204&empty=", b"name=S%C3%A3o+Paulo");
        assert_eq!(query.list("latitude").collect::<Vec<_>>(), ["1", "2", "3", "4"]);
        assert_eq!(query.get("name"), Some("São Paulo"));
        assert_eq!(query.get("empty"), None);
        assert_eq!(query.text(), "latitude=1,2&latitude=3, 4&name=São Paulo");
    }
}
