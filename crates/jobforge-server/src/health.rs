//! How the whole is, as runbooks ask: each part by name, each question with a time limit, nothing asked twice a second.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use jobforge::clock;
use jobforge::core::alert::rules::Severity;
use jobforge::core::counted::counted;
use jobforge::core::overview::QueueLoad;
use jobforge::core::rescue::RescuePolicy;
use jobforge::core::role::Role;
use jobforge::core::state::Status;
use jobforge::core::time::{since, words};
use jobforge::overview::Facts;
use jobforge::services::probes::{ProbeState, Probes};
use jobforge::store::Store;
use jobforge_api::alerts::AlertView;
use jobforge_api::runbook::{HealthFull, ServiceHealth};
use serde_json::{Value, json};

mod schedules;

pub(crate) use schedules::scheduler;

/// How long the database may take to say everything.
const DATABASE_WITHIN: Duration = Duration::from_secs(3);
/// How long an answer is good for the next who ask.
const GOOD_FOR: Duration = Duration::from_secs(1);
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
        let found = match tokio::time::timeout(DATABASE_WITHIN, Facts::gather(store, policy)).await {
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
                missing_roles = facts.missing_roles(judges_alerts).into_iter().map(Role::as_str).collect();
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

/// What to do when nobody has a role.
fn start(role: Role) -> String {
    format!("start a server with it, such as `jobforge serve --roles {role}`")
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
    let loads = facts.loads();
    let unserved: Vec<&QueueLoad> = loads.iter().filter(|load| load.is_unserved()).collect();
    let stuck = facts.stuck.len();
    let (status, message) = if stuck > 0 {
        ("error", Some(counted(stuck, "stuck job")))
    } else if let Some(queue) = unserved.first() {
        let name = if sees_all { format!("queue {}", queue.name) } else { "a queue".to_owned() };
        ("warning", Some(format!("{name} has {} and no worker", counted(queue.ready, "ready job"))))
    } else {
        ("ok", None)
    };
    let count = |wanted: Status| {
        facts.counts.iter().find(|(status, _)| *status == wanted).map_or(0, |(_, count)| *count)
    };
    let mut details = json!({
        "workers": facts.live_workers().count(),
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
        Some(_) if critical > 0 => ("error", Some(fire(critical, "critical alert"))),
        Some(_) if warning > 0 => ("warning", Some(fire(warning, "alert"))),
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

fn fire(count: usize, what: &str) -> String {
    format!("{} {}", counted(count, what), if count == 1 { "fires" } else { "fire" })
}
