//! Runs the pipeline as a JobForge handler.

use anyhow::Context;
use jobforge::core::job::JobId;
use jobforge::{Client, JobContext, JobError, Worker, WorkerBuilder};

use crate::QcError;
use crate::job::MediaQc;
use crate::pipeline;
use crate::report::Report;
use crate::reporter::Reporter;
use crate::settings::Settings;

/// The queue that the worker takes jobs from.
pub const QUEUE: &str = "media";

/// Handles one job, under the [`Settings`] that the worker was given as its state.
///
/// # Errors
/// Final for anything wrong with the file, retryable for network and machine.
pub async fn handle(job: MediaQc, ctx: JobContext) -> Result<Report, JobError> {
    examine(&job, &ctx, &ctx).await
}

/// Handles one job, reporting to somebody who passes it on to the context.
///
/// # Errors
/// As [`handle`].
pub async fn examine(job: &MediaQc, ctx: &JobContext, to: &dyn Reporter) -> Result<Report, JobError> {
    let settings = ctx.state::<Settings>()?;
    pipeline::run(job, &settings, to).await.map_err(QcError::into_job_error)
}

/// Sets up a worker with `slots` files at a time; it still needs a handler.
pub fn builder(client: &Client, settings: Settings, slots: usize) -> WorkerBuilder {
    Worker::builder(client).name("media-qc").queue(QUEUE, slots).state(settings)
}

/// Returns what a job stored; `None` when it did not get that far.
///
/// # Errors
/// When the database fails, or the result is not one of this program's.
pub async fn stored_report(client: &Client, id: JobId) -> anyhow::Result<Option<Report>> {
    let detail = client.job_detail(id).await.context("failed to read the job")?;
    let report = detail.result.map(|result| result.decode()).transpose();
    report.context("the stored result is not a report")
}
