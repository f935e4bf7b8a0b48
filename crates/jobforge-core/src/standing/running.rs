//! Whether a running job is well, and if not, who sees to it and when.

use super::{Draft, Facts, Kind, NextStep, Standing, next};
use crate::job::QueuedBecause;
use crate::presence::FAST_AFTER;
use crate::rescue::{Cause, DEADLINE_GRACE, RescuePolicy, Suspect, cause, describe, fate, still_since};
use crate::state::Status;
use crate::time::{add, since, words};
use crate::verdict::{Verdict, verdict};

/// How long after it became due a recovery is still "on its way" and not stuck.
const RECOVERY_BOUND_S: u64 = 10;

pub(super) fn running(facts: &Facts, policy: &RescuePolicy) -> Standing {
    let mut draft = Draft::new(facts);
    draft.verdict = verdict(facts, policy);
    where_it_runs(&mut draft);
    draft.can("stop it", "cancel");
    draft.can("see what it prints", "logs");
    match draft.verdict {
        Some(Verdict::Running | Verdict::Draining) | None => healthy(draft),
        Some(Verdict::Suspect) => suspect(draft, policy),
        Some(Verdict::Stopped) => stopped(draft),
        Some(Verdict::Held) => held(draft, policy),
        Some(
            Verdict::NoProgress
            | Verdict::TimedOut
            | Verdict::Overdue
            | Verdict::Recovering
            | Verdict::Orphan,
        ) => troubled(draft, policy),
    }
}

/// The attempt, its worker and what was heard of both.
fn where_it_runs(draft: &mut Draft<'_>) {
    let facts = draft.facts;
    let job = &facts.job;
    let ago = |moment| words(since(facts.as_of, moment));
    let place =
        facts.worker.as_ref().map(|w| format!(" on {} (pid {})", w.hostname, w.pid)).unwrap_or_default();
    let (attempt, of, lease) = (job.attempts, job.max_attempts, job.lease);
    let text = format!("attempt {attempt} of {of} runs on {}{place} under lease {lease}", draft.holder());
    draft.saw(text, job.started_at);
    if let Some(worker) = &facts.worker {
        let heard = worker.last_heartbeat_at;
        let lease = if worker.state.is_active() {
            let left = words(since(worker.lease_expires_at, facts.as_of));
            format!(", its lease has {left} left")
        } else {
            String::new()
        };
        draft.saw(format!("the worker was heard {} ago{lease}", ago(heard)), Some(heard));
    }
    if let Some(at) = job.heartbeat_at {
        let limit = job
            .heartbeat_due_at
            .map(|due| format!(", the next is due within {}", words(since(due, facts.as_of))))
            .unwrap_or_default();
        draft.saw(format!("the job's last heartbeat came {} ago{limit}", ago(at)), Some(at));
    }
    if let (Some(told), Some(longest)) = (job.heard.told(), job.heard.longest()) {
        draft.saw(format!("of this attempt: {told}"), Some(longest.ended_at));
    }
    if let Some(at) = job.progress.at {
        let percent = job.progress.percent.map(|p| format!("{p} % ")).unwrap_or_default();
        let phase = job.progress.phase.as_ref().map(|p| format!("in phase {p} ")).unwrap_or_default();
        let message = job.progress.message.as_deref().unwrap_or_default();
        draft.saw(format!("progress {percent}{phase}{message}").trim_end().to_owned(), Some(at));
    }
}

fn healthy(mut draft: Draft<'_>) -> Standing {
    let (facts, holder) = (draft.facts, draft.holder());
    let job = &facts.job;
    let ran = job.started_at.map(|at| words(since(facts.as_of, at))).unwrap_or_default();
    let still = still_since(job).map(|(since, limit)| add(since, limit));
    let step = match (job.deadline_at, still) {
        (None, None) => next("the handler ends; it has no time-out", &holder, None),
        (Some(end), None) => next("the handler ends, or is stopped at its time-out", &holder, Some(end)),
        (Some(end), Some(still)) if end <= still => {
            next("the handler ends, or is stopped at its time-out", &holder, Some(end))
        }
        (_, Some(still)) => next("the handler reports progress, ends, or is stopped", &holder, Some(still)),
    };
    let mut headline = format!("runs on {holder} since {ran}");
    if draft.verdict == Some(Verdict::Draining) {
        draft.saw("its worker is stopping: it finishes what it has and takes nothing new", None);
        headline.push_str(", which is stopping");
    }
    draft.done(Kind::Running, None, headline, step)
}

fn suspect(mut draft: Draft<'_>, policy: &RescuePolicy) -> Standing {
    let (facts, holder) = (draft.facts, draft.holder());
    let lost = facts.worker.as_ref().and_then(|worker| worker.suspect_at).unwrap_or(facts.as_of);
    let ago = words(since(facts.as_of, lost));
    draft.saw(format!("the connection that {holder} keeps open was lost {ago} ago"), Some(lost));
    let step = if policy.fast.contains(&facts.job.job_type) {
        let what = "the watchdog takes the job back, for its type need not wait for the lease, unless the worker is heard again";
        next(what, "the watchdog", Some(add(lost, FAST_AFTER)))
    } else {
        until_the_lease_ends(facts, policy_free("is heard again"))
    };
    draft.done(Kind::Running, None, format!("runs on {holder}, which may be dead or cut off"), step)
}

fn stopped(mut draft: Draft<'_>) -> Standing {
    let (facts, holder) = (draft.facts, draft.holder());
    let at = facts.worker.as_ref().and_then(|worker| worker.stopped_at).unwrap_or(facts.as_of);
    let (ago, pid) = (words(since(facts.as_of, at)), facts.worker.as_ref().map_or(0, |worker| worker.pid));
    draft.saw(
        format!("its supervisor sees process {pid} stopped since {ago}: SIGSTOP or a debugger"),
        Some(at),
    );
    if let Some(worker) = &facts.worker {
        let why = "let the process go on".to_owned();
        draft.first(why, format!("kill -CONT {} (on {})", worker.pid, worker.hostname));
    }
    let step = until_the_lease_ends(facts, policy_free("goes on"));
    draft.done(Kind::Stuck, None, format!("is stuck: the process of {holder} is stopped since {ago}"), step)
}

fn policy_free(unless: &str) -> String {
    format!("its lease ends and the watchdog takes the job back, unless the worker {unless} before")
}

fn until_the_lease_ends(facts: &Facts, what: String) -> NextStep {
    next(what, "the watchdog", facts.worker.as_ref().map(|worker| worker.lease_expires_at))
}

/// In trouble, and nobody may say so yet.
fn held(mut draft: Draft<'_>, policy: &RescuePolicy) -> Standing {
    let facts = draft.facts;
    let Some((cause, seen)) = trouble(facts, policy) else { return healthy(draft) };
    draft.saw(seen.clone(), cause.since(facts.worker.as_ref()));
    let why = facts.held.as_ref().map(|held| held.guard.reason().to_owned()).unwrap_or_default();
    draft.saw(format!("the watchdog does not believe silence at the moment: {why}"), None);
    draft.first(
        "take it back now, whatever the watchdog believes",
        format!("jobforge job retry {}", facts.job.id),
    );
    let until = facts.held.as_ref().map(|held| held.until);
    let step = next("the watchdog looks again and, if it is still so, takes it back", "the watchdog", until);
    draft.done(Kind::Recovering, None, format!("would be taken back, but is held: {seen}"), step)
}

fn trouble(facts: &Facts, policy: &RescuePolicy) -> Option<(Cause, String)> {
    let cause = cause(&facts.job, facts.worker.as_ref(), facts.as_of, policy)?;
    let seen = describe(&cause, &as_suspect(facts), facts.as_of);
    Some((cause, seen))
}

fn as_suspect(facts: &Facts) -> Suspect {
    Suspect { job: facts.job.clone(), worker: facts.worker.clone(), beside: None }
}

fn troubled(mut draft: Draft<'_>, policy: &RescuePolicy) -> Standing {
    let facts = draft.facts;
    let Some((cause, seen)) = trouble(facts, policy) else { return healthy(draft) };
    let began = cause.since(facts.worker.as_ref()).unwrap_or(facts.as_of);
    draft.saw(seen.clone(), Some(began));
    draft.first("take it back now", format!("jobforge job retry {}", facts.job.id));
    let fate = words_of_fate(facts, &cause, policy);
    let due_at = if cause.loses_lease() { began } else { add(began, DEADLINE_GRACE) };
    if due_at > facts.as_of {
        let holder = draft.holder();
        let step =
            next(format!("its worker stops the handler, or the watchdog {fate}"), &holder, Some(due_at));
        return draft.done(Kind::Recovering, None, format!("is being stopped: {seen}"), step);
    }
    let overdue = since(facts.as_of, due_at);
    if overdue.as_secs() <= RECOVERY_BOUND_S {
        let step = next(format!("the watchdog {fate}"), "the watchdog", Some(facts.as_of));
        return draft.done(Kind::Recovering, None, format!("is being recovered: {seen}"), step);
    }
    draft.saw(format!("the watchdog should have acted {} ago", words(overdue)), None);
    let step = next(format!("the watchdog {fate} once one runs (`jobforge serve`)"), "the watchdog", None);
    draft.done(Kind::Stuck, None, format!("is stuck: {seen}"), step)
}

fn words_of_fate(facts: &Facts, cause: &Cause, policy: &RescuePolicy) -> &'static str {
    match fate(&as_suspect(facts), cause, facts.as_of, policy) {
        (Status::Queued, QueuedBecause::Retry) => "stops it and queues it for another attempt",
        (Status::Queued, _) => "takes it back and queues it again",
        (Status::Failed, _) => "takes it back and marks it failed",
        (Status::Dead | Status::Running | Status::Succeeded | Status::Canceled, _) => {
            "takes it back; it is dead then, for it may lose no more leases or attempts"
        }
    }
}
