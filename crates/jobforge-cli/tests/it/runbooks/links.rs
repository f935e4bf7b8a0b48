//! Links of our runbooks lead somewhere.

use std::collections::BTreeSet;
use std::path::Path;

use super::{OURS, files, repository};
use jobforge::runbook::fence::anchor;

fn anchors(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn every_link_of_our_runbooks_leads_to_a_heading_or_a_file() {
    let mut broken = Vec::new();
    let mut led_to = BTreeSet::new();
    for file in files(&repository().join(OURS)) {
        let text = std::fs::read_to_string(&file).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            let leads = target.exists() && (heading.is_empty() || anchors(&target).contains(heading));
            if !leads {
                broken.push(format!("{}: {link}", file.display()));
            }
            if file.ends_with("README.md") {
                led_to.insert((target.file_name().unwrap().to_owned(), heading.to_owned()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    for file in files(&repository().join(OURS)) {
        let name = file.file_name().unwrap().to_owned();
        let symptoms = anchors(&file).len() > 1 && name != "README.md";
        assert!(
            !symptoms || led_to.iter().any(|(to, _)| *to == name),
            "the index leads to nothing in {name:?}"
        );
    }
}

#[test]
fn an_anchor_is_a_heading_without_its_signs() {
    assert_eq!(anchor(" A job hangs: what `explain` says"), "a-job-hangs-what-explain-says");
}
