//! One claim of a worker at a time, the newest.
//!
//! A worker that lost its connection asks again while its old claim may still be waiting here, and might even be given
//! jobs that nobody will ever hear of. So the newest claim ends the one before, and begins only when that one has
//! ended: what it gave away can then be found in the database and given again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jobforge::core::job::WorkerId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};

/// Lines without a waiting claim are forgotten beyond this number.
const LINES: usize = 1024;

/// The claims of all workers.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    lines: Mutex<HashMap<WorkerId, Arc<Line>>>,
}

#[derive(Debug)]
struct Line {
    /// The number of the newest claim.
    newest: watch::Sender<u64>,
    busy: Arc<AsyncMutex<()>>,
}

/// The right to claim for a worker, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    number: u64,
    newest: watch::Receiver<u64>,
    _line: Arc<Line>,
    _busy: OwnedMutexGuard<()>,
}

impl Turns {
    /// Ends the worker's claim of before and waits for its end; `None` if a newer one came meanwhile.
    pub(crate) async fn take(&self, worker: &WorkerId) -> Option<Turn> {
        let line = self.line(worker);
        let mut number = 0;
        line.newest.send_modify(|newest| {
            *newest += 1;
            number = *newest;
        });
        let turn = Turn {
            number,
            newest: line.newest.subscribe(),
            _busy: Arc::clone(&line.busy).lock_owned().await,
            _line: line,
        };
        turn.is_newest().then_some(turn)
    }

    fn line(&self, worker: &WorkerId) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() > LINES {
            lines.retain(|_, line| Arc::strong_count(line) > 1);
        }
        let new = || Arc::new(Line { newest: watch::channel(0).0, busy: Arc::default() });
        Arc::clone(lines.entry(worker.clone()).or_insert_with(new))
    }
}

impl Turn {
    fn is_newest(&self) -> bool {
        *self.newest.borrow() == self.number
    }

    /// Resolves when a newer claim of the same worker has come.
    pub(crate) async fn superseded(&mut self) {
        let number = self.number;
        if self.newest.wait_for(|newest| *newest != number).await.is_err() {
            // The line outlives the turn, so this cannot be; nothing newer can come either.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newer_claim_ends_the_one_before_and_waits_for_its_end() {
        let turns = Arc::new(Turns::default());
        let worker = WorkerId("worker-00000001".to_owned());
        let mut first = turns.take(&worker).await.expect("nobody else claims");
        let second = tokio::spawn({
            let (turns, worker) = (Arc::clone(&turns), worker.clone());
            async move { turns.take(&worker).await.is_some() }
        });
        first.superseded().await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.expect("it ends"));
    }

    #[tokio::test]
    async fn of_two_that_wait_only_the_newest_gets_its_turn() {
        let turns = Arc::new(Turns::default());
        let worker = WorkerId("worker-00000002".to_owned());
        let mut first = turns.take(&worker).await.expect("nobody else claims");
        let take = || {
            let (turns, worker) = (Arc::clone(&turns), worker.clone());
            tokio::spawn(async move { turns.take(&worker).await.is_some() })
        };
        let second = take();
        first.superseded().await;
        let third = take();
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!((second.await.expect("it ends"), third.await.expect("it ends")), (false, true));
    }
}
