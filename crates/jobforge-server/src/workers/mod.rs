//! What the server knows of the worker processes that speak to it, beyond what is stored.

mod owners;
mod presence;
mod seen;
mod turns;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jobforge::Client;
use jobforge::core::heartbeat::BeatPolicy;
use jobforge::core::job::{JobId, WorkerId};
use jobforge::core::poll::PollPolicy;
use jobforge::core::settings::Settings;
use jobforge::core::worker::LeaseWish;
use jobforge::live::Live;
use jobforge::store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::connections::most_connections;
use crate::rate_limit::{Seat, Seats};

use owners::Owners;
pub(crate) use presence::Presence;
pub(crate) use seen::{Peer, Seen, find};
pub(crate) use turns::{Turn, Turns};

/// When to ask again for a seat.
const RETRY_AFTER: Duration = Duration::from_secs(2);

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
    /// The same with where large payloads are kept.
    pub(crate) client: Client,
    live: Live,
    pub(crate) turns: Turns,
    pub(crate) presence: Arc<Presence>,
    owners: Owners,
    /// Claims that are held, and streams of signals; of the socket they are not counted.
    seats: Arc<Seats>,
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

    pub(crate) fn new(client: Client, live: Live, closing: CancellationToken) -> Self {
        // Some connections are kept for what is not held open.
        let held = most_connections() / 4 * 3;
        Self::seated(client, live, closing, Seats::new(held, held / 2))
    }

    pub(crate) fn seated(client: Client, live: Live, closing: CancellationToken, seats: Seats) -> Self {
        let store = Arc::clone(client.store());
        Self {
            presence: Arc::new(Presence::new(Arc::clone(&store), live.clone())),
            store,
            client,
            live,
            turns: Turns::default(),
            owners: Owners::default(),
            seats: Arc::new(seats),
            closing,
        }
    }

    /// A seat for a request that lasts. `None` for the socket, where nobody is a stranger.
    pub(crate) fn seat(&self, caller: &Caller) -> Result<Option<Seat>, ApiError> {
        let Some(registrar) = caller.registrar() else { return Ok(None) };
        let full = || {
            let told = "too many claims and streams of signals are held open for this token, or on this server; ask \
                        again later, use more than one server, or let it open more files";
            ApiError::too_many("too_many_waiting", told, RETRY_AFTER)
        };
        Arc::clone(&self.seats).seat(registrar).map(Some).ok_or_else(full)
    }

    /// The worker that a caller speaks as under this name: see [`Owners`].
    pub(crate) async fn speaker(&self, caller: &Caller, named: WorkerId) -> Result<WorkerId, StoreError> {
        self.owners.speaker(self.store.as_ref(), caller, named).await
    }

    /// Whether a caller may know of a job: one that is bound to a tenant or to queues knows only of theirs.
    pub(crate) async fn knows(&self, caller: &Caller, id: JobId) -> Result<bool, StoreError> {
        if !caller.is_narrow() {
            return Ok(true);
        }
        Ok(self.store.job(id).await?.is_some_and(|job| caller.has(&job.tenant_id, &job.queue)))
    }
}
