//! How a handler says that a job did not succeed.

use std::time::Duration;

use jobforge_core::job::ErrorInfo;

/// What a handler returns instead of an output.
///
/// Any `std::error::Error` turns into a retryable failure by `?`; the other outcomes are named:
///
/// ```
/// use jobforge::JobError;
/// # fn charge(cents: i64) -> Result<(), JobError> {
/// if cents < 0 {
///     return Err(JobError::fatal("invalid_amount", format!("cannot charge {cents} cents")));
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct JobError {
    pub(crate) outcome: FailOutcome,
}

/// The four ways not to succeed.
#[derive(Debug)]
pub(crate) enum FailOutcome {
    /// Try again, after the back-off or after `delay`.
    Retry { error: ErrorInfo, delay: Option<Duration> },
    /// Never try again.
    Fatal { error: ErrorInfo },
    /// Not a failure: run later, without using an attempt.
    Snooze { delay: Duration },
    /// The attempt was told to stop and did; what that means depends on who told it.
    Stopped,
}

impl JobError {
    /// A failure that another attempt may overcome. `kind` is a stable word for grouping.
    pub fn retry(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { outcome: FailOutcome::Retry { error: info(kind, message, true), delay: None } }
    }

    /// A failure that no further attempt can overcome: the job ends as `failed`.
    pub fn fatal(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { outcome: FailOutcome::Fatal { error: info(kind, message, false) } }
    }

    /// Asks to be run again after `delay`; uses no attempt and records no error.
    pub fn snooze(delay: Duration) -> Self {
        Self { outcome: FailOutcome::Snooze { delay } }
    }

    /// Says that the handler stopped because it was told to (see `JobContext::stopped`).
    pub fn stopped() -> Self {
        Self { outcome: FailOutcome::Stopped }
    }

    /// Replaces the back-off of a retryable failure; has no effect on the other outcomes.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        if let FailOutcome::Retry { delay, .. } = &mut self.outcome {
            *delay = Some(wait);
        }
        self
    }

    /// Adds structured details to the stored error; they must not contain secrets.
    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        if let FailOutcome::Retry { error, .. } | FailOutcome::Fatal { error } = &mut self.outcome {
            error.details = Some(details);
        }
        self
    }
}

fn info(kind: impl Into<String>, message: impl Into<String>, retryable: bool) -> ErrorInfo {
    ErrorInfo { message: message.into(), kind: kind.into(), retryable, details: None }
}

impl<E: std::error::Error> From<E> for JobError {
    /// Keeps the whole chain of causes in the message.
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        Self::retry("error", message)
    }
}
