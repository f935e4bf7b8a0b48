//! Where runbooks are found: an operator's own first, then those that come with JobForge, then one page for each alert.

use std::path::{Path, PathBuf};

use jobforge_core::alert::rules::{Group, Rule, groups};
use jobforge_core::nearest::advice;
use jobforge_core::time::words;

use super::page::{Origin, Page};

/// Ours, by name.
const BUILT_IN: [(&str, &str); 7] = [
    ("README", include_str!("../../../../runbooks/README.md")),
    ("background-jobs", include_str!("../../../../runbooks/background-jobs.md")),
    ("heartbeats", include_str!("../../../../runbooks/heartbeats.md")),
    ("queue", include_str!("../../../../runbooks/queue.md")),
    ("schedules-alerts", include_str!("../../../../runbooks/schedules-alerts.md")),
    ("stuck-jobs", include_str!("../../../../runbooks/stuck-jobs.md")),
    ("workers", include_str!("../../../../runbooks/workers.md")),
];
/// The longest runbook, in bytes.
const LONGEST: u64 = 1 << 20;
/// The most runbooks of one directory.
const MOST: usize = 1000;

/// Why there is no runbook to show.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The operator's own cannot be read.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// The directory or the file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// One that ships with JobForge cannot be read.
    #[error("{0}")]
    Broken(String),
    /// There is none of that name, or no such section.
    #[error("{what}")]
    Missing {
        /// What there is not.
        what: String,
        /// What there is instead.
        hint: String,
    },
}

/// Every runbook; own ones hide others of the same name.
///
/// # Errors
/// When one cannot be read.
pub fn all(own: Option<&Path>) -> Result<Vec<Page>, ShelfError> {
    let mut pages = own.map(read_directory).transpose()?.unwrap_or_default();
    let built_in = BUILT_IN.iter().map(|(name, text)| Page::read(name, text, Origin::BuiltIn));
    let alerts = groups().into_iter().flat_map(|group| {
        let of_rule = |rule: &Rule| Page::read(rule.name, &alert_page(&group, rule), Origin::Alert);
        group.rules.iter().map(of_rule).collect::<Vec<_>>()
    });
    for page in built_in.chain(alerts) {
        let page = page.map_err(ShelfError::Broken)?;
        if !pages.iter().any(|known: &Page| known.name == page.name) {
            pages.push(page);
        }
    }
    Ok(pages)
}

/// The page of a name among these: a runbook, a section of one after `#`, or an alert.
///
/// # Errors
/// `Missing` when there is none.
pub fn find(pages: &[Page], name: &str) -> Result<Page, ShelfError> {
    let (book, section) = match name.split_once('#') {
        Some((book, section)) => (book.trim_end_matches(".md"), Some(section)),
        None => (name.trim_end_matches(".md"), None),
    };
    // Who wrote a page about an alert wants it shown instead of ours.
    let bound = pages.iter().find(|page| page.alerts.iter().any(|alert| alert == book));
    let Some(page) = bound.or_else(|| pages.iter().find(|page| page.name == book)) else {
        let known: Vec<&str> = pages.iter().map(|page| page.name.as_str()).collect();
        let hint = format!("{}; `jobforge runbook list` lists all", advice(book, &known));
        return Err(ShelfError::Missing { what: format!("there is no runbook {book:?}"), hint });
    };
    let Some(section) = section else { return Ok(page.clone()) };
    let anchors: Vec<&str> = page.sections.iter().map(|section| section.anchor.as_str()).collect();
    let hint = advice(section, &anchors);
    let missing = || ShelfError::Missing { what: format!("runbook {book} has no section {section:?}"), hint };
    page.clone().only(section).ok_or_else(missing)
}

fn read_directory(directory: &Path) -> Result<Vec<Page>, ShelfError> {
    let fail = |path: &Path, why: String| ShelfError::Unreadable { path: path.to_owned(), why };
    let entries = std::fs::read_dir(directory)
        .map_err(|error| fail(directory, format!("runbooks cannot be read: {error}")))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| fail(directory, error.to_string()))?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
    if paths.len() > MOST {
        return Err(fail(directory, format!("it holds {} runbooks; at most {MOST} are read", paths.len())));
    }
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let size = std::fs::metadata(path).map_err(|error| fail(path, error.to_string()))?.len();
        if size > LONGEST {
            return Err(fail(path, format!("it has {size} bytes; a runbook has at most {LONGEST}")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| fail(path, error.to_string()))?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Page::read(&name, &text, Origin::Own).map_err(|why| fail(path, why))
    };
    paths.iter().map(read).collect()
}

/// What is known of an alert, and where to look first.
fn alert_page(group: &Group, rule: &Rule) -> String {
    let hold = if rule.hold.is_zero() { "at once".to_owned() } else { format!("after {}", words(rule.hold)) };
    let (looks, mends): (&[&str], &[&str]) = match group.name {
        "jobforge_liveness" => (
            &[
                "jobforge watchdog status",
                "jobforge worker list --active",
                "jobforge watchdog history --limit 3",
            ],
            &["jobforge watchdog run"],
        ),
        "jobforge_background_jobs" => {
            (&["jobforge schedule list", "jobforge dead groups", "jobforge queue list"], &[])
        }
        "jobforge_queues" => {
            (&["jobforge queue list", "jobforge worker list --active", "jobforge dead groups"], &[])
        }
        _ => (
            &["jobforge db status", "jobforge db check", "jobforge watchdog status"],
            &["jobforge doctor --fix"],
        ),
    };
    let block = |mark: &str, commands: &[&str]| {
        let lines: Vec<String> = commands.iter().map(|command| format!("$ {command}\n")).collect();
        format!("```console jobforge:{mark}\n{}```\n", lines.concat())
    };
    let book = group.runbook.trim_end_matches(".md");
    let mut text = format!(
        "# {}\n\n**Alert**, {}, fires {hold}.\n\n**You see** {}\n\n**Understand.** {}\n\n**Look.**\n\n{}",
        rule.name,
        rule.severity.word(),
        rule.summary,
        rule.description,
        block("read", &[&["jobforge alert list", "jobforge doctor"], looks].concat()),
    );
    if !mends.is_empty() {
        text.push_str(&format!("\n**Mend.**\n\n{}", block("mend", mends)));
    }
    text.push_str(&format!(
        "\nMore: `jobforge runbook show {book}`. Known already: `jobforge alert silence {} --for 2h --reason WHY`.\n",
        rule.name
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alert_has_a_page_and_every_page_reads() {
        let pages = all(None).expect("pages");
        for group in groups() {
            assert!(
                pages.iter().any(|page| page.name == group.runbook.trim_end_matches(".md")),
                "{}",
                group.runbook
            );
            for rule in group.rules {
                let page = pages.iter().find(|page| page.name == rule.name).expect(rule.name);
                assert!(page.sections.iter().any(|section| !section.steps.is_empty()), "{}", rule.name);
            }
        }
    }

    #[test]
    fn a_section_is_found_by_its_link_and_a_misspelt_name_by_its_neighbour() {
        let pages = all(None).expect("pages");
        let page = find(&pages, "stuck-jobs#a-handler-hangs").expect("a section");
        assert!(page.title == "A handler hangs" && page.text.starts_with("## A handler hangs"));
        assert!(find(&pages, "stuck-job").is_err_and(|why| format!("{why:?}").contains("stuck-jobs")));
        assert!(find(&pages, "stuck-jobs#nothing").is_err());
        assert_eq!(find(&pages, "qc_job_stuck").expect("an alert").origin, Origin::Alert);
    }
}
