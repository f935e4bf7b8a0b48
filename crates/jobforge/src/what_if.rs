//! What another heartbeat threshold would have done, by what this database holds.

use jobforge_core::audit::parse_since;
use jobforge_core::settings::Settings;
use jobforge_core::time::{Now, since};
use jobforge_core::what_if::{BadThreshold, LOOK_BACK, MOST_READ, Question, WhatIf, what_if};
use jobforge_store::{Store, StoreError};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// No threshold may be so.
    #[error(transparent)]
    Bad(#[from] BadThreshold),
    /// What was given is no time.
    #[error("since: {0}")]
    Since(String),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Replays what is recorded under a threshold, or under the one that goes, since a moment or so long ago: `14d`.
///
/// # Errors
/// When the question makes no sense, or the database does not answer.
pub async fn ask(
    store: &dyn Store,
    settings: &Settings,
    threshold_ms: Option<u64>,
    from: Option<&str>,
) -> Result<WhatIf, NoAnswer> {
    let now = store.now().await?;
    let look_back = match from {
        Some(text) => since(now, parse_since(text, now).map_err(NoAnswer::Since)?),
        None => LOOK_BACK,
    };
    let question = Question::new(settings, threshold_ms, look_back)?;
    let record = store.silent_attempts(question.since(now), MOST_READ, Now::Database).await?;
    Ok(what_if(&record, &question))
}
