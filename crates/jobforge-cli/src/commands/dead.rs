//! `jobforge dead`: the dead-letter queue, by what jobs died of.

use jobforge::core::counted::counted;
use jobforge::core::dead::{DeadGroup, Pace};
use jobforge::core::job::{Attempt, Job, JobId};
use jobforge::core::state::Status;
use jobforge::core::time::{since, words};
use jobforge::store::rows::{DeadFilter, JobDetail, MAX_PAGE};
use jobforge::{Client, DeadStep, DeadTally, clock};
use jobforge_api::JobList;
use jobforge_server::view;

use super::Context;
use super::job::{parse_id, read_ids, tell_hidden};
use crate::cli::{DeadCommand, DeadFilterArgs, DeadMany};
use crate::failure::{self, Failure};
use crate::output;

/// Jobs that a preview shows.
const PREVIEWED: usize = 5;

pub(crate) async fn run(context: Context, command: DeadCommand) -> Result<(), Failure> {
    match command {
        DeadCommand::Groups(filter) => groups(&context, &read(filter)).await,
        DeadCommand::List { filter, limit, before } => {
            let before = before.as_deref().map(parse_id).transpose()?;
            list(&context, &read(filter), before, limit).await
        }
        DeadCommand::Show(one) => show(&context, parse_id(&one.id)?).await,
        DeadCommand::Retry(many) => many_dead(&context, many, DeadStep::Retry).await,
        DeadCommand::Discard { many, note } => {
            if note.trim().is_empty() {
                return Err(Failure::usage("--note is empty; say why these jobs stay dead"));
            }
            many_dead(&context, many, DeadStep::Discard { note }).await
        }
        DeadCommand::Purge(many) => many_dead(&context, many, DeadStep::Purge).await,
    }
}

fn read(args: DeadFilterArgs) -> DeadFilter {
    let DeadFilterArgs { group, job_type, queue, tenant, discarded } = args;
    DeadFilter { group, tenant_id: tenant, job_type, queue, resolved: discarded, latest: None }
}

async fn groups(context: &Context, filter: &DeadFilter) -> Result<(), Failure> {
    let client = context.visit().await?;
    let groups = client.dead_groups(filter).await?;
    if context.json {
        return output::json(&groups);
    }
    if groups.is_empty() {
        output::note("no job is dead");
        return Ok(());
    }
    let now = client.store().now().await?;
    let row = |group: &DeadGroup| {
        vec![
            group.group.clone(),
            group.count.to_string(),
            group.job_type.clone(),
            group.kind.clone(),
            format!("{} ago", words(since(now, group.last_at))),
            group.pattern.clone(),
        ]
    };
    output::table(
        &["group", "jobs", "type", "kind", "last", "died of"],
        &[1],
        groups.iter().map(row).collect(),
    );
    output::note(&format!(
        "look at one: {}",
        output::command(&format!("jobforge dead list --group {}", groups[0].group))
    ));
    Ok(())
}

async fn list(
    context: &Context,
    filter: &DeadFilter,
    before: Option<JobId>,
    limit: usize,
) -> Result<(), Failure> {
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Failure::usage(format!("--limit is {limit}; allowed is 1 to {MAX_PAGE}")));
    }
    let client = context.visit().await?;
    // A group is found by its name, so every dead job must have one first.
    client.dead_groups(filter).await?;
    let jobs = client.dead_jobs(filter, before, limit).await?;
    let next = (jobs.len() == limit).then(|| jobs.last().map(|job| job.id.to_string())).flatten();
    if context.json {
        let redactor = context.redactor(&client).await?;
        let jobs = jobs.into_iter().map(|job| view::job(job, Some(&redactor))).collect();
        return output::json(&JobList { jobs, next, stopped_early: false });
    }
    if jobs.is_empty() {
        output::note("no dead job matches");
        return Ok(());
    }
    let now = client.store().now().await?;
    output::table(
        &["job", "type", "queue", "attempts", "died", "group", "of"],
        &[3],
        jobs.iter().map(|job| row(job, now)).collect(),
    );
    if let Some(next) = next {
        output::note(&format!("there may be more: add --before {next}"));
    }
    Ok(())
}

fn row(job: &Job, now: jiff::Timestamp) -> Vec<String> {
    let died = job.finished_at.map(|at| format!("{} ago", words(since(now, at)))).unwrap_or_default();
    let reason = job.error.as_ref().and_then(|error| error.message.lines().next()).unwrap_or_default();
    let reason = match &job.resolved {
        Some(resolved) => format!("{reason} (discarded: {})", resolved.note),
        None => reason.to_owned(),
    };
    vec![
        job.id.to_string(),
        job.job_type.clone(),
        job.queue.clone(),
        format!("{}/{}", job.attempts, job.max_attempts),
        died,
        job.dead_group.clone().unwrap_or_default(),
        reason,
    ]
}

/// A dead job and what is known of each of its attempts.
async fn show(context: &Context, id: JobId) -> Result<(), Failure> {
    let client = context.visit().await?;
    client.store().name_causes().await?;
    let mut detail = client.job_detail(id).await?;
    if detail.job.status != Status::Dead {
        let text = format!("job {id} is {}, not dead", detail.job.status);
        return Err(
            Failure::new(failure::CONFLICT, text).hint(format!("see it with: jobforge job show {id}"))
        );
    }
    let hidden = view::redact(&mut detail, &context.redactor(&client).await?);
    if context.json {
        output::json(&view::job_detail(detail, None))?;
    } else {
        print(&detail);
    }
    tell_hidden(id, hidden);
    Ok(())
}

fn print(detail: &JobDetail) {
    let job = &detail.job;
    let of = job.error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
    output::say(&output::bold(&format!(
        "job {} of type {} is dead: {}",
        job.id,
        job.job_type,
        output::printable(&of)
    )));
    output::say(&format!("group {}", job.dead_group.as_deref().unwrap_or("-")));
    if let Some(resolved) = &job.resolved {
        output::say(&format!(
            "discarded by {} at {:.0}: {}",
            resolved.by,
            resolved.at,
            output::printable(&resolved.note)
        ));
    }
    for attempt in &detail.attempts {
        output::say("");
        tell(attempt);
    }
    output::say("");
    output::note(&format!("run it again: {}", output::command(&format!("jobforge dead retry {}", job.id))));
}

/// One attempt with the evidence that was kept of it.
fn tell(attempt: &Attempt) {
    let worker = attempt.worker.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
    let moment = |at: Option<jiff::Timestamp>| at.map_or_else(|| "?".to_owned(), |at| format!("{at:.0}"));
    output::say(&format!(
        "attempt {} under lease {} on {worker}, {} to {}: {}",
        attempt.attempt,
        attempt.lease,
        moment(attempt.started_at),
        moment(attempt.finished_at),
        output::bold(&attempt.outcome)
    ));
    let Some(error) = &attempt.error else { return };
    output::say(&format!("  {} [{}]", output::printable(&error.message), error.kind));
    let Some(details) = &error.details else { return };
    let text = |key: &str| details.get(key).filter(|value| !value.is_null());
    if let Some(evidence) = text("evidence").and_then(|value| value.as_str()).filter(|e| *e != error.message)
    {
        output::say(&format!("  {}", output::printable(evidence)));
    }
    for (key, what) in [("phase", "phase"), ("progress", "progress"), ("beside", "other jobs in the process")]
    {
        if let Some(value) = text(key) {
            output::say(&format!("  {what}: {}", output::printable(value.to_string().trim_matches('"'))));
        }
    }
    let output_lines = text("death").and_then(|death| death.get("last_output")?.as_array());
    for line in output_lines.into_iter().flatten().filter_map(|line| line.as_str()) {
        output::say(&format!("  | {}", output::printable(line)));
    }
}

async fn many_dead(context: &Context, many: DeadMany, step: DeadStep) -> Result<(), Failure> {
    let pace = match many.per_second {
        None => Pace::FULL,
        Some(jobs) => Pace::per_second(jobs)
            .ok_or_else(|| Failure::usage(format!("--per-second is {jobs}; it must be more than 0")))?,
    };
    let client = context.visit().await?;
    if !many.ids.is_empty() {
        return these(context, &client, &many, &step).await;
    }
    let filter = read(many.filter.clone());
    if !many.all && filter == DeadFilter::default() {
        return Err(Failure::usage("which dead jobs? none was chosen")
            .hint("name jobs, --group, --type, --queue or --tenant, or say --all; `jobforge dead groups` shows what there is"));
    }
    let count: u64 = client.dead_groups(&filter).await?.iter().map(|group| group.count).sum();
    if many.dry_run {
        return preview(context, &client, &filter, &step, count).await;
    }
    if count == 0 {
        output::note("no dead job matches");
        return report(context, &DeadTally::default(), &step);
    }
    output::confirm(&format!("{} {}?", verb(&step), counted(count, "dead job")), many.yes)?;
    let bar = output::progress(count, verb(&step));
    let began = clock::monotonic();
    let tally = client
        .move_all_dead(&filter, &step, pace, |tally| {
            bar.set_position(tally.done + tally.passed_over);
            true
        })
        .await;
    bar.finish_and_clear();
    let tally = tally?;
    output::note(&format!("took {}", words(clock::monotonic().duration_since(began))));
    report(context, &tally, &step)
}

fn verb(step: &DeadStep) -> &'static str {
    match step {
        DeadStep::Retry => "retry",
        DeadStep::Discard { .. } => "discard",
        DeadStep::Purge => "purge",
    }
}

fn past(step: &DeadStep) -> &'static str {
    match step {
        DeadStep::Retry => "queued again",
        DeadStep::Discard { .. } => "discarded",
        DeadStep::Purge => "purged",
    }
}

/// Jobs named one by one: each must be dead.
async fn these(context: &Context, client: &Client, many: &DeadMany, step: &DeadStep) -> Result<(), Failure> {
    let ids = read_ids(&many.ids)?;
    for id in &ids {
        let status = client.job(*id).await?.status;
        if status != Status::Dead {
            return Err(Failure::new(
                failure::CONFLICT,
                format!("job {id} is {status}, not dead; nothing was done"),
            ));
        }
        if many.dry_run {
            output::say(&format!("would {} {id}", verb(step)));
        }
    }
    if many.dry_run {
        return Ok(());
    }
    if ids.len() > 1 || *step == DeadStep::Purge {
        output::confirm(&format!("{} {}?", verb(step), counted(ids.len(), "dead job")), many.yes)?;
    }
    let tally = client.move_dead(&ids, step).await?;
    report(context, &tally, step)
}

async fn preview(
    context: &Context,
    client: &Client,
    filter: &DeadFilter,
    step: &DeadStep,
    count: u64,
) -> Result<(), Failure> {
    let sample = client.dead_jobs(filter, None, PREVIEWED).await?;
    if context.json {
        let ids: Vec<JobId> = sample.iter().map(|job| job.id).collect();
        return output::json(&serde_json::json!({ "would": verb(step), "jobs": count, "newest": ids }));
    }
    output::say(&format!("would {} {}", verb(step), counted(count, "dead job")));
    let now = client.store().now().await?;
    if !sample.is_empty() {
        let rows = sample.iter().map(|job| row(job, now)).collect();
        output::table(&["newest", "type", "queue", "attempts", "died", "group", "of"], &[3], rows);
    }
    output::note("nothing was changed");
    Ok(())
}

fn report(context: &Context, tally: &DeadTally, step: &DeadStep) -> Result<(), Failure> {
    if context.json {
        let DeadTally { done, passed_over } = tally;
        return output::json(
            &serde_json::json!({ "done": done, "passed_over": passed_over, "step": verb(step) }),
        );
    }
    let passed = match tally.passed_over {
        0 => String::new(),
        n => format!("; {n} were moved by somebody else before"),
    };
    output::say(&format!("{} {}{passed}", counted(tally.done, "job"), past(step)));
    Ok(())
}
