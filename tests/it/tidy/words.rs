//! The language of the product: no riddle in comments and texts, one meaning for each type name.
//!
//! Guarantees: comments and string literals of product code contain none of the [`RIDDLES`], and no
//! type or function has a refused name. Two types of the workspace never share a name, except the
//! few [`SHARED_NAMES`] and private mirrors of a provider's JSON.
//! Does not: judge sentences. The list grows as better words are found, and never shrinks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::collect;

const PRODUCT: [&str; 6] = ["src/", "api/", "consumer/", "producer/", "shared/", "sim/"];

/// Words and phrases that hide who does what, whole words in any case.
const RIDDLES: [&str; 62] = [
    "anew",
    "anybody",
    "are no",
    "are to be",
    "at the most",
    "became of",
    "becomes of",
    "but for",
    "came of",
    "dear",
    "deed",
    "farewell",
    "for ever",
    "given up",
    "go on",
    "goes on",
    "gone",
    "in hand",
    "is no",
    "is to be",
    "leaves word",
    "let go",
    "lets go",
    "lies",
    "likewise",
    "meanwhile",
    "mend",
    "mended",
    "nobody",
    "none of its",
    "obey",
    "obeys",
    "of ours",
    "of theirs",
    "somebody",
    "someone",
    "stands",
    "tell",
    "tells",
    "the like",
    "thereby",
    "throw",
    "throws",
    "thrown",
    "told",
    "who asks",
    "who comes",
    "whoever",
    "whom",
    "word of",
    "so many rows",
    "so many users",
    "so many jobs",
    "so many tasks",
    "so many cities",
    "so many requests",
    "so many bytes",
    "so many entries",
    "so many times",
    "so many seconds",
    "so many failures",
    "so many batches",
];

/// A phrase of the list that continues as an ordinary one: `is no longer`.
const CONTINUED: [&str; 2] = ["longer", "other"];

const REFUSED_TYPES: [&str; 12] = [
    "Again", "Said", "Known", "Asked", "Shown", "Desk", "Look", "Young", "Thrown", "Verdict",
    "Company", "Errand",
];
const REFUSED_FUNCTIONS: [&str; 11] = [
    "again", "obey", "tell", "said", "told", "look", "look_on", "let_go", "farewell", "company",
    "odd",
];

/// Each module has its own: arguments and actions of a command, the module's result, what a handle
/// shares, and what the tasks of a role share.
const SHARED_NAMES: [&str; 5] = ["Args", "Action", "Result", "Inner", "Context"];

#[test]
fn the_product_speaks_plain_english() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(root, root, &mut paths);
    paths.retain(|path| PRODUCT.iter().any(|folder| path.starts_with(folder)));
    assert!(paths.len() > 100, "the product was not found under {}", root.display());
    let mut faults = Vec::new();
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(root.join(&path)).expect("read a source file");
        for (line, prose) in prose(&text).into_iter().filter(|(_, prose)| !is_sql(prose)) {
            let found = RIDDLES.iter().filter(|riddle| contains(&prose, riddle));
            faults.extend(found.map(|riddle| format!("{path}:{line}: `{riddle}`: {prose}")));
        }
        for (line, (kind, name)) in definitions(&text) {
            let refused = match kind {
                "fn" => REFUSED_FUNCTIONS.contains(&name),
                _ => REFUSED_TYPES.contains(&name),
            };
            if refused {
                faults.push(format!("{path}:{line}: {kind} {name}: a refused name"));
            }
            // The simulator shares nothing with the product, so it may reuse names.
            if kind != "fn" && !path.starts_with("sim/") && !mirrors_json(&text, line) {
                types.entry(name.to_owned()).or_default().push(format!("{path}:{line}"));
            }
        }
    }
    types.retain(|name, places| places.len() > 1 && !SHARED_NAMES.contains(&name.as_str()));
    faults.extend(types.iter().map(|(name, places)| format!("{name}: {}", places.join(", "))));
    assert!(faults.is_empty(), "\n{}\n{} faults", faults.join("\n"), faults.len());
}

/// Statements use the stored words, which a migration alone could change.
fn is_sql(prose: &str) -> bool {
    !prose.starts_with("//")
        && ["SELECT ", "UPDATE ", "INSERT "].iter().any(|verb| prose.contains(verb))
}

/// Whether the private type of this line reads a provider's JSON.
fn mirrors_json(text: &str, line: usize) -> bool {
    let mut before = text.lines().take(line).collect::<Vec<_>>().into_iter().rev();
    let definition = before.next().unwrap_or_default();
    let attributes = before.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    !definition.starts_with("pub") && attributes.into_iter().any(|it| it.contains("Deserialize"))
}

/// Types at the beginning of a line (those of modules, not of `impl` blocks), functions anywhere.
fn definitions(text: &str) -> impl Iterator<Item = (usize, (&str, &str))> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let mut words = line.split_whitespace().skip_while(|word| {
            word.starts_with("pub") || ["async", "const", "unsafe", "crate)"].contains(word)
        });
        let kind = words.next()?;
        let is_type = ["struct", "enum", "type", "trait"].contains(&kind) && !line.starts_with(' ');
        let name = words.next().filter(|_| is_type || kind == "fn")?;
        let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
        Some((number, (kind, &name[..end])))
    })
}

fn contains(prose: &str, phrase: &str) -> bool {
    let prose = prose.to_lowercase();
    prose.match_indices(phrase).any(|(at, found)| {
        let part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let after = &prose[at + found.len()..];
        let next = after.split_whitespace().next().unwrap_or_default();
        let continued =
            phrase.ends_with(" no") && CONTINUED.iter().any(|word| next.starts_with(word));
        !part_of_word(prose[..at].chars().next_back())
            && !part_of_word(after.chars().next())
            && !continued
    })
}

/// Comments and string literals, each with the line on which it begins.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => string_end(&rest[1..], "\"", true) + 1,
            'r' if rest.starts_with("r\"") => string_end(&rest[2..], "\"", false) + 2,
            'r' if rest.starts_with("r#\"") => string_end(&rest[3..], "\"#", false) + 3,
            // A character, or a lifetime, which has no closing quote.
            '\'' => {
                let mut chars =
                    rest.char_indices().skip(if rest[1..].starts_with('\\') { 3 } else { 2 });
                match chars.next() {
                    Some((at, '\'')) => at + 1,
                    _ => 1,
                }
            }
            other => other.len_utf8(),
        };
        let (piece, after) = rest.split_at(taken);
        if first == '/' && taken > 1
            || ["\"", "r\"", "r#\""].iter().any(|mark| piece.starts_with(mark) && taken > 1)
        {
            match found.last_mut() {
                // A phrase may run over the lines of one comment.
                Some((_, before))
                    if first == '/'
                        && before.starts_with("//")
                        && continues(text, after, piece) =>
                {
                    before.push(' ');
                    before.push_str(piece.trim_start_matches(['/', '!']).trim());
                }
                _ => found.push((line, piece.to_owned())),
            }
        }
        line += piece.matches('\n').count();
        rest = after;
    }
    found
}

/// Whether nothing but white space is between this comment and the one on the line before.
fn continues(text: &str, after: &str, piece: &str) -> bool {
    let start = text.len() - after.len() - piece.len();
    let before = text[..start].trim_end_matches([' ', '\t']);
    let previous = before.trim_end_matches('\n').rsplit('\n').next().unwrap_or_default();
    before.ends_with('\n') && previous.trim_start().starts_with("//")
}

/// Bytes up to and with the closing quote.
fn string_end(text: &str, quote: &str, escapes: bool) -> usize {
    let mut at = 0;
    while at < text.len() {
        if escapes && text[at..].starts_with('\\') {
            at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8);
        } else if text[at..].starts_with(quote) {
            return at + quote.len();
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

#[test]
fn prose_is_found_wherever_it_is_written() {
    let source = "//! Nobody\n//! is no\n//! match.\nlet quote = '\"'; call(\"told \\\" you\"); // Gone\n\
                  let raw = r#\"mend \"it\"\"#;\nfn odd<'a>() {}\nstruct Look;\n";
    let found: Vec<usize> = prose(source).iter().map(|(line, _)| *line).collect();
    assert_eq!(found, [1, 4, 4, 5]);
    let hits = |phrase: &str| prose(source).iter().filter(|(_, it)| contains(it, phrase)).count();
    for phrase in ["nobody", "is no", "told", "gone", "mend"] {
        assert_eq!(hits(phrase), 1, "{phrase}");
    }
    assert!(!contains("it is no longer here", "is no") && !contains("retold", "told"));
    let names: Vec<_> = definitions(source).map(|(_, definition)| definition).collect();
    assert_eq!(names, [("fn", "odd"), ("struct", "Look")]);
}
