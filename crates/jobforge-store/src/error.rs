//! What can go wrong with a store, as a caller can act on it.

use std::error::Error;

use jobforge_core::job::JobId;

/// Result of a store call.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why a store call failed. Nothing was changed, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or is starting up; the same call may succeed later.
    #[error("the database at {location} cannot be reached; check that it runs and that the address is right")]
    Unreachable {
        /// Where, without credentials.
        location: String,
        /// The driver's reason.
        #[source]
        source: BoxError,
    },
    /// The database refused the name, password or database.
    #[error(
        "the database at {location} refused the login; check user, password and database name in the URL"
    )]
    Refused {
        /// Where, without credentials.
        location: String,
        /// The driver's reason.
        #[source]
        source: BoxError,
    },
    /// The database role lacks a privilege.
    #[error(
        "the role that connects to {location} may not do {call}; grant it the rights on the jobforge_ tables, or connect as their owner"
    )]
    NotAllowed {
        /// Where, without credentials.
        location: String,
        /// The store call.
        call: &'static str,
        /// The driver's reason.
        #[source]
        source: BoxError,
    },
    /// The URL cannot be used.
    #[error("the database URL cannot be used: {reason}; write postgres://user@host/database or sqlite:PATH")]
    BadUrl {
        /// What is wrong with it; never contains the URL.
        reason: String,
    },
    /// The database has no JobForge tables, or older ones.
    #[error(
        "the database at {location} is at schema version {found} and this program needs {needed}; run `jobforge db migrate`"
    )]
    SchemaTooOld {
        /// Where.
        location: String,
        /// Its version; 0 is none.
        found: i64,
        /// What this program needs.
        needed: i64,
    },
    /// The database was migrated by a newer program.
    #[error(
        "the database at {location} is at schema version {found}, which this program (version {known}) does not know; use a newer jobforge"
    )]
    SchemaTooNew {
        /// Where.
        location: String,
        /// Its version.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// A migration that was applied differs from the one in this program.
    #[error(
        "migration {version} of the database at {location} differs from this program's; restore the schema or use the program that made it"
    )]
    MigrationDrift {
        /// Where.
        location: String,
        /// Which migration.
        version: i64,
    },
    /// The server is too old for JobForge.
    #[error("the server at {location} is PostgreSQL {found}; JobForge needs 14 or later")]
    ServerTooOld {
        /// Where.
        location: String,
        /// Its version.
        found: String,
    },
    /// Another process holds the data directory.
    #[error(
        "{path} is in use by process {pid}; stop that process, or choose another directory with --data-dir"
    )]
    InUse {
        /// The directory.
        path: String,
        /// The holder, as far as known.
        pid: String,
    },
    /// The database cannot be written: read-only file, directory or standby.
    #[error("the database at {location} is read-only; check the permissions, or connect to the primary")]
    ReadOnly {
        /// Where.
        location: String,
        /// The driver's reason.
        #[source]
        source: BoxError,
    },
    /// No space is left. Enqueues are refused; what runs can be settled once there is space.
    #[error(
        "the database at {location} has no space left; free disk space, or delete old jobs with a system.cleanup.old_jobs job"
    )]
    Full {
        /// Where.
        location: String,
        /// The driver's reason.
        #[source]
        source: BoxError,
    },
    /// The file is not a database, or is damaged.
    #[error("{location} is not a usable database file; restore it from a backup or choose another path")]
    Corrupt {
        /// Where.
        location: String,
        /// The driver's reason.
        #[source]
        source: BoxError,
    },
    /// The same idempotency key was used with another payload. Nothing of the batch was enqueued.
    #[error(
        "idempotency key {key:?} of type {job_type} already belongs to job {existing}, whose payload differs; use another key or send the same payload"
    )]
    IdempotencyConflict {
        /// The key.
        key: String,
        /// The type.
        job_type: String,
        /// The job that has it.
        existing: JobId,
    },
    /// A job id was used twice. Nothing of the batch was enqueued.
    #[error("job {0} exists already with other content; enqueue with a new id")]
    DuplicateId(JobId),
    /// The database answered too slowly or broke off; whether the call took effect is unknown, and repeating it is safe.
    #[error("the database at {location} broke off during {call}; repeating the call is safe")]
    Interrupted {
        /// Where.
        location: String,
        /// The store call.
        call: &'static str,
        /// The driver's reason.
        #[source]
        source: BoxError,
    },
    /// Anything else: a bug or a damaged schema.
    #[error("the database at {location} failed during {call}")]
    Failed {
        /// Where.
        location: String,
        /// The store call.
        call: &'static str,
        /// The driver's reason.
        #[source]
        source: BoxError,
    },
}

/// A driver's error.
pub type BoxError = Box<dyn Error + Send + Sync>;

impl StoreError {
    /// Whether the same call may succeed later without anybody changing anything but the outside world.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Interrupted { .. }
            | Self::Full { .. }
            | Self::ReadOnly { .. } => true,
            Self::Refused { .. }
            | Self::NotAllowed { .. }
            | Self::BadUrl { .. }
            | Self::SchemaTooOld { .. }
            | Self::SchemaTooNew { .. }
            | Self::MigrationDrift { .. }
            | Self::ServerTooOld { .. }
            | Self::InUse { .. }
            | Self::Corrupt { .. }
            | Self::IdempotencyConflict { .. }
            | Self::DuplicateId(_)
            | Self::Failed { .. } => false,
        }
    }

    /// The error and its causes in one line.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its causes in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| <dyn Error>::source(*error));
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
