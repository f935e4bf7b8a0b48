//! How commands fail: a message, a hint, and an exit code that scripts can rely on.

use jobforge::store::StoreError;
use jobforge::{Error, PayloadFault};

use crate::output;

/// The command did not do what was asked.
pub(crate) const FAILED: u8 = 1;
/// The arguments are wrong, or a confirmation is missing.
pub(crate) const USAGE: u8 = 2;
/// There is no such job or queue.
pub(crate) const NOT_FOUND: u8 = 3;
/// The state of the job does not allow it, or a key is taken.
pub(crate) const CONFLICT: u8 = 4;
/// The database refused the login.
pub(crate) const NOT_PERMITTED: u8 = 5;
/// The database cannot be reached.
pub(crate) const UNREACHABLE: u8 = 6;
/// Waiting took too long.
pub(crate) const TIMED_OUT: u8 = 7;
/// The awaited job failed.
pub(crate) const JOB_FAILED: u8 = 8;
/// The awaited job is dead or canceled.
pub(crate) const JOB_DEAD: u8 = 9;
/// An examination found warnings only.
pub(crate) const FOUND_WARNINGS: u8 = 10;
/// A check found something.
pub(crate) const FOUND: u8 = 11;
/// The configuration or the database cannot be used (EX_CONFIG of sysexits.h).
pub(crate) const CONFIG: u8 = 78;
/// A worker gave itself up so that others may have its jobs (EX_TEMPFAIL of sysexits.h).
pub(crate) const SELF_FENCED: u8 = 75;
/// A worker was told to restart and has ended for that; its supervisor starts another.
pub(crate) const RESTARTED: u8 = 79;
/// Interrupted from the keyboard.
pub(crate) const INTERRUPTED: u8 = 130;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    /// Adds what to type next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What went wrong, for whoever cannot be told on stderr.
    pub(crate) fn into_message(self) -> String {
        self.message
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Prints to stderr; as one JSON object under `--json`.
    pub(crate) fn print(&self, json: bool) {
        if self.message.is_empty() {
            return;
        }
        if json {
            let problem =
                serde_json::json!({ "error": self.message, "hint": self.hint, "exit_code": self.code });
            output::complain(&problem.to_string());
        } else {
            output::error(&self.message, self.hint.as_deref());
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Store(store) => return store_failure(store),
            Error::InvalidJob(_) | Error::InvalidPayload(_) => USAGE,
            Error::NotFound(_) => NOT_FOUND,
            Error::NotAllowed { .. } => CONFLICT,
            Error::NotEnded { .. } => TIMED_OUT,
            Error::BadWorker(_) => CONFIG,
            Error::Payloads(fault) => {
                let code =
                    if matches!(fault, PayloadFault::Unavailable { .. }) { UNREACHABLE } else { CONFIG };
                return Self::new(code, fault.chain());
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        store_failure(&error)
    }
}

impl Failure {
    /// A failed store call, with its exit code.
    pub(crate) fn from_store(error: &StoreError) -> Self {
        store_failure(error)
    }
}

fn store_failure(error: &StoreError) -> Failure {
    let code = match error {
        StoreError::Unreachable { .. } | StoreError::Interrupted { .. } => UNREACHABLE,
        StoreError::Refused { .. } | StoreError::NotAllowed { .. } => NOT_PERMITTED,
        StoreError::BadUrl { .. }
        | StoreError::SchemaTooOld { .. }
        | StoreError::SchemaTooNew { .. }
        | StoreError::MigrationDrift { .. }
        | StoreError::ServerTooOld { .. }
        | StoreError::InUse { .. }
        | StoreError::Corrupt { .. }
        | StoreError::ReadOnly { .. } => CONFIG,
        StoreError::IdempotencyConflict { .. } | StoreError::DuplicateId(_) => CONFLICT,
        StoreError::Full { .. } | StoreError::Failed { .. } => FAILED,
    };
    Failure::new(code, error.chain())
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(FAILED, format!("the answer cannot be written as JSON: {error}"))
    }
}
