//! House rules that need no compiler.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// A file is one thought. What is longer than this has become two.
const LONGEST_FILE_LINES: usize = 800;

const SOURCE_EXTENSIONS: [&str; 4] = ["rs", "py", "ts", "sql"];

/// Folders whose contents nobody writes by hand. Hidden ones are passed over as well.
const NOT_OURS: [&str; 7] =
    ["target", "node_modules", "vendor", "vendored", "generated", "dist", "__pycache__"];

/// A generator says so within the first lines of what it writes.
const GENERATED_MARKER: &str = concat!("@", "generated");
const MARKER_LINES: usize = 5;

/// Spelled in two parts, so that this file passes its own check.
const LOOSE_ENDS: [&str; 4] =
    [concat!("todo", "!"), concat!("unimplemented", "!"), concat!("FIX", "ME"), concat!("XX", "X")];

/// The table of faults, whose last column names the tests that show what is said.
const FAULTS: &str = "docs/faults.md";

/// Fails with every breach of a rule below `root`.
pub(crate) fn check(root: &Path) -> Result<()> {
    let (mut findings, mut functions) = (Vec::new(), BTreeSet::new());
    let files = visit(root, root, &mut findings, &mut functions)?;
    let faults = root.join(FAULTS);
    let faults =
        std::fs::read_to_string(&faults).with_context(|| format!("failed to read {}", faults.display()))?;
    findings.extend(unknown_tests(FAULTS, &faults, &functions));
    if findings.is_empty() {
        println!("{files} source files follow the house rules");
        return Ok(());
    }
    bail!("{} breaches of the house rules\n{}", findings.len(), findings.join("\n"))
}

/// Returns how many files were looked at.
fn visit(
    root: &Path,
    directory: &Path,
    findings: &mut Vec<String>,
    functions: &mut BTreeSet<String>,
) -> Result<usize> {
    let mut files = 0;
    let failed = || format!("failed to read {}", directory.display());
    let entries = std::fs::read_dir(directory).with_context(failed)?.collect::<Result<Vec<_>, _>>();
    let mut entries = entries.with_context(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let kind = entry.file_type().with_context(failed)?;
        if kind.is_dir() && !name.starts_with('.') && !NOT_OURS.contains(&name.as_ref()) {
            files += visit(root, &path, findings, functions)?;
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if kind.is_file() && SOURCE_EXTENSIONS.contains(&extension) {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("failed to read {}", path.display()))?;
            let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            findings.extend(breaches(&shown, extension, &text));
            if extension == "rs" {
                functions.extend(function_names(&text));
            }
            files += 1;
        }
    }
    Ok(files)
}

/// Returns what is wrong with one file, each as `path:line: what`.
fn breaches(path: &str, extension: &str, text: &str) -> Vec<String> {
    if text.lines().take(MARKER_LINES).any(|line| line.contains(GENERATED_MARKER)) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if extension == "sql" {
        if !text.starts_with("--") {
            findings.push(format!("{path}:1: starts without a `--` comment that says what it does"));
        }
    } else if lines > LONGEST_FILE_LINES {
        findings.push(format!("{path}:{lines}: longer than {LONGEST_FILE_LINES} lines"));
    }
    if extension == "rs" {
        for (index, line) in text.lines().enumerate() {
            let loose = LOOSE_ENDS.iter().filter(|word| contains_word(line, word));
            findings.extend(loose.map(|word| format!("{path}:{}: {word}", index + 1)));
        }
    }
    findings
}

fn function_names(text: &str) -> impl Iterator<Item = String> {
    let in_name = |character: &char| character.is_alphanumeric() || *character == '_';
    text.split("fn ").skip(1).map(move |rest| rest.chars().take_while(in_name).collect())
}

/// Returns the names in backticks, in the last column of a document's tables, that no function has.
fn unknown_tests(path: &str, document: &str, functions: &BTreeSet<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in document.lines().enumerate() {
        let Some(cell) = line.strip_suffix('|').and_then(|row| row.rsplit('|').next()) else { continue };
        let unknown = cell.split('`').skip(1).step_by(2).filter(|name| !functions.contains(*name));
        findings.extend(unknown.map(|name| format!("{path}:{}: there is no test {name}", index + 1)));
    }
    findings
}

/// Returns whether `word` occurs in `line` other than inside a longer word.
fn contains_word(line: &str, word: &str) -> bool {
    let in_word = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        let goes_on = word.ends_with(in_word) && after.starts_with(in_word);
        !before.ends_with(in_word) && !goes_on
    })
}

#[cfg(test)]
mod tests {
    use super::{GENERATED_MARKER, LOOSE_ENDS, breaches, function_names, unknown_tests};

    #[track_caller]
    fn check(extension: &str, text: &str, expected: &[&str]) {
        assert_eq!(breaches("a", extension, text), expected, "{text:?}");
    }

    #[test]
    fn a_long_file_is_found_unless_a_generator_wrote_it() {
        check("rs", &"\n".repeat(800), &[]);
        check("py", &"\n".repeat(801), &["a:801: longer than 800 lines"]);
        check("ts", &format!("// {GENERATED_MARKER}\n{}", "\n".repeat(801)), &[]);
    }

    #[test]
    fn a_table_that_names_a_test_that_is_gone_is_found() {
        let functions = function_names("async fn it_holds(site: &Site) {}\nfn other() {}").collect();
        let table = "`elsewhere` is text\n| Fault | Shown by |\n| `code` | `it_holds`, `it_is_gone` |\n| x | no test |";
        assert_eq!(unknown_tests("f", table, &functions), ["f:3: there is no test it_is_gone"]);
    }

    #[test]
    fn sql_says_what_it_does() {
        check("sql", "-- Counts jobs.\nSELECT 1;\n", &[]);
        check("sql", "SELECT 1;\n", &["a:1: starts without a `--` comment that says what it does"]);
    }

    #[test]
    fn loose_ends_are_found_as_words_only() {
        let [todo, _, fixme, xxx] = LOOSE_ENDS;
        check("rs", &format!("fn f() {{\n    {todo}()\n}}\n"), &[&format!("a:2: {todo}")]);
        check("rs", &format!("// {fixme}: later\n"), &[&format!("a:1: {fixme}")]);
        check("rs", &format!("let template = \"a-{xxx}{xxx}\"; not_{todo}()\n"), &[]);
        check("py", &format!("# {fixme}\n"), &[]);
    }
}
