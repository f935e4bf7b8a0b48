//! Which running jobs are in trouble, and what becomes of them.
//!
//! Facts come in with `as_of`, the database's clock read in the same transaction; a plan with a reason on every line
//! goes out. The store applies it under the fence, so a heartbeat that lands in between wins.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::{ErrorInfo, Job, JobId, Lease, QueuedBecause};
use crate::state::Status;
use crate::time::{add, since, words};
use crate::worker::{WorkerRow, WorkerState};

/// How long after its deadline a running job is left to its own worker, which stops it first.
pub const DEADLINE_GRACE: Duration = Duration::from_secs(10);
/// The exact text that runbook 2 looks for under policy `fail`.
pub const WORKER_DIED: &str = "Worker died unexpectedly";

/// What becomes of a job whose worker was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// It runs again, until it has lost too many leases.
    #[default]
    Requeue,
    /// It ends as `failed`.
    Fail,
    /// It ends as `dead`.
    DeadLetter,
}

impl std::str::FromStr for OnLost {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "requeue" => Ok(Self::Requeue),
            "fail" => Ok(Self::Fail),
            "dead_letter" => Ok(Self::DeadLetter),
            other => Err(format!("{other:?} is not a policy; use requeue, fail or dead_letter")),
        }
    }
}

/// The settings that recovery goes by.
#[derive(Debug, Clone)]
pub struct RescuePolicy {
    /// Whether late heartbeats and expired leases count (`FEATURE_FLAG_JOB_HEARTBEAT`).
    pub heartbeats: bool,
    /// Lost leases at which a job is dead (`HEARTBEAT_MAX_MISSES`).
    pub max_misses: u32,
    /// What becomes of a lost job.
    pub on_lost: OnLost,
}

impl Default for RescuePolicy {
    fn default() -> Self {
        Self { heartbeats: true, max_misses: 2, on_lost: OnLost::Requeue }
    }
}

/// What is wrong with a running job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Its worker's row is missing: should be impossible.
    WorkerUnknown,
    /// Its worker has ended.
    WorkerEnded {
        /// How.
        reason: String,
    },
    /// Its worker did not renew in time.
    LeaseExpired {
        /// When it had to.
        at: Timestamp,
    },
    /// The attempt should be over.
    DeadlinePassed {
        /// Since when.
        at: Timestamp,
    },
    /// The handler gave no sign of life, though its worker lives.
    HeartbeatLate {
        /// When one was due.
        due_at: Timestamp,
    },
}

/// The one definition of trouble, for the watchdog, the explanation and everything that counts stuck jobs.
pub fn cause(job: &Job, worker: Option<&WorkerRow>, as_of: Timestamp, heartbeats: bool) -> Option<Cause> {
    if job.status != Status::Running {
        return None;
    }
    let Some(worker) = worker else { return Some(Cause::WorkerUnknown) };
    if !worker.state.is_active() {
        let reason = worker.end_reason.clone().unwrap_or_else(|| match worker.state {
            WorkerState::Gone => "it left".to_owned(),
            WorkerState::Dead => "it died".to_owned(),
            WorkerState::Lost | WorkerState::Live | WorkerState::Draining => "it was lost".to_owned(),
        });
        return Some(Cause::WorkerEnded { reason });
    }
    if heartbeats && worker.lease_expires_at < as_of {
        return Some(Cause::LeaseExpired { at: worker.lease_expires_at });
    }
    if let Some(deadline) = job.deadline_at
        && add(deadline, DEADLINE_GRACE) < as_of
    {
        return Some(Cause::DeadlinePassed { at: deadline });
    }
    match job.heartbeat_due_at {
        Some(due_at) if heartbeats && due_at < as_of => Some(Cause::HeartbeatLate { due_at }),
        _ => None,
    }
}

/// A running job that a sweep found, with its worker.
#[derive(Debug, Clone)]
pub struct Suspect {
    /// The job.
    pub job: Job,
    /// The worker that holds it.
    pub worker: Option<WorkerRow>,
}

/// What a sweep found, and when on the database's clock.
#[derive(Debug, Clone)]
pub struct SuspectPage {
    /// The database's clock in the transaction of the scan.
    pub as_of: Timestamp,
    /// At most one batch.
    pub suspects: Vec<Suspect>,
}

/// One fenced move of a lost job.
#[derive(Debug, Clone)]
pub struct Rescue {
    /// The job.
    pub id: JobId,
    /// The fence it was seen under; the store moves it only if that still holds.
    pub lease: Lease,
    /// The heartbeat deadline it was seen with; a beat in between changes it and wins.
    pub seen_due_at: Option<Timestamp>,
    /// Where it goes.
    pub to: Status,
    /// Why it is queued again, when it is.
    pub because: QueuedBecause,
    /// How long it then waits.
    pub delay: Duration,
    /// Lost leases, this one included.
    pub misses: u32,
    /// What is stored as its error.
    pub error: ErrorInfo,
}

/// Decides what becomes of each suspect.
///
/// A suspect that turns out to be healthy on the page's own clock gets no line.
pub fn plan(page: &SuspectPage, policy: &RescuePolicy) -> Vec<Rescue> {
    plan_believing(page, policy, |_| true)
}

/// The same, leaving out what is not believed at the moment (see [`crate::watchdog`]).
pub fn plan_believing(
    page: &SuspectPage,
    policy: &RescuePolicy,
    believes: impl Fn(&Cause) -> bool,
) -> Vec<Rescue> {
    let decide = |suspect: &Suspect| {
        let cause = cause(&suspect.job, suspect.worker.as_ref(), page.as_of, policy.heartbeats)?;
        believes(&cause).then(|| rescue(suspect, &cause, page.as_of, policy))
    };
    page.suspects.iter().filter_map(decide).collect()
}

fn rescue(suspect: &Suspect, cause: &Cause, as_of: Timestamp, policy: &RescuePolicy) -> Rescue {
    let job = &suspect.job;
    let (lost_lease, kind) = match cause {
        Cause::DeadlinePassed { .. } => (false, "timeout"),
        Cause::HeartbeatLate { .. } => (true, "heartbeat_late"),
        Cause::WorkerUnknown | Cause::WorkerEnded { .. } | Cause::LeaseExpired { .. } => {
            (true, "worker_lost")
        }
    };
    let misses = job.misses + u32::from(lost_lease);
    let last_attempt = job.attempts >= job.max_attempts;
    let to = match (lost_lease, policy.on_lost) {
        (true, OnLost::Fail) => Status::Failed,
        (true, OnLost::DeadLetter) => Status::Dead,
        (true, OnLost::Requeue) if misses >= policy.max_misses || last_attempt => Status::Dead,
        (true, OnLost::Requeue) => Status::Queued,
        (false, _) if last_attempt => Status::Dead,
        (false, _) => Status::Queued,
    };
    let what = describe(cause, suspect, as_of);
    let died = matches!(cause, Cause::WorkerUnknown | Cause::WorkerEnded { .. } | Cause::LeaseExpired { .. });
    // Under policy `fail` runbook 2 compares the whole text, so what is known goes into the details.
    let message = if died && to == Status::Failed { WORKER_DIED.to_owned() } else { what.clone() };
    Rescue {
        id: job.id,
        lease: job.lease,
        seen_due_at: job.heartbeat_due_at,
        to,
        because: if lost_lease { QueuedBecause::Rescue } else { QueuedBecause::Retry },
        delay: if lost_lease {
            Duration::ZERO
        } else {
            job.retry.unwrap_or_default().delay(job.attempts, 0.5)
        },
        misses,
        error: ErrorInfo {
            message,
            kind: kind.to_owned(),
            retryable: true,
            details: Some(serde_json::json!({
                "evidence": what,
                "worker": job.locked_by,
                "attempt": job.attempts,
                "lost_leases": misses,
                "phase": job.progress.phase,
                "progress": job.progress.percent,
                "death": suspect.worker.as_ref().and_then(|worker| worker.death.as_ref()),
            })),
        },
    }
}

/// Says in one sentence what was seen.
pub fn describe(cause: &Cause, suspect: &Suspect, as_of: Timestamp) -> String {
    let worker = suspect.job.locked_by.as_ref().map_or_else(|| "its worker".to_owned(), ToString::to_string);
    let host = suspect.worker.as_ref().map(|w| format!(" on {}", w.hostname)).unwrap_or_default();
    match cause {
        Cause::WorkerUnknown => format!("{worker} holds the job but is not registered"),
        Cause::WorkerEnded { reason } => format!("{worker}{host} ended while it ran the job: {reason}"),
        Cause::LeaseExpired { at } => {
            let silent =
                suspect.worker.as_ref().map_or(Duration::ZERO, |w| since(as_of, w.last_heartbeat_at));
            format!(
                "{worker}{host} was not heard for {}; its lease ended {} ago",
                words(silent),
                words(since(as_of, *at))
            )
        }
        Cause::DeadlinePassed { at } => {
            format!(
                "the attempt is {} past its time-out and {worker} did not stop it",
                words(since(as_of, *at))
            )
        }
        Cause::HeartbeatLate { due_at } => format!(
            "the handler gave no sign of life: its heartbeat is {} late although {worker}{host} is alive",
            words(since(as_of, *due_at))
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::death::{Death, Proof};
    use crate::fixtures::{running_job, worker};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn page(job: Job, worker: Option<WorkerRow>, second: i64) -> SuspectPage {
        SuspectPage { as_of: at(second), suspects: vec![Suspect { job, worker }] }
    }

    #[test]
    fn a_worker_heard_in_time_keeps_its_jobs() {
        let page = page(running_job(100), Some(worker(100, 120)), 119);
        assert!(plan(&page, &RescuePolicy::default()).is_empty());
    }

    #[test]
    fn an_expired_lease_requeues_the_job_and_says_why() {
        let page = page(running_job(100), Some(worker(100, 120)), 123);
        let plan = plan(&page, &RescuePolicy::default());
        assert_eq!((plan[0].to, plan[0].because, plan[0].misses), (Status::Queued, QueuedBecause::Rescue, 1));
        assert_eq!(
            plan[0].error.message,
            "worker-00000001 on host-a was not heard for 23 s; its lease ended 3 s ago"
        );
    }

    #[test]
    fn the_second_lost_lease_is_the_last() {
        let mut job = running_job(100);
        job.misses = 1;
        let plan = plan(&page(job, Some(worker(100, 120)), 123), &RescuePolicy::default());
        assert_eq!((plan[0].to, plan[0].misses), (Status::Dead, 2));
    }

    #[test]
    fn policy_fail_stores_the_runbooks_exact_text() {
        let policy = RescuePolicy { on_lost: OnLost::Fail, ..RescuePolicy::default() };
        let plan = plan(&page(running_job(100), Some(worker(100, 120)), 123), &policy);
        assert_eq!(
            (plan[0].to, plan[0].error.message.as_str()),
            (Status::Failed, "Worker died unexpectedly")
        );
    }

    #[test]
    fn with_heartbeats_switched_off_only_time_outs_and_ended_workers_count() {
        let policy = RescuePolicy { heartbeats: false, ..RescuePolicy::default() };
        assert!(plan(&page(running_job(100), Some(worker(100, 120)), 10_000), &policy).is_empty());
        let mut job = running_job(100);
        job.deadline_at = Some(at(200));
        assert!(plan(&page(job.clone(), Some(worker(100, 120)), 209), &policy).is_empty(), "grace");
        let late = plan(&page(job, Some(worker(100, 120)), 211), &policy);
        assert_eq!((late[0].to, late[0].misses, late[0].error.kind.as_str()), (Status::Queued, 0, "timeout"));
    }

    #[test]
    fn a_proven_death_is_the_reason_and_its_certificate_goes_with_the_job() {
        let proof = Proof::Signaled { signal: 9, name: "SIGKILL".to_owned(), oom_kills: None };
        let mut dead = worker(100, 120);
        dead.state = WorkerState::Dead;
        dead.end_reason = Some(proof.to_string());
        dead.death = Some(Death::new(proof, ["thread panicked".to_owned()]));
        let plan = plan(&page(running_job(100), Some(dead), 101), &RescuePolicy::default());
        assert_eq!(
            plan[0].error.message,
            "worker-00000001 on host-a ended while it ran the job: signal 9 (SIGKILL)"
        );
        let details = plan[0].error.details.as_ref().expect("details");
        assert_eq!(details["death"]["last_output"][0], "thread panicked");
    }

    #[test]
    fn a_silent_handler_on_a_living_worker_is_found() {
        let mut job = running_job(100);
        job.heartbeat_due_at = Some(at(220));
        let plan = plan(&page(job, Some(worker(230, 250)), 240), &RescuePolicy::default());
        assert_eq!(plan[0].error.kind, "heartbeat_late");
        assert!(plan[0].error.message.contains("20 s late although worker-00000001 on host-a is alive"));
    }

    #[test]
    fn a_job_without_a_known_worker_is_found_too() {
        let plan = plan(&page(running_job(100), None, 101), &RescuePolicy::default());
        assert_eq!(plan[0].to, Status::Queued);
    }
}
