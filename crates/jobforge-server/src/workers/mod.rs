//! What the server knows of the worker processes that speak to it, beyond what is stored.

mod presence;
mod seen;
mod turns;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jobforge::core::heartbeat::BeatPolicy;
use jobforge::core::poll::PollPolicy;
use jobforge::core::rescue::RescuePolicy;
use jobforge::core::settings::Settings;
use jobforge::store::Store;
use tokio_util::sync::CancellationToken;

pub(crate) use presence::Presence;
pub(crate) use seen::{Peer, Seen, find};
pub(crate) use turns::{Turn, Turns};

/// The rhythm that the server gives to workers.
#[derive(Debug, Clone)]
pub struct WorkerTerms {
    /// The lease of a worker that wishes none of its own.
    pub lease: Duration,
    /// The heartbeats of jobs.
    pub beat: BeatPolicy,
    /// How idle workers that do not wait ask for work.
    pub poll: PollPolicy,
}

impl WorkerTerms {
    /// What the settings say.
    pub fn from_settings(settings: &Settings) -> Self {
        Self {
            lease: settings.millis("worker_lease_ms"),
            beat: settings.beat_policy(),
            poll: settings.poll_policy(),
        }
    }
}

/// What the routes of the worker protocol share.
pub(crate) struct Workers {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) terms: WorkerTerms,
    pub(crate) turns: Turns,
    pub(crate) presence: Arc<Presence>,
    /// Fires when nothing may be held open any longer.
    pub(crate) closing: CancellationToken,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("terms", &self.terms).finish_non_exhaustive()
    }
}

impl Workers {
    pub(crate) fn new(store: Arc<dyn Store>, terms: WorkerTerms, policy: RescuePolicy) -> Self {
        Self {
            presence: Arc::new(Presence::new(Arc::clone(&store), policy)),
            store,
            terms,
            turns: Turns::default(),
            closing: CancellationToken::new(),
        }
    }
}
