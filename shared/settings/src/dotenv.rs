//! The `.env` file: one `NAME=value` per line, read strictly and without substitution.
//!
//! Guarantees: every character of a value counts, `$` included. A line that cannot be read gives an
//! error that names the line and the variable, and never quotes a value, which may be a secret.
//! `.env.example` describes the form: `export` may precede the name, quotes may enclose the value,
//! and `#` begins a comment at the start of a line, after a space or after the closing quote.
//! Next: [`crate::environment`].

use std::fs;
use std::io;
use std::path::Path;

/// One assignment and its line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub line: usize,
    pub name: String,
    pub value: String,
}

/// What a file contains, and what is wrong with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Dotenv {
    pub assignments: Vec<Assignment>,
    pub errors: Vec<String>,
}

/// Reads the file; a missing file is an empty one.
pub(crate) fn read(path: &Path) -> Dotenv {
    match fs::read(path) {
        Ok(bytes) => parse(&bytes, &path.display().to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Dotenv::default(),
        Err(error) => {
            let errors = vec![format!("{} cannot be read: {error}", path.display())];
            Dotenv { assignments: Vec::new(), errors }
        }
    }
}

fn parse(bytes: &[u8], file: &str) -> Dotenv {
    let mut found = Dotenv::default();
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        found.errors.push(format!("{file} is UTF-16 text: save it as UTF-8"));
        return found;
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (index, bytes) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        let assignment = match std::str::from_utf8(bytes) {
            Ok(text) => assignment(text),
            Err(_) => Err("the line is not UTF-8: save the file as UTF-8".to_owned()),
        };
        match assignment {
            Ok(None) => {}
            Ok(Some((name, value))) => {
                found.assignments.push(Assignment { line, name: name.to_owned(), value });
            }
            Err(error) => found.errors.push(format!("{file} line {line}: {error}")),
        }
    }
    found
}

/// Name and value of a line; `None` for a blank line or a comment.
fn assignment(line: &str) -> Result<Option<(&str, String)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let Some((name, value)) = line.split_once('=') else {
        return Err("expected NAME=value; a comment begins with #".to_owned());
    };
    let name = name.trim();
    let name = match name.split_once(char::is_whitespace) {
        Some(("export", name)) => name.trim_start(),
        _ => name,
    };
    if !is_name(name) {
        return Err(if looks_like_ours(name) {
            format!("{name} is not a valid name: use letters, digits and _")
        } else {
            "expected NAME=value: a name has letters, digits and _".to_owned()
        });
    }
    if value.contains('\0') {
        return Err(format!("{name} contains a NUL character"));
    }
    let value = parse_value(value).map_err(|error| format!("{name}: {error}"))?;
    Ok(Some((name, value)))
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether the text before `=` is surely a name, so that an error may show it.
fn looks_like_ours(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["ISOBAR", "REDIS", "DATABASE"].iter().any(|start| name.starts_with(start))
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_graphic())
}

/// The value after `=`, whose leading spaces count as nothing.
fn parse_value(text: &str) -> Result<String, String> {
    let value = text.trim_start();
    match value.chars().next() {
        Some('\'') => {
            let (value, rest) =
                value[1..].split_once('\'').ok_or("the quote ' is not closed in this line")?;
            check_end(rest, '\'')?;
            Ok(value.to_owned())
        }
        Some('"') => double_quoted(&value[1..]),
        _ => Ok(without_comment(text).trim().to_owned()),
    }
}

/// In double quotes `\"` and `\\` stand for the second character, and `\n`, `\r` and `\t` for
/// control characters, as in Compose. Before any other character the backslash is a character.
fn double_quoted(text: &str) -> Result<String, String> {
    let (mut value, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                check_end(chars.as_str(), '"')?;
                return Ok(value);
            }
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(c @ ('"' | '\\' | '$')) => value.push(c),
                Some(c) => value.extend(['\\', c]),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err("the quote \" is not closed in this line".to_owned())
}

/// Only a comment may follow the closing quote.
fn check_end(rest: &str, quote: char) -> Result<(), String> {
    let rest = rest.trim();
    if rest.is_empty() || rest.starts_with('#') {
        return Ok(());
    }
    Err(format!("text follows the closing quote {quote}: enclose the whole value, or none of it"))
}

/// The text up to a `#` that follows a space.
fn without_comment(text: &str) -> &str {
    let mut after_space = false;
    for (at, c) in text.char_indices() {
        if c == '#' && after_space {
            return &text[..at];
        }
        after_space = c.is_whitespace();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> String {
        let found = parse(line.as_bytes(), ".env");
        assert_eq!(found.errors, [""; 0], "{line}");
        assert_eq!(found.assignments.len(), 1, "{line}");
        found.assignments[0].value.clone()
    }

    #[test]
    fn values_are_read_letter_by_letter() {
        for (line, expected) in [
            ("A=5 */3 * * *", "5 */3 * * *"),
            ("A=pa$$w0rd-$USER", "pa$$w0rd-$USER"),
            ("A=${HOME}/x", "${HOME}/x"),
            (r"A=C:\new\table", r"C:\new\table"),
            ("A=it's", "it's"),
            ("A=say \"hi\"", "say \"hi\""),
            ("A=a=b==", "a=b=="),
            ("A=a#b", "a#b"),
            ("A=#b", "#b"),
            ("A=a # b", "a"),
            ("A=a\t# b", "a"),
            ("A= # nothing", ""),
            ("A=", ""),
            ("A =  a b  ", "a b"),
            ("  export   A=a", "a"),
            ("export\tA=a", "a"),
            ("A='@every 300s'   # a comment", "@every 300s"),
            ("A='a # b'", "a # b"),
            (r"A='a\nb'", r"a\nb"),
            ("A=\"Europe/Berlin\"\r", "Europe/Berlin"),
            (r#"A="a\"b\\c\$d\e$f""#, r#"a"b\c$d\e$f"#),
            (r#"A="a\tb""#, "a\tb"),
            ("A=\"\"#x", ""),
            ("A=Zürich ", "Zürich"),
            ("\u{feff}A=a", "a"),
        ] {
            assert_eq!(value(line), expected, "{line}");
        }
        let text = "# x\r\n\r\n  # y\nexport=1\n";
        let found = parse(text.as_bytes(), ".env");
        let export = Assignment { line: 4, name: "export".into(), value: "1".into() };
        assert_eq!(found, Dotenv { assignments: vec![export], errors: Vec::new() });
    }

    #[test]
    fn errors_name_the_line_and_never_show_a_value() {
        for (line, expected) in [
            ("s3cret words", "line 2: expected NAME=value; a comment"),
            ("export ISOBAR_API_KEY", "line 2: expected NAME=value"),
            ("=s3cret", "line 2: expected NAME=value: a name"),
            ("s3cret-x=y", "line 2: expected NAME=value: a name"),
            ("ISOBAR-API-KEY=s3cret", "line 2: ISOBAR-API-KEY is not a valid name"),
            ("ISOBAR_API_KEY='s3cret", "line 2: ISOBAR_API_KEY: the quote ' is not closed"),
            ("ISOBAR_API_KEY=\"s3cret\\", "line 2: ISOBAR_API_KEY: the quote \" is not closed"),
            (
                "ISOBAR_API_KEY='a's3cret",
                "line 2: ISOBAR_API_KEY: text follows the closing quote '",
            ),
            ("ISOBAR_API_KEY=\"a\" s3cret", "line 2: ISOBAR_API_KEY: text follows the closing"),
            ("ISOBAR_API_KEY=s3cret\0", "line 2: ISOBAR_API_KEY contains a NUL"),
        ] {
            let text = format!("ISOBAR_BATCH_SIZE=250\n{line}\nISOBAR_PAGE_LIMIT=50\n");
            let found = parse(text.as_bytes(), ".env");
            assert_eq!(found.assignments.len(), 2, "{line}");
            let [error] = found.errors.as_slice() else { panic!("one error: {found:?}") };
            assert!(error.starts_with(".env ") && error.contains(expected), "{line}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        let latin1 = parse(b"A=1\nB=Z\xfcrich\n", ".env");
        assert_eq!(latin1.errors, [".env line 2: the line is not UTF-8: save the file as UTF-8"]);
        let utf16 = parse(b"\xff\xfeA\0=\x001\0", ".env");
        assert_eq!(utf16.errors, [".env is UTF-16 text: save it as UTF-8"]);
    }
}
