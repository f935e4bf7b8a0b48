//! Every snippet of the documentation: typed at a fleet, read by the program that it is for, found in what is compiled
//! and run, or named with the test that does so.
//!
//! A comment above a block says what its language does not: `<!-- given: … -->` what must be there, as in runbooks;
//! `<!-- body of: POST /v1/jobs -->`; `<!-- tested by: FILE, NAME -->`; `<!-- not run: … -->` with the reason. A line such as
//! `` `tasks.py`: `` gives the name of a file that later blocks use.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::blocks::{self, Block, Language};
use super::ours::Reader;
use super::verdict::{self, Verdict};
use super::{files, repository};
use crate::program::done;

/// The pages of the site.
const SUMMARY: &str = "docs/SUMMARY.md";
/// Pages that are judged elsewhere: runbooks by the test of runbooks, and what a program makes by stage `book`, which
/// refuses pages that are not as the program is.
const ELSEWHERE: [&str; 3] = ["runbooks/", "docs/reference/", "docs/alerts.md"];
/// Programs that are compiled and run by tests of their own, from which snippets are taken.
const PROGRAMS: [&str; 3] =
    ["crates/jobforge/examples", "examples/background-jobs/src", "examples/media-qc/src"];
/// Whose suites run the snippets of their languages in the READMEs beside them.
const SDKS: &str = "sdks/";

#[test]
fn process_every_snippet_of_the_documentation_runs_and_gives_what_it_shows() {
    let mut reader = Reader::new();
    let mut judged = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(repository().join(&page)).unwrap();
        for block in blocks::of(page.trim_end_matches(".md"), &text) {
            let verdict = verdict_of(&mut reader, &block);
            judged.push((block, verdict));
        }
    }
    eprintln!("{}", verdict::table(&judged));
    let failed: Vec<String> = judged.iter().filter_map(|(block, verdict)| verdict.failure(block)).collect();
    assert!(failed.is_empty(), "{} of {} blocks fail:\n{}", failed.len(), judged.len(), failed.join("\n"));
}

/// The pages that are judged here, relative to the repository.
fn pages() -> Vec<String> {
    let summary = std::fs::read_to_string(repository().join(SUMMARY)).unwrap();
    let linked = summary.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let pages: Vec<String> = linked
        .map(|(link, _)| link.strip_prefix("../").map_or_else(|| format!("docs/{link}"), str::to_owned))
        .filter(|page| !ELSEWHERE.iter().any(|place| page.starts_with(place)))
        .collect();
    assert!(!pages.is_empty(), "{SUMMARY} names no page");
    pages
}

fn verdict_of(reader: &mut Reader, block: &Block) -> Verdict {
    if let Some((what, value)) = comment(&block.above) {
        return match what {
            "tested by" => Verdict::of(tested(value)),
            "body of" => Verdict::of(accepted(reader, value, &block.text)),
            "example" => Verdict::of(tested(&format!(
                "crates/jobforge-server/tests/it/worker_examples.rs, \"{value}\""
            ))),
            "not run" => Verdict::NotApplicable(value.to_owned()),
            "given" => reader.verdict_of(block),
            other => Verdict::Fails(format!("nothing here knows what {other:?} means")),
        };
    }
    if let Some(name) = block.above.strip_prefix('`').and_then(|rest| rest.strip_suffix("`:")) {
        return Verdict::of(reader.given_of(block).and_then(|()| reader.keep(name, &block.text)));
    }
    match &block.language {
        Language::Console | Language::Sql | Language::Shell => reader.verdict_of(block),
        Language::None | Language::Text if block.text.contains('─') => {
            Verdict::NotApplicable("a drawing".to_owned())
        }
        Language::TypeScript => Verdict::of(suite_of(block)),
        Language::Yaml => Verdict::of(scraped(reader, &block.text)),
        Language::Other(word) => Verdict::of(match word.as_str() {
            "rust" => compiled(&block.text),
            "python" => suite_of(block),
            "toml" => configures(reader, &block.text),
            "promql" => measured(&block.text),
            _ => Err(format!("nothing here can run {word}; who does is told by a comment above it")),
        }),
        other => Err(format!("nothing here can run {other:?}; who does is told by a comment above it"))
            .map_or_else(Verdict::Fails, Verdict::Passes),
    }
}

/// What a comment of one line says, and about what.
fn comment(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("<!-- ")?.strip_suffix(" -->")?.split_once(": ")
}

/// The file is there and has what is named.
fn tested(by: &str) -> Result<String, String> {
    let (file, name) = by.split_once(", ").ok_or("it does not say FILE, NAME")?;
    let text =
        std::fs::read_to_string(repository().join(file)).map_err(|error| format!("{file}: {error}"))?;
    let named =
        if file.ends_with(".rs") && !name.starts_with('"') { format!("fn {name}(") } else { name.to_owned() };
    if text.contains(&named) {
        Ok(format!("{file} has {name}"))
    } else {
        Err(format!("{file} has no {name}"))
    }
}

/// The server takes it.
fn accepted(reader: &Reader, call: &str, body: &str) -> Result<String, String> {
    let (method, path) = call.split_once(' ').ok_or("it does not say METHOD PATH")?;
    reader.keep("body.json", body)?;
    reader.types(&format!(
        "curl -sS -X {method} -H 'Content-Type: application/json' -H \"Authorization: Bearer $AUTH_TOKEN\" -d @body.json http://127.0.0.1:8080{path}"
    ))
}

/// The program takes it as its configuration. Secrets are read when it starts, so they are there.
fn configures(reader: &Reader, text: &str) -> Result<String, String> {
    let secrets = reader.folder().join("secrets");
    std::fs::create_dir_all(&secrets).map_err(|error| error.to_string())?;
    for name in text.split("/run/secrets/").skip(1).filter_map(|rest| rest.split('"').next()) {
        std::fs::write(secrets.join(name), "smtps://user:password@mail.example.org")
            .map_err(|error| error.to_string())?;
    }
    reader.keep("documented.toml", &text.replace("/run/secrets", &secrets.display().to_string()))?;
    reader.types("jobforge help-settings --config documented.toml > /dev/null")
}

/// Its lines stand, in their order, in one program that is compiled and run.
fn compiled(text: &str) -> Result<String, String> {
    let programs = PROGRAMS.iter().flat_map(|folder| sources(&repository().join(folder)));
    for program in programs {
        let source = std::fs::read_to_string(&program).map_err(|error| error.to_string())?;
        if stands_in(text, &source) {
            return Ok(format!("stands in {}", program.file_name().unwrap_or_default().display()));
        }
    }
    Err(format!("no program of {} has it", PROGRAMS.join(", ")))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    found.sort();
    found
}

/// Whether the lines of a snippet are lines of a program, in their order, however they are indented.
fn stands_in(snippet: &str, program: &str) -> bool {
    let mut lines = program.lines().map(str::trim);
    snippet
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .all(|line| lines.any(|other| other == line))
}

/// Snippets of the SDKs' own languages are run by the SDKs' own suites, which read their README.
fn suite_of(block: &Block) -> Result<String, String> {
    match block.book.strip_prefix(SDKS).and_then(|rest| rest.split('/').next()) {
        Some("python") => tested("sdks/python/tests/test_readme.py, def test_every_snippet_of_the_readme"),
        Some("typescript") => tested("sdks/typescript/test/readme.test.ts, every snippet of the README"),
        _ => Err("outside of an SDK's README it needs the name of its file above it".to_owned()),
    }
}

/// Every metric that it asks for is one of ours.
fn measured(text: &str) -> Result<String, String> {
    let table =
        std::fs::read_to_string(repository().join("docs/metrics.md")).map_err(|error| error.to_string())?;
    let expressions: Vec<&str> = text.lines().filter_map(|line| line.split(" #").next()).collect();
    let words = expressions.iter().flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let names: Vec<&str> = words.filter(|word| word.starts_with("job") && *word != "job_name").collect();
    let unknown = names.iter().find(|name| {
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        !table.contains(&format!("`{family}`"))
    });
    match unknown {
        Some(name) => Err(format!("{name} is not in the table of metrics")),
        None if names.is_empty() => Err("it asks for no metric".to_owned()),
        None => Ok(format!("{} are metrics of ours", names.join(", "))),
    }
}

/// Prometheus takes it as its configuration.
fn scraped(reader: &Reader, text: &str) -> Result<String, String> {
    reader.keep("prometheus.yml", text)?;
    let file = reader.folder().join("prometheus.yml");
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "config", "--syntax-only"]).arg(file);
    let judged =
        done(promtool.output().map_err(|error| format!("promtool, of Debian's prometheus: {error}"))?);
    if judged.code == 0 {
        Ok("promtool takes it".to_owned())
    } else {
        Err(format!("{}{}", judged.out, judged.err))
    }
}

#[test]
fn a_snippet_stands_in_a_program_if_all_its_lines_do_in_their_order() {
    let program = "fn main() {\n    one();\n    two();\n}\n";
    assert!(stands_in("one();\n\n  two();\n", program));
    assert!(!stands_in("two();\none();\n", program) && !stands_in("one(1);\n", program));
}

#[test]
fn every_page_of_the_documentation_is_one_that_the_site_has() {
    let known = pages();
    for file in files(&repository().join("docs")) {
        let name = format!("docs/{}", file.file_name().unwrap().display());
        let elsewhere = name == SUMMARY || ELSEWHERE.contains(&name.as_str());
        assert!(elsewhere || known.contains(&name), "{SUMMARY} lacks {name}, so nobody tries its snippets");
    }
}
