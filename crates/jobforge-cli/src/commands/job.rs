//! `jobforge job`: looking at and moving jobs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jobforge::core::counted::counted;
use jobforge::core::job::{Attempt, Job, JobId, WorkerId};
use jobforge::core::job_state::JobState;
use jobforge::core::payload_match::PayloadMatch;
use jobforge::core::progress::ProgressPoint;
use jobforge::core::redact;
use jobforge::core::rescue::RescuePolicy;
use jobforge::core::search::{self, Asked};
use jobforge::core::state::Status;
use jobforge::core::time::{Now, since, words};
use jobforge::store::rows::{JobDetail, JobFilter, MAX_PAGE, Move, Moved};
use jobforge_api::JobList;
use jobforge_server::view;

use super::{Context, job_enqueue, job_follow};
use crate::cli::{JobCommand, ListArgs, ListOutput, ManyJobs};
use crate::failure::{self, Failure};
use crate::output;

/// Jobs moved by one call of the store.
const MOVE_BATCH: usize = 1000;
/// Reports that are shown of an attempt, the newest, and attempts of which any are.
const SHOWN_POINTS: usize = 5;
/// See [`SHOWN_POINTS`].
const SHOWN_ATTEMPTS: usize = 5;

pub(crate) async fn run(context: Context, command: JobCommand) -> Result<(), Failure> {
    match command {
        JobCommand::Enqueue(args) => job_enqueue::run(&context, args).await,
        JobCommand::List(args) => list(&context, args).await,
        JobCommand::Show { job, reveal } => show(&context, parse_id(&job.id)?, reveal).await,
        JobCommand::Explain(one) => job_follow::explain(&context, parse_id(&one.id)?).await,
        JobCommand::Wait { job, timeout } => job_follow::wait(&context, parse_id(&job.id)?, &timeout).await,
        JobCommand::Watch(one) => job_follow::watch(&context, parse_id(&one.id)?).await,
        JobCommand::Retry(many) => move_jobs(&context, many, Move::RETRY).await,
        JobCommand::Cancel(many) => move_jobs(&context, many, Move::Cancel).await,
        JobCommand::Delete(many) => move_jobs(&context, many, Move::Delete).await,
        JobCommand::Logs(one) => logs(&context, parse_id(&one.id)?).await,
    }
}

pub(crate) fn parse_id(text: &str) -> Result<JobId, Failure> {
    text.parse().map_err(|error: jobforge::core::job::BadJobId| Failure::usage(error.to_string()))
}

/// Takes the words of a search into the flags that they stand for; none of them may be given both ways.
fn with_search(mut args: ListArgs) -> Result<ListArgs, Failure> {
    let pairs = match search::read(&args.search.join(" ")).map_err(Failure::usage)? {
        Asked::List(pairs) => pairs,
        Asked::Job(id) => {
            let told = Failure::usage("a search for one job lists nothing else");
            return Err(told.hint(format!("look at it: jobforge job show {id}")));
        }
    };
    for (name, value) in pairs {
        let flag = match name {
            "status" if args.status.is_empty() => {
                args.status = value.split(',').map(str::to_owned).collect();
                continue;
            }
            "state" => &mut args.state,
            "type" => &mut args.job_type,
            "tenant_id" => &mut args.tenant,
            "queue" => &mut args.queue,
            "tag" => &mut args.tag,
            "idempotency_key" => &mut args.key,
            "worker" => &mut args.worker,
            "payload" => &mut args.payload,
            "error" => &mut args.error,
            twice => return Err(Failure::usage(format!("{twice} is given twice; give it once"))),
        };
        if flag.replace(value).is_some() {
            return Err(Failure::usage(format!("{name} is given twice; give it once")));
        }
    }
    Ok(args)
}

async fn list(context: &Context, args: ListArgs) -> Result<(), Failure> {
    let args = with_search(args)?;
    if !(1..=MAX_PAGE).contains(&args.limit) {
        return Err(Failure::usage(format!("--limit is {}; allowed is 1 to {MAX_PAGE}", args.limit)));
    }
    let statuses = args.status.iter().map(|word| word.parse()).collect::<Result<Vec<Status>, _>>();
    let state = args.state.as_deref().map(str::parse::<JobState>).transpose();
    let state = state.map_err(|error| Failure::usage(error.to_string()))?;
    let payload = args.payload.as_deref().map(str::parse::<PayloadMatch>).transpose();
    let mut filter = JobFilter {
        tenant_id: args.tenant,
        statuses: statuses.map_err(|error| Failure::usage(error.to_string()))?,
        job_type: args.job_type,
        queue: args.queue,
        tag: args.tag,
        idempotency_key: args.key,
        worker: args.worker.map(WorkerId),
        payload: payload.map_err(|error| Failure::usage(format!("--payload {error}")))?,
        error: args.error,
        state,
        rescue: RescuePolicy::default(),
        before: args.before.as_deref().map(parse_id).transpose()?,
        limit: args.limit,
    };
    let client = context.visit().await?;
    if state.is_some() {
        filter.rescue = context.settings_now(&client).await?.rescue_policy();
    }
    let jobs = client.jobs(&filter).await?;
    let next = (jobs.len() == args.limit).then(|| jobs.last().map(|job| job.id.to_string())).flatten();
    if context.json {
        let redactor = context.redactor(&client).await?;
        let jobs = jobs.into_iter().map(|job| view::job(job, Some(&redactor))).collect();
        return output::json(&JobList { jobs, next, stopped_early: false });
    }
    if args.output == ListOutput::Name {
        jobs.iter().for_each(|job| output::say(&job.id.to_string()));
        return Ok(());
    }
    if jobs.is_empty() {
        output::note("no job matches; enqueue one with `jobforge job enqueue TYPE PAYLOAD`");
        return Ok(());
    }
    let now = client.store().now().await?;
    let rows = jobs.iter().map(|job| row(job, now)).collect();
    output::table(
        &["job", "type", "queue", "status", "attempt", "progress", "age", "detail"],
        &[4, 5, 6],
        rows,
    );
    if let Some(next) = next {
        output::note(&output::dim(&format!("more: the same with --before {next}")));
    }
    Ok(())
}

fn row(job: &Job, now: jiff::Timestamp) -> Vec<String> {
    let detail = match (job.status, &job.error, &job.progress.message) {
        (Status::Queued, _, _) if job.run_at > now => format!("runs in {}", words(since(job.run_at, now))),
        (_, Some(error), _) => error.message.lines().next().unwrap_or_default().to_owned(),
        (Status::Running, None, Some(message)) => message.clone(),
        _ => String::new(),
    };
    vec![
        job.id.to_string(),
        job.job_type.clone(),
        job.queue.clone(),
        job.status.to_string(),
        format!("{}/{}", job.attempts, job.max_attempts),
        job.progress.percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %")),
        words(since(now, job.created_at)),
        detail.chars().take(60).collect(),
    ]
}

async fn show(context: &Context, id: JobId, reveal: bool) -> Result<(), Failure> {
    let client = context.visit().await?;
    let mut detail = client.job_detail(id).await?;
    let hidden = if reveal {
        client.note_reveal(&detail.job).await?;
        0
    } else {
        view::redact(&mut detail, &context.redactor(&client).await?)
    };
    if context.json {
        output::json(&view::job_detail(detail, None))?;
    } else {
        let now = client.store().now().await?;
        print_detail(&detail, now);
    }
    tell_hidden(id, hidden);
    Ok(())
}

/// How to see what is hidden.
pub(super) fn tell_hidden(id: JobId, hidden: usize) {
    if hidden > 0 {
        let command = output::command(&format!("jobforge job show {id} --reveal"));
        output::note(&format!("{}: their keys name secrets; {command} shows all", redact::told(hidden)));
    }
}

fn print_detail(detail: &JobDetail, now: jiff::Timestamp) {
    let job = &detail.job;
    let ago = |at: jiff::Timestamp| {
        if at > now {
            format!("{at:.0} (in {})", words(since(at, now)))
        } else {
            format!("{at:.0} ({} ago)", words(since(now, at)))
        }
    };
    let mut lines = vec![
        ("id", job.id.to_string()),
        ("type", job.job_type.clone()),
        ("status", job.status.to_string()),
        ("queue", format!("{} (priority {})", job.queue, job.priority)),
        ("tenant", job.tenant_id.clone()),
        ("attempts", format!("{} of {}", job.attempts, job.max_attempts)),
        ("enqueued", ago(job.created_at)),
    ];
    let optional = [
        ("runs at", (job.status == Status::Queued).then(|| ago(job.run_at))),
        ("started", job.started_at.map(ago)),
        ("finished", job.finished_at.map(ago)),
        ("worker", job.locked_by.as_ref().or(job.last_worker.as_ref()).map(ToString::to_string)),
        ("time-out", job.timeout.map(words)),
        ("standstill", job.progress_timeout.map(|limit| format!("at most {}", words(limit)))),
        ("progress", progress(job)),
        ("heard", job.heard.told()),
        (
            "items",
            (job.items != Default::default()).then(|| {
                format!(
                    "{} processed, {} failed, {} skipped",
                    job.items.processed, job.items.failed, job.items.skipped
                )
            }),
        ),
        ("key", job.idempotency_key.clone()),
        ("tags", (!job.tags.is_empty()).then(|| job.tags.join(", "))),
        ("enqueued by", job.created_by.clone()),
        ("error", job.error.as_ref().map(|error| format!("{} [{}]", error.message, error.kind))),
        ("payload", Some(shorten(job.payload.as_str()))),
        ("result", detail.result.as_ref().map(|result| shorten(result.as_str()))),
    ];
    lines.extend(optional.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    for (name, value) in lines {
        output::say(&format!("{} {}", output::bold(&format!("{name:<11}")), output::printable(&value)));
    }
    if !detail.attempts.is_empty() {
        let rows = detail.attempts.iter().map(|attempt| attempt_row(attempt, now)).collect();
        output::say("");
        output::table(&["attempt", "outcome", "took", "worker", "what was wrong"], &[0], rows);
    }
    print_points(&detail.attempts);
    if !detail.logs.is_empty() {
        output::note(&output::dim(&format!("what it logged: jobforge job logs {}", job.id)));
    }
}

/// What the newest attempts last reported.
fn print_points(attempts: &[Attempt]) {
    let told = attempts.iter().filter(|attempt| !attempt.progress.is_empty());
    let mut told: Vec<&Attempt> = told.rev().take(SHOWN_ATTEMPTS).collect();
    told.reverse();
    let rows: Vec<_> = told
        .iter()
        .flat_map(|attempt| {
            let last = attempt.progress.len().saturating_sub(SHOWN_POINTS);
            attempt.progress[last..].iter().map(|point| point_row(attempt, point))
        })
        .collect();
    if !rows.is_empty() {
        output::say("");
        output::table(&["attempt", "reported", "at", "phase", "doing"], &[0, 2], rows);
    }
}

fn point_row(attempt: &Attempt, point: &ProgressPoint) -> Vec<String> {
    vec![
        attempt.attempt.to_string(),
        format!("{:.0}", point.at),
        point.percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %")),
        point.phase.clone().unwrap_or_default(),
        point.message.as_deref().and_then(|text| text.lines().next()).unwrap_or_default().to_owned(),
    ]
}

fn attempt_row(attempt: &Attempt, now: Timestamp) -> Vec<String> {
    let took = match (attempt.started_at, attempt.finished_at) {
        (Some(start), end) => words(since(end.unwrap_or(now), start)),
        (None, _) => "-".to_owned(),
    };
    let mut said = Vec::new();
    if let Some(error) = &attempt.error {
        said.push(error.message.lines().next().unwrap_or_default().to_owned());
    }
    if attempt.stop_ignored_at.is_some() {
        said.push("its handler ignored the request to stop".to_owned());
    }
    if attempt.refused > 0 {
        said.push(format!("{} refused", counted(attempt.refused, "late report")));
    }
    if !attempt.heard.gaps.is_empty() {
        said.extend(attempt.heard.told());
    }
    let worker = attempt.worker.as_ref().map(ToString::to_string).unwrap_or_default();
    vec![attempt.attempt.to_string(), attempt.outcome.clone(), took, worker, said.join("; ")]
}

fn progress(job: &Job) -> Option<String> {
    let parts = [
        job.progress.percent.map(|percent| format!("{percent} %")),
        job.progress.phase.as_ref().map(|phase| format!("in phase {phase}")),
        job.progress.message.clone(),
    ];
    let text: Vec<String> = parts.into_iter().flatten().collect();
    (!text.is_empty()).then(|| text.join(", "))
}

fn shorten(text: &str) -> String {
    const SHOWN: usize = 2000;
    if text.chars().count() <= SHOWN {
        text.to_owned()
    } else {
        format!("{}… (--json shows all)", text.chars().take(SHOWN).collect::<String>())
    }
}

async fn logs(context: &Context, id: JobId) -> Result<(), Failure> {
    let client = context.visit().await?;
    let detail = client.job_detail(id).await?;
    if context.json {
        return output::json(&view::logs(detail.logs));
    }
    if detail.logs.is_empty() {
        output::note(&format!("job {id} has logged nothing"));
    }
    let several = detail.logs.len() > 1;
    for log in &detail.logs {
        if several {
            output::note(&output::dim(&format!("attempt {} (lease {})", log.attempt, log.lease)));
        }
        output::write(&output::printable_lines(&log.text));
    }
    Ok(())
}

async fn move_jobs(context: &Context, many: ManyJobs, step: Move) -> Result<(), Failure> {
    let ids = read_ids(&many.ids)?;
    let (verb, done) = match step {
        Move::Retry { .. } => ("retry", "queued again"),
        Move::Cancel => ("cancel", "canceled"),
        Move::Delete => ("delete", "deleted"),
    };
    let client = context.visit().await?;
    if many.dry_run {
        for id in &ids {
            let state = client
                .store()
                .job(*id)
                .await?
                .map_or_else(|| "does not exist".to_owned(), |job| format!("is {}", job.status));
            output::say(&format!("would {verb} {id}, which {state}"));
        }
        return Ok(());
    }
    if ids.len() > 1 || step == Move::Delete {
        output::confirm(&format!("{verb} {}?", counted(ids.len(), "job")), many.yes)?;
    }
    let mut answers = Vec::with_capacity(ids.len());
    for batch in ids.chunks(MOVE_BATCH) {
        answers.extend(client.store().move_jobs(batch, step, client.by(), Now::Database).await?);
    }
    let mut failure = None;
    for (id, answer) in ids.iter().zip(&answers) {
        let (text, code) = match answer {
            Moved::Done { from } => (format!("{id} {done} (was {from})"), None),
            Moved::Refused { status } => {
                (format!("{id} is {status} and cannot be {done}"), Some(failure::CONFLICT))
            }
            Moved::Missing => (format!("there is no job {id}"), Some(failure::NOT_FOUND)),
        };
        if context.json {
            output::json_line(&serde_json::json!({ "id": id, "done": code.is_none(), "detail": text }))?;
        } else if code.is_none() {
            output::say(&text);
        } else {
            output::error(&text, None);
        }
        failure = failure.or(code);
    }
    match failure {
        None => Ok(()),
        // Each job has been told on a line of its own.
        Some(code) => Err(Failure::new(code, "")),
    }
}

/// Reads ids from the arguments, and from standard input for `-`; each once, in the order given.
pub(super) fn read_ids(arguments: &[String]) -> Result<Vec<JobId>, Failure> {
    let mut seen = BTreeSet::new();
    let mut ids = Vec::new();
    for argument in arguments {
        let texts = if argument == "-" {
            let text = std::io::read_to_string(std::io::stdin())
                .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
            text.split_whitespace().map(str::to_owned).collect()
        } else {
            vec![argument.clone()]
        };
        for text in texts {
            let id = parse_id(&text)?;
            if seen.insert(id) {
                ids.push(id);
            }
        }
    }
    if ids.is_empty() {
        return Err(Failure::usage("no job id was given"));
    }
    Ok(ids)
}
