//! A user as a source describes it, checked.
//!
//! Guarantees: [`read`] accepts the shapes of JSONPlaceholder, DummyJSON and our own API. A user
//! that passes [`check`] fits the tables. A reason names the field and never its content, because
//! reasons are logged and e-mail addresses are not.

use std::borrow::Cow;

use serde_json::Value;

use super::invalid_record::{InvalidRecord, check_length};
use super::provider_json::{section, text};

/// The longest text of most fields, in characters.
const LONGEST: usize = 255;
const LONGEST_SLOGAN: usize = 1_000;
/// Limits of RFC 5321.
const LONGEST_EMAIL: usize = 254;
const LONGEST_LOCAL_PART: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number in the source.
    pub external_id: i64,
    pub name: String,
    pub username: Option<String>,
    pub email: String,
    pub phone: Option<String>,
    pub website: Option<String>,
    pub company_name: Option<String>,
    pub company_catchphrase: Option<String>,
    pub company_bs: Option<String>,
}

/// Reads one record of a source.
pub fn read(record: &Value) -> Result<User, InvalidRecord> {
    if !record.is_object() {
        return Err(InvalidRecord::new("bad_row", "the row is not an object"));
    }
    let field = |names: &[&str]| text(record, names).map(Cow::into_owned);
    let company = section(record, "company");
    let is_nested = !std::ptr::eq(company, record);
    let company_field = |nested: &str, flat: &str| {
        let name = if is_nested { nested } else { flat };
        text(company, &[name]).map(Cow::into_owned)
    };
    let external_id = field(&["external_id", "id"]).and_then(|id| id.parse().ok());
    let name = field(&["name"]).or_else(|| {
        let parts = [field(&["firstName"]), field(&["lastName"])];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    });
    check(User {
        external_id: external_id.ok_or_else(|| {
            InvalidRecord::new("bad_external_id", "the id must be a whole number")
        })?,
        name: name.unwrap_or_default(),
        username: field(&["username"]),
        email: field(&["email"]).unwrap_or_default(),
        phone: field(&["phone"]),
        website: field(&["website"]),
        company_name: company_field("name", "company_name"),
        company_catchphrase: company_field("catchPhrase", "company_catchphrase"),
        company_bs: company_field("bs", "company_bs"),
    })
}

/// Refuses a user that does not fit the tables.
pub fn check(user: User) -> Result<User, InvalidRecord> {
    if user.name.is_empty() {
        return Err(InvalidRecord::new("blank_name", "the name is missing"));
    }
    let texts = [
        ("name", Some(&user.name), LONGEST),
        ("username", user.username.as_ref(), LONGEST),
        ("phone", user.phone.as_ref(), LONGEST),
        ("website", user.website.as_ref(), LONGEST),
        ("company name", user.company_name.as_ref(), LONGEST),
        ("company catchphrase", user.company_catchphrase.as_ref(), LONGEST_SLOGAN),
        ("company bs", user.company_bs.as_ref(), LONGEST_SLOGAN),
    ];
    for (field, text, longest) in texts {
        let Some(text) = text else { continue };
        check_length(field, text, longest)?;
    }
    if !is_email(&user.email) {
        return Err(InvalidRecord::new("bad_email", "the e-mail address is not valid"));
    }
    Ok(user)
}

/// Rules that no real address breaks. Only a delivered message proves an address.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '@';
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= LONGEST_EMAIL
        && (1..=LONGEST_LOCAL_PART).contains(&local.len())
        && local.chars().all(is_plain)
        && domain.contains('.')
        && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_provider_shape_gives_the_same_user() {
        let placeholder = json!({"id": 7, "name": "Ada Li", "username": "ada", "email": "ada@x.org",
            "phone": "1-770 x56", "website": "ada.org",
            "address": {"street": "Main", "city": "Y"},
            "company": {"name": "Kuhn", "catchPhrase": "all new", "bs": "markets"}});
        let ours = json!({"id": 900, "external_id": 7, "name": "Ada Li", "username": "ada",
            "email": "ada@x.org", "phone": "1-770 x56", "website": "ada.org", "company_name": "Kuhn",
            "company_catchphrase": "all new", "company_bs": "markets"});
        let read_one = read(&placeholder).expect("a user");
        assert_eq!(read(&ours), Ok(read_one.clone()));
        assert_eq!(read_one.company_bs.as_deref(), Some("markets"));
        let dummy = json!({"id": 7, "firstName": "Ada", "lastName": "Li", "username": "ada",
            "email": "ada@x.org", "phone": "1-770 x56", "company": {"name": "Kuhn", "title": "X"},
            "bank": {"cardNumber": "3693233511855044"}});
        let expected =
            User { website: None, company_catchphrase: None, company_bs: None, ..read_one };
        assert_eq!(read(&dummy), Ok(expected));
    }

    #[test]
    fn invalid_users_have_a_code_and_no_quote() {
        let long = "x".repeat(LONGEST + 1);
        for (record, code) in [
            (json!([]), "bad_row"),
            (json!({"name": "Ada", "email": "a@b.c"}), "bad_external_id"),
            (json!({"id": "x", "name": "Ada", "email": "a@b.c"}), "bad_external_id"),
            (json!({"id": 1, "email": "a@b.c"}), "blank_name"),
            (json!({"id": 1, "name": "Ada"}), "bad_email"),
            (json!({"id": 1, "name": "Ada", "email": "secret at b.c"}), "bad_email"),
            (json!({"id": 1, "name": "Ada", "email": "secret@b"}), "bad_email"),
            (json!({"id": 1, "name": "Ada", "email": "secret@@b.c"}), "bad_email"),
            (json!({"id": 1, "name": "Ada", "email": "secret@b..c"}), "bad_email"),
            (json!({"id": 1, "name": long, "email": "a@b.c"}), "field_too_long"),
            (json!({"id": 1, "name": "A\u{0}", "email": "a@b.c"}), "nul_byte"),
        ] {
            let flaw = read(&record).expect_err("refused");
            assert_eq!(flaw.code, code, "{record}");
            assert!(!flaw.reason.contains("secret"), "{}", flaw.reason);
        }
    }
}
