//! `jobforge schedule`: jobs that are made by themselves.

use jiff::Timestamp;
use jobforge::core::schedule::{self, Definition, Missed, Overlap, RunLine, Source};
use jobforge::core::time::{add, parse_duration, since, words};
use jobforge::store::rows::{MAX_PAGE, ScheduleFilter};
use jobforge::{Client, ScheduleError, ScheduleView};
use serde_json::{Map, Value, json};

use super::{Context, job_enqueue, job_follow};
use crate::cli::{MissedWord, OverlapWord, ScheduleCommand, ScheduleFields};
use crate::failure::{self, Failure};
use crate::output;

/// Runs that `show` tells of.
const SHOWN_RUNS: usize = 5;

impl From<ScheduleError> for Failure {
    fn from(error: ScheduleError) -> Self {
        let code = match &error {
            ScheduleError::Store(store) => return Self::from_store(store),
            ScheduleError::Invalid(_) | ScheduleError::Unreadable(_) | ScheduleError::InvalidPayload(_) => {
                failure::USAGE
            }
            ScheduleError::NotFound { .. } => failure::NOT_FOUND,
            ScheduleError::NameTaken(_)
            | ScheduleError::QuotaFull(_)
            | ScheduleError::Changed(_)
            | ScheduleError::Busy { .. }
            | ScheduleError::BuiltIn(_) => failure::CONFLICT,
        };
        Self::new(code, error.to_string())
    }
}

pub(crate) async fn run(context: Context, command: ScheduleCommand) -> Result<(), Failure> {
    match command {
        ScheduleCommand::List { tenant } => list(&context, tenant).await,
        ScheduleCommand::Show(one) => show(&context, &one.name).await,
        ScheduleCommand::Next { schedule, count } => next(&context, &schedule.name, count).await,
        ScheduleCommand::Run { schedule, force, wait } => {
            run_now(&context, &schedule.name, force, wait).await
        }
        ScheduleCommand::Pause { schedule, pause_for } => {
            pause(&context, &schedule.name, pause_for.as_deref()).await
        }
        ScheduleCommand::Resume(one) => resume(&context, &one.name).await,
        ScheduleCommand::History { schedule, limit, before } => {
            history(&context, &schedule.name, limit, before.as_deref()).await
        }
        ScheduleCommand::Add { name, job_type, payload, fields, paused, dry_run } => {
            let mut all = changes(&fields)?;
            all.insert("name".to_owned(), name.into());
            all.insert("type".to_owned(), job_type.into());
            let payload = payload.as_deref().map(job_enqueue::read_payload).transpose()?;
            add_one(&context, all, payload, paused, dry_run).await
        }
        ScheduleCommand::Change { schedule, job_type, payload, fields } => {
            let mut all = changes(&fields)?;
            if let Some(job_type) = job_type {
                all.insert("type".to_owned(), job_type.into());
            }
            if let Some(payload) = payload.as_deref().map(job_enqueue::read_payload).transpose()? {
                all.insert("payload".to_owned(), serde_json::from_str(payload.as_str())?);
            }
            change(&context, &schedule.name, all).await
        }
        ScheduleCommand::Remove { schedule, yes } => remove(&context, &schedule.name, yes).await,
    }
}

/// The fields that were typed, as the API takes them.
fn changes(fields: &ScheduleFields) -> Result<Map<String, Value>, Failure> {
    let mut all = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            all.insert(key.to_owned(), value);
        }
    };
    let text = |value: &Option<String>| value.clone().map(Value::from);
    put("cron", text(&fields.cron));
    put("time_zone", text(&fields.time_zone));
    put("every", text(&fields.every));
    put("anchor", text(&fields.anchor));
    put("tenant_id", text(&fields.tenant));
    put("queue", text(&fields.queue));
    put("idempotency_key", text(&fields.key));
    put("description", text(&fields.description));
    put("priority", fields.priority.map(Value::from));
    put("max_attempts", fields.max_attempts.map(Value::from));
    put("missed_limit", fields.missed_limit.map(Value::from));
    put("tags", (!fields.tags.is_empty()).then(|| fields.tags.clone().into()));
    let overlap = fields.overlap.map(|word| match word {
        OverlapWord::Skip => Overlap::Skip,
        OverlapWord::Queue => Overlap::Queue,
        OverlapWord::CancelOld => Overlap::CancelOld,
        OverlapWord::Allow => Overlap::Allow,
    });
    let missed = fields.missed.map(|word| match word {
        MissedWord::Skip => Missed::Skip,
        MissedWord::Once => Missed::Once,
        MissedWord::All => Missed::All,
    });
    put("overlap", overlap.map(|policy| json!(policy)));
    put("missed", missed.map(|policy| json!(policy)));
    for (flag, key, given) in [
        ("--catch-up", "catch_up_ms", &fields.catch_up),
        ("--jitter", "jitter_ms", &fields.jitter),
        ("--stale-after", "stale_after_ms", &fields.stale_after),
        ("--timeout", "timeout_ms", &fields.timeout),
        ("--progress-timeout", "progress_timeout_ms", &fields.progress_timeout),
    ] {
        if let Some(text) = given {
            let time = parse_duration(text).map_err(|bad| Failure::usage(format!("{flag}: {bad}")))?;
            put(key, Some(i64::try_from(time.as_millis()).unwrap_or(i64::MAX).into()));
        }
    }
    Ok(all)
}

async fn list(context: &Context, tenant_id: Option<String>) -> Result<(), Failure> {
    let client = context.visit().await?;
    let mut all: Vec<ScheduleView> = Vec::new();
    loop {
        let after = all.last().map(|view| view.name.clone());
        let filter = ScheduleFilter { tenant_id: tenant_id.clone(), after, limit: MAX_PAGE };
        let page = client.schedules(&filter).await?;
        let is_last = page.len() < MAX_PAGE;
        all.extend(page);
        if is_last {
            break;
        }
    }
    if context.json {
        let redactor = context.redactor(&client).await?;
        all.iter_mut().for_each(|view| {
            redactor.definition(&mut view.schedule.definition);
        });
        return output::json(&all);
    }
    if all.is_empty() {
        output::note("there is no schedule; add one with `jobforge schedule add`");
        return Ok(());
    }
    let now = client.store().now().await?;
    let rows = all
        .iter()
        .map(|view| {
            vec![
                view.name.clone(),
                view.state.to_string(),
                view.when.clone(),
                view.schedule.next_at.map_or_else(|| "-".to_owned(), |at| ahead(now, at)),
                view.schedule.last_success_at.map_or_else(|| "never".to_owned(), |at| ago(now, at)),
                view.schedule.consecutive_failures.to_string(),
                view.schedule.missed_runs.to_string(),
            ]
        })
        .collect();
    output::table(
        &["schedule", "state", "when", "next", "last success", "failures", "missed"],
        &[5, 6],
        rows,
    );
    Ok(())
}

async fn show(context: &Context, name: &str) -> Result<(), Failure> {
    let client = context.visit().await?;
    let mut view = client.find_schedule(name).await?;
    context.redactor(&client).await?.definition(&mut view.schedule.definition);
    let runs = client.store().schedule_runs(name, None, SHOWN_RUNS).await?;
    let next = client.next_runs(name, SHOWN_RUNS).await.unwrap_or_default();
    if context.json {
        let mut value = serde_json::to_value(&view)?;
        value["next"] = json!(next);
        value["runs"] = json!(runs);
        return output::json(&value);
    }
    let now = client.store().now().await?;
    output::say(&format!("{}  {}", output::bold(&view.name), view.state));
    describe(&view, now);
    output::say("next");
    tell_moments(&next, now);
    if !runs.is_empty() {
        output::say("last");
        tell_runs(&runs, now);
    }
    Ok(())
}

fn describe(view: &ScheduleView, now: Timestamp) {
    let (schedule, definition) = (&view.schedule, &view.schedule.definition);
    let line = |label: &str, text: String| {
        output::say(&format!("  {label:<14} {}", output::printable(&text)));
    };
    if let Some(text) = &definition.description {
        line("for", text.clone());
    }
    line("when", view.when.clone());
    let queue = definition.queue.as_deref().unwrap_or(jobforge::core::enqueue::DEFAULT_QUEUE);
    line("job", format!("{} in queue {queue}, tenant {}", definition.job_type, definition.tenant()));
    if let Some(payload) = &definition.payload {
        line("payload", payload.as_str().to_owned());
    }
    let word = |policy: Value| policy.as_str().unwrap_or_default().to_owned();
    line("overlap", word(json!(definition.overlap)));
    line("missed", word(json!(definition.missed)));
    if let Some(stale) = view.schedule.stale_after_ms {
        line("stale after", words(std::time::Duration::from_millis(stale)));
    }
    if let Some(pause) = &schedule.paused {
        let until = pause.until.map(|until| format!(" until {until}")).unwrap_or_default();
        let reason = pause.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        line("paused", format!("{} by {}{until}{reason}", ago(now, pause.at), pause.by));
    }
    let never = || "never".to_owned();
    line("last success", schedule.last_success_at.map_or_else(never, |at| ago(now, at)));
    line("failures", format!("{} in a row", schedule.consecutive_failures));
    line("missed runs", schedule.missed_runs.to_string());
    line("source", format!("{}, version {} by {}", schedule.source, schedule.version, schedule.updated_by));
}

async fn next(context: &Context, name: &str, count: usize) -> Result<(), Failure> {
    let client = context.visit().await?;
    let next = client.next_runs(name, count).await?;
    if context.json {
        return output::json(&json!({ "name": name, "next": next }));
    }
    tell_moments(&next, client.store().now().await?);
    Ok(())
}

fn tell_moments(moments: &[Timestamp], now: Timestamp) {
    if moments.is_empty() {
        output::say("  never");
    }
    for moment in moments {
        output::say(&format!("  {moment}  {}", ahead(now, *moment)));
    }
}

async fn run_now(context: &Context, name: &str, force: bool, wait: bool) -> Result<(), Failure> {
    let client = context.visit().await?;
    let ran = client.run_schedule(name, force).await;
    let job = ran.map_err(|error| match error {
        busy @ ScheduleError::Busy { .. } => Failure::from(busy).hint("add --force to run it all the same"),
        other => Failure::from(other),
    })?;
    if wait {
        return job_follow::wait(context, job, "24h").await;
    }
    if context.json {
        return output::json(&json!({ "name": name, "job_id": job }));
    }
    output::say(&job.to_string());
    output::note(&format!("follow it with {}", output::command(&format!("jobforge job watch {job}"))));
    Ok(())
}

async fn pause(context: &Context, name: &str, pause_for: Option<&str>) -> Result<(), Failure> {
    let pause_for = pause_for.map(parse_duration).transpose();
    let pause_for = pause_for.map_err(|bad| Failure::usage(format!("--for: {bad}")))?;
    let client = context.visit().await?;
    let now = client.store().now().await?;
    let until = pause_for.map(|time| add(now, time));
    let changed = client.pause_schedule(name, until).await?;
    if context.json {
        return output::json(&json!({ "name": name, "paused": true, "until": until, "changed": changed }));
    }
    let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
    output::note(&match changed {
        true => format!("schedule {name} is paused{until}; resume it with `jobforge schedule resume {name}`"),
        false => format!("schedule {name} was paused already"),
    });
    Ok(())
}

async fn resume(context: &Context, name: &str) -> Result<(), Failure> {
    let client = context.visit().await?;
    let changed = client.resume_schedule(name).await?;
    if context.json {
        return output::json(&json!({ "name": name, "paused": false, "changed": changed }));
    }
    output::note(&match changed {
        true => format!("schedule {name} runs again"),
        false => format!("schedule {name} was not paused"),
    });
    Ok(())
}

async fn history(context: &Context, name: &str, limit: usize, before: Option<&str>) -> Result<(), Failure> {
    let moment = |text: &str| {
        text.parse::<Timestamp>().map_err(|_| {
            Failure::usage(format!("--before: {text:?} is not a moment such as 2027-01-31T08:00:00Z"))
        })
    };
    let before = before.map(moment).transpose()?;
    let client = context.visit().await?;
    client.find_schedule(name).await?;
    let runs = client.store().schedule_runs(name, before, limit).await?;
    if context.json {
        return output::json(&runs);
    }
    if runs.is_empty() {
        output::note(&format!("no moment of {name} has come yet"));
        return Ok(());
    }
    tell_runs(&runs, client.store().now().await?);
    Ok(())
}

fn tell_runs(runs: &[RunLine], now: Timestamp) {
    let rows = runs
        .iter()
        .map(|run| {
            let several = if run.ticks > 1 { format!(" ({} moments)", run.ticks) } else { String::new() };
            let ended = match (run.job_id, run.status, run.finished_at) {
                (None, ..) => "-".to_owned(),
                (_, Some(status), _) => status.to_string(),
                (_, None, Some(_)) => "deleted".to_owned(),
                (_, None, None) => "not yet".to_owned(),
            };
            let took = run.duration_ms.and_then(|ms| u64::try_from(ms).ok());
            let by = run.triggered_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            vec![
                run.planned_for.to_string(),
                ago(now, run.planned_for),
                format!("{}{several}", run.outcome),
                ended,
                took.map_or_else(|| "-".to_owned(), |ms| words(std::time::Duration::from_millis(ms))),
                run.job_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
                format!("{}{by}", run.why.clone().unwrap_or_default()),
            ]
        })
        .collect();
    output::table(&["planned for", "ago", "outcome", "job ended", "took", "job", "why"], &[], rows);
}

async fn add_one(
    context: &Context,
    all: Map<String, Value>,
    payload: Option<jobforge::core::payload::Payload>,
    paused: bool,
    dry_run: bool,
) -> Result<(), Failure> {
    let definition: Definition = serde_json::from_value(Value::Object(all))
        .map_err(|error| Failure::usage(format!("the schedule cannot be read: {error}")))?;
    let definition = Definition { payload, paused, ..definition };
    let client = context.visit().await?;
    if dry_run {
        return would_run(context, &client, definition).await;
    }
    let mut view = client.add_schedule(definition, Source::Cli).await?;
    context.redactor(&client).await?.definition(&mut view.schedule.definition);
    if context.json {
        return output::json(&view);
    }
    let now = client.store().now().await?;
    let next = view.schedule.next_at.map(|at| format!(", next {}", ahead(now, at))).unwrap_or_default();
    output::note(&format!("schedule {} runs {}{next}", view.name, view.when));
    Ok(())
}

async fn would_run(context: &Context, client: &Client, definition: Definition) -> Result<(), Failure> {
    let now = client.store().now().await?;
    let checked = schedule::check(definition, now).map_err(ScheduleError::from)?;
    let next = checked.clock.next_moments(now, SHOWN_RUNS);
    if context.json {
        return output::json(&json!({ "when": checked.clock.words(), "next": next }));
    }
    output::say(&format!("{} would run {}", checked.definition.name, checked.clock.words()));
    tell_moments(&next, now);
    Ok(())
}

async fn change(context: &Context, name: &str, all: Map<String, Value>) -> Result<(), Failure> {
    if all.is_empty() {
        return Err(Failure::usage("nothing is to be changed").hint("name a field, such as --every 10m"));
    }
    let client = context.visit().await?;
    let mut view = client.patch_schedule(name, all, None).await?;
    context.redactor(&client).await?.definition(&mut view.schedule.definition);
    if context.json {
        return output::json(&view);
    }
    output::note(&format!("schedule {name} runs {} now", view.when));
    Ok(())
}

async fn remove(context: &Context, name: &str, yes: bool) -> Result<(), Failure> {
    let client = context.visit().await?;
    let view = client.find_schedule(name).await?;
    output::confirm(&format!("remove schedule {name} ({}) with its history?", view.when), yes)?;
    client.remove_schedule(name).await?;
    if context.json {
        return output::json(&json!({ "name": name, "removed": true }));
    }
    output::note(&format!("schedule {name} is removed; its jobs stay"));
    Ok(())
}

fn ago(now: Timestamp, at: Timestamp) -> String {
    if at > now { ahead(now, at) } else { format!("{} ago", words(since(now, at))) }
}

fn ahead(now: Timestamp, at: Timestamp) -> String {
    if at <= now { "now".to_owned() } else { format!("in {}", words(since(at, now))) }
}
