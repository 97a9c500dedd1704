//! JSON in every spelling that the format allows: whole numbers may be written `15E2` or `900.0`.
//!
//! Does not: take numbers in quotes, or round; another value is an error.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

/// Above this, two whole numbers may have one double.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let from_double = || {
        let double = number.as_f64()?;
        (double.fract() == 0.0 && double.abs() <= MAX_EXACT).then_some(double as i64)
    };
    let whole = number.as_i64().or_else(from_double);
    whole.ok_or_else(|| D::Error::custom(format!("{number} is not a whole number")))
}

pub fn whole_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    struct Whole(#[serde(deserialize_with = "whole")] i64);
    Ok(Option::<Whole>::deserialize(deserializer)?.map(|whole| whole.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Given {
        #[serde(deserialize_with = "whole")]
        id: i64,
        #[serde(default, deserialize_with = "whole_or_none")]
        interval: Option<i64>,
    }

    #[test]
    fn whole_numbers_have_many_spellings() {
        let read = |text: &str| serde_json::from_str::<Given>(text);
        for (text, id, interval) in [
            (r#"{"id":900}"#, 900, None),
            (r#"{"id":9e2,"interval":null}"#, 900, None),
            (r#"{"id":-900.0,"interval":9.0E+2}"#, -900, Some(900)),
            (r#"{"id":9007199254740993}"#, 9_007_199_254_740_993, None),
        ] {
            let given = read(text).expect(text);
            assert_eq!((given.id, given.interval), (id, interval), "{text}");
        }
        for text in [r#"{"id":1.5}"#, r#"{"id":"1"}"#, r#"{"id":null}"#, r#"{"id":1e300}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
