//! Commands in the documents: each `isobar …` line names commands and options that the binary has.
//!
//! What it has is read from `isobar … --help`, command by command: the names under "Commands:" and
//! the long options under "Options:". docs/cli.md must have a section with an example for each.

use std::collections::{BTreeMap, BTreeSet};

use super::{documents, read, spans, split};
use crate::harness::isobar::Isobar;

/// Command, its sub-commands included, and its long options. The empty command is `isobar` itself.
type Commands = BTreeMap<String, BTreeSet<String>>;

#[tokio::test]
async fn cli_md_has_every_command_and_option() {
    let (commands, text) = (commands().await, read("docs/cli.md"));
    let mut sections = BTreeMap::<String, String>::new();
    let mut title = String::new();
    for line in text.split_inclusive('\n') {
        if let Some(heading) = line.trim_start_matches('#').strip_prefix(" isobar") {
            title = heading.trim().to_owned();
        }
        sections.entry(title.clone()).or_default().push_str(line);
    }
    let mut faults = Vec::new();
    for (command, options) in &commands {
        let Some(section) = sections.get(command) else {
            faults.push(format!("no section `isobar {command}`"));
            continue;
        };
        let example = format!("isobar {command}");
        if !split(section).1.iter().any(|block| block.text.contains(&example)) {
            faults.push(format!("no example of `isobar {command}`"));
        }
        let globals = &commands[""];
        let own = options.iter().filter(|option| command.is_empty() || !globals.contains(*option));
        let absent = own.filter(|option| !section.contains(&format!("`{option}")));
        faults.extend(absent.map(|option| format!("`isobar {command}`: no {option}")));
    }
    let unknown = sections.keys().filter(|command| !commands.contains_key(*command));
    faults.extend(unknown.map(|command| format!("there is no command `isobar {command}`")));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[tokio::test]
async fn every_written_command_fits_the_binary() {
    let commands = commands().await;
    let (mut faults, mut seen) = (Vec::new(), 0);
    for (document, text) in documents() {
        let (prose, blocks) = split(&text);
        let written = blocks.iter().flat_map(|block| block.text.lines()).chain(spans(&prose));
        for line in written.flat_map(simple_commands) {
            seen += 1;
            let fault = misuse(&line, &commands);
            faults.extend(fault.map(|fault| format!("{document}: {}: {fault}", line.join(" "))));
        }
    }
    assert!(seen > 50, "only {seen} command lines were found");
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

async fn commands() -> Commands {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (mut commands, mut open) = (Commands::new(), vec![Vec::<String>::new()]);
    while let Some(command) = open.pop() {
        let asked = command.iter().cloned().chain(["--help".to_owned()]);
        let help = Isobar::new(dir.path()).args(asked).run().await.expect_code(0).stdout;
        let (mut options, mut heading) = (BTreeSet::from(["--help".to_owned()]), "");
        for line in help.lines() {
            let indented = line.len() - line.trim_start().len();
            match (heading, line.split_whitespace().next()) {
                (_, Some(_)) if indented == 0 => heading = line,
                ("Commands:", Some(name)) if indented == 2 && name != "help" => {
                    open.push(command.iter().cloned().chain([name.to_owned()]).collect());
                }
                ("Options:", Some(_)) if indented <= 6 => {
                    let name = line.split_whitespace().find(|word| word.starts_with("--"));
                    let name = name.map(|name| name.trim_end_matches(['.', ',']).to_owned());
                    options.extend(name);
                }
                _ => {}
            }
        }
        commands.insert(command.join(" "), options);
    }
    assert!(commands.len() > 20, "only {} commands were found", commands.len());
    commands
}

/// The arguments of each `isobar` that a line of shell calls.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let line =
        line.replace("cargo run --release -- ", "isobar ").replace("cargo run -- ", "isobar ");
    let words = shell_words(line.split(" #").next().unwrap_or_default());
    let ends = |word: &String| ["|", "||", "&", "&&", ";", ">", "<", "2>"].contains(&word.as_str());
    let is_binary =
        |word: &String| word == "isobar" || word.ends_with("/isobar") && !word.contains('=');
    let call = |words: &[String]| {
        let at = words.iter().rposition(is_binary)?;
        Some(words[at + 1..].to_vec()).filter(|arguments| !arguments.is_empty())
    };
    words.split(ends).filter_map(call).collect()
}

/// Words of a shell line; quotes hold a word together, and operators are words.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for c in line.chars() {
        let word = words.last_mut().expect("a word");
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, ' ') => words.push(String::new()),
            (None, ';') => words.extend([";".to_owned(), String::new()]),
            _ => word.push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Why the binary would refuse these arguments, if it would.
fn misuse(arguments: &[String], commands: &Commands) -> Option<String> {
    let (mut command, mut rest) = (String::new(), arguments);
    while let [first, others @ ..] = rest {
        let longer = format!("{command} {first}").trim().to_owned();
        if !commands.contains_key(&longer) {
            break;
        }
        (command, rest) = (longer, others);
    }
    let is_group = commands.keys().any(|known| known.starts_with(&format!("{command} ")));
    let ends_here = rest.iter().any(|word| ["--help", "--version"].contains(&word.as_str()));
    if (command.is_empty() || is_group) && !ends_here {
        return Some("no such command".to_owned());
    }
    let name = |word: &String| word.split('=').next().unwrap_or_default().to_owned();
    let mut options = rest.iter().filter(|word| word.starts_with("--")).map(name);
    let known = &commands[&command];
    options.find(|option| !known.contains(option)).map(|option| format!("no option {option}"))
}

#[test]
fn shell_lines_are_read_as_written() {
    let known = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let commands = Commands::from([
        (String::new(), known(&["--help", "--json"])),
        ("jobs".to_owned(), known(&["--help"])),
        ("jobs list".to_owned(), known(&["--limit"])),
        ("demo".to_owned(), known(&["--exit"])),
    ]);
    let faults = |line: &str| -> Vec<Option<String>> {
        simple_commands(line).iter().map(|line| misuse(line, &commands)).collect()
    };
    assert_eq!(faults("cargo run --release -- demo --exit"), [None]);
    assert_eq!(faults("A=1 isobar jobs list --limit=5 > x & /bin/isobar demo; echo"), [None, None]);
    assert_eq!(faults("sudo -u isobar isobar demo # isobar x"), [None]);
    assert_eq!(faults("isobar jobs --help"), [None]);
    assert_eq!(faults("createdb -O isobar isobar"), []);
    for wrong in ["isobar jobs", "isobar job list", "isobar demo --exits", "isobar --json"] {
        assert!(faults(wrong)[0].is_some(), "{wrong}");
    }
}
