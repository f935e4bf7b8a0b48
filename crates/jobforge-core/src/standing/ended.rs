//! How an ended job ended.

use super::{Draft, Facts, Kind, Standing, next};
use crate::state::Status;
use crate::time::{since, words};

pub(super) fn ended(facts: &Facts) -> Standing {
    let job = &facts.job;
    let mut draft = Draft::new(facts);
    let ago = job.finished_at.map(|at| format!(" {} ago", words(since(facts.as_of, at)))).unwrap_or_default();
    let ran = match (job.started_at, job.finished_at) {
        (Some(start), Some(end)) => format!(" after {}", words(since(end, start))),
        _ => String::new(),
    };
    if let Some(worker) = &job.last_worker {
        draft.saw(format!("the last of {} attempt(s) ran on {worker}", job.attempts), job.started_at);
    } else {
        draft.saw("it never ran".to_owned(), Some(job.created_at));
    }
    if job.status != Status::Succeeded {
        draft.last_failure();
    }
    let keep = next("nothing; it is kept until a cleanup job deletes it", "nobody", None);
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
        Status::Dead | Status::Queued | Status::Running => dead(draft, &ago),
    }
}

fn dead(mut draft: Draft, ago: &str) -> Standing {
    let job = &draft.facts.job;
    draft.can("run it again with fresh attempts", "retry");
    draft.also("see the evidence of every attempt", format!("jobforge dead show {}", job.id));
    if let Some(group) = &job.dead_group {
        draft.also("see what else died of this", format!("jobforge dead list --group {group}"));
    }
    let step = match &job.resolved {
        None => next("nothing until a person retries or discards it", "a person", None),
        Some(resolved) => {
            draft.saw(
                format!("{} settled that it stays dead: {}", resolved.by, resolved.note),
                Some(resolved.at),
            );
            next("nothing; it is kept until a cleanup job deletes it", "nobody", None)
        }
    };
    let reason = job.error.as_ref().map(|e| format!(": {}", e.message)).unwrap_or_default();
    draft.done(Kind::Dead, None, format!("is dead{ago} after {} attempt(s){reason}", job.attempts), step)
}
