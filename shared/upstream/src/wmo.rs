//! WMO: the WMO's weather codes in words, and OpenWeather's condition ids as WMO codes.
//!
//! Guarantees: every code that [`from_openweather`] gives has words in [`condition`].

/// The meaning of a WMO code, in lower case.
pub fn condition(code: i32) -> &'static str {
    match code {
        0 => "clear sky",
        1 => "mainly clear",
        2 => "partly cloudy",
        3 => "overcast",
        45 => "fog",
        48 => "depositing rime fog",
        51 => "light drizzle",
        53 => "drizzle",
        55 => "dense drizzle",
        56 => "light freezing drizzle",
        57 => "freezing drizzle",
        61 => "light rain",
        63 => "rain",
        65 => "heavy rain",
        66 => "light freezing rain",
        67 => "freezing rain",
        71 => "light snow",
        73 => "snow",
        75 => "heavy snow",
        77 => "snow grains",
        80 => "light rain showers",
        81 => "rain showers",
        82 => "violent rain showers",
        85 => "light snow showers",
        86 => "heavy snow showers",
        95 => "thunderstorm",
        96 => "thunderstorm with light hail",
        99 => "thunderstorm with heavy hail",
        _ => "unknown",
    }
}

/// The WMO code nearest to an OpenWeather condition id; `None` for an unknown id.
pub fn from_openweather(id: i64) -> Option<i32> {
    Some(match id {
        200..=202 | 210..=212 | 221 | 230..=232 => 95,
        300 | 310 => 51,
        301 | 311 | 313 | 321 => 53,
        302 | 312 | 314 => 55,
        500 => 61,
        501 => 63,
        502..=504 => 65,
        511 => 66,
        520 => 80,
        521 | 531 => 81,
        522 => 82,
        600 | 612 | 615 => 71,
        601 | 611 | 613 | 616 => 73,
        602 => 75,
        620 => 85,
        621 | 622 => 86,
        // Mist, smoke, haze and dust: fog is the nearest code of the WMO's short list.
        701..=781 => 45,
        800 => 0,
        801 => 1,
        802 => 2,
        803 | 804 => 3,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_openweather_code_has_words() {
        for id in [200, 232, 300, 321, 500, 531, 600, 622, 701, 781, 800, 804] {
            let code = from_openweather(id).expect("known");
            assert_ne!(condition(code), "unknown", "{id}");
        }
        assert_eq!(from_openweather(9_999), None);
        assert_eq!(condition(-1), "unknown");
    }
}
