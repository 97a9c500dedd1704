//! Choices: settings with a fixed list of values.

use isobar_model::string_enum;

string_enum! {
    /// The weather service.
    WeatherProvider { OpenMeteo = "open-meteo", OpenWeather = "openweather" }
}

string_enum! {
    /// The broker, where the URLs do not decide.
    BrokerKind { Redis = "redis", Embedded = "embedded" }
}

string_enum! {
    /// The format of log lines.
    LogFormat { Pretty = "pretty", Json = "json" }
}
