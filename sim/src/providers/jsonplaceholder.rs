//! JSONPlaceholder's `/users`: the same ten people for everybody, whatever the seed.
//!
//! The whole list is one array without an envelope, coordinates are text, and a number nobody has is
//! a 404 with an empty object. `_page` and `_limit` page it and add `X-Total-Count`; parameters it
//! does not know are ignored. Filters, sorting, `Link` and writes are left out.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::query::Query;
use crate::reply::Reply;

/// What a page holds when only `_page` is given.
const DEFAULT_LIMIT: usize = 10;

/// name, username, e-mail, street, suite, city, zip code, latitude, longitude, phone, website, company,
/// catch phrase, line of business.
const USERS: [[&str; 14]; 10] = [
    [
        "Leanne Graham",
        "Bret",
        "Sincere@april.biz",
        "Kulas Light",
        "Apt. 556",
        "Gwenborough",
        "92998-3874",
        "-37.3159",
        "81.1496",
        "1-770-736-8031 x56442",
        "hildegard.org",
        "Romaguera-Crona",
        "Multi-layered client-server neural-net",
        "harness real-time e-markets",
    ],
    [
        "Ervin Howell",
        "Antonette",
        "Shanna@melissa.tv",
        "Victor Plains",
        "Suite 879",
        "Wisokyburgh",
        "90566-7771",
        "-43.9509",
        "-34.4618",
        "010-692-6593 x09125",
        "anastasia.net",
        "Deckow-Crist",
        "Proactive didactic contingency",
        "synergize scalable supply-chains",
    ],
    [
        "Clementine Bauch",
        "Samantha",
        "Nathan@yesenia.net",
        "Douglas Extension",
        "Suite 847",
        "McKenziehaven",
        "59590-4157",
        "-68.6102",
        "-47.0653",
        "1-463-123-4447",
        "ramiro.info",
        "Romaguera-Jacobson",
        "Face to face bifurcated interface",
        "e-enable strategic applications",
    ],
    [
        "Patricia Lebsack",
        "Karianne",
        "Julianne.OConner@kory.org",
        "Hoeger Mall",
        "Apt. 692",
        "South Elvis",
        "53919-4257",
        "29.4572",
        "-164.2990",
        "493-170-9623 x156",
        "kale.biz",
        "Robel-Corkery",
        "Multi-tiered zero tolerance productivity",
        "transition cutting-edge web services",
    ],
    [
        "Chelsey Dietrich",
        "Kamren",
        "Lucio_Hettinger@annie.ca",
        "Skiles Walks",
        "Suite 351",
        "Roscoeview",
        "33263",
        "-31.8129",
        "62.5342",
        "(254)954-1289",
        "demarco.info",
        "Keebler LLC",
        "User-centric fault-tolerant solution",
        "revolutionize end-to-end systems",
    ],
    [
        "Mrs. Dennis Schulist",
        "Leopoldo_Corkery",
        "Karley_Dach@jasper.info",
        "Norberto Crossing",
        "Apt. 950",
        "South Christy",
        "23505-1337",
        "-71.4197",
        "71.7478",
        "1-477-935-8478 x6430",
        "ola.org",
        "Considine-Lockman",
        "Synchronised bottom-line interface",
        "e-enable innovative applications",
    ],
    [
        "Kurtis Weissnat",
        "Elwyn.Skiles",
        "Telly.Hoeger@billy.biz",
        "Rex Trail",
        "Suite 280",
        "Howemouth",
        "58804-1099",
        "24.8918",
        "21.8984",
        "210.067.6132",
        "elvis.io",
        "Johns Group",
        "Configurable multimedia task-force",
        "generate enterprise e-tailers",
    ],
    [
        "Nicholas Runolfsdottir V",
        "Maxime_Nienow",
        "Sherwood@rosamond.me",
        "Ellsworth Summit",
        "Suite 729",
        "Aliyaview",
        "45169",
        "-14.3990",
        "-120.7677",
        "586.493.6943 x140",
        "jacynthe.com",
        "Abernathy Group",
        "Implemented secondary concept",
        "e-enable extensible e-tailers",
    ],
    [
        "Glenna Reichert",
        "Delphine",
        "Chaim_McDermott@dana.io",
        "Dayna Park",
        "Suite 449",
        "Bartholomebury",
        "76495-3109",
        "24.6463",
        "-168.8889",
        "(775)976-6794 x41206",
        "conrad.com",
        "Yost and Sons",
        "Switchable contextually-based project",
        "aggregate real-time technologies",
    ],
    [
        "Clementina DuBuque",
        "Moriah.Stanton",
        "Rey.Padberg@karina.biz",
        "Kattie Turnpike",
        "Suite 198",
        "Lebsackbury",
        "31428-2261",
        "-38.2386",
        "57.2232",
        "024-648-3804",
        "ambrose.net",
        "Hoeger LLC",
        "Centralized empowering task-force",
        "target end-to-end models",
    ],
];

/// The list, or with an item the one of that number.
pub fn answer(item: Option<&str>, query: &Query<'_>) -> Reply {
    if let Some(item) = item {
        let number = item.parse::<usize>().ok().filter(|number| (1..=USERS.len()).contains(number));
        return match number {
            Some(number) => Reply::ok(user(number - 1).to_string()).with_locations(1),
            None => Reply::json(StatusCode::NOT_FOUND, "{}"),
        };
    }
    let number = |name| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let (page, limit) = (number("_page"), number("_limit"));
    let paged = page.is_some() || limit.is_some();
    let limit = limit.unwrap_or(if paged { DEFAULT_LIMIT } else { USERS.len() });
    let from = page.unwrap_or(1).saturating_sub(1).saturating_mul(limit).min(USERS.len());
    let users: Vec<Value> = (from..from.saturating_add(limit).min(USERS.len())).map(user).collect();
    let mut reply = Reply::ok(Value::from(users.clone()).to_string()).with_locations(users.len());
    if paged {
        let total = (HeaderName::from_static("x-total-count"), HeaderValue::from(USERS.len()));
        reply.headers.push(total);
    }
    reply
}

/// The service sends an empty object with every error.
pub fn usual_error(status: StatusCode) -> Reply {
    Reply::json(status, "{}")
}

fn user(index: usize) -> Value {
    let [
        name,
        username,
        email,
        street,
        suite,
        city,
        zipcode,
        lat,
        lng,
        phone,
        website,
        company,
        catch_phrase,
        bs,
    ] = USERS[index];
    json!({
        "id": index + 1, "name": name, "username": username, "email": email,
        "address": {
            "street": street, "suite": suite, "city": city, "zipcode": zipcode,
            "geo": {"lat": lat, "lng": lng},
        },
        "phone": phone, "website": website,
        "company": {"name": company, "catchPhrase": catch_phrase, "bs": bs},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &str) -> Value {
        serde_json::from_slice(&answer(None, &Query::parse(query, b"")).body).unwrap()
    }

    #[test]
    fn the_list_is_an_array_of_ten_whatever_is_asked_of_it() {
        for query in ["", "limit=3", "has_address=false"] {
            assert_eq!(list(query).as_array().unwrap().len(), 10, "{query}");
        }
        assert_eq!(list("")[0]["email"], "Sincere@april.biz");
        assert_eq!(list("")[0]["address"]["geo"]["lat"], "-37.3159");
    }

    #[test]
    fn its_own_parameters_page_it() {
        assert_eq!(list("_page=2&_limit=4")[0]["id"], 5);
        assert_eq!(list("_page=4&_limit=4"), json!([]));
        let paged = answer(None, &Query::parse("_limit=3", b""));
        assert!(paged.headers.iter().any(|(name, value)| name == "x-total-count" && value == "10"));
    }

    #[test]
    fn one_is_an_object_and_nobody_a_404() {
        let one = answer(Some("10"), &Query::default());
        let one: Value = serde_json::from_slice(&one.body).unwrap();
        assert_eq!(one["username"], "Moriah.Stanton");
        for nobody in ["0", "11", "x"] {
            assert_eq!(answer(Some(nobody), &Query::default()).status, 404, "{nobody}");
        }
    }
}
