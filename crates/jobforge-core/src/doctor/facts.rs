//! All that a diagnosis goes by.

use std::time::Duration;

use jiff::Timestamp;

use crate::alert::state::Active;
use crate::dead::DeadGroup;
use crate::job::{Job, JobId};
use crate::rescue::{RescuePolicy, Suspect};
use crate::schedule::{ScheduleView, Scheduler};
use crate::token::TokenRow;
use crate::watchdog::{Run, WatchdogRow};
use crate::worker::WorkerRow;

/// What was gathered.
#[derive(Debug, Clone)]
pub struct Facts {
    /// This machine, and how this process is set.
    pub host: Host,
    /// What the database says, or why it does not.
    pub database: Result<Database, Silent>,
}

/// Why the database does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    /// Of which kind the fault is.
    pub fault: Fault,
    /// What exactly it said.
    pub message: String,
}

/// The kinds of faults that keep a database from answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody is there, or it starts.
    Unreachable,
    /// It took too long.
    Slow,
    /// It takes no more connections.
    Crowded,
    /// It refused the login, or the rights do not suffice.
    Refused,
    /// There is no such file.
    Missing,
    /// Its schema is older than this program, or it has none.
    SchemaTooOld,
    /// Its schema is newer than this program, or not one of its own.
    SchemaUnknown,
    /// It has no space left.
    Full,
    /// It is damaged.
    Corrupt,
    /// The URL or another setting does not let this program find it.
    Settings,
    /// Something else.
    Other,
}

/// This machine.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// What it is called.
    pub name: String,
    /// The file system that holds the embedded database.
    pub disk: Option<Disk>,
    /// Variables of the environment that look like settings and are none, with the nearest that is.
    pub unknown_variables: Vec<(String, Option<&'static str>)>,
    /// What is wrong with the settings of this process.
    pub setting_faults: Vec<String>,
    /// Sockets in the data directory on which nobody listens.
    pub stale_sockets: Vec<String>,
    /// What the workers of this machine have started.
    pub processes: Vec<Process>,
}

/// Room on a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Of what.
    pub path: String,
    /// Bytes that may still be written.
    pub free: u64,
    /// Bytes that it has.
    pub total: u64,
}

/// A process that a worker has started, directly or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The worker's process.
    pub worker_pid: u32,
    /// The job that it runs for, where that can be told.
    pub job: Option<JobId>,
    /// Its own.
    pub pid: u32,
    /// Its program.
    pub name: String,
    /// The kernel's letter: R, S, D, T, Z.
    pub state: char,
    /// The processor time that it has used.
    pub cpu: Duration,
    /// How long it has been there.
    pub age: Duration,
}

/// A queue with what is in it.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Jobs that may be claimed now.
    pub ready: u64,
    /// Jobs that run.
    pub running: u64,
    /// Since when the oldest of the ready jobs waits.
    pub oldest_ready_at: Option<Timestamp>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// Who paused it and why, as the audit log tells.
    pub paused_by: Option<String>,
}

/// A rule of a consistent database that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenRule {
    /// Its name.
    pub rule: String,
    /// What it says.
    pub meaning: String,
    /// Some of the rows that break it.
    pub rows: Vec<String>,
    /// Whether it mends itself while a server runs.
    pub self_healing: bool,
}

/// How busy a database server is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Connections that are open.
    pub connections: u64,
    /// Connections that there may be.
    pub max_connections: u64,
    /// How long the oldest transaction has been open, which keeps dead rows from being cleared.
    pub oldest_transaction: Duration,
    /// Sessions that wait for a lock.
    pub blocked: u64,
}

/// How the schedules are.
#[derive(Debug, Clone, Default)]
pub struct ScheduleFacts {
    /// How many there are.
    pub total: u64,
    /// How many of them are paused.
    pub paused: u64,
    /// Those that may be in trouble.
    pub suspects: Vec<ScheduleView>,
}

/// What the database says.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its clock.
    pub as_of: Timestamp,
    /// This machine's clock at the same time, as far as that can be told.
    pub local: Timestamp,
    /// How long it took to say so.
    pub took: Duration,
    /// Where it is, without credentials.
    pub location: String,
    /// How busy its server is, if it has one.
    pub pressure: Option<Pressure>,
    /// Rules that are broken.
    pub broken: Vec<BrokenRule>,
    /// Why stored settings do not count in this process.
    pub stored_faults: Vec<String>,
    /// By which rules jobs are taken back.
    pub policy: RescuePolicy,
    /// Whether alerts are to be judged.
    pub judges_alerts: bool,
    /// Who watches, the last one first.
    pub watchdogs: Vec<WatchdogRow>,
    /// The last run of a watchdog.
    pub last_run: Option<Run>,
    /// Who fires schedules.
    pub scheduler: Option<Scheduler>,
    /// When somebody last kept house.
    pub housekeeper_at: Option<Timestamp>,
    /// Whether somebody judges alerts.
    pub judged: bool,
    /// Workers that are active or ended within the last day.
    pub workers: Vec<WorkerRow>,
    /// Queues.
    pub queues: Vec<Queue>,
    /// Types of which jobs may run now, and how many.
    pub waiting_types: Vec<(String, u64)>,
    /// Schedules.
    pub schedules: ScheduleFacts,
    /// Running jobs that may be in trouble.
    pub suspects: Vec<Suspect>,
    /// Running jobs, the newest of them.
    pub running: Vec<Job>,
    /// Jobs that succeeded, the newest of them.
    pub succeeded: Vec<Job>,
    /// Jobs whose last attempt failed, the newest of them, whatever became of them.
    pub fallen: Vec<Job>,
    /// What dead jobs died of: the latest causes, with counts that stop early.
    pub dead: Vec<DeadGroup>,
    /// Tokens.
    pub tokens: Vec<TokenRow>,
    /// Alerts that fire and are not silenced.
    pub alerts: Vec<Active>,
}

impl Database {
    /// Workers that are there: active, with a lease that holds.
    pub(super) fn living(&self) -> impl Iterator<Item = &WorkerRow> {
        self.workers.iter().filter(|w| w.state.is_active() && w.lease_expires_at >= self.as_of)
    }

    /// Whether a watchdog runs.
    pub(super) fn is_watched(&self) -> bool {
        self.watchdogs.iter().any(|watchdog| !watchdog.is_silent(self.as_of))
    }
}
