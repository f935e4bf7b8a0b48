//! How the whole is, as runbooks ask: each part by name, each question with a time limit, nothing asked twice a second.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jobforge::clock;
use jobforge::core::alert::kept::{Bench, MOST_ALERTS};
use jobforge::core::alert::rules::Severity;
use jobforge::core::job::{Job, WorkerId};
use jobforge::core::rescue::{RescuePolicy, cause, describe};
use jobforge::core::role::{HOUSEKEEPER_SILENT, Role};
use jobforge::core::schedule::Scheduler;
use jobforge::core::state::Status;
use jobforge::core::time::{Now, since, sub, words};
use jobforge::core::watchdog::{Run, WatchdogRow};
use jobforge::core::worker::WorkerRow;
use jobforge::services::probes::{ProbeState, Probes};
use jobforge::store::rows::{LastSign, MAX_PAGE, QueueInfo};
use jobforge::store::{Store, StoreError};
use jobforge_api::alerts::{AlertView, alert_view};
use jobforge_api::runbook::{HealthFull, ServiceHealth};
use serde_json::{Value, json};

mod schedules;

use schedules::Schedules;
pub(crate) use schedules::scheduler;

/// How long the database may take to say everything.
const DATABASE_WITHIN: Duration = Duration::from_secs(3);
/// How long an answer is good for the next who ask.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// Running jobs that are looked at for trouble; runbooks list them one by one.
const MOST_STUCK: usize = 500;
/// Since when ended jobs are counted.
const COUNTED: Duration = Duration::from_secs(86_400);

/// A running job in trouble, by the one definition that there is.
#[derive(Debug, Clone)]
pub(crate) struct Stuck {
    pub(crate) job: Job,
    pub(crate) worker: Option<WorkerId>,
    pub(crate) reason: String,
}

/// What the database says.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) as_of: Timestamp,
    pub(crate) took: Duration,
    pub(crate) stuck: Vec<Stuck>,
    pub(crate) counts: Vec<(Status, u64)>,
    pub(crate) queues: Vec<QueueInfo>,
    pub(crate) workers: Vec<WorkerRow>,
    pub(crate) watchdogs: Vec<WatchdogRow>,
    pub(crate) last_run: Option<Run>,
    pub(crate) scheduler: Option<Scheduler>,
    pub(crate) housekeeper: Option<LastSign>,
    pub(crate) schedules: Schedules,
    pub(crate) alerts: Vec<AlertView>,
    pub(crate) bench: Bench,
}

/// What was found lately, and what the probes found.
#[derive(Debug)]
pub(crate) struct Health {
    probes: Probes,
    last: Mutex<Option<(Instant, Result<Facts, String>)>>,
}

impl Health {
    pub(crate) fn new(probes: Probes) -> Self {
        Self { probes, last: Mutex::default() }
    }

    /// What the database says, or why it does not; at most a second old.
    pub(crate) async fn facts(&self, store: &dyn Store, policy: &RescuePolicy) -> Result<Facts, String> {
        let now = clock::monotonic();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, found)) = last.filter(|(at, _)| now.duration_since(*at) < GOOD_FOR) {
            let _ = at;
            return found;
        }
        let found = match tokio::time::timeout(DATABASE_WITHIN, gather(store, policy)).await {
            Ok(Ok(facts)) => Ok(facts),
            Ok(Err(error)) => Err(error.chain()),
            Err(_) => Err(format!("the database did not answer within {} s", DATABASE_WITHIN.as_secs())),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((clock::monotonic(), found.clone()));
        found
    }

    /// The whole, for those who may see everything or for everybody.
    pub(crate) async fn full(
        &self,
        store: &dyn Store,
        policy: &RescuePolicy,
        judges_alerts: bool,
        sees_all: bool,
    ) -> HealthFull {
        let mut services =
            vec![service("platform", "ok", None, json!({ "version": env!("CARGO_PKG_VERSION") }))];
        let mut missing_roles = Vec::new();
        match self.facts(store, policy).await {
            Ok(facts) => {
                missing_roles = facts.missing_roles(judges_alerts);
                services.extend(told(&facts, judges_alerts, sees_all));
            }
            Err(why) => {
                let shown = sees_all.then_some(why);
                let message = shown.unwrap_or_else(|| "the database does not answer".to_owned());
                services.push(service("database", "error", Some(message), Value::Null));
                for name in ["watchdog", "qc_worker", "scheduler", "alerts", "housekeeper"] {
                    let message = "unknown while the database does not answer".to_owned();
                    services.push(service(name, "error", Some(message), Value::Null));
                }
            }
        }
        services.extend(self.probes.found().iter().map(|(name, state)| probe(name, state)));
        sum_up(services, missing_roles)
    }
}

impl Facts {
    fn is_watched(&self) -> bool {
        self.watchdogs.first().is_some_and(|watchdog| !watchdog.is_silent(self.as_of))
    }

    /// How long ago somebody last looked for schedules that are due.
    fn tick_age(&self) -> Option<Duration> {
        self.scheduler.as_ref().map(|scheduler| since(self.as_of, scheduler.last_tick_at))
    }

    fn is_kept(&self) -> bool {
        self.housekeeper.as_ref().is_some_and(|last| since(self.as_of, last.at) <= HOUSEKEEPER_SILENT)
    }

    fn is_judged(&self) -> bool {
        self.bench.begins(self.as_of) || !self.bench.is_silent(self.as_of)
    }

    /// What no process of the fleet does, unless nobody is to do it.
    fn missing_roles(&self, judges_alerts: bool) -> Vec<&'static str> {
        let is_fired = self.tick_age().is_some_and(|age| age <= schedules::SILENT);
        let there = |role: Role| match role {
            // Somebody answers this.
            Role::Api => true,
            Role::Watchdog => self.is_watched(),
            Role::Scheduler => is_fired,
            Role::Housekeeper => self.is_kept(),
            Role::Alerts => !judges_alerts || self.is_judged(),
        };
        Role::ALL.into_iter().filter(|role| !there(*role)).map(Role::as_str).collect()
    }
}

/// What to do when nobody has a role.
fn start(role: Role) -> String {
    format!("start a server with it, such as `jobforge serve --roles {role}`")
}

async fn gather(store: &dyn Store, policy: &RescuePolicy) -> Result<Facts, StoreError> {
    let begun = clock::monotonic();
    let as_of = store.now().await?;
    let took = clock::monotonic().duration_since(begun);
    let (
        stuck,
        counts,
        queues,
        workers,
        watchdogs,
        runs,
        scheduler,
        housekeeper,
        schedules,
        alerts,
        silences,
        bench,
    ) = tokio::try_join!(
        stuck(store, policy),
        store.status_counts(None, sub(as_of, COUNTED)),
        store.queues(Now::Database),
        store.workers(Now::Database),
        store.watchdogs(Now::Database),
        store.watchdog_runs(1),
        store.scheduler(Now::Database),
        store.housekeeper(),
        store.survey_schedules(MAX_PAGE, Now::Database),
        store.alerts(false, MOST_ALERTS),
        store.silences(Now::Database),
        store.alert_bench(),
    )?;
    let schedules = Schedules::of(schedules);
    let alerts = alerts.iter().map(|row| alert_view(row, &silences, as_of)).collect();
    let last_run = runs.into_iter().next();
    Ok(Facts {
        as_of,
        took,
        stuck,
        counts,
        queues,
        workers,
        watchdogs,
        last_run,
        scheduler,
        housekeeper,
        schedules,
        alerts,
        bench,
    })
}

/// The running jobs in trouble, worst first.
pub(crate) async fn stuck(store: &dyn Store, policy: &RescuePolicy) -> Result<Vec<Stuck>, StoreError> {
    let page = store.suspects(&policy.fast, MOST_STUCK, Now::Database).await?;
    let judge = |suspect: &jobforge::core::rescue::Suspect| {
        let cause = cause(&suspect.job, suspect.worker.as_ref(), page.as_of, policy)?;
        let reason = describe(&cause, suspect, page.as_of);
        Some(Stuck { job: suspect.job.clone(), worker: suspect.job.locked_by.clone(), reason })
    };
    Ok(page.suspects.iter().filter_map(judge).collect())
}

fn told(facts: &Facts, judges_alerts: bool, sees_all: bool) -> Vec<ServiceHealth> {
    let latency = Some(facts.took);
    vec![
        with_latency(service("database", "ok", None, Value::Null), latency),
        watchdog(facts, sees_all),
        worker(facts, sees_all),
        scheduler(facts, sees_all),
        if judges_alerts { alerts(facts, sees_all) } else { alerts_elsewhere() },
        housekeeper(facts, sees_all),
    ]
}

fn watchdog(facts: &Facts, sees_all: bool) -> ServiceHealth {
    let last = facts.watchdogs.first();
    let living = facts.is_watched();
    let message = match last {
        _ if living => None,
        None => Some("no watchdog has ever been here; lost jobs are not taken back".to_owned()),
        Some(last) => {
            Some(format!("no watchdog has given a sign for {}", words(since(facts.as_of, last.last_sign_at))))
        }
    };
    let message = message.map(|what| format!("{what}; {}", start(Role::Watchdog)));
    let run = facts.last_run.as_ref();
    let mut details = json!({
        "last_sign_age_s": last.map(|last| since(facts.as_of, last.last_sign_at).as_secs_f64()),
        "last_run": run.map(|run| run.started_at.to_string()),
        "age_s": run.map(|run| since(facts.as_of, run.started_at).as_secs_f64()),
        "jobs_checked": run.map(|run| run.suspects),
        "jobs_moved": run.map(|run| run.requeued + run.ended),
    });
    if sees_all {
        details["watchdogs"] = json!(facts.watchdogs.iter().map(|watchdog| &watchdog.id).collect::<Vec<_>>());
    }
    service("watchdog", if living { "ok" } else { "error" }, message, details)
}

fn worker(facts: &Facts, sees_all: bool) -> ServiceHealth {
    let active: Vec<&WorkerRow> =
        facts.workers.iter().filter(|w| w.state.is_active() && w.lease_expires_at > facts.as_of).collect();
    let served = |queue: &QueueInfo| active.iter().any(|worker| worker.queues.contains(&queue.name));
    let unserved: Vec<&QueueInfo> = facts
        .queues
        .iter()
        .filter(|queue| queue.ready > 0 && queue.paused_at.is_none() && !served(queue))
        .collect();
    let stuck = facts.stuck.len();
    let (status, message) = if stuck > 0 {
        ("error", Some(format!("{stuck} stuck job(s)")))
    } else if let Some(queue) = unserved.first() {
        let name = if sees_all { format!("queue {}", queue.name) } else { "a queue".to_owned() };
        ("warning", Some(format!("{name} has {} ready job(s) and no worker", queue.ready)))
    } else {
        ("ok", None)
    };
    let count = |wanted: Status| {
        facts.counts.iter().find(|(status, _)| *status == wanted).map_or(0, |(_, count)| *count)
    };
    let mut details = json!({
        "workers": active.len(),
        "queued": count(Status::Queued),
        "running": count(Status::Running),
        "completed": count(Status::Succeeded),
        "failed": count(Status::Failed) + count(Status::Dead),
        "stuck": stuck,
        "queues_without_worker": unserved.len(),
    });
    if sees_all {
        details["stuck_jobs"] =
            json!(facts.stuck.iter().take(20).map(|stuck| stuck.job.id).collect::<Vec<_>>());
        details["unserved_queues"] =
            json!(unserved.iter().take(20).map(|queue| &queue.name).collect::<Vec<_>>());
    }
    service("qc_worker", status, message, details)
}

fn housekeeper(facts: &Facts, sees_all: bool) -> ServiceHealth {
    let age = facts.housekeeper.as_ref().map(|last| since(facts.as_of, last.at));
    let what = match age {
        _ if facts.is_kept() => None,
        None => Some("no housekeeper has ever been here".to_owned()),
        Some(age) => Some(format!("no housekeeper has given a sign for {}", words(age))),
    };
    let status = if what.is_some() { "warning" } else { "ok" };
    let message = what.map(|what| {
        format!("{what}; the audit log is not sealed and the queue not mended; {}", start(Role::Housekeeper))
    });
    let mut details = json!({ "last_sign_age_s": age.map(|age| age.as_secs_f64()) });
    if sees_all {
        details["last"] = json!(facts.housekeeper.as_ref().map(|last| &last.by));
    }
    service("housekeeper", status, message, details)
}

/// Prometheus judges, and nobody here.
fn alerts_elsewhere() -> ServiceHealth {
    service("alerts", "not_configured", Some("JOBFORGE_ALERTS is off".to_owned()), Value::Null)
}

fn alerts(facts: &Facts, sees_all: bool) -> ServiceHealth {
    let firing: Vec<&AlertView> = facts.alerts.iter().filter(|view| view.state == "firing").collect();
    let of = |severity: Severity| firing.iter().filter(|view| view.severity == severity.word()).count();
    let [critical, warning, info] = [Severity::Critical, Severity::Warning, Severity::Info].map(of);
    let (status, message) = match facts.bench.judged_at {
        None => ("not_configured", Some(format!("no server has judged alerts; {}", start(Role::Alerts)))),
        Some(at) if facts.bench.is_silent(facts.as_of) => {
            let what = format!("no server has judged alerts for {}", words(since(facts.as_of, at)));
            ("warning", Some(format!("{what}; {}", start(Role::Alerts))))
        }
        Some(_) if critical > 0 => ("error", Some(format!("{critical} critical alert(s) fire"))),
        Some(_) if warning > 0 => ("warning", Some(format!("{warning} alert(s) fire"))),
        Some(_) => ("ok", None),
    };
    let silenced = facts.alerts.iter().filter(|view| view.state == "silenced").count();
    let mut details = json!({
        "firing": firing.len(),
        "critical": critical,
        "warning": warning,
        "info": info,
        "silenced": silenced,
        "judged_at": facts.bench.judged_at.map(|at| at.to_string()),
    });
    if sees_all {
        details["alerts"] = json!(firing.iter().take(20).collect::<Vec<_>>());
    }
    service("alerts", status, message, details)
}

fn probe(name: &str, state: &ProbeState) -> ServiceHealth {
    let age = |at: &Instant| clock::monotonic().duration_since(*at).as_secs_f64();
    match state {
        ProbeState::NotConfigured => service(name, "not_configured", None, Value::Null),
        ProbeState::Pending => service(name, "warning", Some("not asked yet".to_owned()), Value::Null),
        ProbeState::Answered { status, took, at } => {
            // Who answers that we may not ask this is there.
            let fine = *status < 500;
            let message = (!fine).then(|| format!("it answered {status}"));
            let details = json!({ "http_status": status, "age_s": age(at) });
            with_latency(service(name, if fine { "ok" } else { "error" }, message, details), Some(*took))
        }
        ProbeState::Silent { why, at } => {
            service(name, "error", Some(format!("it did not answer: {why}")), json!({ "age_s": age(at) }))
        }
    }
}

fn service(name: &str, status: &'static str, message: Option<String>, details: Value) -> ServiceHealth {
    ServiceHealth { name: name.to_owned(), status, details, message, latency_ms: None }
}

fn with_latency(service: ServiceHealth, took: Option<Duration>) -> ServiceHealth {
    ServiceHealth { latency_ms: took.map(|took| took.as_secs_f64() * 1000.0), ..service }
}

/// An array, as one runbook reads it, and by name at the top, as another does.
fn sum_up(services: Vec<ServiceHealth>, missing_roles: Vec<&'static str>) -> HealthFull {
    let mut summary: BTreeMap<&'static str, u64> =
        ["ok", "error", "warning", "not_configured"].into_iter().map(|word| (word, 0)).collect();
    for service in &services {
        if let Some(count) = summary.get_mut(service.status) {
            *count += 1;
        }
    }
    // What is outside may be away while the queue itself is well.
    let own = ["platform", "database", "watchdog", "qc_worker", "scheduler", "alerts", "housekeeper"];
    let ill = services
        .iter()
        .any(|service| own.contains(&service.name.as_str()) && matches!(service.status, "error" | "warning"));
    // A probe may be called like one of the fields; it is in the list then.
    let fields = ["status", "timestamp", "summary", "missing_roles", "services"];
    let named = services.iter().filter(|service| !fields.contains(&service.name.as_str()));
    let by_name = named.map(|service| (service.name.clone(), service.clone())).collect();
    let status = if ill || !missing_roles.is_empty() { "degraded" } else { "healthy" };
    HealthFull { status, timestamp: clock::wall(), summary, missing_roles, services, by_name }
}
