-- Air quality: one row a city, in µg/m³; the two indices have no unit.

CREATE TABLE air_quality (
    city_id          INTEGER PRIMARY KEY,
    observed_at      TEXT NOT NULL,
    pm10             REAL,
    pm2_5            REAL,
    carbon_monoxide  REAL,
    nitrogen_dioxide REAL,
    ozone            REAL,
    european_aqi     INTEGER,
    us_aqi           INTEGER,
    fresh_until      TEXT NOT NULL,
    synced_at        TEXT NOT NULL
) STRICT;
