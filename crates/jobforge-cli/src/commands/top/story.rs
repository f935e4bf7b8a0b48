//! What `top` tells of one line: a queue, a worker or a schedule. Of jobs it tells what `job explain` tells.

use std::time::Duration;

use jiff::Timestamp;
use jobforge::Client;
use jobforge::core::counted::counted;
use jobforge::core::job::{Job, WorkerId};
use jobforge::core::job_state::JobState;
use jobforge::core::overview::COUNTED_TO;
use jobforge::core::schedule::{RunLine, RunOutcome};
use jobforge::core::time::{Now, since, words};
use jobforge::store::rows::JobFilter;

use super::pane::{capped, short};
use crate::failure::Failure;
use crate::output::printable;

/// Jobs, moments and runs that are told one by one.
const FEW: usize = 8;

fn line(name: &str, text: impl AsRef<str>) -> String {
    format!("{name:<14} {}", printable(text.as_ref()))
}

fn ago(now: Timestamp, at: Timestamp) -> String {
    format!("{} ago", words(since(now, at)))
}

fn job(job: &Job, now: Timestamp) -> String {
    let moment = job.started_at.filter(|_| job.locked_by.is_some()).unwrap_or(job.run_at);
    let attempt = format!("{}/{}", job.attempts, job.max_attempts);
    let text =
        format!("  {} {} ({attempt}), since {}", short(job.id), job.job_type, words(since(now, moment)));
    printable(&text)
}

/// What waits and runs in a queue, and who serves it.
pub(super) async fn queue(client: &Client, name: &str) -> Result<Vec<String>, Failure> {
    let store = client.store();
    let (queues, workers, now) = tokio::try_join!(
        store.queues_to(COUNTED_TO, Now::Database),
        store.workers(Now::Database),
        store.now()
    )?;
    let Some(queue) = queues.into_iter().find(|queue| queue.name == name) else {
        return Ok(vec!["it holds no job, and nobody serves it".to_owned()]);
    };
    let serving: Vec<_> = workers
        .iter()
        .filter(|worker| worker.state.is_active() && worker.lease_expires_at > now)
        .filter(|worker| worker.queues.contains(&queue.name))
        .collect();
    let (ready, running) = (capped(queue.ready), capped(queue.running));
    let mut lines =
        vec![line("ready", &ready), line("running", &running), line("later", capped(queue.scheduled))];
    lines.extend(queue.oldest_ready_at.map(|at| line("oldest waits", words(since(now, at)))));
    lines.extend(queue.paused_at.map(|at| {
        line(
            "paused",
            format!("for {}; nothing of it starts: jobforge queue resume {name}", words(since(now, at))),
        )
    }));
    if serving.is_empty() {
        lines.push(line("workers", format!("none is live: jobforge work --queues {name}")));
    }
    let served = serving.iter().take(FEW);
    lines.extend(served.map(|worker| line("served by", format!("{}, {} slots", worker.id, worker.slots))));
    let waits = JobFilter {
        queue: Some(queue.name.clone()),
        state: Some(JobState::Ready),
        limit: FEW,
        ..JobFilter::default()
    };
    let page = client.job_page(&waits).await?;
    if !page.jobs.is_empty() {
        lines.extend([String::new(), "ready, the newest:".to_owned()]);
        lines.extend(page.jobs.iter().map(|one| job(one, now)));
    }
    Ok(lines)
}

/// Who a worker is, what was heard of it, and what it holds.
pub(super) async fn worker(client: &Client, id: &WorkerId) -> Result<Vec<String>, Failure> {
    let store = client.store();
    let Some(row) = store.worker(id).await? else {
        return Ok(vec!["it is forgotten: it ended long ago".to_owned()]);
    };
    let now = store.now().await?;
    let mut lines = vec![
        line("state", row.state.as_str()),
        line("process", format!("{} on {}", row.pid, row.hostname)),
        line("queues", row.queues.join(", ")),
        line("types", row.types.as_ref().map_or_else(|| "every type".to_owned(), |types| types.join(", "))),
        line("slots", row.slots.to_string()),
        line("registered", ago(now, row.started_at)),
        line("heard", ago(now, row.last_heartbeat_at)),
    ];
    let lease = match row.lease_expires_at > now {
        true => format!("ends in {} unless it is renewed", words(since(row.lease_expires_at, now))),
        false => format!("ended {}", ago(now, row.lease_expires_at)),
    };
    if row.state.is_active() {
        lines.push(line("lease", lease));
    }
    let notes = [
        ("stopped", row.stopped_at.map(|at| format!("its process, {}", ago(now, at)))),
        ("suspect", row.suspect_at.map(|at| format!("its connection is lost, {}", ago(now, at)))),
        ("restart", row.restart_at.map(|at| format!("it was told to, {}", ago(now, at)))),
        ("ended", row.ended_at.map(|at| ago(now, at))),
        ("why", row.end_reason.clone()),
    ];
    lines.extend(notes.into_iter().filter_map(|(name, text)| text.map(|text| line(name, text))));
    let held = JobFilter { worker: Some(id.clone()), limit: FEW, ..JobFilter::default() };
    let page = client.job_page(&held).await?;
    if !page.jobs.is_empty() {
        lines.extend([String::new(), "it holds, the newest:".to_owned()]);
        lines.extend(page.jobs.iter().map(|one| job(one, now)));
    }
    Ok(lines)
}

/// When a schedule runs, how it is, and what became of its moments.
pub(super) async fn schedule(client: &Client, name: &str) -> Result<Vec<String>, Failure> {
    let view = client.find_schedule(name).await?;
    let store = client.store();
    let (runs, now) = tokio::try_join!(store.schedule_runs(&view.name, None, FEW), store.now())?;
    let schedule = &view.schedule;
    let mut lines = vec![
        line("state", view.state.as_str()),
        line("when", &view.when),
        line("makes", &schedule.definition.job_type),
    ];
    lines.extend(schedule.paused.as_ref().filter(|pause| pause.holds(now)).map(|pause| {
        let why = pause.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        line("paused", format!("by {} {}{why}", pause.by, ago(now, pause.at)))
    }));
    lines.push(line(
        "last success",
        schedule.last_success_at.map_or_else(|| "never".to_owned(), |at| ago(now, at)),
    ));
    if schedule.consecutive_failures > 0 {
        lines.push(line("failed", format!("{} in a row", schedule.consecutive_failures)));
    }
    if schedule.missed_runs > 0 {
        lines.push(line("missed", counted(schedule.missed_runs, "moment")));
    }
    // A definition that no longer holds has none.
    let next = client.next_runs(&view.name, FEW).await.unwrap_or_default();
    lines.extend(next.iter().map(|at| line("next", format!("{at:.0}, in {}", words(since(*at, now))))));
    if !runs.is_empty() {
        lines.extend([String::new(), "its moments, newest first:".to_owned()]);
        lines.extend(runs.iter().map(run));
    }
    Ok(lines)
}

fn run(line: &RunLine) -> String {
    let fate = match (line.outcome, line.status) {
        (RunOutcome::Missed, _) => "missed",
        (RunOutcome::Skipped, _) => "skipped",
        (RunOutcome::Ran | RunOutcome::Late, Some(status)) => status.as_str(),
        (RunOutcome::Ran | RunOutcome::Late, None) => "under way",
    };
    let took = line.duration_ms.map(|ms| format!(" in {}", words(Duration::from_millis(ms.unsigned_abs()))));
    let why = line.why.as_ref().map(|why| format!(": {why}"));
    let text =
        format!("  {:.0} {fate}{}{}", line.planned_for, took.unwrap_or_default(), why.unwrap_or_default());
    printable(&text)
}
