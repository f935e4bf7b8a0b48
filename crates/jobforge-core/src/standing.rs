//! What a job is now, why we think so, and what happens next: computed, never stored.

use jiff::Timestamp;
use serde::Serialize;

use crate::job::{Job, QueuedBecause};
use crate::rescue::{Cause, RescuePolicy, Suspect, SuspectPage, cause, describe, plan};
use crate::state::Status;
use crate::time::{since, words};
use crate::worker::WorkerRow;

/// How long after it became due a recovery is still "on its way" and not stuck.
const RECOVERY_BOUND_S: u64 = 10;

/// What a job is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Its handler runs on a worker that is alive.
    Running,
    /// It is queued; see [`WaitingFor`].
    Waiting,
    /// Its worker was lost and it is on its way to run again.
    Recovering,
    /// It should be moving and is not.
    Stuck,
    /// It ended: succeeded, or failed for good.
    Finished,
    /// Its attempts are used up; it lies in the dead-letter queue.
    Dead,
    /// It was canceled.
    Canceled,
}

/// What a waiting job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// Its planned time.
    Time,
    /// The end of its back-off.
    Retry,
    /// A free slot of a worker.
    Slot,
    /// Its queue to be resumed.
    PausedQueue,
    /// A worker that knows its type.
    Worker,
}

/// What is known when a job is assessed.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The job.
    pub job: Job,
    /// The worker that holds it, if one does.
    pub worker: Option<WorkerRow>,
    /// Since when its queue is paused.
    pub queue_paused_at: Option<Timestamp>,
    /// Live workers that take from its queue.
    pub queue_workers: u32,
    /// Those of them that know its type.
    pub able_workers: u32,
    /// The database's clock when the facts were read.
    pub as_of: Timestamp,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What was seen.
    pub text: String,
    /// When it happened, where that is a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// What happens next without anybody doing anything, or that nothing does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextStep {
    /// What.
    pub what: String,
    /// Who does it.
    pub by: String,
    /// When, if that is known; a moment in the past means any instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// What a person can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Action {
    /// To what end.
    pub why: String,
    /// What to type.
    pub command: String,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// What it is.
    pub kind: Kind,
    /// What it waits for, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingFor>,
    /// One sentence.
    pub headline: String,
    /// Why we think so.
    pub evidence: Vec<Evidence>,
    /// What happens next.
    pub next: NextStep,
    /// What a person can do.
    pub actions: Vec<Action>,
    /// The database's clock of the assessment.
    pub as_of: Timestamp,
}

/// Assesses a job: always exactly one kind, always with evidence and a next step.
pub fn assess(facts: &Facts, policy: &RescuePolicy) -> Standing {
    match facts.job.status {
        Status::Queued => queued(facts),
        Status::Running => running(facts, policy),
        Status::Succeeded | Status::Failed | Status::Dead | Status::Canceled => ended(facts),
    }
}

struct Draft<'a> {
    facts: &'a Facts,
    evidence: Vec<Evidence>,
    actions: Vec<Action>,
}

impl<'a> Draft<'a> {
    fn new(facts: &'a Facts) -> Self {
        Self { facts, evidence: Vec::new(), actions: Vec::new() }
    }

    fn saw(&mut self, text: impl Into<String>, at: Option<Timestamp>) {
        self.evidence.push(Evidence { text: text.into(), at });
    }

    fn can(&mut self, why: &str, verb: &str) {
        let command = format!("jobforge job {verb} {}", self.facts.job.id);
        self.actions.push(Action { why: why.to_owned(), command });
    }

    fn done(self, kind: Kind, waiting_for: Option<WaitingFor>, headline: String, next: NextStep) -> Standing {
        let (evidence, actions, as_of) = (self.evidence, self.actions, self.facts.as_of);
        Standing { kind, waiting_for, headline, evidence, next, actions, as_of }
    }

    fn last_failure(&mut self) {
        let job = &self.facts.job;
        if let Some(error) = &job.error {
            let worker = job.last_worker.as_ref().map(|w| format!(" on {w}")).unwrap_or_default();
            let text =
                format!("attempt {} of {}{worker} failed: {}", job.attempts, job.max_attempts, error.message);
            self.saw(text, None);
        }
    }
}

fn next(what: impl Into<String>, by: &str, at: Option<Timestamp>) -> NextStep {
    NextStep { what: what.into(), by: by.to_owned(), at }
}

fn queued(facts: &Facts) -> Standing {
    let job = &facts.job;
    let mut draft = Draft::new(facts);
    draft.saw(
        format!("enqueued {} ago in queue {}", words(since(facts.as_of, job.created_at)), job.queue),
        Some(job.created_at),
    );
    if job.attempts > 0 {
        draft.last_failure();
    }
    draft.can("stop it from running", "cancel");
    if job.run_at > facts.as_of {
        return waiting_for_time(facts, draft);
    }
    let waited = words(since(facts.as_of, job.run_at));
    draft.saw(format!("due since {waited}"), Some(job.run_at));
    if let Some(paused_at) = facts.queue_paused_at {
        draft.saw(
            format!("queue {} was paused {} ago", job.queue, words(since(facts.as_of, paused_at))),
            Some(paused_at),
        );
        draft.actions.insert(
            0,
            Action {
                why: "let the queue run".to_owned(),
                command: format!("jobforge queue resume {}", job.queue),
            },
        );
        let step = next(format!("nothing until queue {} is resumed", job.queue), "a person", None);
        return draft.done(
            Kind::Waiting,
            Some(WaitingFor::PausedQueue),
            format!("waits because queue {} is paused", job.queue),
            step,
        );
    }
    if facts.able_workers == 0 {
        let seen = match facts.queue_workers {
            0 => format!("no live worker takes from queue {}", job.queue),
            1 => format!(
                "1 live worker takes from queue {}, and it does not know type {}",
                job.queue, job.job_type
            ),
            n => format!(
                "{n} live workers take from queue {}, and none knows type {}",
                job.queue, job.job_type
            ),
        };
        draft.saw(seen, None);
        draft.actions.insert(
            0,
            Action {
                why: "start a worker for the queue".to_owned(),
                command: format!("jobforge work --queues {}", job.queue),
            },
        );
        let step = next("a worker that knows the type claims it as soon as one starts", "a worker", None);
        return draft.done(
            Kind::Waiting,
            Some(WaitingFor::Worker),
            format!("waits for a worker that runs {} from queue {}", job.job_type, job.queue),
            step,
        );
    }
    draft.saw(format!("{} live worker(s) can run it", facts.able_workers), None);
    let step = next("the next worker with a free slot claims it", "a worker", Some(facts.as_of));
    if job.queued_because == QueuedBecause::Rescue {
        let headline = format!("is recovering: its worker was lost, and it waited {waited} for a free slot");
        return draft.done(Kind::Recovering, None, headline, step);
    }
    draft.done(Kind::Waiting, Some(WaitingFor::Slot), format!("waits for a free slot since {waited}"), step)
}

fn waiting_for_time(facts: &Facts, mut draft: Draft<'_>) -> Standing {
    let job = &facts.job;
    let left = words(since(job.run_at, facts.as_of));
    let attempt = job.attempts + 1;
    draft.actions.insert(
        0,
        Action { why: "run it now".to_owned(), command: format!("jobforge job retry {}", job.id) },
    );
    let (kind, waiting, headline) = match job.queued_because {
        QueuedBecause::Retry => (
            Kind::Waiting,
            Some(WaitingFor::Retry),
            format!("waits {left} before attempt {attempt} of {}", job.max_attempts),
        ),
        QueuedBecause::Rescue => (
            Kind::Recovering,
            None,
            format!("is recovering: its worker was lost, and it runs again in {left}"),
        ),
        QueuedBecause::Snooze => {
            (Kind::Waiting, Some(WaitingFor::Time), format!("was snoozed by its handler and waits {left}"))
        }
        QueuedBecause::Enqueued | QueuedBecause::Release | QueuedBecause::Operator => {
            (Kind::Waiting, Some(WaitingFor::Time), format!("waits {left} for its time"))
        }
    };
    let step = next(
        format!("it becomes due for attempt {attempt} of {}", job.max_attempts),
        "a worker",
        Some(job.run_at),
    );
    draft.done(kind, waiting, headline, step)
}

fn running(facts: &Facts, policy: &RescuePolicy) -> Standing {
    let job = &facts.job;
    let mut draft = Draft::new(facts);
    let holder = job.locked_by.as_ref().map_or_else(|| "an unknown worker".to_owned(), ToString::to_string);
    let place =
        facts.worker.as_ref().map(|w| format!(" on {} (pid {})", w.hostname, w.pid)).unwrap_or_default();
    draft.saw(
        format!(
            "attempt {} of {} runs on {holder}{place} under lease {}",
            job.attempts, job.max_attempts, job.lease
        ),
        job.started_at,
    );
    if let Some(worker) = &facts.worker {
        let text =
            format!("the worker was heard {} ago", words(since(facts.as_of, worker.last_heartbeat_at)));
        draft.saw(text, Some(worker.last_heartbeat_at));
    }
    if let Some(at) = job.heartbeat_at {
        let limit = job
            .heartbeat_due_at
            .map(|due| format!(", the next is due within {}", words(since(due, facts.as_of))))
            .unwrap_or_default();
        draft.saw(
            format!("the job's last heartbeat came {} ago{limit}", words(since(facts.as_of, at))),
            Some(at),
        );
    }
    if let Some(at) = job.progress.at {
        let percent = job.progress.percent.map(|p| format!("{p} % ")).unwrap_or_default();
        let phase = job.progress.phase.as_ref().map(|p| format!("in phase {p} ")).unwrap_or_default();
        let message = job.progress.message.as_deref().unwrap_or_default();
        draft.saw(format!("progress {percent}{phase}{message}").trim_end().to_owned(), Some(at));
    }
    draft.can("stop it", "cancel");
    draft.can("see what it prints", "logs");
    match cause(job, facts.worker.as_ref(), facts.as_of, policy.heartbeats) {
        None => healthy(facts, draft, &holder),
        Some(cause) => troubled(facts, draft, policy, &cause),
    }
}

fn healthy(facts: &Facts, draft: Draft<'_>, holder: &str) -> Standing {
    let job = &facts.job;
    let ran = job.started_at.map(|at| words(since(facts.as_of, at))).unwrap_or_default();
    let step = match job.deadline_at {
        Some(deadline) => next("the handler ends, or is stopped at its time-out", holder, Some(deadline)),
        None => next("the handler ends; it has no time-out", holder, None),
    };
    draft.done(Kind::Running, None, format!("runs on {holder} since {ran}"), step)
}

fn troubled(facts: &Facts, mut draft: Draft<'_>, policy: &RescuePolicy, cause: &Cause) -> Standing {
    let job = &facts.job;
    let suspect = Suspect { job: job.clone(), worker: facts.worker.clone() };
    let seen = describe(cause, &suspect, facts.as_of);
    let due_at = match cause {
        Cause::LeaseExpired { at } | Cause::DeadlinePassed { at } => *at,
        Cause::HeartbeatLate { due_at } => *due_at,
        Cause::WorkerEnded { .. } | Cause::WorkerUnknown => {
            facts.worker.as_ref().and_then(|worker| worker.ended_at).unwrap_or(facts.as_of)
        }
    };
    draft.saw(seen.clone(), Some(due_at));
    draft.actions.insert(
        0,
        Action { why: "take it back now".to_owned(), command: format!("jobforge job retry {}", job.id) },
    );
    let page = SuspectPage { as_of: facts.as_of, suspects: vec![suspect] };
    let fate = match plan(&page, policy).first().map(|line| (line.to, line.because)) {
        Some((Status::Queued, QueuedBecause::Retry)) => "stops it and queues it for another attempt",
        Some((Status::Queued, _)) => "takes it back and queues it again",
        Some((Status::Failed, _)) => "takes it back and marks it failed",
        Some((Status::Dead | Status::Running | Status::Succeeded | Status::Canceled, _)) | None => {
            "takes it back; it is dead then, for it may lose no more leases or attempts"
        }
    };
    let overdue = since(facts.as_of, due_at);
    if overdue.as_secs() <= RECOVERY_BOUND_S {
        let step = next(format!("the watchdog {fate}"), "the watchdog", Some(facts.as_of));
        return draft.done(Kind::Recovering, None, format!("is being recovered: {seen}"), step);
    }
    draft.saw(format!("the watchdog should have acted {} ago", words(overdue)), None);
    let step = next(format!("the watchdog {fate} once one runs (`jobforge serve`)"), "the watchdog", None);
    draft.done(Kind::Stuck, None, format!("is stuck: {seen}"), step)
}

fn ended(facts: &Facts) -> Standing {
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
            draft.done(Kind::Canceled, None, format!("was canceled{ago}"), keep)
        }
        Status::Dead | Status::Queued | Status::Running => {
            draft.can("run it again with fresh attempts", "retry");
            let reason = job.error.as_ref().map(|e| format!(": {}", e.message)).unwrap_or_default();
            let step = next("nothing until a person retries it", "a person", None);
            draft.done(
                Kind::Dead,
                None,
                format!("is dead{ago} after {} attempt(s){reason}", job.attempts),
                step,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{queued_job, running_job, worker};
    use crate::job::{ErrorInfo, WorkerId};
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn facts(job: Job, second: i64) -> Facts {
        Facts {
            job,
            worker: None,
            queue_paused_at: None,
            queue_workers: 1,
            able_workers: 1,
            as_of: at(second),
        }
    }

    fn told(facts: &Facts) -> (Kind, Option<WaitingFor>, String) {
        let standing = assess(facts, &RescuePolicy::default());
        (standing.kind, standing.waiting_for, standing.headline)
    }

    #[test]
    fn a_waiting_job_says_what_it_waits_for() {
        let slot = facts(queued_job(100), 105);
        assert_eq!(
            told(&slot),
            (Kind::Waiting, Some(WaitingFor::Slot), "waits for a free slot since 5 s".to_owned())
        );
        let time = facts(queued_job(400), 100);
        assert_eq!(
            told(&time),
            (Kind::Waiting, Some(WaitingFor::Time), "waits 5 min for its time".to_owned())
        );
        let paused = Facts { queue_paused_at: Some(at(90)), ..facts(queued_job(100), 105) };
        assert_eq!(told(&paused).1, Some(WaitingFor::PausedQueue));
        let nobody = Facts { able_workers: 0, ..facts(queued_job(100), 105) };
        assert_eq!(told(&nobody).2, "waits for a worker that runs email.send from queue default");
    }

    #[test]
    fn a_retry_names_its_attempt_and_its_last_error() {
        let mut job = queued_job(100);
        job.queued_because = QueuedBecause::Retry;
        job.attempts = 2;
        job.run_at = at(130);
        job.last_worker = Some(WorkerId("worker-00000001".to_owned()));
        job.error =
            Some(ErrorInfo { message: "boom".into(), kind: "error".into(), retryable: true, details: None });
        let standing = assess(&facts(job, 101), &RescuePolicy::default());
        assert_eq!(standing.headline, "waits 29 s before attempt 3 of 5");
        assert_eq!(standing.next.at, Some(at(130)));
        assert!(standing.evidence.iter().any(|e| e.text == "attempt 2 of 5 on worker-00000001 failed: boom"));
    }

    #[test]
    fn a_running_job_is_running_recovering_or_stuck_by_its_workers_lease() {
        let on = |expires: i64, now: i64| Facts {
            worker: Some(worker(100, expires)),
            ..facts(running_job(100), now)
        };
        assert_eq!(told(&on(120, 115)).0, Kind::Running);
        assert_eq!(told(&on(120, 122)).0, Kind::Recovering);
        assert_eq!(told(&on(120, 200)).0, Kind::Stuck);
    }

    proptest! {
        /// Whatever the row says, there is exactly one standing, with evidence and a next step.
        #[test]
        fn every_job_has_a_standing_with_evidence_and_a_next_step(
            status in 0_usize..6, because in 0_usize..6, run_at in 0_i64..1000, now in 0_i64..1000,
            attempts in 0_u32..7, expires in 0_i64..1000, known in any::<bool>(), paused in any::<bool>(),
            able in 0_u32..3, deadline in proptest::option::of(0_i64..1000),
        ) {
            let mut job = running_job(100);
            job.status = Status::ALL[status];
            job.queued_because = QueuedBecause::ALL[because];
            job.run_at = at(run_at);
            job.attempts = attempts;
            job.deadline_at = deadline.map(at);
            job.finished_at = job.status.is_terminal().then(|| at(now));
            let facts = Facts {
                worker: known.then(|| worker(50, expires)),
                queue_paused_at: paused.then(|| at(1)),
                able_workers: able,
                ..facts(job, now)
            };
            let standing = assess(&facts, &RescuePolicy::default());
            prop_assert!(!standing.headline.is_empty() && !standing.evidence.is_empty());
            prop_assert!(!standing.next.what.is_empty() && !standing.next.by.is_empty());
            prop_assert_eq!(standing.waiting_for.is_some(), standing.kind == Kind::Waiting);
            let expected = match facts.job.status {
                Status::Queued => matches!(standing.kind, Kind::Waiting | Kind::Recovering),
                Status::Running => matches!(standing.kind, Kind::Running | Kind::Recovering | Kind::Stuck),
                Status::Succeeded | Status::Failed => standing.kind == Kind::Finished,
                Status::Dead => standing.kind == Kind::Dead,
                Status::Canceled => standing.kind == Kind::Canceled,
            };
            prop_assert!(expected, "{:?} is {:?}", facts.job.status, standing.kind);
        }
    }
}
