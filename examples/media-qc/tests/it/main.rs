//! The whole job on real media, made by ffmpeg as the tests run.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its part should end the test")]

mod broken;
mod end_to_end;
mod good;
mod http;
mod media;
mod recorder;
mod stop;

use media_qc::{Checks, MediaQc, QcError, Report, Settings, pipeline};
use recorder::Recorder;

/// Runs the pipeline without a database.
async fn run(
    source: impl Into<String>,
    checks: Checks,
    settings: &Settings,
) -> (Recorder, Result<Report, QcError>) {
    let recorder = Recorder::default();
    let job = MediaQc { source: source.into(), checks };
    let result = pipeline::run(&job, settings, &recorder).await;
    (recorder, result)
}

/// Runs the pipeline on a file that has to fail, and returns the error's kind, whether it is retryable, and its text.
async fn refuse(source: impl Into<String>, settings: &Settings) -> (&'static str, bool, String) {
    let (_, result) = run(source, Checks::default(), settings).await;
    let error = result.expect_err("a broken source should not give a report");
    (error.kind(), error.retryable(), error.to_string())
}
