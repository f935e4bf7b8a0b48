//! How an ended job ended.

use super::{Draft, Facts, Kind, NextStep, Standing, next};
use crate::counted::counted;
use crate::dead::group_of;
use crate::job::Job;
use crate::retention::Retention;
use crate::state::Status;
use crate::time::{since, words};

pub(super) fn ended(facts: &Facts, retention: &Retention) -> Standing {
    let job = &facts.job;
    let mut draft = Draft::new(facts);
    let ago = job.finished_at.map(|at| format!(" {} ago", words(since(facts.as_of, at)))).unwrap_or_default();
    let ran = match (job.started_at, job.finished_at) {
        (Some(start), Some(end)) => format!(" after {}", words(since(end, start))),
        _ => String::new(),
    };
    if let Some(worker) = &job.last_worker {
        draft
            .saw(format!("the last of {} ran on {worker}", counted(job.attempts, "attempt")), job.started_at);
    } else {
        draft.saw("it never ran".to_owned(), Some(job.created_at));
    }
    if job.status != Status::Succeeded {
        draft.last_failure();
    }
    let keep = kept(facts, retention);
    match job.status {
        Status::Succeeded => draft.done(Kind::Finished, None, format!("succeeded{ago}{ran}"), keep),
        Status::Failed => {
            draft.can("run it again with fresh attempts", "retry");
            let reason = job.error.as_ref().map(|e| format!(": {}", e.message)).unwrap_or_default();
            draft.done(Kind::Finished, None, format!("failed for good{ago}{reason}"), keep)
        }
        Status::Canceled => {
            draft.can("run it after all", "retry");
            let still = if draft.late_handler() { "; its handler is ignoring cancel" } else { "" };
            draft.done(Kind::Canceled, None, format!("was canceled{ago}{still}"), keep)
        }
        Status::Dead | Status::Queued | Status::Running => dead(draft, &ago, keep),
    }
}

/// The clean-up takes it when its time is over.
fn kept(facts: &Facts, retention: &Retention) -> NextStep {
    let Job { status, finished_at, created_at, .. } = facts.job;
    let until = retention.kept_until(status, finished_at.unwrap_or(created_at));
    next("it is deleted", "the clean-up (system.cleanup.old_jobs)", Some(until))
}

fn dead(mut draft: Draft, ago: &str, keep: NextStep) -> Standing {
    let job = &draft.facts.job;
    draft.can("run it again with fresh attempts", "retry");
    draft.also("see the evidence of every attempt", format!("jobforge dead show {}", job.id));
    if let Some(group) = group_of(job) {
        draft.also("see what else died of this", format!("jobforge dead list --group {group}"));
    }
    let step = match &job.resolved {
        None => {
            draft.saw("the clean-up keeps it until then", keep.at);
            next("nothing until a person retries or discards it", "a person", None)
        }
        Some(resolved) => {
            draft.saw(
                format!("{} settled that it stays dead: {}", resolved.by, resolved.note),
                Some(resolved.at),
            );
            keep
        }
    };
    let reason = job.error.as_ref().map(|e| format!(": {}", e.message)).unwrap_or_default();
    draft.done(
        Kind::Dead,
        None,
        format!("is dead{ago} after {}{reason}", counted(job.attempts, "attempt")),
        step,
    )
}
