//! Plain data that crosses the seam and is not already a word of the core.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::alert::history::Labels;
use jobforge_core::job::{Attempt, Job, JobId, Lease, WorkerId};
use jobforge_core::job_state::JobState;
use jobforge_core::operation::BulkFilter;
use jobforge_core::payload::Payload;
use jobforge_core::payload_match::PayloadMatch;
use jobforge_core::progress::ProgressPoint;
use jobforge_core::rescue::{Rescue, RescuePolicy};
use jobforge_core::schedule::{LiveRun, NewLine, Schedule};
use jobforge_core::state::Status;
use serde::{Deserialize, Serialize};

/// What became of one job of an enqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The job that now stands for the request: the new one, or the one that had the key.
    pub id: JobId,
    /// Whether it was created now.
    pub created: bool,
}

/// Which jobs to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only of this tenant.
    pub tenant_id: Option<String>,
    /// Only in these statuses; empty is all.
    pub statuses: Vec<Status>,
    /// Only of this type.
    pub job_type: Option<String>,
    /// Only of this queue.
    pub queue: Option<String>,
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only with this idempotency key.
    pub idempotency_key: Option<String>,
    /// Only held by this worker.
    pub worker: Option<WorkerId>,
    /// Only with this value at this place of the payload. A payload in object storage has nothing anywhere.
    pub payload: Option<PayloadMatch>,
    /// Only those whose last error has this in its message or its kind, whether ASCII letters are small or not. A job that
    /// succeeded has no error.
    pub error: Option<String>,
    /// Only those that are so now, on the database's clock.
    pub state: Option<JobState>,
    /// By which a running job counts as stuck.
    pub rescue: RescuePolicy,
    /// Only enqueued before this job: the cursor of the next page.
    pub before: Option<JobId>,
    /// At most this many, up to [`MAX_PAGE`].
    pub limit: usize,
}

impl From<BulkFilter> for JobFilter {
    /// The jobs that an operation is about, as far as its filter says.
    fn from(filter: BulkFilter) -> Self {
        let BulkFilter { tenant_id, statuses, job_type, queue, tag, payload, error } = filter;
        Self { tenant_id, statuses, job_type, queue, tag, payload, error, ..Self::default() }
    }
}

/// A page of jobs, newest first.
#[derive(Debug, Clone, Default)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Where the next page begins; none on the last one.
    pub next: Option<JobId>,
    /// Whether the search stopped before the page was full, because it had looked at many jobs that do not match. The next
    /// page goes on from there.
    pub stopped_early: bool,
}

/// The longest page of a list.
pub const MAX_PAGE: usize = 1000;

/// The kept log lines of one attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogTail {
    /// The attempt.
    pub attempt: u32,
    /// Its fence.
    pub lease: Lease,
    /// The newest lines.
    pub text: String,
    /// When lines were last added.
    pub updated_at: Timestamp,
}

/// Everything kept about one job.
#[derive(Debug, Clone)]
pub struct JobDetail {
    /// The job.
    pub job: Job,
    /// Its attempts, oldest first. A success at the first try and a running attempt are told from the job's own row.
    pub attempts: Vec<Attempt>,
    /// Its result.
    pub result: Option<Payload>,
    /// Its log, oldest attempt first.
    pub logs: Vec<LogTail>,
}

/// Gives each attempt what is kept of its reports. Runs that snoozed have no attempt; their points are not told.
pub(crate) fn give_points(attempts: &mut [Attempt], points: Vec<(Lease, ProgressPoint)>) {
    for (lease, point) in points {
        // The newest have the most to tell, and only they have any.
        if let Some(attempt) = attempts.iter_mut().rev().find(|attempt| attempt.lease == lease) {
            attempt.progress.push(point);
        }
    }
}

/// A queue and what is in it. Counts stop at [`COUNT_CAP`].
#[derive(Debug, Clone, Serialize)]
pub struct QueueInfo {
    /// Its name.
    pub name: String,
    /// Jobs that may be claimed now.
    pub ready: u64,
    /// Jobs that wait for their time.
    pub scheduled: u64,
    /// Jobs that run.
    pub running: u64,
    /// Since when the oldest claimable job waits.
    pub oldest_ready_at: Option<Timestamp>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
}

/// Numbers of the whole as metrics tell them. Counts stop at [`COUNT_CAP`].
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// The database's clock.
    pub as_of: Timestamp,
    /// Jobs that may run now, by type.
    pub ready: Vec<(String, u64)>,
    /// Jobs that wait for another attempt, by queue.
    pub retrying: Vec<(String, u64)>,
    /// What runs.
    pub running: Vec<RunningGauge>,
    /// Workers by queue and how they are.
    pub workers: Vec<WorkersGauge>,
    /// When executions last succeeded, by name, the latest first, at most [`MOST_NAMES`].
    pub successes: Vec<(String, Timestamp)>,
}

/// Running jobs of one name and tenant.
#[derive(Debug, Clone)]
pub struct RunningGauge {
    /// Their type.
    pub job_type: String,
    /// Whose they are.
    pub tenant_id: String,
    /// How many.
    pub jobs: u64,
    /// When the first of them began.
    pub oldest: Option<Timestamp>,
    /// The longest that one of them may take, if one has a limit.
    pub timeout: Option<Duration>,
}

/// Workers of one queue in one state.
#[derive(Debug, Clone)]
pub struct WorkersGauge {
    /// The queue that they serve.
    pub queue: String,
    /// `live`, `quiet`, `stale`, `down` or `draining`.
    pub state: String,
    /// How many.
    pub workers: u64,
    /// Jobs that they may run at once.
    pub slots: u64,
}

/// Names of which it is told when they last succeeded.
pub const MOST_NAMES: i64 = 1000;
/// How long a worker that was lost or died counts as down, unless another has taken its place.
pub(crate) const DOWN_FOR: Duration = Duration::from_secs(3600);

/// Counting stops here, so that no question scans a big table.
pub const COUNT_CAP: u64 = 100_000;

/// What an operator's move did to one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// Done.
    Done {
        /// Where the job stood before.
        from: Status,
    },
    /// Its status does not allow the move.
    Refused {
        /// Where it stands.
        status: Status,
    },
    /// There is no such job.
    Missing,
}

/// An operator's move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// End a queued or running job; a repeated cancel is done already.
    Cancel,
    /// Run an ended or waiting job again, with fresh attempts; a running one is taken from its worker.
    Retry {
        /// How long it waits first.
        delay: Duration,
    },
    /// Remove a job and all that is kept of it; a running one must be canceled first.
    Delete,
}

/// What became of telling a worker to restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartTold {
    /// It was told now.
    Told,
    /// It had been told before and has not ended yet.
    ToldBefore,
    /// It speaks SQL and has no process that could be told.
    NoProcess,
    /// It has ended, or there was none.
    Gone,
}

impl RestartTold {
    /// From what was found of an active worker: whether it has no process, and whether it had been told.
    pub(crate) fn of(found: Option<(bool, bool)>) -> Self {
        match found {
            None => Self::Gone,
            Some((true, _)) => Self::NoProcess,
            Some((false, true)) => Self::ToldBefore,
            Some((false, false)) => Self::Told,
        }
    }
}

/// Which dead jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadFilter {
    /// Only of this cause.
    pub group: Option<String>,
    /// Only of this tenant.
    pub tenant_id: Option<String>,
    /// Only of this type.
    pub job_type: Option<String>,
    /// Only of this queue.
    pub queue: Option<String>,
    /// Also those of which somebody said that they stay dead.
    pub resolved: bool,
    /// Of causes, only the latest.
    pub latest: Option<Latest>,
}

/// The causes that killed last, with counts that stop early, so that whoever asks often never counts all that is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// How many causes.
    pub causes: usize,
    /// Where the count of each stops.
    pub cap: u64,
    /// Only causes of which a job died since.
    pub since: Option<Timestamp>,
}

/// Causes that are told at once, the most frequent.
pub const MAX_GROUPS: usize = 1000;

impl DeadFilter {
    /// Where the count of a cause stops.
    pub(crate) fn cap(&self) -> u64 {
        self.latest.as_ref().map_or(COUNT_CAP, |latest| latest.cap.min(COUNT_CAP))
    }

    /// How many of the latest causes are looked at; nothing if all are.
    pub(crate) fn causes(&self) -> Option<usize> {
        self.latest.as_ref().map(|latest| latest.causes.min(MAX_GROUPS))
    }

    /// Since when a cause must have killed.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.latest.as_ref().and_then(|latest| latest.since)
    }
}

/// Dead jobs whose causes are named in one step.
pub(crate) const NAMING_STEP: usize = 1000;

impl Move {
    /// Run again at once.
    pub const RETRY: Self = Self::Retry { delay: Duration::ZERO };
}

/// Which jobs a rescue moved, and which it was too late for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RescueReport {
    /// Moved as planned.
    pub moved: Vec<JobId>,
    /// Changed by somebody else since the plan's facts were read.
    pub lost_races: Vec<JobId>,
}

/// Workers that are proven dead, and what became of their jobs.
#[derive(Debug, Clone, Default)]
pub struct Deaths {
    /// Incarnations that have ended.
    pub workers: Vec<WorkerId>,
    /// Jobs moved as decided.
    pub moved: Vec<Rescue>,
    /// Jobs that somebody else changed meanwhile.
    pub lost_races: Vec<JobId>,
}

impl Deaths {
    /// Adds what became of one page of jobs; says whether the next page may hold more.
    pub(crate) fn add(&mut self, lines: Vec<Rescue>, report: RescueReport) -> bool {
        let more = lines.len() >= DEATH_PAGE && !report.moved.is_empty();
        let moved: HashSet<JobId> = report.moved.into_iter().collect();
        self.moved.extend(lines.into_iter().filter(|line| moved.contains(&line.id)));
        self.lost_races.extend(report.lost_races);
        more
    }
}

/// Jobs of the dead that are moved at once, and how often: what is left then is found by the watchdog.
pub(crate) const DEATH_PAGE: usize = 500;
pub(crate) const DEATH_PAGES: usize = 200;

/// Which schedules to list, by name.
#[derive(Debug, Clone, Default)]
pub struct ScheduleFilter {
    /// Only of this tenant.
    pub tenant_id: Option<String>,
    /// Only those behind this name: the cursor of the next page.
    pub after: Option<String>,
    /// At most this many, up to [`MAX_PAGE`].
    pub limit: usize,
}

/// What became of a new schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreatedSchedule {
    /// It is there.
    Created,
    /// There is one of this name.
    NameTaken,
    /// Its tenant has as many as it may have.
    QuotaFull,
}

/// What became of a run that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RanSchedule {
    /// Its job is enqueued.
    Ran(JobId),
    /// A job of the schedule has not ended, and its policy is that two never overlap.
    Busy(LiveRun),
    /// There is no such schedule.
    Missing,
}

/// What was written down of one moment, or of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiredLine {
    /// The schedule.
    pub schedule: String,
    /// The line.
    pub line: NewLine,
    /// Its job, if one was made.
    pub job_id: Option<JobId>,
}

/// How all schedules are, without reading most of them.
#[derive(Debug, Clone)]
pub struct ScheduleSurvey {
    /// The database's clock.
    pub as_of: Timestamp,
    /// How many there are.
    pub total: u64,
    /// How many of them are paused.
    pub paused: u64,
    /// Those that may be late, failing or stale, the longest without a success first.
    pub suspects: Vec<Schedule>,
}

/// What a pass over the schedules did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// The database's clock.
    pub as_of: Timestamp,
    /// The lines that were written.
    pub lines: Vec<FiredLine>,
    /// When the next schedule is due; already past if there is more to do.
    pub next_due: Option<Timestamp>,
}

/// A sign of life, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSign {
    /// Who gave it.
    pub by: String,
    /// When, on the database's clock.
    pub at: Timestamp,
}

/// Schedules that are fired in one step.
pub const FIRE_STEP: usize = 200;

/// Ended runs that are noted in one step.
pub(crate) const END_STEP: usize = 1000;

/// A schedule whose stored definition this program cannot read waits so long for one that can.
pub(crate) const UNREADABLE_WAITS: Duration = Duration::from_secs(60);

/// One applied or pending migration.
#[derive(Debug, Clone, Serialize)]
pub struct MigrationInfo {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// When it was applied; absent if it is pending.
    pub applied_at: Option<Timestamp>,
}

/// A rule that every consistent database keeps, and the rows that break it.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The rule's short name.
    pub rule: String,
    /// What it says.
    pub meaning: String,
    /// Rows that break it, at most [`MAX_FINDINGS`].
    pub rows: Vec<String>,
    /// Whether the store mends it by itself on its next maintenance.
    pub self_healing: bool,
}

/// What a part of the database takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartSize {
    /// A table, or the file.
    pub part: String,
    /// Its bytes, indexes included.
    pub bytes: u64,
}

/// Rows of one kind that are forgotten in one step.
pub const TIDY_BATCH: usize = 1000;
/// How long workers and watchdogs that ended are remembered; a worker longer while a job runs under it.
pub const ENDED_KEPT: Duration = Duration::from_secs(86_400);
/// How long operations that ended are kept.
pub const OPERATIONS_KEPT: Duration = Duration::from_secs(30 * 86_400);
/// How long it is kept when a token that has ended was last used. The token itself stays: the last one that ended still
/// tells that the server is not open to everybody.
pub const LAST_USE_KEPT: Duration = Duration::from_secs(90 * 86_400);

/// How long it is kept when executions last succeeded of which no schedule tells.
pub const SUCCESSES_KEPT: Duration = Duration::from_secs(90 * 86_400);

/// How long recorded runs of the watchdog are kept.
pub const RUNS_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Rows shown per broken rule.
pub const MAX_FINDINGS: usize = 20;

/// What an engine can do beyond the common meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// The engine's name.
    pub engine: &'static str,
    /// Whether other processes are woken at once, or find work by polling.
    pub wake_across_processes: bool,
    /// Whether the runbooks' SQL runs on it.
    pub operator_sql: bool,
    /// Whether the connection goes through a transaction pooler.
    pub pooled: bool,
}

/// Something happened that a waiting task may want to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WakeEvent {
    /// A queue may have work.
    Work {
        /// The queue.
        queue: String,
    },
    /// A running job was moved by another hand.
    Moved {
        /// The job.
        id: JobId,
    },
    /// A worker was told something that it learns with its next renewal, which may come now.
    Renew {
        /// The worker.
        worker: WorkerId,
    },
    /// Events may have been missed; look at everything.
    Everything,
}

/// Labels as both engines keep them: JSON with sorted names, so that the same labels are the same text.
pub(crate) fn labels_text(labels: &Labels) -> String {
    serde_json::to_string(labels).unwrap_or_else(|_| "{}".to_owned())
}

/// A number that both engines keep: SQLite knows no NaN.
pub(crate) fn number(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}
