//! What a job is now, why we think so, and what happens next: computed, never stored.

mod ended;
mod queued;
mod running;

use jiff::Timestamp;
use serde::Serialize;

use crate::counted::counted;
use crate::job::{Attempt, Job};
use crate::rescue::RescuePolicy;
use crate::retention::Retention;
use crate::settings::Settings;
use crate::state::Status;
use crate::verdict::{HeldBack, Verdict};
use crate::worker::WorkerRow;

/// What a job is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// Its last recorded attempt.
    pub last_attempt: Option<Attempt>,
    /// Since when its queue is paused.
    pub queue_paused_at: Option<Timestamp>,
    /// Live workers that take from its queue.
    pub queue_workers: u32,
    /// Those of them that know its type.
    pub able_workers: u32,
    /// What holds the watchdogs' verdicts back.
    pub held: Option<HeldBack>,
    /// The database's clock when the facts were read.
    pub as_of: Timestamp,
}

/// What will be done about it, whoever does it.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// When a running job is taken back.
    pub rescue: RescuePolicy,
    /// Until when an ended one is kept.
    pub retention: Retention,
}

impl Rules {
    /// What the settings say.
    pub fn from_settings(settings: &Settings) -> Self {
        Self { rescue: settings.rescue_policy(), retention: Retention::from_settings(settings) }
    }
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evidence {
    /// What was seen.
    pub text: String,
    /// When it happened, where that is a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// What happens next without anybody doing anything, or that nothing does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Action {
    /// To what end.
    pub why: String,
    /// What to type.
    pub command: String,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Standing {
    /// What it is.
    pub kind: Kind,
    /// What it waits for, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingFor>,
    /// The opinion of a running job in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
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
pub fn assess(facts: &Facts, rules: &Rules) -> Standing {
    match facts.job.status {
        Status::Queued => queued::queued(facts),
        Status::Running => running::running(facts, &rules.rescue),
        Status::Succeeded | Status::Failed | Status::Dead | Status::Canceled => {
            ended::ended(facts, &rules.retention)
        }
    }
}

struct Draft<'a> {
    facts: &'a Facts,
    verdict: Option<Verdict>,
    evidence: Vec<Evidence>,
    actions: Vec<Action>,
}

impl<'a> Draft<'a> {
    fn new(facts: &'a Facts) -> Self {
        Self { facts, verdict: None, evidence: Vec::new(), actions: Vec::new() }
    }

    fn saw(&mut self, text: impl Into<String>, at: Option<Timestamp>) {
        self.evidence.push(Evidence { text: text.into(), at });
    }

    fn can(&mut self, why: &str, verb: &str) {
        self.also(why, format!("jobforge job {verb} {}", self.facts.job.id));
    }

    fn also(&mut self, why: &str, command: String) {
        self.actions.push(Action { why: why.to_owned(), command });
    }

    /// What a person should do first.
    fn first(&mut self, why: impl Into<String>, command: String) {
        self.actions.insert(0, Action { why: why.into(), command });
    }

    /// The worker that holds the job, for people.
    fn holder(&self) -> String {
        let owner = self.facts.job.locked_by.as_ref();
        owner.map_or_else(|| "an unknown worker".to_owned(), ToString::to_string)
    }

    fn done(self, kind: Kind, waiting_for: Option<WaitingFor>, headline: String, next: NextStep) -> Standing {
        let Self { facts, verdict, evidence, actions } = self;
        Standing { kind, waiting_for, verdict, headline, evidence, next, actions, as_of: facts.as_of }
    }

    /// What a handler does whose job was taken from it; says whether it was told to go on.
    fn late_handler(&mut self) -> bool {
        let Some(attempt) = &self.facts.last_attempt else { return false };
        let worker = attempt.worker.as_ref().map_or_else(|| "its worker".to_owned(), ToString::to_string);
        if let Some(at) = attempt.stop_ignored_at {
            self.saw(
                format!(
                    "its handler on {worker} is ignoring the request to stop; what it reports is refused"
                ),
                Some(at),
            );
        }
        if attempt.refused > 0 {
            self.saw(
                format!(
                    "{} of {worker} {} refused",
                    counted(attempt.refused, "late report"),
                    if attempt.refused == 1 { "was" } else { "were" }
                ),
                None,
            );
        }
        attempt.stop_ignored_at.is_some()
    }

    fn last_failure(&mut self) {
        let job = &self.facts.job;
        if let Some(error) = &job.error {
            let worker = job.last_worker.as_ref().map(|w| format!(" on {w}")).unwrap_or_default();
            // One that was taken back at no cost is not counted by the job.
            let attempt = self.facts.last_attempt.as_ref().map_or(job.attempts, |last| last.attempt);
            let text = format!("attempt {attempt} of {}{worker} failed: {}", job.max_attempts, error.message);
            self.saw(text, None);
        }
    }
}

fn next(what: impl Into<String>, by: &str, at: Option<Timestamp>) -> NextStep {
    NextStep { what: what.into(), by: by.to_owned(), at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{facts, queued_job, running_job, worker};
    use crate::job::{ErrorInfo, Lease, QueuedBecause, WorkerId};
    use crate::poison::Crash;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn told(facts: &Facts) -> (Kind, Option<WaitingFor>, String) {
        let standing = assess(facts, &Rules::default());
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
        let standing = assess(&facts(job, 101), &Rules::default());
        assert_eq!(standing.headline, "waits 29 s before attempt 3 of 5");
        assert_eq!(standing.next.at, Some(at(130)));
        assert!(standing.evidence.iter().any(|e| e.text == "attempt 2 of 5 on worker-00000001 failed: boom"));
    }

    #[test]
    fn an_attempt_that_cost_nothing_keeps_its_number() {
        let mut job = queued_job(100);
        job.attempts = 0;
        job.error =
            Some(ErrorInfo { message: "lost".into(), kind: "lost".into(), retryable: true, details: None });
        job.crashes = vec![Crash { at: at(110), worker: None, beside: 1, proof: "killed".to_owned() }];
        let last = Attempt {
            attempt: 1,
            lease: Lease(1),
            worker: None,
            outcome: "lost".to_owned(),
            error: job.error.clone(),
            started_at: Some(at(101)),
            finished_at: Some(at(110)),
            stop_ignored_at: None,
            refused: 0,
            heartbeat_at: None,
            heard: Default::default(),
            progress: Vec::new(),
        };
        let known = Facts { last_attempt: Some(last), ..facts(job, 111) };
        let standing = assess(&known, &Rules::default());
        assert!(
            standing.evidence.iter().any(|seen| seen.text == "attempt 1 of 5 failed: lost"),
            "{standing:?}"
        );
    }

    #[test]
    fn an_ended_job_says_when_the_clean_up_takes_it() {
        let mut job = running_job(100);
        (job.status, job.finished_at) = (Status::Succeeded, Some(at(160)));
        let rules = Rules { retention: Retention::all(1), ..Rules::default() };
        let next = assess(&facts(job, 200), &rules).next;
        assert_eq!((next.what.as_str(), next.at), ("it is deleted", Some(at(160 + 86_400))));
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
            let standing = assess(&facts, &Rules::default());
            prop_assert!(!standing.headline.is_empty() && !standing.evidence.is_empty());
            prop_assert!(!standing.next.what.is_empty() && !standing.next.by.is_empty());
            prop_assert_eq!(standing.waiting_for.is_some(), standing.kind == Kind::Waiting);
            prop_assert_eq!(standing.verdict.is_some(), facts.job.status == Status::Running);
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
