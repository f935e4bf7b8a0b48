//! What `top` shows: one look at the database, which `--once --json` prints as it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jobforge::Client;
use jobforge::core::audit::{AuditFilter, Entry};
use jobforge::core::dead::DeadGroup;
use jobforge::core::job::{Job, JobId, WorkerId};
use jobforge::core::overview::Overview;
use jobforge::core::redact::Redactor;
use jobforge::core::rescue::RescuePolicy;
use jobforge::core::schedule::ScheduleView;
use jobforge::core::settings::Settings;
use jobforge::core::standing;
use jobforge::core::standing::Rules;
use jobforge::core::state::Status;
use jobforge::core::time::since;
use jobforge::core::verdict::{Verdict, verdict};
use jobforge::core::watchdog::Run;
use jobforge::core::worker::WorkerRow;
use jobforge::overview::Facts;
use jobforge::store::rows::{JobFilter, QueueInfo, ScheduleFilter};
use jobforge_api::alerts::{AlertView, alert_view};
use jobforge_api::millis;
use serde::Serialize;

use crate::failure::Failure;

/// Running jobs that are looked at, the newest; those in trouble are looked at in any case.
const MOST_RUNNING: usize = 500;
/// Schedules that are looked at besides those in trouble.
const MOST_SCHEDULES: usize = 200;
/// Deeds of people, sweeps and alerts that ceased that are looked at.
const MOST_DEEDS: usize = 50;

/// One look.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    /// The database's clock.
    pub(super) as_of: Timestamp,
    /// Where the database is.
    pub(super) database: String,
    /// What is wrong.
    pub(super) overview: Overview,
    /// Jobs by status, those that ended within the last day.
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// Running jobs, the longest silent first.
    pub(super) running: Vec<Running>,
    pub(super) queues: Vec<Queue>,
    pub(super) workers: Vec<Working>,
    /// Those in trouble first, then by when they run next.
    pub(super) schedules: Vec<ScheduleView>,
    pub(super) dead: Vec<DeadGroup>,
    /// What people did, newest first.
    pub(super) events: Vec<Entry>,
    /// What watchdogs did, newest first.
    pub(super) sweeps: Vec<Run>,
    /// What holds, and what has ceased lately.
    pub(super) alerts: Vec<AlertView>,
}

/// A running job.
#[derive(Debug, Serialize)]
pub(super) struct Running {
    pub(super) id: JobId,
    #[serde(rename = "type")]
    pub(super) job_type: String,
    pub(super) queue: String,
    pub(super) tenant_id: String,
    pub(super) worker: Option<WorkerId>,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) percent: Option<u8>,
    pub(super) phase: Option<String>,
    pub(super) message: Option<String>,
    /// Since its last sign of life.
    pub(super) silent_ms: u64,
    /// How long it may be silent.
    pub(super) silent_at_most_ms: Option<u64>,
    /// Since its attempt began.
    pub(super) runs_for_ms: u64,
    pub(super) verdict: Option<Verdict>,
}

/// A queue.
#[derive(Debug, Serialize)]
pub(super) struct Queue {
    #[serde(flatten)]
    pub(super) info: QueueInfo,
    /// Live workers that take from it.
    pub(super) workers: usize,
}

/// A worker that is active, or was lately.
#[derive(Debug, Serialize)]
pub(super) struct Working {
    pub(super) id: WorkerId,
    pub(super) hostname: String,
    pub(super) pid: u32,
    pub(super) state: String,
    pub(super) queues: Vec<String>,
    pub(super) slots: u32,
    /// Of the running jobs that were looked at.
    pub(super) running: usize,
    pub(super) heard_ms: u64,
    /// What is left of its lease.
    pub(super) lease_ms: u64,
    /// When and why it ended.
    pub(super) ended_at: Option<Timestamp>,
    pub(super) end_reason: Option<String>,
    /// Whether it has not ended.
    pub(super) is_active: bool,
    /// Whether its state is as it should be.
    pub(super) is_well: bool,
}

impl Seen {
    pub(super) async fn gather(client: &Client, settings: &Settings) -> Result<Self, Failure> {
        let store = client.store();
        let rules = Rules::from_settings(settings);
        let facts = Facts::gather(&**store, &rules.rescue).await?;
        let dead = client.dead_groups(&Facts::dead_latest()).await?;
        let overview = facts.assess(&**store, &rules, settings.flag("alerts"), &dead).await?;
        let filter =
            JobFilter { statuses: vec![Status::Running], limit: MOST_RUNNING, ..JobFilter::default() };
        let jobs = client.jobs(&filter).await?;
        let schedules =
            client.schedules(&ScheduleFilter { limit: MOST_SCHEDULES, ..ScheduleFilter::default() }).await?;
        let deeds = AuditFilter::default();
        let (mut events, sweeps, ceased) = tokio::try_join!(
            store.audit(&deeds, MOST_DEEDS),
            store.watchdog_runs(MOST_DEEDS),
            store.alerts(true, MOST_DEEDS),
        )?;
        let redactor = Redactor::of_settings(settings);
        events.iter_mut().for_each(|entry| redactor.entry(entry));
        let ceased = ceased.iter().map(|row| alert_view(row, &[], facts.as_of));
        let alerts = facts.alerts.iter().cloned().chain(ceased).collect();
        let running = running(&facts, jobs, &rules.rescue);
        let loads = facts.loads();
        let workers_of =
            |name: &str| loads.iter().find(|load| load.name == name).map_or(0, |load| load.workers);
        let queue = |info: &QueueInfo| Queue { info: info.clone(), workers: workers_of(&info.name) };
        let mut schedules = worst_first(facts.schedules.ill, schedules);
        schedules.iter_mut().for_each(|view| {
            redactor.definition(&mut view.schedule.definition);
        });
        Ok(Self {
            as_of: facts.as_of,
            database: store.location().to_owned(),
            overview,
            counts: facts.counts.iter().map(|(status, count)| (status.as_str(), *count)).collect(),
            queues: facts.queues.iter().map(queue).collect(),
            workers: facts.workers.iter().map(|row| working(row, &running, facts.as_of)).collect(),
            schedules,
            running,
            dead,
            events,
            sweeps,
            alerts,
        })
    }
}

/// The running jobs, those in trouble too, the longest silent first.
fn running(facts: &Facts, mut jobs: Vec<Job>, policy: &RescuePolicy) -> Vec<Running> {
    for stuck in &facts.stuck {
        if jobs.iter().all(|job| job.id != stuck.job.id) {
            jobs.push(stuck.job.clone());
        }
    }
    let workers: BTreeMap<&WorkerId, &WorkerRow> = facts.workers.iter().map(|row| (&row.id, row)).collect();
    let one = |job: Job| {
        let row = job.locked_by.as_ref().and_then(|id| workers.get(id)).map(|row| (*row).clone());
        let known = standing::Facts {
            job,
            worker: row,
            last_attempt: None,
            queue_paused_at: None,
            queue_workers: 1,
            able_workers: 1,
            held: None,
            as_of: facts.as_of,
        };
        let verdict = verdict(&known, policy);
        let job = known.job;
        let heard = job.heartbeat_at.or(job.started_at);
        let ms_since = |at: Option<Timestamp>| at.map_or(0, |at| millis(since(facts.as_of, at)));
        let limit = job.heartbeat_at.zip(job.heartbeat_due_at).map(|(at, due)| millis(since(due, at)));
        Running {
            id: job.id,
            job_type: job.job_type,
            queue: job.queue,
            tenant_id: job.tenant_id,
            worker: job.locked_by,
            attempt: job.attempts,
            max_attempts: job.max_attempts,
            percent: job.progress.percent,
            phase: job.progress.phase,
            message: job.progress.message,
            silent_ms: ms_since(heard),
            silent_at_most_ms: limit,
            runs_for_ms: ms_since(job.started_at),
            verdict,
        }
    };
    let mut running: Vec<Running> = jobs.into_iter().map(one).collect();
    running.sort_by_key(|job| (std::cmp::Reverse(job.silent_ms), job.id));
    running
}

fn working(row: &WorkerRow, running: &[Running], as_of: Timestamp) -> Working {
    let held = running.iter().filter(|job| job.worker.as_ref() == Some(&row.id)).count();
    let is_active = row.state.is_active();
    let lapsed = is_active && row.lease_expires_at <= as_of;
    let state = match row.state.as_str() {
        _ if lapsed => "silent".to_owned(),
        _ if is_active && row.stopped_at.is_some() => "stopped".to_owned(),
        _ if is_active && row.suspect_at.is_some() => "suspect".to_owned(),
        state if is_active && row.restart_at.is_some() => format!("{state}, restarts"),
        state => state.to_owned(),
    };
    Working {
        id: row.id.clone(),
        hostname: row.hostname.clone(),
        pid: row.pid,
        ended_at: row.ended_at,
        end_reason: row.end_reason.clone(),
        is_active,
        is_well: !lapsed && row.stopped_at.is_none() && row.suspect_at.is_none() && row.death.is_none(),
        state,
        queues: row.queues.clone(),
        slots: row.slots,
        running: held,
        heard_ms: millis(since(as_of, row.last_heartbeat_at)),
        lease_ms: if is_active { millis(since(row.lease_expires_at, as_of)) } else { 0 },
    }
}

fn worst_first(ill: Vec<ScheduleView>, all: Vec<ScheduleView>) -> Vec<ScheduleView> {
    let mut well: Vec<ScheduleView> =
        all.into_iter().filter(|view| ill.iter().all(|one| one.name != view.name)).collect();
    well.sort_by_key(|view| (view.schedule.next_at.is_none(), view.schedule.next_at));
    ill.into_iter().chain(well).collect()
}
