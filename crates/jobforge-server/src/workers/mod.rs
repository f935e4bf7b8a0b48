//! What the server knows of the worker processes that speak to it, beyond what is stored.

mod presence;
mod seen;
mod turns;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jobforge::core::heartbeat::BeatPolicy;
use jobforge::core::poll::PollPolicy;
use jobforge::core::settings::Settings;
use jobforge::core::worker::LeaseWish;
use jobforge::live::Live;
use jobforge::store::Store;
use tokio_util::sync::CancellationToken;

pub(crate) use presence::Presence;
pub(crate) use seen::{Peer, Seen, find};
pub(crate) use turns::{Turn, Turns};

/// The rhythm that the server gives to workers.
#[derive(Debug, Clone)]
pub(crate) struct WorkerTerms {
    /// The lease of a worker that wishes none of its own.
    lease: LeaseWish,
    /// The heartbeats of jobs.
    pub(crate) beat: BeatPolicy,
    /// How idle workers that do not wait ask for work.
    pub(crate) poll: PollPolicy,
}

impl WorkerTerms {
    /// What the settings say.
    fn from_settings(settings: &Settings) -> Self {
        Self {
            lease: LeaseWish { lease: settings.millis("worker_lease_ms"), scales: settings.lease_scales() },
            beat: settings.beat_policy(),
            poll: settings.poll_policy(),
        }
    }

    /// The lease of a worker: what it wishes, else the server's own.
    pub(crate) fn lease(&self, wished_ms: Option<u64>) -> LeaseWish {
        wished_ms.map_or(self.lease, |ms| LeaseWish { lease: Duration::from_millis(ms), scales: false })
    }
}

/// What the routes of the worker protocol share.
pub(crate) struct Workers {
    pub(crate) store: Arc<dyn Store>,
    live: Live,
    pub(crate) turns: Turns,
    pub(crate) presence: Arc<Presence>,
    /// Fires when nothing may be held open any longer.
    pub(crate) closing: CancellationToken,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("terms", &self.terms()).finish_non_exhaustive()
    }
}

impl Workers {
    /// The rhythm that workers are given now.
    pub(crate) fn terms(&self) -> WorkerTerms {
        WorkerTerms::from_settings(&self.live.now())
    }

    pub(crate) fn new(store: Arc<dyn Store>, live: Live) -> Self {
        Self {
            presence: Arc::new(Presence::new(Arc::clone(&store), live.clone())),
            store,
            live,
            turns: Turns::default(),
            closing: CancellationToken::new(),
        }
    }
}
