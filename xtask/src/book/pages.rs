//! The pages of the site, copied from where they are, with links that fit.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Names every page in its order.
const SUMMARY: &str = "docs/SUMMARY.md";
/// Folders all of whose pages are in the site.
const WHOLE: [&str; 2] = ["docs", "runbooks"];
/// Where files are seen that are in the repository but no page.
const ELSEWHERE: &str = "https://github.com/jobforge/jobforge";

/// Copies every page and picture into a folder, and an index of them for programs that read. Returns how many pages.
pub(super) fn lay_out(repository: &Path, target: &Path) -> Result<usize> {
    let read = |path: &Path| {
        fs::read_to_string(repository.join(path))
            .with_context(|| format!("failed to read {}", path.display()))
    };
    let summary = read(Path::new(SUMMARY))?;
    let book = Book::of(repository, &summary);
    let mut findings = book.left_out()?;
    let (mut files, mut index) = (BTreeSet::new(), String::from("# JobForge\n\n"));
    let mut texts = vec![(PathBuf::from(SUMMARY), summary)];
    for page in &book.pages {
        let text = read(page)?;
        let (title, about) = opening(&text);
        let _ = writeln!(index, "- [{title}]({}): {about}", shown(&book.place(page).with_extension("html")));
        texts.push((page.clone(), text));
    }
    for (page, text) in &texts {
        let mended = book.mend(page, text, &mut files, &mut findings);
        write(&target.join(book.place(page)), mended.as_bytes())?;
    }
    if !findings.is_empty() {
        bail!("{} faults of the documentation\n{}", findings.len(), findings.join("\n"));
    }
    for file in files {
        let bytes =
            fs::read(repository.join(&file)).with_context(|| format!("failed to read {}", file.display()))?;
        write(&target.join(book.place(&file)), &bytes)?;
    }
    write(&target.join("llms.txt"), index.as_bytes())?;
    Ok(book.pages.len())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = || format!("failed to write {}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).with_context(failed)?;
    fs::write(path, bytes).with_context(failed)
}

/// The title of a page, and the first sentence below it.
fn opening(text: &str) -> (String, String) {
    let title = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default();
    let is_prose = |line: &&str| line.starts_with(|first: char| first.is_alphabetic() || first == '*');
    let prose = text.lines().find(is_prose).unwrap_or_default();
    let sentence = prose.split_inclusive(". ").next().unwrap_or_default();
    (title.to_owned(), sentence.trim().to_owned())
}

struct Book<'a> {
    repository: &'a Path,
    /// By their paths in the repository, in the order of the summary.
    pages: Vec<PathBuf>,
}

impl<'a> Book<'a> {
    fn of(repository: &'a Path, summary: &str) -> Self {
        let folder = Path::new(SUMMARY).parent().unwrap_or(Path::new(""));
        let pages =
            targets(summary).into_iter().filter_map(|range| resolve(folder, &summary[range])).collect();
        Self { repository, pages }
    }

    /// Pages that are in nobody's sight.
    fn left_out(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for folder in WHOLE {
            markdown(&self.repository.join(folder), &mut found)?;
        }
        let known = |path: &PathBuf| {
            let path = path.strip_prefix(self.repository).unwrap_or(path);
            path == Path::new(SUMMARY) || self.pages.iter().any(|page| page == path)
        };
        Ok(found
            .iter()
            .filter(|path| !known(path))
            .map(|path| format!("{SUMMARY} lacks {}", path.display()))
            .collect())
    }

    /// Where a file of the repository is in the site.
    fn place(&self, path: &Path) -> PathBuf {
        let place = path.strip_prefix("docs").unwrap_or(path);
        // mdBook makes an index.html of a README.md, and leaves links to it as they are.
        if place.ends_with("README.md") { place.with_file_name("index.md") } else { place.to_owned() }
    }

    /// The text of a page with links that lead to pages of the site, to files beside them, or to the repository.
    fn mend(
        &self,
        page: &Path,
        text: &str,
        files: &mut BTreeSet<PathBuf>,
        findings: &mut Vec<String>,
    ) -> String {
        let (mut mended, mut done) = (String::new(), 0);
        for range in targets(text) {
            let link = &text[range.clone()];
            let Some(target) = resolve(page.parent().unwrap_or(page), link) else { continue };
            let fragment = link.find('#').map_or("", |at| &link[at..]);
            let here = self.repository.join(&target);
            let to = if self.pages.contains(&target) {
                self.relative(page, &target)
            } else if here.is_file() && target.starts_with("docs") {
                files.insert(target.clone());
                self.relative(page, &target)
            } else if here.exists() {
                let kind = if here.is_dir() { "tree" } else { "blob" };
                format!("{ELSEWHERE}/{kind}/main/{}", shown(&target))
            } else {
                findings.push(format!("{}: {link} leads nowhere", page.display()));
                continue;
            };
            mended.push_str(&text[done..range.start]);
            mended.push_str(&to);
            mended.push_str(fragment);
            done = range.end;
        }
        mended.push_str(&text[done..]);
        mended
    }

    fn relative(&self, from: &Path, to: &Path) -> String {
        let (from, to) = (self.place(from), self.place(to));
        let depth = from.components().count() - 1;
        format!("{}{}", "../".repeat(depth), shown(&to))
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn markdown(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let failed = || format!("failed to read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.is_dir() {
            markdown(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

/// The file that a link of a page in `folder` leads to, as a path in the repository; `None` if it stays on the page or leaves
/// the repository.
fn resolve(folder: &Path, link: &str) -> Option<PathBuf> {
    let path = link.split('#').next().unwrap_or_default();
    if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
        return None;
    }
    let mut resolved = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::ParentDir => drop(resolved.pop()),
            Component::Normal(name) => resolved.push(name),
            _ => {}
        }
    }
    Some(resolved)
}

/// Where the targets of links and pictures stand in a text of Markdown, code left out.
fn targets(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut at, mut fence) = (Vec::new(), 0, None::<String>);
    for line in text.split_inclusive('\n') {
        let ticks: String = line.trim_start().chars().take_while(|&character| character == '`').collect();
        match &fence {
            Some(open) if ticks.len() >= open.len() => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => found.extend(in_line(line).into_iter().map(|range| at + range.start..at + range.end)),
        }
        at += line.len();
    }
    found
}

fn in_line(line: &str) -> Vec<Range<usize>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(next) = line[at..].find(['`', ']']) {
        let here = at + next;
        let rest = &line[here..];
        if rest.starts_with('`') {
            let ticks: String = rest.chars().take_while(|&character| character == '`').collect();
            let end = rest[ticks.len()..].find(&ticks).map_or(0, |end| end + ticks.len());
            at = here + end + ticks.len();
        } else if let Some(link) = rest.strip_prefix("](") {
            let start = here + 2;
            let end = link.find(')').map_or(line.len(), |end| start + end);
            found.push(start..end);
            at = end;
        } else {
            at = here + 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code_only() {
        let text = "[`a](x)`](one.md#b) `[c](d)` ![e](two.png)\n```sh\n[f](g)\n```\n````\n```\n[h](i)\n````\n[j](three)\n";
        let found: Vec<&str> = targets(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, ["one.md#b", "two.png", "three"]);
    }

    #[test]
    fn links_lead_to_pages_to_files_and_to_the_repository() {
        let repository = tempfile::tempdir().unwrap();
        for file in ["docs/a.md", "docs/deep/b.md", "docs/c.png", "runbooks/d.md", "src/e.rs"] {
            write(&repository.path().join(file), b"# T\n").unwrap();
        }
        let book = Book::of(repository.path(), "[a](a.md)\n[b](deep/b.md)\n");
        assert_eq!(book.left_out().unwrap().len(), 1, "runbooks/d.md");
        let (mut files, mut findings) = (BTreeSet::new(), Vec::new());
        let text = "[1](../a.md#x) [2](../c.png) [3](../../src/e.rs) [4](../../src) [5](#y) [6](https://z) [7](gone.md)";
        let mended = book.mend(Path::new("docs/deep/b.md"), text, &mut files, &mut findings);
        assert_eq!(
            mended,
            format!(
                "[1](../a.md#x) [2](../c.png) [3]({ELSEWHERE}/blob/main/src/e.rs) [4]({ELSEWHERE}/tree/main/src) [5](#y) [6](https://z) [7](gone.md)"
            )
        );
        assert_eq!(files, BTreeSet::from([PathBuf::from("docs/c.png")]));
        assert_eq!(findings, ["docs/deep/b.md: gone.md leads nowhere"]);
    }
}
