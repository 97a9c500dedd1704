//! A user as a source tells of them, checked.
//!
//! JSONPlaceholder, DummyJSON and our own API spell the same things differently; [`read`] takes all
//! three. What [`check`] lets through fits the tables. A reason names the field and never its
//! content: reasons are logged, and e-mail addresses are not.

use serde_json::Value;

use super::Flaw;
use super::provider_json::{part, text};

/// The longest of each, in characters.
const LONGEST: usize = 255;
const LONGEST_SLOGAN: usize = 1_000;
/// RFC 5321.
const LONGEST_EMAIL: usize = 254;
const LONGEST_LOCAL_PART: usize = 64;

/// Someone, by the number that their source gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
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
pub fn read(record: &Value) -> Result<User, Flaw> {
    if !record.is_object() {
        return Err(Flaw::new("bad_row", "the row is no object"));
    }
    let own = |names: &[&str]| text(record, names).map(std::borrow::Cow::into_owned);
    let company = part(record, "company");
    let is_nested = !std::ptr::eq(company, record);
    let of_company = |nested: &str, flat: &str| {
        let name = if is_nested { nested } else { flat };
        text(company, &[name]).map(std::borrow::Cow::into_owned)
    };
    let external_id = own(&["external_id", "id"]).and_then(|id| id.parse().ok());
    let name = own(&["name"]).or_else(|| {
        let parts = [own(&["firstName"]), own(&["lastName"])];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    });
    check(User {
        external_id: external_id
            .ok_or_else(|| Flaw::new("bad_external_id", "the id must be a whole number"))?,
        name: name.unwrap_or_default(),
        username: own(&["username"]),
        email: own(&["email"]).unwrap_or_default(),
        phone: own(&["phone"]),
        website: own(&["website"]),
        company_name: of_company("name", "company_name"),
        company_catchphrase: of_company("catchPhrase", "company_catchphrase"),
        company_bs: of_company("bs", "company_bs"),
    })
}

/// Lets through what can be kept.
pub fn check(user: User) -> Result<User, Flaw> {
    if user.name.is_empty() {
        return Err(Flaw::new("blank_name", "there is no name"));
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
        fits(field, text, longest)?;
    }
    if !is_email(&user.email) {
        return Err(Flaw::new("bad_email", "the e-mail address is none"));
    }
    Ok(user)
}

/// Whether a text can be kept as that field.
pub(super) fn fits(field: &str, text: &str, longest: usize) -> Result<(), Flaw> {
    if text.chars().count() > longest {
        return Err(Flaw::new(
            "field_too_long",
            format!("{field} is longer than {longest} characters"),
        ));
    }
    if text.contains('\0') {
        return Err(Flaw::new("nul_byte", format!("{field} holds a NUL byte")));
    }
    Ok(())
}

/// Plain rules that no real address breaks; only a letter tells whether it is read.
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
    fn the_three_spellings_of_a_user_are_one() {
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
    fn each_way_to_be_unusable_has_its_code_and_quotes_nothing() {
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
