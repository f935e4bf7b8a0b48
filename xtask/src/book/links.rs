//! Whether everything that the site refers to is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

/// What a page of the site has, and where it leads.
struct Page {
    anchors: BTreeSet<String>,
    links: Vec<String>,
}

/// Returns each link that leads nowhere, as `page: link`.
pub(super) fn broken(site: &Path) -> Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    read(site, site, &mut pages)?;
    let mut broken = Vec::new();
    for (path, page) in &pages {
        let missing = page.links.iter().filter(|link| !leads(site, &pages, path, link));
        broken.extend(missing.map(|link| format!("{}: {link}", path.display())));
    }
    Ok(broken)
}

fn read(site: &Path, folder: &Path, pages: &mut BTreeMap<PathBuf, Page>) -> Result<()> {
    let failed = || format!("failed to read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        // What is answered in place of any page has links that are absolute.
        let is_page =
            path.extension().is_some_and(|extension| extension == "html") && !path.ends_with("404.html");
        if path.is_dir() {
            read(site, &path, pages)?;
        } else if is_page {
            let html =
                fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
            pages.insert(path.strip_prefix(site).unwrap_or(&path).to_owned(), page(&html));
        }
    }
    Ok(())
}

fn page(html: &str) -> Page {
    let mut page = Page { anchors: BTreeSet::new(), links: Vec::new() };
    for tag in html.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
        page.anchors.extend(attribute(tag, "id").map(str::to_owned));
        page.links
            .extend(["href", "src"].into_iter().filter_map(|name| attribute(tag, name)).map(str::to_owned));
    }
    page
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

fn leads(site: &Path, pages: &BTreeMap<PathBuf, Page>, from: &Path, link: &str) -> bool {
    if link.contains(':') {
        return true;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let mut target = PathBuf::new();
    for part in from.parent().unwrap_or(from).join(path).components() {
        match part {
            Component::ParentDir => drop(target.pop()),
            Component::Normal(name) => target.push(name),
            _ => {}
        }
    }
    if path.is_empty() {
        from.clone_into(&mut target);
    } else if site.join(&target).is_dir() {
        target.push("index.html");
    }
    match pages.get(&target) {
        Some(page) => anchor.is_empty() || page.anchors.contains(anchor),
        None => anchor.is_empty() && site.join(&target).is_file(),
    }
}

#[cfg(test)]
mod tests {
    use super::broken;

    #[test]
    fn links_to_missing_pages_files_and_headings_are_found() {
        let site = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(site.path().join(name), text).unwrap();
        std::fs::create_dir(site.path().join("deep")).unwrap();
        write(
            "a.html",
            r##"<h1 id="top">a</h1><a href="deep/b.html#x">b</a><a href="#none">c</a> href="text" <img src="d.png">"##,
        );
        write(
            "deep/b.html",
            r##"<p id="x"></p><a href="../a.html#top">a</a><a href="gone.html">b</a><a href="https://c/#d">c</a>"##,
        );
        assert_eq!(
            broken(site.path()).unwrap(),
            ["a.html: #none", "a.html: d.png", "deep/b.html: gone.html"]
        );
    }
}
