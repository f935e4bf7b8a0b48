//! A typed job: its name, its input and its output.

use std::time::Duration;

use jobforge_core::settle::RetryPolicy;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The input of a job, with what all jobs of its type share.
pub trait JobType: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The type's name, such as `email.send`.
    const TYPE: &'static str;
    /// The queue its jobs wait in.
    const QUEUE: &'static str = "default";
    /// How many attempts its jobs get.
    const MAX_ATTEMPTS: u32 = jobforge_core::enqueue::DEFAULT_MAX_ATTEMPTS;
    /// Bound on one attempt; `None` leaves it to the worker's default.
    const TIMEOUT: Option<Duration> = None;
    /// Bound on the time between two reports of progress; `None` leaves it to the worker's default.
    const PROGRESS_TIMEOUT: Option<Duration> = None;
    /// How long failed attempts wait; `None` is 1, 2, 4, … seconds up to an hour.
    const RETRY: Option<RetryPolicy> = None;
    /// What a successful attempt returns; stored as the job's result unless it is `()`.
    type Output: Serialize + Send;
}
