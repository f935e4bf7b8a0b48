//! `exec`: runs one allowed program and reports its life as the job's.
//!
//! The program talks to the job by its standard output. These lines are reports and do not appear in the log:
//!
//! ```text
//! ::progress 42 resizing          how far it has come, and what it is doing
//! ::phase uploading               the named phase
//! ::items processed=10 failed=1   added to the job's counts
//! ::result {"rows": 12}           the job's result; the last one stands
//! {"jobforge": {"progress": 42, "message": "…", "phase": "…", "items": {…}, "result": …}}
//! ```
//!
//! This keeps programs and the worker apart; it is not a sandbox. A program runs as the worker's user.

mod allow;
mod limits;
mod output;
mod payload;
mod process;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::payload::ExecPayload;
use self::verdict::Facts;
use crate::clock;
use crate::context::JobContext;
use crate::job_error::JobError;
use crate::process::kernel_kills;

/// What stopping a program can take: the longest grace a payload may ask for, and the moment after the KILL.
pub(crate) const LONGEST_STOP: Duration = Duration::from_millis(payload::GRACE_MS_MAX + 2_000);

/// What the operator allows `exec` jobs to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecConfig {
    /// Whether programs are run at all.
    pub enabled: bool,
    /// Absolute paths, bare names that are looked up in the worker's `PATH`, or `*` for any program.
    pub allow: Vec<String>,
}

impl ExecConfig {
    fn allows_any(&self) -> bool {
        self.allow.iter().any(|pattern| pattern == "*")
    }
}

/// The output of an `exec` job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecOutput {
    /// The exit code, one of the payload's `ok_exit_codes`.
    pub exit_code: i32,
    /// How long the program ran.
    pub duration_ms: u64,
    /// What the program gave as its result.
    pub result: Option<Value>,
    /// The newest 16 KiB of standard output, reports left out.
    pub stdout_tail: String,
    /// Whether older output was dropped.
    pub stdout_truncated: bool,
}

/// Runs an `exec` job.
///
/// When this returns, or is dropped, the program and its whole process group are gone.
///
/// # Errors
/// Fatal for a payload or program that is refused and for `cpu_limit`; `exit_code` as the payload says; otherwise
/// retryable. [`JobError::stopped`] when the job was asked to stop.
pub async fn run(
    payload: ExecPayload,
    ctx: JobContext,
    config: Arc<ExecConfig>,
) -> Result<ExecOutput, JobError> {
    let mut plan = payload.check(config.allows_any())?;
    let search_path = process::search_path(&process::surroundings());
    let file = allow::resolve(&plan.program, &config, &search_path)?;
    ctx.check()?;

    let program = plan.program.clone();
    let limits = plan.limits;
    let ok_exit_codes = std::mem::take(&mut plan.ok_exit_codes);
    let retry_exit_codes = plan.retry_exit_codes.take();
    let started = clock::monotonic();
    let kills_before = kernel_kills();
    let ended = process::run(&file, plan, &ctx).await?;
    let kills_after = kernel_kills();
    let duration_ms = clock::monotonic().duration_since(started).as_millis() as u64;

    let Some(status) = ended.status else { return Err(JobError::stopped()) };
    let (stderr, _) = ended.stderr.finish();
    let exit_code = verdict::judge(&Facts {
        program: &program,
        status,
        stderr: &stderr,
        limits,
        ok_exit_codes: &ok_exit_codes,
        retry_exit_codes: retry_exit_codes.as_deref(),
        kernel_kills: kills_after.zip(kills_before).map_or(0, |(after, before)| after.saturating_sub(before)),
    })?;
    let result = ended.stdout.result.transpose().map_err(|problem| {
        let text = format!(
            "{program:?} ended with exit code {exit_code}, but its `::result` is unusable: {problem}"
        );
        JobError::fatal("bad_result", text)
    })?;
    let (stdout_tail, stdout_truncated) = ended.stdout.tail.finish();
    Ok(ExecOutput { exit_code, duration_ms, result, stdout_tail, stdout_truncated })
}
