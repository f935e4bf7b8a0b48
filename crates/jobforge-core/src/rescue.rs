//! Which running jobs are in trouble, and what becomes of them.
//!
//! Facts come in with `as_of`, the database's clock read in the same transaction; a plan with a reason on every line
//! goes out. The store applies it under the fence, so a heartbeat that lands in between wins.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::death::Proof;
use crate::job::{ErrorInfo, Job, JobId, Lease, QueuedBecause};
use crate::poison::{self, Crash};
use crate::presence::FAST_AFTER;
use crate::state::Status;
use crate::time::{add, since, words};
use crate::worker::{WorkerRow, WorkerState};

/// How long after its time-out, of either kind, a running job is left to its own worker, which stops it first.
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

impl OnLost {
    /// The words of the policies.
    pub const WORDS: [&'static str; 3] = ["requeue", "fail", "dead_letter"];
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

/// What becomes of lost jobs: what is said of their type, else of their queue, else of all.
#[derive(Debug, Clone, Default)]
pub struct LostPolicy {
    /// Of all others.
    pub other: OnLost,
    /// By type.
    pub by_type: BTreeMap<String, OnLost>,
    /// By queue.
    pub by_queue: BTreeMap<String, OnLost>,
}

impl LostPolicy {
    /// The policy for one job.
    pub fn of(&self, job: &Job) -> OnLost {
        let said = self.by_type.get(&job.job_type).or_else(|| self.by_queue.get(&job.queue));
        said.copied().unwrap_or(self.other)
    }
}

impl From<OnLost> for LostPolicy {
    fn from(other: OnLost) -> Self {
        Self { other, ..Self::default() }
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
    pub on_lost: LostPolicy,
    /// Types whose jobs are taken from a worker as soon as it has been suspect for [`FAST_AFTER`]: two of their attempts
    /// may overlap for the rest of its lease (`JOBFORGE_FAST_TYPES`).
    pub fast: Vec<String>,
}

impl Default for RescuePolicy {
    fn default() -> Self {
        Self { heartbeats: true, max_misses: 2, on_lost: LostPolicy::default(), fast: Vec::new() }
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
    /// Its worker has lost the connection that it holds while it lives, and its type need not wait for the lease.
    PresenceLost {
        /// Since when.
        since: Timestamp,
    },
    /// The attempt should be over.
    DeadlinePassed {
        /// Since when.
        at: Timestamp,
    },
    /// The handler reported nothing for longer than its jobs may stand still.
    NoProgress {
        /// When it last did, or began.
        since: Timestamp,
        /// For how long it may.
        limit: Duration,
    },
    /// The handler gave no sign of life, though its worker lives.
    HeartbeatLate {
        /// When one was due.
        due_at: Timestamp,
    },
}

impl Cause {
    /// Whether the lease of the job is lost, which counts as a miss; otherwise the handler took too long.
    pub fn loses_lease(&self) -> bool {
        match self {
            Self::WorkerUnknown
            | Self::WorkerEnded { .. }
            | Self::LeaseExpired { .. }
            | Self::PresenceLost { .. }
            | Self::HeartbeatLate { .. } => true,
            Self::DeadlinePassed { .. } | Self::NoProgress { .. } => false,
        }
    }

    /// Since when there is trouble; `None` where nobody knows.
    pub fn since(&self, worker: Option<&WorkerRow>) -> Option<Timestamp> {
        match self {
            Self::WorkerUnknown => None,
            Self::WorkerEnded { .. } => worker.and_then(|worker| worker.ended_at),
            Self::LeaseExpired { at } | Self::DeadlinePassed { at } => Some(*at),
            Self::PresenceLost { since } => Some(add(*since, FAST_AFTER)),
            Self::NoProgress { since, limit } => Some(add(*since, *limit)),
            Self::HeartbeatLate { due_at } => Some(*due_at),
        }
    }

    /// From when the watchdog acts: at once, but for time-outs, which the job's own worker sees to first.
    fn acted_on(&self, as_of: Timestamp) -> bool {
        match self {
            Self::WorkerUnknown
            | Self::WorkerEnded { .. }
            | Self::LeaseExpired { .. }
            | Self::PresenceLost { .. }
            | Self::HeartbeatLate { .. } => true,
            Self::DeadlinePassed { at } => add(*at, DEADLINE_GRACE) < as_of,
            Self::NoProgress { since, limit } => add(add(*since, *limit), DEADLINE_GRACE) < as_of,
        }
    }
}

/// The one definition of trouble, which operators call stuck: for the watchdog, the explanation and everything that counts
/// stuck jobs.
pub fn cause(
    job: &Job,
    worker: Option<&WorkerRow>,
    as_of: Timestamp,
    policy: &RescuePolicy,
) -> Option<Cause> {
    let heartbeats = policy.heartbeats;
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
    if let Some(since) = worker.suspect_at.filter(|since| add(*since, FAST_AFTER) < as_of)
        && heartbeats
        && policy.fast.contains(&job.job_type)
    {
        return Some(Cause::PresenceLost { since });
    }
    if let Some(at) = job.deadline_at.filter(|deadline| *deadline < as_of) {
        return Some(Cause::DeadlinePassed { at });
    }
    if let Some((since, limit)) = still_since(job).filter(|(since, limit)| add(*since, *limit) < as_of) {
        return Some(Cause::NoProgress { since, limit });
    }
    match job.heartbeat_due_at {
        Some(due_at) if heartbeats && due_at < as_of => Some(Cause::HeartbeatLate { due_at }),
        _ => None,
    }
}

/// When a running job last reported something, or began, and for how long it may stand still, if that has a limit.
pub fn still_since(job: &Job) -> Option<(Timestamp, Duration)> {
    let since = job.progress.at.max(job.started_at)?;
    Some((since, job.progress_limit?))
}

/// A running job that a sweep found, with its worker.
#[derive(Debug, Clone)]
pub struct Suspect {
    /// The job.
    pub job: Job,
    /// The worker that holds it.
    pub worker: Option<WorkerRow>,
    /// Other jobs that were running in its worker's process when that was proven dead; `None` while it is not.
    pub beside: Option<u32>,
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
    /// Lost leases, this one included unless the job may be innocent of it.
    pub misses: u32,
    /// Whether the attempt counts.
    pub burns_attempt: bool,
    /// Deaths of workers in which it was running, this one included.
    pub crashes: Vec<Crash>,
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
        let cause = cause(&suspect.job, suspect.worker.as_ref(), page.as_of, policy)?;
        (cause.acted_on(page.as_of) && believes(&cause)).then(|| rescue(suspect, &cause, page.as_of, policy))
    };
    page.suspects.iter().filter_map(decide).collect()
}

/// What becomes of a job for this cause.
pub(crate) fn fate(
    suspect: &Suspect,
    cause: &Cause,
    as_of: Timestamp,
    policy: &RescuePolicy,
) -> (Status, QueuedBecause) {
    let line = rescue(suspect, cause, as_of, policy);
    (line.to, line.because)
}

fn rescue(suspect: &Suspect, cause: &Cause, as_of: Timestamp, policy: &RescuePolicy) -> Rescue {
    let job = &suspect.job;
    let on_lost = policy.on_lost.of(job);
    let crash = crash(suspect, cause, as_of);
    // Whoever died beside others may be innocent, and what was restored is; what an operator has decided for every loss
    // goes for it all the same.
    let blameless = is_restored(suspect) || crash.as_ref().is_some_and(|crash| crash.beside > 0);
    let innocent = on_lost == OnLost::Requeue && blameless;
    let crashes = crash.map_or_else(|| job.crashes.clone(), |crash| poison::remember(&job.crashes, crash));
    let lost_lease = cause.loses_lease();
    let misses = job.misses + u32::from(lost_lease && !innocent);
    let last_attempt = job.attempts >= job.max_attempts;
    let too_many = misses >= policy.max_misses || poison::kills(&crashes).len() >= poison::MAX_KILLS;
    let to = match (lost_lease, on_lost) {
        (true, OnLost::Fail) => Status::Failed,
        (true, OnLost::DeadLetter) => Status::Dead,
        (true, OnLost::Requeue) if innocent => Status::Queued,
        (true, OnLost::Requeue) if too_many || last_attempt => Status::Dead,
        (true, OnLost::Requeue) => Status::Queued,
        (false, _) if last_attempt => Status::Dead,
        (false, _) => Status::Queued,
    };
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
        burns_attempt: !innocent,
        error: error(suspect, cause, as_of, to, misses, &crashes),
        crashes,
    }
}

/// Whether the job's worker held it only where a copy of the database was made.
pub fn is_restored(suspect: &Suspect) -> bool {
    let death = suspect.worker.as_ref().and_then(|worker| worker.death.as_ref());
    death.is_some_and(|death| death.proof == Proof::Restored)
}

/// The death of the worker, if it was taken down by one of its jobs.
fn crash(suspect: &Suspect, cause: &Cause, as_of: Timestamp) -> Option<Crash> {
    let Cause::WorkerEnded { .. } = cause else { return None };
    let worker = suspect.worker.as_ref()?;
    let proof = &worker.death.as_ref()?.proof;
    poison::takes_down(proof).then(|| Crash {
        at: as_of,
        worker: Some(worker.id.clone()),
        proof: proof.to_string(),
        beside: suspect.beside.unwrap_or(0),
    })
}

fn error(
    suspect: &Suspect,
    cause: &Cause,
    as_of: Timestamp,
    to: Status,
    misses: u32,
    crashes: &[Crash],
) -> ErrorInfo {
    let job = &suspect.job;
    let what = describe(cause, suspect, as_of);
    let died = match cause {
        Cause::WorkerUnknown
        | Cause::WorkerEnded { .. }
        | Cause::LeaseExpired { .. }
        | Cause::PresenceLost { .. } => true,
        Cause::DeadlinePassed { .. } | Cause::NoProgress { .. } | Cause::HeartbeatLate { .. } => false,
    };
    let poison = poison::accusation(crashes).filter(|_| to == Status::Dead && died);
    let kind = match cause {
        _ if poison.is_some() => "poison",
        Cause::WorkerEnded { .. } if is_restored(suspect) => "restored",
        Cause::DeadlinePassed { .. } => "timeout",
        Cause::NoProgress { .. } => "no_progress",
        Cause::HeartbeatLate { .. } => "heartbeat_late",
        Cause::WorkerUnknown
        | Cause::WorkerEnded { .. }
        | Cause::LeaseExpired { .. }
        | Cause::PresenceLost { .. } => "worker_lost",
    };
    let message = match poison {
        Some(accusation) => accusation,
        // Under policy `fail` runbook 2 compares the whole text, so what is known goes into the details.
        None if died && to == Status::Failed => WORKER_DIED.to_owned(),
        None => what.clone(),
    };
    ErrorInfo {
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
            "beside": suspect.beside,
            "death": suspect.worker.as_ref().and_then(|worker| worker.death.as_ref()),
        })),
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
        Cause::PresenceLost { since: lost } => format!(
            "{worker}{host} lost its connection {} ago and has not renewed since",
            words(since(as_of, *lost))
        ),
        Cause::DeadlinePassed { at } => {
            format!(
                "the attempt is {} past its time-out and {worker} did not stop it",
                words(since(as_of, *at))
            )
        }
        Cause::NoProgress { since: last, limit } => format!(
            "the handler has reported nothing for {}; its jobs may stand still for {}",
            words(since(as_of, *last)),
            words(*limit)
        ),
        Cause::HeartbeatLate { due_at } => format!(
            "the handler gave no sign of life: its heartbeat is {} late although {worker}{host} is alive",
            words(since(as_of, *due_at))
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::death::Death;
    use crate::fixtures::{running_job, worker};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn page(job: Job, worker: Option<WorkerRow>, second: i64) -> SuspectPage {
        SuspectPage { as_of: at(second), suspects: vec![Suspect { job, worker, beside: None }] }
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
        let policy = RescuePolicy { on_lost: OnLost::Fail.into(), ..RescuePolicy::default() };
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
    fn what_is_said_of_a_type_comes_before_what_is_said_of_its_queue() {
        let mut on_lost = LostPolicy::from(OnLost::DeadLetter);
        on_lost.by_queue.insert("default".to_owned(), OnLost::Fail);
        let fate = |on_lost: &LostPolicy, queue: &str| {
            let policy = RescuePolicy { on_lost: on_lost.clone(), ..RescuePolicy::default() };
            let job = Job { queue: queue.to_owned(), ..running_job(100) };
            plan(&page(job, Some(worker(100, 120)), 123), &policy)[0].to
        };
        assert_eq!((fate(&on_lost, "default"), fate(&on_lost, "mail")), (Status::Failed, Status::Dead));
        on_lost.by_type.insert("email.send".to_owned(), OnLost::Requeue);
        assert_eq!((fate(&on_lost, "default"), fate(&on_lost, "mail")), (Status::Queued, Status::Queued));
    }

    #[test]
    fn a_handler_that_stands_still_is_in_trouble_at_its_limit_and_acted_upon_after_the_grace() {
        let mut job = running_job(100);
        job.progress_limit = Some(Duration::from_secs(30));
        job.heartbeat_due_at = Some(at(1000));
        let at_work = worker(100, 1000);
        let trouble = |job: &Job, second| cause(job, Some(&at_work), at(second), &RescuePolicy::default());
        assert_eq!(trouble(&job, 130), None);
        let still = Cause::NoProgress { since: at(100), limit: Duration::from_secs(30) };
        assert_eq!(trouble(&job, 131), Some(still));
        assert!(plan(&page(job.clone(), Some(at_work.clone()), 140), &RescuePolicy::default()).is_empty());
        let late = plan(&page(job.clone(), Some(at_work.clone()), 141), &RescuePolicy::default());
        assert_eq!((late[0].to, late[0].misses), (Status::Queued, 0));
        assert_eq!(late[0].error.kind, "no_progress");
        let said = "the handler has reported nothing for 41 s; its jobs may stand still for 30 s";
        assert_eq!(late[0].error.message, said);
        job.progress.at = Some(at(120));
        assert_eq!(trouble(&job, 150), None);
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

    /// The worker process of a job dies beside so many others.
    fn die(job: &Job, beside: u32) -> Rescue {
        let proof = Proof::Signaled { signal: 11, name: "SIGSEGV".to_owned(), oom_kills: None };
        let mut dead = worker(100, 120);
        (dead.state, dead.end_reason) = (WorkerState::Dead, Some(proof.to_string()));
        dead.death = Some(Death::new(proof, []));
        let suspects = vec![Suspect { job: job.clone(), worker: Some(dead), beside: Some(beside) }];
        plan(&SuspectPage { as_of: at(101), suspects }, &RescuePolicy::default()).remove(0)
    }

    fn again(job: &Job, line: &Rescue) -> Job {
        let attempts = job.attempts + u32::from(line.burns_attempt);
        Job { attempts, misses: line.misses, crashes: line.crashes.clone(), ..job.clone() }
    }

    #[test]
    fn jobs_that_died_beside_others_lose_nothing_and_the_one_that_kills_alone_is_dead_with_proof() {
        let mut job = running_job(100);
        job.max_attempts = 1;
        for deaths in 1..=2 {
            let line = die(&job, 3);
            assert_eq!((line.to, line.misses, line.burns_attempt), (Status::Queued, 0, false));
            assert_eq!((line.crashes.len(), poison::runs_alone(&line.crashes)), (deaths, deaths == 2));
            job = again(&job, &line);
        }
        job.max_attempts = 5;
        let line = die(&job, 0);
        assert_eq!((line.to, line.misses, line.burns_attempt), (Status::Queued, 1, true));
        let last = die(&again(&job, &line), 0);
        assert_eq!((last.to, last.error.kind.as_str()), (Status::Dead, "poison"));
        let accused = "poison: it killed its worker 2 times while nothing else ran there \
                       (signal 11 (SIGSEGV); signal 11 (SIGSEGV))";
        assert_eq!(last.error.message, accused);
    }

    #[test]
    fn a_job_of_a_restored_database_loses_nothing_but_what_the_operator_decided_for_every_loss() {
        let mut job = running_job(100);
        (job.max_attempts, job.attempts, job.misses) = (1, 1, 1);
        let mut before = worker(100, 120);
        (before.state, before.end_reason) = (WorkerState::Dead, Some(Proof::Restored.to_string()));
        before.death = Some(Death::new(Proof::Restored, []));
        let fate = |on_lost: OnLost| {
            let policy = RescuePolicy { on_lost: on_lost.into(), ..RescuePolicy::default() };
            plan(&page(job.clone(), Some(before.clone()), 101), &policy).remove(0)
        };
        let line = fate(OnLost::Requeue);
        assert_eq!((line.to, line.misses, line.burns_attempt), (Status::Queued, 1, false));
        assert_eq!((line.error.kind.as_str(), line.crashes.len()), ("restored", 0));
        assert!(
            line.error.message.ends_with("the database was restored from a backup"),
            "{}",
            line.error.message
        );
        assert_eq!(fate(OnLost::Fail).to, Status::Failed);
        assert_eq!(fate(OnLost::DeadLetter).to, Status::Dead);
    }

    #[test]
    fn whoever_may_lose_many_leases_may_still_kill_no_more_than_three_workers() {
        let policy = RescuePolicy { max_misses: 100, ..RescuePolicy::default() };
        let mut job = running_job(100);
        job.max_attempts = 100;
        let crash = Crash { at: at(1), worker: None, proof: "exit code 101".to_owned(), beside: 0 };
        job.crashes = vec![crash.clone(), crash];
        let proof = Proof::Exited { code: 101 };
        let mut dead = worker(100, 120);
        (dead.state, dead.death) = (WorkerState::Dead, Some(Death::new(proof, [])));
        let suspects = vec![Suspect { job, worker: Some(dead), beside: Some(0) }];
        let plan = plan(&SuspectPage { as_of: at(101), suspects }, &policy);
        assert_eq!((plan[0].to, plan[0].error.kind.as_str()), (Status::Dead, "poison"));
    }

    #[test]
    fn only_jobs_of_fast_types_are_taken_from_a_suspect_worker_before_its_lease_ends() {
        let suspect = WorkerRow { suspect_at: Some(at(104)), ..worker(103, 123) };
        let policy = RescuePolicy { fast: vec!["thumbnail".to_owned()], ..RescuePolicy::default() };
        let job = |job_type: &str| Job { job_type: job_type.to_owned(), ..running_job(100) };
        let moved = |job, second| plan(&page(job, Some(suspect.clone()), second), &policy).pop();
        assert!(moved(job("thumbnail"), 110).is_none(), "it may be back in a moment");
        let line = moved(job("thumbnail"), 111).expect("taken");
        assert_eq!((line.to, line.misses, line.error.kind.as_str()), (Status::Queued, 1, "worker_lost"));
        assert!(line.error.message.ends_with("lost its connection 7 s ago and has not renewed since"));
        assert!(moved(job("billing"), 122).is_none(), "its lease still holds");
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
