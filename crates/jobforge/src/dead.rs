//! Dead letters: what died of what, and moving many of them at a bearable pace.

use jobforge_core::dead::{DeadGroup, Pace};
use jobforge_core::job::{Job, JobId};
use jobforge_core::time::Now;
use jobforge_store::rows::{DeadFilter, Move, Moved};

use crate::client::Client;
use crate::error::Error;

/// Steps in which causes are named before a question is answered; the housekeeper names the rest.
const NAMING_STEPS: usize = 200;

/// What is done with dead jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadStep {
    /// They run again with fresh attempts.
    Retry,
    /// They stay dead, by a person's word, and are no longer listed.
    Discard {
        /// Why.
        note: String,
    },
    /// They are deleted with all that is kept of them.
    Purge,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeadTally {
    /// Jobs that were moved.
    pub done: u64,
    /// Jobs that somebody else had moved before.
    pub passed_over: u64,
}

impl Client {
    /// The causes of the dead jobs that match, the most frequent first. The filter's type and group are kept to as well.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dead_groups(&self, filter: &DeadFilter) -> Result<Vec<DeadGroup>, Error> {
        for _ in 0..NAMING_STEPS {
            if self.store().name_causes().await? == 0 {
                break;
            }
        }
        let groups = self.store().dead_groups(filter).await?;
        let matches = |group: &DeadGroup| {
            filter.group.as_ref().is_none_or(|name| *name == group.group)
                && filter.job_type.as_ref().is_none_or(|name| *name == group.job_type)
        };
        Ok(groups.into_iter().filter(matches).collect())
    }

    /// Dead jobs that match, newest first, only those before `before`, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dead_jobs(
        &self,
        filter: &DeadFilter,
        before: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<Job>, Error> {
        Ok(self.store().dead_jobs(filter, before, limit).await?)
    }

    /// Does something with these dead jobs; one that is not dead any more is passed over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn move_dead(&self, ids: &[JobId], step: &DeadStep) -> Result<DeadTally, Error> {
        let done = match step {
            DeadStep::Discard { note } => {
                self.store().resolve_dead(ids, self.by(), note, Now::Database).await?.len()
            }
            DeadStep::Retry | DeadStep::Purge => {
                let step = if *step == DeadStep::Purge { Move::Delete } else { Move::RETRY };
                let moved = self.store().move_jobs(ids, step, self.by(), Now::Database).await?;
                moved.iter().filter(|moved| matches!(moved, Moved::Done { .. })).count()
            }
        };
        Ok(DeadTally { done: done as u64, passed_over: (ids.len() - done) as u64 })
    }

    /// Does something with every dead job that matches, newest first, at this pace.
    ///
    /// Each job is visited once: one that dies again meanwhile is not moved again. `progress` is called after each step
    /// with the tally so far and says whether to go on.
    ///
    /// # Errors
    /// When the database fails; what was done before stays done.
    pub async fn move_all_dead(
        &self,
        filter: &DeadFilter,
        step: &DeadStep,
        pace: Pace,
        mut progress: impl FnMut(&DeadTally) -> bool,
    ) -> Result<DeadTally, Error> {
        let (mut tally, mut before) = (DeadTally::default(), None);
        loop {
            let page = self.dead_jobs(filter, before, pace.step()).await?;
            let ids: Vec<JobId> = page.iter().map(|job| job.id).collect();
            let Some(last) = ids.last() else { return Ok(tally) };
            before = Some(*last);
            let moved = self.move_dead(&ids, step).await?;
            tally.done += moved.done;
            tally.passed_over += moved.passed_over;
            if !progress(&tally) {
                return Ok(tally);
            }
            tokio::time::sleep(pace.pause()).await;
        }
    }
}
