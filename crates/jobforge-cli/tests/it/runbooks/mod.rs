//! The runbooks, run: every fenced block of every runbook against a real fleet, in order.
//!
//! Ours are in `runbooks/` and always run: [`ours`] types each block and compares what is printed with what is shown.
//! `RUNBOOK_SPECS` names a folder of others, the specification, that is not part of this repository. They show no
//! output, so for them the promises of the words around a block are written down here, a file for each language. Every
//! block gets one [`verdict::Verdict`].

mod alerts;
mod backup;
mod blocks;
pub(crate) mod deploy;
mod docs;
mod fleet;
mod http;
mod links;
mod ours;
mod processes;
mod scenes;
mod schedules;
mod shell;
mod six;
mod sql;
mod transcript;
mod typescript;
mod verdict;

use std::path::{Path, PathBuf};

use blocks::{Block, Language};
use fleet::Fleet;
use ours::Reader;
use verdict::Verdict;

/// Our runbooks, relative to the repository.
const OURS: &str = "runbooks";
/// Where runbooks are that are not ours, relative to the repository.
const SPECS_VARIABLE: &str = "RUNBOOK_SPECS";

/// Runs one block of the specification by its language.
fn verdict_of(fleet: &mut Fleet, block: &Block) -> Verdict {
    match &block.language {
        Language::None if block.text.contains('─') => Verdict::NotApplicable("a drawing".to_owned()),
        Language::None if block.text.contains(":6543/") => Verdict::of(processes::pooler(fleet)),
        Language::None | Language::Console | Language::Text => {
            Verdict::Fails("nothing here knows what this is".to_owned())
        }
        Language::Sql => sql::run(fleet, &block.text),
        Language::Shell => shell::run(fleet, &block.text),
        Language::Yaml if block.text.contains("alert:") => alerts::check(&block.text),
        Language::Yaml | Language::Ini => Verdict::of(deploy::file(fleet, &block.text)),
        Language::TypeScript => Verdict::of(typescript::run(fleet, &block.text)),
        Language::Other(word) => Verdict::Fails(format!("nothing here can run {word}")),
    }
}

#[test]
fn process_every_block_of_the_runbooks_runs_and_gives_what_it_promises() {
    let root = repository();
    let mut judged = Vec::new();
    if let Some(specs) = specs() {
        let mut fleet = Fleet::start();
        for block in books(&root.join(specs)) {
            let verdict = verdict_of(&mut fleet, &block);
            judged.push((block, verdict));
        }
    }
    let mut reader = Reader::new();
    for block in books(&root.join(OURS)) {
        let verdict = reader.verdict_of(&block);
        judged.push((block, verdict));
    }
    let table = verdict::table(&judged);
    // Kept, so that whoever looks need not run everything again.
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("runbook-blocks.md"), &table).unwrap();
    eprintln!("{table}");
    let failed: Vec<String> = judged.iter().filter_map(|(block, verdict)| verdict.failure(block)).collect();
    assert!(failed.is_empty(), "{} of {} blocks fail:\n{}", failed.len(), judged.len(), failed.join("\n"));
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The runbooks of a folder, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{} holds no runbooks: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    assert!(!files.is_empty(), "{} holds no runbooks", folder.display());
    files.sort();
    files
}

/// Every block of every runbook of a folder. One without a block promises what nobody runs.
fn books(folder: &Path) -> Vec<Block> {
    let read = |file: &PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy();
        let found = blocks::of(&name, &std::fs::read_to_string(file).unwrap());
        assert!(!found.is_empty(), "{} has no block", file.display());
        found
    };
    files(folder).iter().flat_map(read).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "tells the test where other runbooks are; no setting of the product"
)]
fn specs() -> Option<String> {
    std::env::var(SPECS_VARIABLE).ok().filter(|value| !value.is_empty())
}
