//! Coming to rest: letting what runs end, stopping what does not, and seeing that the database knows of every end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::pool::Pool;
use crate::context::StopReason;

/// Between two looks whether handlers were told to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

impl Pool {
    /// Waits until no handler runs but those that were told to stop already.
    async fn undisturbed(&self) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.table().values().all(|held| held.ctx.stop_reason().is_some()) {
                return;
            }
            tokio::select! {
                () = freed => {}
                // Nobody tells when a handler is told to stop.
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Waits up to `grace` for what runs, then asks the rest to stop and waits for that, too; returns how many were asked.
    pub(crate) async fn drain(&self, grace: Duration) -> usize {
        let _ = tokio::time::timeout(grace, self.undisturbed()).await;
        let rest = self.ask_all_to_stop(StopReason::Shutdown);
        // Handlers that do not listen are dropped after their own grace, within `run`.
        let _ = tokio::time::timeout(self.stops_within(), self.idle()).await;
        rest
    }

    /// How long handlers may take to stop that were asked to.
    pub(crate) fn stops_within(&self) -> Duration {
        self.registry.longest_stop_grace(self.config.stop_grace) + Duration::from_secs(2)
    }

    /// Notes that an end goes on its way to the database.
    pub(crate) fn will_report(&self) {
        self.reporting.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that so many ends have arrived there.
    pub(crate) fn has_reported(&self, ends: usize) {
        self.reporting.fetch_sub(ends, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Waits until the database knows of every end.
    pub(crate) async fn reported(&self) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.reporting.load(Ordering::Relaxed) == 0 {
                return;
            }
            freed.await;
        }
    }
}
