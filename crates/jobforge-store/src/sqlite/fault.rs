//! What SQLite's error codes mean to a caller.

use std::fmt;

use rusqlite::ErrorCode;
use rusqlite::ffi;

use super::home::Home;
use crate::error::{BoxError, StoreError};

/// A driver's error in a form that can be told to every command of a failed transaction.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    code: Option<ErrorCode>,
    extended: i32,
    text: String,
}

impl Fault {
    /// Keeps what matters of a driver's error.
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        let (code, extended) = match error {
            rusqlite::Error::SqliteFailure(failure, _) => (Some(failure.code), failure.extended_code),
            _ => (None, 0),
        };
        Self { code, extended, text: error.to_string() }
    }

    /// SQLite ended a transaction without saying why.
    pub(super) fn lost_transaction() -> Self {
        let text = "the transaction was rolled back by SQLite".to_owned();
        Self { code: Some(ErrorCode::OperationInterrupted), extended: 0, text }
    }

    /// Says it in the words of the seam.
    pub(super) fn into_error(self, home: &Home, call: &'static str) -> StoreError {
        let location = home.location.clone();
        let (code, extended) = (self.code, self.extended);
        let source: BoxError = Box::new(Text(self.text));
        match code {
            Some(ErrorCode::DiskFull) => StoreError::Full { location, source },
            // The index of the log lives in a file that must grow too.
            Some(ErrorCode::SystemIoFailure) if extended == ffi::SQLITE_IOERR_SHMSIZE => {
                StoreError::Full { location, source }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                StoreError::ReadOnly { location, source }
            }
            Some(ErrorCode::CannotOpen) => StoreError::Unreachable { location, source },
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                StoreError::Corrupt { location, source }
            }
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OperationInterrupted
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory,
            ) => StoreError::Interrupted { location, call, source },
            _ => StoreError::Failed { location, call, source },
        }
    }
}

/// A failure of our own making, such as a panic or a stored word that nobody knows.
pub(super) fn failed(home: &Home, call: &'static str, text: impl Into<String>) -> StoreError {
    StoreError::Failed { location: home.location.clone(), call, source: Box::new(Text(text.into())) }
}

#[derive(Debug)]
struct Text(String);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Text {}
