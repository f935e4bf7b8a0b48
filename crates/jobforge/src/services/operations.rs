//! Goes on with operations on many jobs, one step at a time, also with those of a server that is gone.

use std::sync::Arc;
use std::time::Duration;

use jobforge_core::job::JobId;
use jobforge_core::operation::{BulkAction, Operation, OperationState, Progress, STEP, TURN};
use jobforge_core::time::Now;
use jobforge_store::rows::{JobFilter, Move, Moved};
use jobforge_store::{Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Between two looks for an operation that nobody goes on with.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Goes on with operations. Any number may run: one at a time has the turn on each.
#[derive(Clone)]
pub struct BulkRunner {
    store: Arc<dyn Store>,
    name: String,
    begun: Arc<Notify>,
}

impl std::fmt::Debug for BulkRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkRunner").field("name", &self.name).finish_non_exhaustive()
    }
}

impl BulkRunner {
    /// Goes on with operations of this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        // Never another's name: who has the turn is told apart by it.
        let name = format!("{}:{}", crate::process::hostname(), Uuid::new_v4().simple());
        Self { store, name, begun: Arc::new(Notify::new()) }
    }

    /// Says that an operation was begun, so that it is not waited for.
    pub fn nudge(&self) {
        self.begun.notify_one();
    }

    /// Goes on with whatever there is until `stop` fires. What is broken off is gone on with by the next server.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            match self.run_once().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error = error.chain(), "could not go on with an operation; trying again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.begun.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }

    /// Takes one operation and goes on with it to its end; says whether there was one.
    ///
    /// # Errors
    /// When the database fails; what was done stays done, and the operation is gone on with later.
    pub async fn run_once(&self) -> Result<bool, StoreError> {
        let Some(operation) = self.store.take_operation(&self.name, TURN, Now::Database).await? else {
            return Ok(false);
        };
        let mut cursor = operation.cursor;
        loop {
            let progress = self.step(&operation, cursor).await?;
            cursor = progress.cursor.or(cursor);
            let goes_on =
                self.store.step_operation(operation.id, &self.name, &progress, TURN, Now::Database).await?;
            if !goes_on || progress.state != OperationState::Running {
                return Ok(true);
            }
        }
    }

    /// The next page of jobs, oldest last: what is enqueued meanwhile is not looked at.
    async fn step(&self, operation: &Operation, before: Option<JobId>) -> Result<Progress, StoreError> {
        let mut filter = JobFilter { before, limit: STEP, ..operation.filter.clone().into() };
        if filter.statuses.is_empty() {
            filter.statuses = operation.action.usual().to_vec();
        }
        // A page is a bounded search, so that the turn is kept even where few match.
        let page = self.store.job_page(&filter).await?;
        let ids: Vec<JobId> = page.jobs.iter().map(|job| job.id).collect();
        let done = if operation.dry_run { ids.len() } else { self.move_all(operation, &ids).await? };
        let state = if page.next.is_none() { OperationState::Done } else { OperationState::Running };
        Ok(Progress {
            done: done as u64,
            passed_over: (ids.len() - done) as u64,
            cursor: page.next.or(ids.last().copied()),
            state,
            error: None,
        })
    }

    async fn move_all(&self, operation: &Operation, ids: &[JobId]) -> Result<usize, StoreError> {
        let step = match operation.action {
            BulkAction::Cancel => Move::Cancel,
            BulkAction::Retry => Move::RETRY,
            BulkAction::Delete => Move::Delete,
        };
        let moved = self.store.move_jobs(ids, step, &operation.by, Now::Database).await?;
        Ok(moved.iter().filter(|moved| matches!(moved, Moved::Done { .. })).count())
    }
}
