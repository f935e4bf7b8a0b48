//! What can go wrong on the caller's side of the library.

use std::time::Duration;

use jobforge_core::enqueue::InvalidJob;
use jobforge_core::job::JobId;
use jobforge_core::payload::PayloadError;
use jobforge_core::state::Status;
use jobforge_store::StoreError;

use crate::payloads::PayloadFault;

/// Why a call of the client or the start of a worker failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The job was refused; nothing was stored.
    #[error("the job was refused: {0}")]
    InvalidJob(#[from] InvalidJob),
    /// The payload was refused; nothing was stored.
    #[error("the job was refused: {0}")]
    InvalidPayload(#[from] PayloadError),
    /// A large payload could not be kept, or brought back; nothing was enqueued.
    #[error(transparent)]
    Payloads(#[from] PayloadFault),
    /// The database failed or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such job.
    #[error("there is no job {0}; `jobforge job list` shows what there is")]
    NotFound(JobId),
    /// The job's status does not allow the move.
    #[error("job {id} is {status} and cannot be {wanted}")]
    NotAllowed {
        /// The job.
        id: JobId,
        /// Where it stands.
        status: Status,
        /// What was asked.
        wanted: &'static str,
    },
    /// The job did not end in time; it goes on.
    #[error("job {id} has not ended within {} s and is {status}", waited.as_secs())]
    NotEnded {
        /// The job.
        id: JobId,
        /// Where it stands.
        status: Status,
        /// How long we waited.
        waited: Duration,
    },
    /// A worker was set up in a way that cannot work.
    #[error("the worker cannot start: {0}")]
    BadWorker(String),
}
