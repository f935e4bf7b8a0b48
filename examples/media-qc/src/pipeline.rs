//! The phases of the job, with the percentages that operators know from the runbook on stuck jobs:
//! initializing 5, downloading 15 to 20, analysis 45 to 75, saving 80, done 100.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use jobforge::clock;

use crate::analyze::{self, analyze};
use crate::child::{Invocation, Output, Pulse};
use crate::container;
use crate::error::QcError;
use crate::fetch::{self, Fetched, fetch, mebibytes};
use crate::job::MediaQc;
use crate::probe::{MediaFacts, probe};
use crate::report::{Report, judge};
use crate::reporter::Reporter;
use crate::settings::Settings;

/// How long a tool may take to tell its version.
const VERSION_PATIENCE: Duration = Duration::from_secs(10);

/// Examines one source from beginning to end.
///
/// # Errors
/// When no verdict is possible; a file that fails its checks is a [`Report`].
pub async fn run(job: &MediaQc, settings: &Settings, reporter: &dyn Reporter) -> Result<Report, QcError> {
    reporter.phase("initializing");
    reporter.progress(5, "checking payload and tools");
    let source = job.validate()?;
    let name = source.label();
    // Both before anything is downloaded: a worker without ffmpeg should not fetch two gigabytes to find out.
    version(&settings.ffprobe, reporter).await?;
    let tool = version(&settings.ffmpeg, reporter).await?;
    reporter.log(&format!("examining {name} with {tool}"));

    reporter.check()?;
    reporter.phase("downloading");
    reporter.progress(*fetch::PERCENT.start(), &format!("fetching {name}"));
    let file = fetch(&source, settings, reporter).await?;
    reporter.progress(*fetch::PERCENT.end(), &fetched_message(&file));

    reporter.check()?;
    reporter.phase("analysis");
    reporter.progress(*analyze::PERCENT.start(), "reading the container");
    // First, because ffprobe makes the best of a cut file and would not mention it.
    let lack =
        container::lack(&file.path).map_err(|source| QcError::Local { action: "read the file", source })?;
    if let Some(lack) = lack {
        return Err(QcError::TruncatedMedia { name, why: lack.to_string() });
    }
    let media = probe(&file.path, &name, settings, reporter.stop_signal()).await?;
    reporter.log(&summary(&media));
    let began = clock::monotonic();
    let measured = analyze(&file.path, &name, &media, &job.checks, settings, reporter).await?;
    let analysis_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    reporter.progress(*analyze::PERCENT.end(), "analysis complete");

    reporter.check()?;
    reporter.phase("saving");
    reporter.progress(80, "writing the report");
    let (verdict, reasons) = judge(&measured, &job.checks);
    for reason in &reasons {
        reporter.log(&format!("failed {}: {}", reason.check, reason.message));
    }
    let report = Report { source: name, verdict, reasons, media, measured, analysis_ms, tool };

    reporter.phase("done");
    reporter.progress(100, verdict.as_str());
    Ok(report)
}

/// Returns a tool's name and version, such as `ffmpeg version 5.1.9`.
async fn version(program: &Path, reporter: &dyn Reporter) -> Result<String, QcError> {
    let args = vec![OsString::from("-version")];
    let mut first: Option<String> = None;
    let run = Invocation { program, args, patience: VERSION_PATIENCE };
    run.run(reporter.stop_signal(), |output, line| {
        if output == Output::Stdout && first.is_none() {
            first = Some(line.to_owned());
        }
        Pulse::Quiet
    })
    .await?;
    let line = first.unwrap_or_default();
    Ok(line.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

fn fetched_message(file: &Fetched) -> String {
    let how = if file.is_download() { "downloaded" } else { "found" };
    format!("{how} {}", mebibytes(file.size_bytes))
}

fn summary(media: &MediaFacts) -> String {
    let codecs =
        media.video.iter().map(|v| v.codec.as_str()).chain(media.audio.iter().map(|a| a.codec.as_str()));
    let codecs = codecs.collect::<Vec<_>>().join(", ");
    let length = media.duration_s.map(|s| format!(", {s:.1} s")).unwrap_or_default();
    format!("{}: {codecs}{length}", media.container_name)
}
