//! `cargo xtask reference`: the pages that are made from the program itself.
//!
//! Settings, metrics and alerts come from the tables of `jobforge-core`, commands and exit codes from the program, the API
//! and its codes from its description, SQL from the catalogue of a database that the program has made.

mod api;
mod commands;
mod errors;
mod settings;
mod sql;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::stages::{Outcome, Run, Stage};
use crate::{command, repository, run as run_command, stages, test, this_build};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only say which pages are out of date
    #[arg(long)]
    check: bool,
}

/// A page, as a path in the repository, and what it has to hold.
struct Page {
    path: &'static str,
    text: String,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let reference = if options.check { check } else { write };
    stages::run(&[test::POSTGRES, Stage { name: "reference", run: reference }])
}

/// Fails with every page that is not what the program says.
pub(crate) fn check(run: &mut Run) -> Result<Outcome> {
    let mut stale = Vec::new();
    for page in pages(run)? {
        let kept = fs::read_to_string(repository().join(page.path)).unwrap_or_default();
        if let Some(line) = first_difference(&kept, &page.text) {
            stale.push(format!("{}:{line}", page.path));
        }
    }
    if !stale.is_empty() {
        bail!("not what the program says\n{}\nhint: cargo xtask reference", stale.join("\n"));
    }
    Ok(Outcome::Passed)
}

/// Writes every page, and before that what tests of the crates hold against the same tables.
fn write(run: &mut Run) -> Result<Outcome> {
    run_command(&mut command(
        "cargo",
        &["run", "--quiet", "--package", "jobforge-core", "--example", "alerts"],
    ))?;
    let mut described =
        command("cargo", &["run", "--quiet", "--package", "jobforge-server", "--example", "openapi"]);
    let output =
        described.stderr(std::process::Stdio::inherit()).output().context("failed to describe the API")?;
    if !output.status.success() {
        bail!("the description of the API ended with {}", output.status);
    }
    put("docs/openapi.json", &output.stdout)?;
    put("docs/metrics.md", metrics()?.as_bytes())?;
    for page in pages(run)? {
        put(page.path, page.text.as_bytes())?;
        println!("{}", page.path);
    }
    Ok(Outcome::Passed)
}

fn pages(run: &Run) -> Result<Vec<Page>> {
    let program = this_build()?;
    Ok(vec![
        Page { path: "docs/reference/settings.md", text: settings::page() },
        Page { path: "docs/reference/commands.md", text: commands::page(&program)? },
        Page { path: "docs/reference/exit-codes.md", text: commands::exit_codes(&program)? },
        Page { path: "docs/reference/api.md", text: api::page()? },
        Page { path: "docs/reference/errors.md", text: errors::page()? },
        Page { path: "docs/reference/sql.md", text: sql::page(run, &program)? },
    ])
}

/// The page of metrics with its table as it is.
fn metrics() -> Result<String> {
    const MARKS: (&str, &str) = ("metric/table.rs -->\n", "<!-- the table ends -->");
    let page = read("docs/metrics.md")?;
    let (before, rest) = page.split_once(MARKS.0).context("docs/metrics.md has no table")?;
    let (_, after) = rest.split_once(MARKS.1).context("the table of docs/metrics.md has no end")?;
    Ok(format!("{before}{}{}{}{after}", MARKS.0, jobforge::core::metric::docs_table(), MARKS.1))
}

/// The first lines of a page that is made.
fn head(title: &str, from: &str) -> String {
    format!("<!-- Made from {from}: cargo xtask reference -->\n\n# {title}\n\n")
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(repository().join(path)).with_context(|| format!("failed to read {path}"))
}

fn put(path: &str, bytes: &[u8]) -> Result<()> {
    let path: PathBuf = repository().join(path);
    let failed = || format!("failed to write {}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(&path)).with_context(failed)?;
    fs::write(&path, bytes).with_context(failed)
}

fn first_difference(kept: &str, made: &str) -> Option<usize> {
    if kept == made {
        return None;
    }
    let same = kept.lines().zip(made.lines()).take_while(|(kept, made)| kept == made);
    Some(same.count() + 1)
}

/// Text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{cell, first_difference};

    #[test]
    fn the_line_where_a_page_differs_is_told() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("", "a\n"), Some(1));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
    }

    #[test]
    fn a_cell_is_one_line_without_bars_of_its_own() {
        assert_eq!(cell("a | b\n  c"), "a \\| b c");
    }
}
