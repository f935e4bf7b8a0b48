//! The ways in which a run does not come to its end, and what JobForge is to do about each.

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use jobforge::JobError;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The job was told to stop.
    #[error("stopped, as it was asked to")]
    Stopped,
    /// It is too early; nothing is wrong, and no attempt is used.
    #[error("{why}; it goes on in {} s", wait.as_secs())]
    Later { why: String, wait: Duration },
    /// Another attempt may get further.
    #[error("{message}")]
    Again { kind: &'static str, message: String },
    /// No attempt will get further until somebody changes something.
    #[error("{message}")]
    Never { kind: &'static str, message: String },
}

impl Trouble {
    /// The database did not do what it was asked: `action` fits after "failed to".
    pub fn database(action: impl Display, error: &(dyn Error + 'static)) -> Self {
        let why = chain(error);
        if is_missing_table(error) {
            let message = format!("failed to {action}: {why}; run `background-jobs setup` first");
            return Self::Never { kind: "not_set_up", message };
        }
        let message = format!(
            "failed to {action}: {why}; the next attempt goes on behind the last batch that was stored"
        );
        Self::Again { kind: "database", message }
    }

    /// The payload asks for something that no run can do.
    pub fn payload(field: &str, problem: impl Display) -> Self {
        Self::Never {
            kind: "invalid_payload",
            message: format!("payload field `{field}`: {problem}; change the payload of the schedule"),
        }
    }

    /// Turns this into what a handler returns.
    pub fn into_job_error(self) -> JobError {
        match self {
            Self::Stopped => JobError::stopped(),
            Self::Later { wait, .. } => JobError::snooze(wait),
            Self::Again { kind, message } => JobError::retry(kind, message),
            Self::Never { kind, message } => JobError::fatal(kind, message),
        }
    }
}

/// An error with everything that caused it: the drivers say only "db error" themselves.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn is_missing_table(error: &(dyn Error + 'static)) -> bool {
    use tokio_postgres::error::SqlState;
    let error = error.downcast_ref::<tokio_postgres::Error>();
    let code = error.and_then(tokio_postgres::Error::code);
    matches!(code, Some(code) if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME)
}
