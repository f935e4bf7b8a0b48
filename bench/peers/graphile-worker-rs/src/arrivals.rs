//! When each job's handler started.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Remembers the first start of every job and wakes whoever waits for the last of them.
///
/// Cloning shares: the worker's handlers write what the scenario reads.
#[derive(Clone, Debug)]
pub struct Arrivals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    started: Vec<OnceLock<Instant>>,
    missing: AtomicUsize,
    complete: Notify,
}

impl Arrivals {
    pub fn expect(jobs: usize) -> Self {
        Self(Arc::new(Shared {
            started: (0..jobs).map(|_| OnceLock::new()).collect(),
            missing: AtomicUsize::new(jobs),
            complete: Notify::new(),
        }))
    }

    /// Notes a start. A second run of the same job, or a job nobody expects, changes nothing.
    pub fn note(&self, sequence: usize) {
        let Some(slot) = self.0.started.get(sequence) else { return };
        if slot.set(Instant::now()).is_ok() && self.0.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.complete.notify_one();
        }
    }

    /// Returns once every expected job has started.
    pub async fn all(&self, limit: Duration) -> anyhow::Result<()> {
        timeout(limit, self.0.complete.notified())
            .await
            .with_context(|| format!("{} jobs had not started", self.0.missing.load(Ordering::Acquire)))
    }

    /// Returns when job `sequence` first started.
    pub fn started_at(&self, sequence: usize) -> Option<Instant> {
        self.0.started.get(sequence)?.get().copied()
    }
}
