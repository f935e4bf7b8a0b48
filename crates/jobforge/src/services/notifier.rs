//! Sends the messages that wait, on a server that has channels.

use std::sync::Arc;
use std::time::Duration;

use jobforge_core::alert::notice::NOTIFY_QUEUE;
use jobforge_core::time::Now;
use jobforge_store::{Store, StoreError, WorkerStore};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::notify::{Channels, Sender, count_from_zero};
use crate::worker::Worker;

/// Between two looks for messages, when nobody says that there are some.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Between two looks whether all have been sent.
const DONE_EVERY: Duration = Duration::from_secs(1);
/// Messages that are sent at once.
const SLOTS: usize = 4;
/// How long a stopping server waits for a message that is on its way; what is not done is sent by the next.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// Sends messages, in a worker that is there only as long as there are any.
pub struct Notifier {
    store: Arc<dyn Store>,
    channels: Arc<Channels>,
    asked: Arc<Notify>,
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").finish_non_exhaustive()
    }
}

impl Notifier {
    /// Sends to these channels; `asked` wakes it.
    pub fn new(store: Arc<dyn Store>, channels: Arc<Channels>, asked: Arc<Notify>) -> Self {
        Self { store, channels, asked }
    }

    /// Does so until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        if self.channels.is_empty() {
            return stop.cancelled().await;
        }
        count_from_zero(&self.channels);
        loop {
            if let Err(error) = self.run_once(&stop).await {
                tracing::warn!(%error, "could not send messages about alerts; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.asked.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Sends what waits, and what is to be tried again, until nothing is left; says whether there was anything.
    ///
    /// # Errors
    /// When the database fails, or the worker cannot start.
    pub async fn run_once(&self, stop: &CancellationToken) -> Result<bool, Error> {
        if !self.is_waiting().await? {
            return Ok(false);
        }
        let sender = Sender::new(Arc::clone(&self.store), Arc::clone(&self.channels))
            .map_err(|error| Error::BadWorker(format!("the HTTP client cannot be set up: {error}")))?;
        let store = Arc::clone(&self.store) as Arc<dyn WorkerStore>;
        let worker = Worker::on(store)
            .name("alerts")
            .queue(NOTIFY_QUEUE, SLOTS)
            .notifications(Arc::new(sender))
            .start()
            .await?;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(DONE_EVERY) => {}
            }
            // A database that is away for a moment is no reason to begin anew.
            if matches!(self.is_waiting().await, Ok(false)) {
                break;
            }
        }
        worker.stop_gracefully(STOPS_WITHIN).await;
        Ok(true)
    }

    async fn is_waiting(&self) -> Result<bool, StoreError> {
        let queues = self.store.queues(Now::Database).await?;
        let ours = queues.iter().find(|queue| queue.name == NOTIFY_QUEUE);
        Ok(ours.is_some_and(|queue| {
            queue.paused_at.is_none() && queue.ready + queue.scheduled + queue.running > 0
        }))
    }
}
