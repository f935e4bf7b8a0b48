//! `jobforge watchdog`: who takes lost jobs back, and what was done.

use std::sync::Arc;

use jobforge::core::rescue::{self, Cause};
use jobforge::core::settings::Settings;
use jobforge::core::time::{Now, since, words};
use jobforge::core::watchdog::{Run, WatchdogRow};
use jobforge::services::Watchdog;
use jobforge::store::Store;
use jobforge::store::rows::MAX_PAGE;

use super::{Context, what_if};
use crate::cli::WatchdogCommand;
use crate::failure::Failure;
use crate::output;

/// Suspects that `status` and `run --dry-run` look at.
const LOOK_AT: usize = 500;

pub(crate) async fn run(context: Context, command: WatchdogCommand) -> Result<(), Failure> {
    match command {
        WatchdogCommand::Status => status(&context).await,
        WatchdogCommand::Run { dry_run: true } => preview(&context).await,
        WatchdogCommand::Run { dry_run: false } => sweep(&context).await,
        WatchdogCommand::History { limit, verdicts } => history(&context, limit, verdicts).await,
        WatchdogCommand::WhatIf { heartbeat_threshold_ms, since } => {
            what_if::run(&context, heartbeat_threshold_ms, &since).await
        }
    }
}

fn of(settings: &Settings, store: Arc<dyn Store>) -> Watchdog {
    Watchdog::new(store, settings.rescue_policy(), settings.millis("watchdog_check_interval_ms"))
}

async fn status(context: &Context) -> Result<(), Failure> {
    let client = context.visit().await?;
    let settings = context.settings_now(&client).await?;
    let enabled = settings.flag("job_heartbeat");
    let store = client.store();
    let seen = store.survey(Now::Database).await?;
    let watchdogs = store.watchdogs(Now::Database).await?;
    let last = store.watchdog_runs(1).await?.pop();
    let suspects = suspects(&settings, store.as_ref()).await?;
    let watching = watchdogs.iter().any(|watchdog| !watchdog.is_silent(seen.as_of));
    if context.json {
        return output::json(&serde_json::json!({
            "watching": watching,
            "enabled": enabled,
            "active_workers": seen.active,
            "overdue_workers": seen.overdue,
            "suspects": suspects,
            "watchdogs": watchdogs,
            "last_run": last,
        }));
    }
    let rows = watchdogs.iter().map(|watchdog| row(watchdog, seen.as_of)).collect::<Vec<_>>();
    match (watching, enabled) {
        (true, true) => output::say(&output::bold("A watchdog is running.")),
        (true, false) => output::say(&output::bold(
            "A watchdog is running; job heartbeats are switched off here, so only time-outs and ended workers count.",
        )),
        (false, _) => {
            output::say(&output::bold("No watchdog is running: jobs of a lost worker would not come back."));
            output::note(&format!("start one with {}", output::command("jobforge cleanup-daemon")));
        }
    }
    if !rows.is_empty() {
        output::table(&["watchdog", "state", "last sign", "running for", "checks every"], &[], rows);
    }
    output::say(&format!(
        "workers: {} active, {} of them past their lease; running jobs in trouble: {}",
        seen.active,
        seen.overdue,
        suspects.len()
    ));
    for (id, why) in &suspects {
        output::say(&format!("  {id}  {why}"));
    }
    if let Some(run) = last {
        output::say(&format!(
            "last run: {} ago, {}",
            words(since(seen.as_of, run.started_at)),
            summary(&run)
        ));
    }
    Ok(())
}

fn row(watchdog: &WatchdogRow, as_of: jiff::Timestamp) -> Vec<String> {
    vec![
        watchdog.id.clone(),
        if watchdog.is_silent(as_of) { "silent" } else { "running" }.to_owned(),
        format!("{} ago", words(since(as_of, watchdog.last_sign_at))),
        words(since(as_of, watchdog.started_at)),
        words(std::time::Duration::from_millis(watchdog.check_interval_ms)),
    ]
}

/// What a sweep would find now, job by job.
async fn suspects(settings: &Settings, store: &dyn Store) -> Result<Vec<(String, String)>, Failure> {
    let policy = settings.rescue_policy();
    let page = store.suspects(&policy.fast, LOOK_AT, Now::Database).await?;
    let judge = |suspect: &rescue::Suspect| -> Option<(String, String)> {
        let cause: Cause = rescue::cause(&suspect.job, suspect.worker.as_ref(), page.as_of, &policy)?;
        Some((suspect.job.id.to_string(), rescue::describe(&cause, suspect, page.as_of)))
    };
    Ok(page.suspects.iter().filter_map(judge).collect())
}

async fn preview(context: &Context) -> Result<(), Failure> {
    let client = context.visit().await?;
    let policy = context.settings_now(&client).await?.rescue_policy();
    let page = client.store().suspects(&policy.fast, LOOK_AT, Now::Database).await?;
    let plan = rescue::plan(&page, &policy);
    if context.json {
        let lines: Vec<_> = plan
            .iter()
            .map(|line| serde_json::json!({"job": line.id, "to": line.to, "why": line.error.message}))
            .collect();
        return output::json(&serde_json::json!({ "suspects": page.suspects.len(), "would": lines }));
    }
    if plan.is_empty() {
        output::note("a sweep would change nothing");
        return Ok(());
    }
    let rows = plan
        .iter()
        .map(|line| vec![line.id.to_string(), line.to.to_string(), line.error.message.clone()])
        .collect();
    output::table(&["job", "would become", "why"], &[], rows);
    output::note(&format!("nothing was changed; do it with {}", output::command("jobforge watchdog run")));
    Ok(())
}

async fn sweep(context: &Context) -> Result<(), Failure> {
    let client = context.visit().await?;
    let watchdog = of(&context.settings_now(&client).await?, Arc::clone(client.store()));
    let (run, _) = watchdog.run_recorded("operator").await?;
    if context.json {
        return output::json(&run);
    }
    output::say(&summary(&run));
    tell_verdicts(&run);
    Ok(())
}

async fn history(context: &Context, limit: usize, verdicts: bool) -> Result<(), Failure> {
    if limit == 0 || limit > MAX_PAGE {
        return Err(Failure::usage(format!("--limit is {limit}; it must be from 1 to {MAX_PAGE}")));
    }
    let client = context.visit().await?;
    let runs = client.store().watchdog_runs(limit).await?;
    if context.json {
        return output::json(&runs);
    }
    if runs.is_empty() {
        output::note(
            "no watchdog has run yet; `jobforge up`, `jobforge serve` and `jobforge cleanup-daemon` run one",
        );
        return Ok(());
    }
    if verdicts {
        for run in &runs {
            output::say(&format!("{}  {}  {}", run.started_at, run.watchdog, summary(run)));
            tell_verdicts(run);
        }
        return Ok(());
    }
    let rows = runs
        .iter()
        .map(|run| {
            vec![
                format!("{:.0}", run.started_at),
                run.watchdog.clone(),
                run.trigger.clone(),
                format!("{} ms", run.duration_ms),
                run.suspects.to_string(),
                run.workers_lost.to_string(),
                run.requeued.to_string(),
                run.ended.to_string(),
                run.lost_races.to_string(),
                run.error.clone().or_else(|| run.guard.clone()).unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    let header = [
        "started",
        "watchdog",
        "because of",
        "took",
        "suspects",
        "workers lost",
        "requeued",
        "ended",
        "lost races",
        "held by",
    ];
    output::table(&header, &[3, 4, 5, 6, 7, 8], rows);
    Ok(())
}

fn summary(run: &Run) -> String {
    let mut text = format!(
        "{} suspects, {} workers lost, {} jobs requeued, {} ended, {} lost races, in {} ms",
        run.suspects, run.workers_lost, run.requeued, run.ended, run.lost_races, run.duration_ms
    );
    if let Some(guard) = &run.guard {
        text.push_str(&format!("; held by {guard}"));
    }
    if let Some(error) = &run.error {
        text.push_str(&format!("; broke off: {error}"));
    }
    text
}

fn tell_verdicts(run: &Run) {
    for verdict in &run.verdicts {
        output::say(&format!(
            "  {}  {} -> {}: {}",
            verdict.job,
            verdict.cause,
            verdict.outcome,
            output::printable(&verdict.why)
        ));
    }
}
