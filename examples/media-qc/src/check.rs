//! `media-qc check`: enqueues files, works on them in this process, and prints what was found.

use std::io::Write;
use std::path::absolute;
use std::time::Duration;

use anyhow::Context;
use jobforge::core::job::ErrorInfo;
use jobforge::{Client, Error, JobContext, JobError, Worker};
use media_qc::job::Source;
use media_qc::report::Verdict;
use media_qc::{Checks, MediaQc, Report, Settings, table, worker};

use crate::screen::Screen;

/// How long the worker gets to leave when everything is done.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What `media-qc check` was asked to do.
#[derive(Debug)]
pub(crate) struct Request {
    /// Paths and URLs.
    pub(crate) sources: Vec<String>,
    /// The limits to hold them against.
    pub(crate) checks: Checks,
    /// The database; `None` is a temporary one.
    pub(crate) database_url: Option<String>,
    /// Files at a time.
    pub(crate) slots: usize,
    /// Attempts per file.
    pub(crate) attempts: u32,
    /// How long to wait for each.
    pub(crate) wait: Duration,
    /// Reports as JSON lines instead of tables.
    pub(crate) json: bool,
}

/// Returns whether every file passed.
pub(crate) async fn run(request: Request, settings: Settings) -> anyhow::Result<bool> {
    let temporary = tempfile::tempdir().context("failed to create a temporary directory")?;
    let embedded = format!("sqlite://{}", temporary.path().join("jobforge.db").display());
    let url = request.database_url.as_deref().unwrap_or(&embedded);
    let client = Client::open(url).await.context("failed to open the database")?;

    let screen = Screen::default();
    let mut receipts = Vec::new();
    for source in &request.sources {
        let job = MediaQc { source: reachable(source)?, checks: request.checks.clone() };
        let label = job.validate()?.label();
        let receipt =
            client.enqueue(job).max_attempts(request.attempts).await.context("failed to enqueue")?;
        receipts.push((label, receipt));
    }
    let worker = start(&client, settings, request.slots, screen.clone()).await?;

    let mut all_passed = true;
    for (label, receipt) in receipts {
        let waited = tokio::select! {
            waited = client.wait(receipt.id, request.wait) => waited,
            _ = tokio::signal::ctrl_c() => {
                worker.stop_gracefully(Duration::ZERO).await;
                anyhow::bail!("interrupted");
            }
        };
        // One file that takes too long should not hide what is known of the others.
        let error = match waited {
            Ok(job) => job.error,
            Err(late @ Error::NotEnded { .. }) => Some(not_ended(&late)),
            Err(error) => return Err(error).with_context(|| format!("failed to wait for {label}")),
        };
        let report = worker::stored_report(&client, receipt.id).await?;
        all_passed &= report.as_ref().is_some_and(|report| report.verdict == Verdict::Pass);
        let shown = if request.json {
            line(&label, report.as_ref(), error.as_ref())?
        } else {
            paragraph(&label, report.as_ref(), error.as_ref())
        };
        screen.aside(|| writeln!(anstream::stdout(), "{shown}")).context("failed to print")?;
    }
    worker.stop_gracefully(STOP_GRACE).await;
    Ok(all_passed)
}

fn not_ended(late: &Error) -> ErrorInfo {
    ErrorInfo { message: late.to_string(), kind: "not_ended".to_owned(), retryable: true, details: None }
}

fn line(label: &str, report: Option<&Report>, error: Option<&ErrorInfo>) -> serde_json::Result<String> {
    match report {
        Some(report) => serde_json::to_string(report),
        None => {
            serde_json::to_string(&serde_json::json!({ "source": label, "verdict": "error", "error": error }))
        }
    }
}

fn paragraph(label: &str, report: Option<&Report>, error: Option<&ErrorInfo>) -> String {
    match (report, error) {
        (Some(report), _) => table::draw(report),
        (None, Some(error)) => format!("ERROR {label}\n - {} [{}]\n", error.message, error.kind),
        (None, None) => format!("ERROR {label}\n - the job ended without a report\n"),
    }
}

/// Makes a path mean the same to every worker; URLs already do.
fn reachable(source: &str) -> anyhow::Result<String> {
    match Source::parse(source)? {
        Source::Url(_) => Ok(source.to_owned()),
        Source::File(path) => {
            let path = absolute(&path).with_context(|| format!("failed to resolve {source}"))?;
            path.into_os_string().into_string().ok().context("a path has to be UTF-8 to be stored in a job")
        }
    }
}

async fn start(client: &Client, settings: Settings, slots: usize, screen: Screen) -> anyhow::Result<Worker> {
    Ok(worker::builder(client, settings, slots).state(screen).register(handle).start().await?)
}

/// As [`worker::handle`], and shows on the screen what it reports.
async fn handle(job: MediaQc, ctx: JobContext) -> Result<Report, JobError> {
    let screen = ctx.state::<Screen>()?;
    let shown = screen.show(&job.source, &ctx);
    worker::examine(&job, &ctx, &shown).await
}
