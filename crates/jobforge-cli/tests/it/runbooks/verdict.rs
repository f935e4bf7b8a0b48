//! What became of a block.

use std::fmt::Write as _;

use super::blocks::Block;

/// One block's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It ran, and gave what the words around it promise.
    Passes(String),
    /// It is about something that is not ours to run.
    NotApplicable(String),
    /// It ran and did not give what it should.
    Fails(String),
}

impl Verdict {
    pub(super) fn of(outcome: Result<String, String>) -> Self {
        outcome.map_or_else(Self::Fails, Self::Passes)
    }

    /// Where a failed block is, what it holds and what is wrong.
    pub(super) fn failure(&self, block: &Block) -> Option<String> {
        let Self::Fails(why) = self else { return None };
        Some(format!("{}.md:{} ({}):\n{}{why}\n", block.book, block.line, block.heading, block.text))
    }

    fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Passes(seen) => ("passes", seen),
            Self::NotApplicable(why) => ("not applicable", why),
            Self::Fails(why) => ("FAILS", why),
        }
    }
}

/// One line a block, and the sums.
pub(super) fn table(judged: &[(Block, Verdict)]) -> String {
    let mut text = String::from("| Runbook | Line | Block | Verdict | Why |\n|---|---:|---|---|---|\n");
    for (block, verdict) in judged {
        let (word, why) = verdict.words();
        let why: String = why.lines().collect::<Vec<_>>().join(" ").chars().take(160).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {word} | {} |",
            block.book,
            block.line,
            block.heading,
            why.replace('|', "\\|")
        );
    }
    for word in ["passes", "not applicable", "FAILS"] {
        let count = judged.iter().filter(|(_, verdict)| verdict.words().0 == word).count();
        let _ = write!(text, "{count} {word}; ");
    }
    let _ = writeln!(text, "{} blocks", judged.len());
    text
}
