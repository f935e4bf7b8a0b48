//! What can go wrong with payloads that are kept elsewhere.

use jobforge_core::job::JobId;
use jobforge_store::error::{BoxError, chain};

use crate::job_error::JobError;

/// Why a large payload could not be kept or brought back.
#[derive(Debug, thiserror::Error)]
pub enum PayloadFault {
    /// The setting makes no sense.
    #[error("payload_store is {place:?}, which cannot be used: {reason}")]
    Unusable {
        /// What was given.
        place: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// It cannot be reached, or has refused; the same may succeed later.
    #[error(
        "failed to {doing} a large payload in payload_store ({place}); check that it is there and may be used"
    )]
    Unavailable {
        /// Where.
        place: String,
        /// What was tried.
        doing: &'static str,
        /// Its reason.
        #[source]
        source: BoxError,
    },
    /// There is no such object.
    #[error(
        "the payload of job {job} ({bytes} bytes) is not in payload_store ({place}): restore it there, or give this process the payload_store of the one that enqueued the job"
    )]
    Missing {
        /// The job.
        job: JobId,
        /// The payload's size.
        bytes: u64,
        /// Where it was looked for.
        place: String,
    },
    /// There is another text than the one that was stored.
    #[error(
        "the payload of job {job} in payload_store ({place}) is not what was stored: restore it from a backup"
    )]
    Damaged {
        /// The job.
        job: JobId,
        /// Where.
        place: String,
    },
    /// The place is another database's.
    #[error(
        "payload_store ({place}) holds the payloads of database {owner}, and this one is {database}: nothing is removed there; give each database a place of its own"
    )]
    Foreign {
        /// Where.
        place: String,
        /// Whose it is.
        owner: String,
        /// Who asked.
        database: String,
    },
    /// This process does not know where large payloads are.
    #[error(
        "the payload of job {job} ({bytes} bytes) is kept elsewhere, and this process has no payload_store; set it as where the job was enqueued"
    )]
    NoStore {
        /// The job.
        job: JobId,
        /// The payload's size.
        bytes: u64,
    },
}

impl PayloadFault {
    /// A stable word for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unusable { .. } | Self::NoStore { .. } => "payload_store_unset",
            Self::Unavailable { .. } => "payload_store_unavailable",
            Self::Missing { .. } => "payload_missing",
            Self::Damaged { .. } => "payload_damaged",
            Self::Foreign { .. } => "payload_store_foreign",
        }
    }

    /// The fault and its causes in one line.
    pub fn chain(&self) -> String {
        chain(self)
    }

    /// How the attempt fails that cannot have its payload. Another may: people restore objects and mend settings.
    pub(crate) fn of_attempt(&self) -> JobError {
        JobError::retry(self.code(), self.chain())
    }
}
