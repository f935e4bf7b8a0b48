//! Parts of JobForge that blocks wait for, and how to tell that they have come.

use std::fs;
use std::path::Path;

/// A part that is still to be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Units, compose files and manifests.
    Deploy,
    /// Metrics, rules and dashboards.
    Alerts,
    /// The TypeScript SDK.
    Sdk,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy/: units, compose files, manifests",
            Self::Alerts => "metrics and alert rules",
            Self::Sdk => "the TypeScript SDK",
        }
    }

    /// Looks for the mark that each part leaves in the repository.
    pub(super) fn exists(self, repository: &Path) -> bool {
        match self {
            Self::Deploy => repository.join("deploy").exists(),
            Self::Alerts => mentions(&repository.join("crates"), "jobforge_jobs_failed_total"),
            Self::Sdk => {
                ["sdk", "sdks"].iter().any(|folder| repository.join(folder).join("typescript").exists())
            }
        }
    }
}

/// Whether a source file of the product contains the word; tests do not count.
fn mentions(folder: &Path, word: &str) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return !path.ends_with("tests") && mentions(&path, word);
        }
        path.extension().is_some_and(|extension| extension == "rs")
            && fs::read_to_string(&path).is_ok_and(|text| text.contains(word))
    })
}
