-- Air quality: one row a city, in µg/m³; the two indices have no unit.

CREATE TABLE air_quality (
    city_id          bigint PRIMARY KEY,
    observed_at      timestamptz NOT NULL,
    pm10             double precision,
    pm2_5            double precision,
    carbon_monoxide  double precision,
    nitrogen_dioxide double precision,
    ozone            double precision,
    european_aqi     integer,
    us_aqi           integer,
    fresh_until      timestamptz NOT NULL,
    synced_at        timestamptz NOT NULL
) WITH (fillfactor = 80);
