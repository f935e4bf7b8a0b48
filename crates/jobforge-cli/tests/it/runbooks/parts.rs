//! Parts of JobForge that blocks wait for, and how to tell that they have come.

use std::path::Path;

/// A part that is still to be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The TypeScript SDK.
    Sdk,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sdk => "the TypeScript SDK",
        }
    }

    /// Looks for the mark that each part leaves in the repository.
    pub(super) fn exists(self, repository: &Path) -> bool {
        match self {
            Self::Sdk => {
                ["sdk", "sdks"].iter().any(|folder| repository.join(folder).join("typescript").exists())
            }
        }
    }
}
