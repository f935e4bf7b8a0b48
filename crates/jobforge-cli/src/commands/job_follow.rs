//! `jobforge job explain|wait|watch`: saying what a job is and following it.

use std::time::Duration;

use jobforge::core::job::{Job, JobId};
use jobforge::core::standing::Rules;
use jobforge::core::standing::{Action, Standing};
use jobforge::core::state::Status;
use jobforge::core::time::{parse_duration, since, words};
use jobforge::store::rows::JobDetail;
use jobforge_api::JobView;
use jobforge_server::view;

use super::Context;
use super::job::tell_hidden;
use crate::failure::{self, Failure};
use crate::output;

/// Between two looks at a watched job.
const LOOK_EVERY: Duration = Duration::from_millis(300);

pub(crate) async fn explain(context: &Context, id: JobId) -> Result<(), Failure> {
    let client = context.visit().await?;
    let settings = context.settings_now(&client).await?;
    let standing = client.explain(id, &Rules::from_settings(&settings)).await?;
    if context.json {
        return output::json(&standing);
    }
    print_standing(id, &standing);
    Ok(())
}

pub(crate) fn print_standing(id: JobId, standing: &Standing) {
    for line in standing_lines(id, standing) {
        output::say(&line);
    }
}

/// A standing in words, in colour.
pub(crate) fn standing_lines(id: JobId, standing: &Standing) -> Vec<String> {
    let headline = output::standing(standing.kind, &output::printable(&standing.headline));
    let mut lines = vec![format!("job {id} {headline}"), String::new(), output::bold("why")];
    for evidence in &standing.evidence {
        let at = evidence.at.map(|at| output::dim(&format!("  {at:.0}"))).unwrap_or_default();
        lines.push(format!("  - {}{at}", output::printable(&evidence.text)));
    }
    lines.push(output::bold("next"));
    let when = match standing.next.at {
        Some(at) if at > standing.as_of => format!(" in {} ({at:.0})", words(since(at, standing.as_of))),
        Some(_) => " at any moment".to_owned(),
        None => String::new(),
    };
    lines.push(format!("  - {}{when}, by {}", standing.next.what, standing.next.by));
    if !standing.actions.is_empty() {
        lines.push(output::bold("you can"));
        let action = |action: &Action| format!("  - {}: {}", action.why, output::command(&action.command));
        lines.extend(standing.actions.iter().map(action));
    }
    lines
}

pub(crate) async fn wait(context: &Context, id: JobId, timeout: &str) -> Result<(), Failure> {
    let timeout = parse_duration(timeout).map_err(|error| Failure::usage(format!("--timeout: {error}")))?;
    let client = context.visit().await?;
    let job = client.wait(id, timeout).await.map_err(|error| match error {
        jobforge::Error::NotEnded { .. } => Failure::from(error).hint(format!("jobforge job explain {id}")),
        other => Failure::from(other),
    })?;
    let mut detail = client.job_detail(id).await?;
    // The result is what scripts wait for, so that stays whole; the rest is for people.
    let result = detail.result.clone();
    view::redact(&mut detail, &context.redactor(&client).await?);
    detail.result = result;
    if context.json {
        output::json(&view::job_detail(detail, None))?;
    } else {
        print_end(&detail);
    }
    end_as_exit_code(&job)
}

fn print_end(detail: &JobDetail) {
    let job = &detail.job;
    let took = match (job.started_at, job.finished_at) {
        (Some(start), Some(end)) => format!(" after {}", words(since(end, start))),
        _ => String::new(),
    };
    output::note(&format!(
        "job {} {}{took}, attempt {} of {}",
        job.id, job.status, job.attempts, job.max_attempts
    ));
    if let Some(result) = &detail.result {
        output::say(result.as_str());
    }
}

fn end_as_exit_code(job: &Job) -> Result<(), Failure> {
    let told = job
        .error
        .as_ref()
        .map(|error| format!(": {}", output::printable(&error.message)))
        .unwrap_or_default();
    let code = match job.status {
        Status::Succeeded | Status::Queued | Status::Running => return Ok(()),
        Status::Failed => failure::JOB_FAILED,
        Status::Dead | Status::Canceled => failure::JOB_DEAD,
    };
    Err(Failure::new(code, format!("job {} is {}{told}", job.id, job.status))
        .hint(format!("jobforge job show {}", job.id)))
}

/// What a watcher has already printed.
#[derive(Default)]
struct Told {
    state: String,
    log_lines: usize,
    lease: i64,
}

pub(crate) async fn watch(context: &Context, id: JobId) -> Result<(), Failure> {
    let client = context.visit().await?;
    let redactor = context.redactor(&client).await?;
    let mut told = Told::default();
    loop {
        let mut detail = client.job_detail(id).await?;
        let hidden = view::redact(&mut detail, &redactor);
        tell_news(context, &detail, &mut told)?;
        if detail.job.status.is_terminal() {
            if !context.json {
                print_end(&detail);
            }
            tell_hidden(id, hidden);
            return end_as_exit_code(&detail.job);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = tokio::signal::ctrl_c() => return Err(Failure::new(failure::INTERRUPTED, "stopped watching; the job goes on")),
        }
    }
}

fn tell_news(context: &Context, detail: &JobDetail, told: &mut Told) -> Result<(), Failure> {
    let job = &detail.job;
    let percent = job.progress.percent.map(|percent| format!(" {percent} %")).unwrap_or_default();
    let phase = job.progress.phase.as_ref().map(|phase| format!(" {phase}")).unwrap_or_default();
    let message = job.progress.message.as_ref().map(|message| format!(" {message}")).unwrap_or_default();
    let state =
        format!("{} attempt {} of {}{percent}{phase}{message}", job.status, job.attempts, job.max_attempts);
    if context.json {
        if state != told.state {
            output::json_line(&JobView::from(job.clone()))?;
        }
    } else {
        if state != told.state {
            output::say(&output::printable(&state));
        }
        if let Some(log) = detail.logs.last() {
            let lines: Vec<&str> = log.text.lines().collect();
            if log.lease.0 != told.lease {
                (told.lease, told.log_lines) = (log.lease.0, 0);
            }
            // The kept tail may have dropped lines meanwhile; then the newest are printed.
            for line in lines.iter().skip(told.log_lines.min(lines.len())) {
                output::say(&format!("  {}", output::printable(line)));
            }
            told.log_lines = lines.len();
        }
    }
    told.state = state;
    Ok(())
}
