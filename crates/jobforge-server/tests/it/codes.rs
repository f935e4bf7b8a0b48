//! The table of codes in the documentation, against the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jobforge::core::json::CODES;

/// What is called with a code, after a status if there is one.
const MAKERS: [&str; 11] = [
    "ApiError::new(",
    "Self::new(",
    "ApiError::failed(",
    "Self::failed(",
    "bad_request(",
    "conflict(",
    "unauthorized(",
    "forbidden(",
    "unavailable(",
    "too_many(",
    "unsupported(",
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// The literal at the start of a text, if it is a stable word.
fn word(text: &str) -> Option<String> {
    let (word, _) = text.strip_prefix('"')?.split_once('"')?;
    let fits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    fits.then(|| word.to_owned())
}

/// What stands behind the first argument.
fn second(text: &str) -> &str {
    let (mut depth, mut in_string) = (0_i32, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => in_string = !in_string,
            '(' | '[' if !in_string => depth += 1,
            ')' | ']' if !in_string => depth -= 1,
            ',' if !in_string && depth == 0 => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

fn codes_of(source: &str) -> BTreeSet<String> {
    let tight: String = source.chars().filter(|c| !c.is_whitespace()).collect();
    let mut codes = BTreeSet::new();
    for maker in MAKERS {
        for (at, _) in tight.match_indices(maker) {
            let rest = &tight[at + maker.len()..];
            codes.extend(word(rest));
            if rest.starts_with("StatusCode::") {
                codes.extend(word(second(rest)));
            }
        }
    }
    for maker in ["FieldProblem::new(", ".fail("] {
        for (at, _) in tight.match_indices(maker) {
            codes.extend(word(second(&tight[at + maker.len()..])));
        }
    }
    codes
}

#[test]
fn every_code_is_in_the_documentation_and_no_other() -> Result<()> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crates")?;
    let mut files = vec![crates.join("jobforge-core/src/enqueue.rs")];
    sources(&crates.join("jobforge-server/src"), &mut files)?;
    let mut made: BTreeSet<String> = CODES.iter().map(|code| (*code).to_owned()).collect();
    for file in files {
        made.extend(codes_of(&fs::read_to_string(&file)?));
    }
    let page = fs::read_to_string(crates.parent().context("the repository")?.join("docs/http-api.md"))?;
    let table =
        page.split("## Codes\n").nth(1).context("a section Codes")?.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let told: BTreeSet<String> = rows.filter_map(|line| Some(line.split('`').nth(1)?.to_owned())).collect();
    let missing: Vec<_> = made.difference(&told).collect();
    assert!(missing.is_empty(), "the section Codes of docs/http-api.md lacks {missing:?}");
    // What other crates say is known by their own tests; it must at least be a word of their sources.
    let mut all = Vec::new();
    sources(&crates.join("jobforge-core/src"), &mut all)?;
    sources(&crates.join("jobforge-server/src"), &mut all)?;
    let whole = all.iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>()?.concat();
    let stale: Vec<_> = told.iter().filter(|code| !whole.contains(&format!("\"{code}\""))).collect();
    assert!(stale.is_empty(), "docs/http-api.md tells of {stale:?}, which are in no source");
    Ok(())
}
