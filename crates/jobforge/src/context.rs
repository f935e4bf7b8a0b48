//! What a handler sees of its own job, and how it reports back.
//!
//! Reports are kept in memory and carried by the worker's next heartbeat, so calling them often costs nothing.

use std::any::{Any, TypeId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jobforge_core::heartbeat::Report;
use jobforge_core::job::{ClaimedJob, Items, JobId, Lease};
use jobforge_core::stored_payload::StoredPayload;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::job_error::JobError;
use crate::payloads::{PayloadFault, Payloads};
use crate::worker::States;

/// The newest log lines that are kept of one attempt, in bytes.
pub(crate) const LOG_TAIL_BYTES: usize = 64 * 1024;
/// The longest single log line, in bytes; the rest of a longer one is cut off.
pub(crate) const LOG_LINE_BYTES: usize = 8 * 1024;

/// Why a handler is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// A person or program canceled the job.
    Canceled,
    /// The job is no longer this worker's: its lease was lost.
    LeaseLost,
    /// The attempt reached its time-out.
    TimedOut,
    /// The handler reported no progress for longer than its job may stand still.
    NoProgress,
    /// The worker is shutting down and its grace period is over.
    Shutdown,
}

/// A handler's view of its job. Cheap to clone; clones speak of the same attempt.
#[derive(Debug, Clone)]
pub struct JobContext {
    inner: Arc<Inner>,
}

struct Inner {
    job: ClaimedJob,
    states: Arc<States>,
    stop: CancellationToken,
    state: Mutex<State>,
    /// Of this run, where runs are traced.
    traceparent: OnceLock<String>,
    /// The same job with its payload, where that was kept elsewhere.
    whole: OnceLock<ClaimedJob>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("job", &self.job.id)
            .field("lease", &self.job.lease)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    reason: Option<StopReason>,
    asked_to_stop: Option<Instant>,
    /// When progress was last reported.
    progressed: Option<Instant>,
    /// What was reported since the last time.
    report: Report,
    /// What was sent last and is not known to have arrived; without the log, which is kept anyway.
    unheard: Report,
    /// Counted in this attempt so far.
    items: Items,
    /// Saved last in this attempt.
    checkpoint: Option<Value>,
    log: VecDeque<String>,
    log_bytes: usize,
    log_cut: bool,
}

impl State {
    /// Notes that the handler reported progress.
    fn went_on(&mut self) {
        self.progressed = Some(clock::monotonic());
        self.report.touch();
    }
}

impl JobContext {
    pub(crate) fn new(job: ClaimedJob, states: Arc<States>) -> Self {
        Self {
            inner: Arc::new(Inner {
                job,
                states,
                stop: CancellationToken::new(),
                state: Mutex::default(),
                traceparent: OnceLock::new(),
                whole: OnceLock::new(),
            }),
        }
    }

    /// Says what the span of this run is to what the handler calls.
    pub(crate) fn runs_within(&self, traceparent: String) {
        let _ = self.inner.traceparent.set(traceparent);
    }

    fn report_state(&self) -> MutexGuard<'_, State> {
        // A handler that panicked while reporting has left plain data behind: still good to read.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the payload from where it is kept, if that is not the job's row.
    pub(crate) async fn load(&self, payloads: Option<&Payloads>) -> Result<(), PayloadFault> {
        let job = &self.inner.job;
        let Some(stored) = StoredPayload::of(&job.payload) else { return Ok(()) };
        let payloads = payloads.ok_or(PayloadFault::NoStore { job: job.id, bytes: stored.bytes })?;
        let payload = payloads.get(&job.tenant_id, job.id, &stored).await?;
        let _ = self.inner.whole.set(ClaimedJob { payload, ..job.clone() });
        Ok(())
    }

    /// The job as it was claimed.
    pub fn job(&self) -> &ClaimedJob {
        self.inner.whole.get().unwrap_or(&self.inner.job)
    }

    /// The job's id: the same in every attempt, so it serves as an idempotency key for side effects.
    pub fn id(&self) -> JobId {
        self.inner.job.id
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.inner.job.attempt
    }

    /// The fence: grows with every claim of the job, so a receiver that remembers the highest can refuse older ones.
    pub fn fence(&self) -> Lease {
        self.inner.job.lease
    }

    /// How long this attempt may take in all; `None` is without bound.
    pub fn timeout(&self) -> Option<Duration> {
        self.inner.job.timeout
    }

    /// How long this attempt may go on without a report of progress; `None` is without bound.
    ///
    /// Progress is whatever [`Self::progress`], [`Self::phase`], [`Self::items`] or [`Self::set_checkpoint`] report.
    pub fn progress_timeout(&self) -> Option<Duration> {
        self.inner.job.progress_timeout
    }

    /// When this attempt must be over, on the database's clock; `None` is never.
    pub fn deadline(&self) -> Option<jiff::Timestamp> {
        let timeout = jiff::SignedDuration::try_from(self.inner.job.timeout?).ok()?;
        self.inner.job.started_at.checked_add(timeout).ok()
    }

    /// The W3C trace context to hand on to what the handler calls: that of this run where runs are traced (see
    /// [`crate::trace`]), otherwise that of the enqueuer.
    pub fn traceparent(&self) -> Option<&str> {
        self.inner.traceparent.get().or(self.inner.job.traceparent.as_ref()).map(String::as_str)
    }

    /// Returns the application's value of this type, as given to the worker's builder.
    ///
    /// # Errors
    /// When the worker was given none; not retryable.
    pub fn state<T: Any + Send + Sync>(&self) -> Result<Arc<T>, JobError> {
        let found = self.inner.states.get(&TypeId::of::<T>()).cloned();
        found.and_then(|value| value.downcast().ok()).ok_or_else(|| {
            let name = std::any::type_name::<T>();
            JobError::fatal(
                "missing_state",
                format!("the worker was given no state of type {name}; call .state(…) on its builder"),
            )
        })
    }

    /// Reports how far the work has come (0 to 100; more counts as 100) and what it is doing.
    pub fn progress(&self, percent: u8, message: impl Into<String>) {
        let mut state = self.report_state();
        state.report.progress = Some(percent.min(100));
        state.report.message = Some(message.into());
        state.went_on();
    }

    /// Names the phase of the work, such as `downloading`.
    pub fn phase(&self, name: impl Into<String>) {
        let mut state = self.report_state();
        state.report.phase = Some(name.into());
        state.went_on();
    }

    /// Adds a line to the attempt's log; the newest 64 KiB are kept.
    pub fn log(&self, line: impl Into<String>) {
        let mut line: String = line.into();
        if line.len() > LOG_LINE_BYTES {
            let cut = (0..=LOG_LINE_BYTES).rev().find(|&i| line.is_char_boundary(i)).unwrap_or(0);
            line.truncate(cut);
            line.push('…');
        }
        let mut state = self.report_state();
        state.log_bytes += line.len() + 1;
        state.log.push_back(line);
        while state.log_bytes > LOG_TAIL_BYTES {
            let Some(old) = state.log.pop_front() else { break };
            state.log_bytes -= old.len() + 1;
            state.log_cut = true;
        }
        state.report.log_changed = true;
        state.report.touch();
    }

    /// Adds to the counts of work items.
    pub fn items(&self, processed: i64, failed: i64, skipped: i64) {
        let mut state = self.report_state();
        state.items.processed += processed;
        state.items.failed += failed;
        state.items.skipped += skipped;
        state.report.items = Some(state.items);
        state.went_on();
    }

    /// Saves a point from which a later attempt can go on; it is stored with the next heartbeat or the settlement.
    ///
    /// # Errors
    /// When `value` cannot be written as JSON.
    pub fn set_checkpoint<T: Serialize>(&self, value: &T) -> Result<(), JobError> {
        let value = serde_json::to_value(value).map_err(|error| {
            JobError::fatal("bad_checkpoint", format!("the checkpoint is not JSON: {error}"))
        })?;
        let mut state = self.report_state();
        state.checkpoint = Some(value.clone());
        state.report.checkpoint = Some(value);
        state.went_on();
        Ok(())
    }

    /// Returns what an earlier attempt, or this one, saved last.
    ///
    /// # Errors
    /// When what was saved does not have the shape of `T`; not retryable.
    pub fn checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>, JobError> {
        let saved = self.report_state().checkpoint.clone().or_else(|| self.inner.job.checkpoint.clone());
        saved.map(serde_json::from_value).transpose().map_err(|error| {
            JobError::fatal("bad_checkpoint", format!("the saved checkpoint has another shape: {error}"))
        })
    }

    /// The signal to stop: fires on cancel, lost lease, time-out, standstill and at the end of a shutdown's grace period.
    pub fn stop_signal(&self) -> &CancellationToken {
        &self.inner.stop
    }

    /// Waits for the signal to stop and says why it came.
    pub async fn stopped(&self) -> StopReason {
        self.inner.stop.cancelled().await;
        self.stop_reason().unwrap_or(StopReason::Shutdown)
    }

    /// Why the handler was asked to stop; `None` as long as it was not.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.report_state().reason
    }

    /// Returns an error once the handler was asked to stop; for use with `?` between steps.
    ///
    /// # Errors
    /// [`JobError::stopped`] after the signal.
    pub fn check(&self) -> Result<(), JobError> {
        if self.inner.stop.is_cancelled() { Err(JobError::stopped()) } else { Ok(()) }
    }

    /// When progress was last reported; `None` if it was not.
    pub(crate) fn progressed(&self) -> Option<Instant> {
        self.report_state().progressed
    }

    /// Asks the handler to stop; the first reason stands.
    pub(crate) fn ask_to_stop(&self, reason: StopReason) {
        let mut state = self.report_state();
        if state.reason.is_none() {
            (state.reason, state.asked_to_stop) = (Some(reason), Some(clock::monotonic()));
        }
        drop(state);
        self.inner.stop.cancel();
    }

    /// For how long the handler has gone on after its job was taken from it; `None` as long as it was not.
    pub(crate) fn goes_on_for(&self, now: Instant) -> Option<Duration> {
        let state = self.report_state();
        match state.reason? {
            StopReason::Canceled | StopReason::LeaseLost => Some(now.duration_since(state.asked_to_stop?)),
            StopReason::TimedOut | StopReason::NoProgress | StopReason::Shutdown => None,
        }
    }

    /// Whether anything was reported that is not known to have arrived.
    pub(crate) fn has_news(&self) -> bool {
        let state = self.report_state();
        state.report.changed || state.unheard.changed
    }

    /// Takes what is new since the last report that was [`Self::heard`].
    pub(crate) fn take_report(&self) -> Report {
        let mut state = self.report_state();
        let mut report = std::mem::take(&mut state.report);
        let unheard = std::mem::take(&mut state.unheard);
        // What may not have arrived is said again; what was said since is newer and wins.
        report.progress = report.progress.or(unheard.progress);
        report.message = report.message.or(unheard.message);
        report.phase = report.phase.or(unheard.phase);
        report.items = report.items.or(unheard.items);
        report.checkpoint = report.checkpoint.or(unheard.checkpoint);
        report.log_changed |= unheard.log_changed;
        report.changed |= unheard.changed;
        state.unheard = report.clone();
        if report.log_changed {
            report.log_tail = Some(tail(&state));
        }
        report
    }

    /// Notes that the last report has arrived.
    pub(crate) fn heard(&self) {
        self.report_state().unheard = Report::default();
    }
}

fn tail(state: &State) -> String {
    let mut text = String::with_capacity(state.log_bytes + 32);
    if state.log_cut {
        text.push_str("… (older lines were dropped)\n");
    }
    for line in &state.log {
        text.push_str(line);
        text.push('\n');
    }
    text
}
