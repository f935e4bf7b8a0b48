//! `/ui/watchdog`: who watches, by which thresholds, what each sweep decided and why, and what another threshold would have done.

use askama::Template;
use axum::response::Response;
use jobforge::core::time::{Now, since, words};
use jobforge::core::watchdog::Run;

use super::copies::Copies;
use super::page::{Shell, html};
use super::visit::Visit;
use super::what_if::Asked;
use super::words::{When, brief, cut};
use crate::api_error::ApiError;

/// Sweeps that are listed.
const RUNS: usize = 100;
/// Settings that a sweep goes by.
const THRESHOLDS: [&str; 4] =
    ["watchdog_check_interval_ms", "heartbeat_threshold_ms", "heartbeat_max_misses", "on_lost"];

#[derive(Template)]
#[template(path = "watchdog.html")]
struct WatchdogPage {
    shell: Shell,
    dogs: Vec<Dog>,
    thresholds: Vec<Threshold>,
    runs: Vec<RunLine>,
    asked: Asked,
}

struct Dog {
    id: String,
    silent: bool,
    heard: String,
    held: String,
    every: String,
}

struct Threshold {
    key: &'static str,
    value: String,
    source: String,
    doc: &'static str,
}

struct RunLine {
    at: When,
    watchdog: String,
    took: String,
    trigger: String,
    suspects: u64,
    requeued: u64,
    ended: u64,
    lost: u64,
    late: u64,
    error: String,
    guard: String,
    verdicts: Vec<Verdict>,
}

struct Verdict {
    job: String,
    worker: String,
    cause: String,
    outcome: String,
    why: String,
}

fn line(run: Run, now: jiff::Timestamp) -> RunLine {
    RunLine {
        at: When::of(run.started_at, now),
        watchdog: run.watchdog,
        took: format!("{} ms", run.duration_ms),
        trigger: run.trigger,
        suspects: run.suspects,
        requeued: run.requeued,
        ended: run.ended,
        lost: run.workers_lost,
        late: run.lost_races,
        error: cut(&run.error.unwrap_or_default(), 300),
        guard: run.guard.unwrap_or_default(),
        verdicts: run
            .verdicts
            .into_iter()
            .map(|verdict| Verdict {
                job: verdict.job.to_string(),
                worker: verdict.worker.map(|worker| worker.0).unwrap_or_default(),
                cause: verdict.cause,
                outcome: verdict.outcome,
                why: cut(&verdict.why, 300),
            })
            .collect(),
    }
}

/// `GET /ui/watchdog`
pub(super) async fn page(visit: Visit) -> Result<Response, ApiError> {
    let store = visit.app.client.store();
    let (runs, dogs, as_of) =
        tokio::try_join!(store.watchdog_runs(RUNS), store.watchdogs(Now::Database), store.now())?;
    let settings = visit.app.live.now();
    let known = |key: &'static str| settings.get(key);
    let thresholds = THRESHOLDS.into_iter().filter_map(|key| {
        let found = known(key)?;
        let (value, source) = (found.shown().to_owned(), found.source.to_string());
        Some(Threshold { key, value, source, doc: found.setting.doc })
    });
    let dog = |dog: &jobforge::core::watchdog::WatchdogRow| Dog {
        id: dog.id.clone(),
        silent: dog.is_silent(as_of),
        heard: format!("{} ago", brief(since(as_of, dog.last_sign_at))),
        held: dog
            .held
            .filter(|held| held.until > as_of)
            .map(|held| {
                format!(
                    "holds its verdicts back for {}: {}",
                    words(since(held.until, as_of)),
                    held.guard.reason()
                )
            })
            .unwrap_or_default(),
        every: words(std::time::Duration::from_millis(dog.check_interval_ms)),
    };
    let sql = "SELECT * FROM jobforge_watchdog_runs ORDER BY started_at DESC LIMIT 100;";
    let asked = Asked::of(&visit).await?;
    let copies = if asked.answer.is_some() {
        asked.copies()
    } else {
        let cli = format!("jobforge watchdog history --verdicts --limit {RUNS}");
        Copies::of(cli, &format!("/v1/watchdog/runs?limit={RUNS}"), sql)
    };
    html(&WatchdogPage {
        shell: visit.shell("/ui/watchdog", "Watchdog", as_of, copies).await,
        dogs: dogs.iter().map(dog).collect(),
        thresholds: thresholds.collect(),
        runs: runs.into_iter().map(|run| line(run, as_of)).collect(),
        asked,
    })
}
