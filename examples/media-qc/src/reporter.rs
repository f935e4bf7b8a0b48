//! The part of a job's context that the pipeline needs, so that it also runs without a database.

use jobforge::JobContext;
use tokio_util::sync::CancellationToken;

use crate::error::QcError;

/// Receives what the pipeline reports, and tells it when to stop.
pub trait Reporter: Send + Sync {
    /// Names the phase that begins.
    fn phase(&self, name: &str);
    /// Says how far the work has come.
    fn progress(&self, percent: u8, message: &str);
    /// Adds a line to the log.
    fn log(&self, line: &str);
    /// Fires when the work should stop.
    fn stop_signal(&self) -> &CancellationToken;

    /// Returns an error once the work should stop.
    ///
    /// # Errors
    /// [`QcError::Stopped`] after the signal.
    fn check(&self) -> Result<(), QcError> {
        if self.stop_signal().is_cancelled() { Err(QcError::Stopped) } else { Ok(()) }
    }
}

impl Reporter for JobContext {
    fn phase(&self, name: &str) {
        Self::phase(self, name);
    }

    fn progress(&self, percent: u8, message: &str) {
        Self::progress(self, percent, message);
    }

    fn log(&self, line: &str) {
        Self::log(self, line);
    }

    fn stop_signal(&self) -> &CancellationToken {
        Self::stop_signal(self)
    }
}
