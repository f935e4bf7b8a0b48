//! What of a worker's ways may change while it works.

use std::sync::Arc;

use jobforge_core::claim::TypeBounds;
use jobforge_core::heartbeat::BeatPolicy;
use jobforge_core::poll::PollPolicy;
use jobforge_core::worker::LeaseWish;

use super::pool::Pool;
use crate::live::Live;

/// How a worker polls, how its jobs give signs of life, what they are kept to, and how long it may be silent itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rhythm {
    pub(crate) lease: LeaseWish,
    pub(crate) poll: PollPolicy,
    pub(crate) beat: BeatPolicy,
    pub(crate) bounds: TypeBounds,
}

/// Takes over what changes, until the worker closes.
pub(crate) async fn follow(pool: Arc<Pool>, mut live: Live) {
    loop {
        let settings = live.now();
        let bounds = pool.registry.bounds(settings.bounds());
        let lease = LeaseWish { lease: settings.millis("worker_lease_ms"), scales: settings.lease_scales() };
        let new = Rhythm { lease, poll: settings.poll_policy(), beat: settings.beat_policy(), bounds };
        let old = pool.set_rhythm(new);
        if old.lease != lease {
            let (was, now) = (old.lease.lease.as_millis(), lease.lease.as_millis());
            tracing::info!("Heartbeat: the worker's lease is to last {now} ms instead of {was} ms");
            // With the renewal it is asked for, and only its answer makes it count.
            pool.renew_soon.notify_one();
        }
        if old.beat != pool.beat() {
            let beat = pool.beat();
            let (on, every, threshold) =
                (beat.enabled, beat.interval.as_millis(), beat.threshold.as_millis());
            tracing::info!(
                heartbeat.enabled = on,
                "Heartbeat rhythm changed: every {every} ms, late after {threshold} ms, {}",
                if on { "on" } else { "off" }
            );
            // What was announced under the old rhythm is announced anew, before anybody may hold it against the jobs.
            pool.beat_all_soon();
        }
        tokio::select! {
            () = pool.closing.cancelled() => return,
            () = live.changed() => {}
        }
    }
}
