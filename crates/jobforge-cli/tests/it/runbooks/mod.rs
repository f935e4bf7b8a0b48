//! The runbooks, run: every fenced block of every runbook against a real fleet, in order.
//!
//! `RUNBOOK_SPECS` names a folder of runbooks that is not part of this repository; its own are in `runbooks/`. A block
//! gets one [`verdict::Verdict`]. To teach the executor a language, give it a file here and a line in [`verdict_of`].

mod backup;
mod blocks;
mod fleet;
mod http;
mod parts;
mod processes;
mod shell;
mod sql;
mod verdict;

use std::path::{Path, PathBuf};

use blocks::{Block, Language};
use fleet::Fleet;
use parts::Part;
use verdict::Verdict;

/// Where runbooks are that are not ours, relative to the repository.
const SPECS_VARIABLE: &str = "RUNBOOK_SPECS";

/// Runs one block by its language.
fn verdict_of(fleet: &mut Fleet, block: &Block) -> Verdict {
    match &block.language {
        Language::None if block.text.contains('─') => Verdict::NotApplicable("a drawing"),
        Language::None if block.text.contains(":6543/") => Verdict::of(processes::pooler(fleet)),
        Language::None => Verdict::Fails("nothing here knows what this is".to_owned()),
        Language::Sql => sql::run(fleet, &block.text),
        Language::Shell => shell::run(fleet, &block.text),
        Language::Yaml if block.text.contains("alert:") => Verdict::Waits(Part::Alerts),
        Language::Yaml | Language::Ini => Verdict::Waits(Part::Deploy),
        Language::TypeScript => Verdict::Waits(Part::Sdk),
        Language::Other(word) => Verdict::Fails(format!("nothing here can run {word}")),
    }
}

#[test]
fn process_every_block_of_the_runbooks_runs_and_gives_what_it_promises() {
    let books = books();
    let Some(mut fleet) = (!books.is_empty()).then(Fleet::start) else {
        // Nothing to run is said, not passed over: our own runbooks are still to be written.
        assert!(
            !repository().join("runbooks").exists(),
            "there are runbooks in runbooks/, but no block was found in them"
        );
        return;
    };
    let root = repository();
    let judged: Vec<_> = books
        .iter()
        .map(|block| (block, verdict_of(&mut fleet, block).unless_it_waits_for_nothing(&root)))
        .collect();
    let table = verdict::table(&judged);
    // Kept, so that whoever looks need not run everything again.
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("runbook-blocks.md"), &table).unwrap();
    eprintln!("{table}");
    let failed: Vec<_> = judged.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Fails(_))).collect();
    assert!(failed.is_empty(), "{} of {} blocks fail:\n{failed:#?}", failed.len(), judged.len());
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every block of every runbook, in the order of files and lines.
fn books() -> Vec<Block> {
    let mut folders = Vec::new();
    if let Some(specs) = specs() {
        let folder = repository().join(&specs);
        assert!(folder.is_dir(), "{SPECS_VARIABLE}={specs} is no folder; looked for {}", folder.display());
        folders.push(folder);
    }
    let own = repository().join("runbooks");
    folders.extend(own.is_dir().then_some(own));
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| {
            let name = file.file_stem().unwrap().to_string_lossy();
            blocks::of(&name, &std::fs::read_to_string(file).unwrap())
        })
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "tells the test where other runbooks are; no setting of the product"
)]
fn specs() -> Option<String> {
    std::env::var(SPECS_VARIABLE).ok().filter(|value| !value.is_empty())
}
