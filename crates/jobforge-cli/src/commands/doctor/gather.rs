//! What a diagnosis goes by, asked of the database.

use std::path::Path;
use std::time::Duration;

use jobforge::core::audit::AuditFilter;
use jobforge::core::doctor::{BrokenRule, Database, Facts, Fault, Queue, ScheduleFacts, Silent};
use jobforge::core::job::Job;
use jobforge::core::state::Status;
use jobforge::core::time::Now;
use jobforge::store::rows::{DeadFilter, Finding, JobFilter, MAX_PAGE, QueueInfo};
use jobforge::store::{Store, StoreError};
use jobforge::{Client, OpenOptions, Purpose, clock, open_store, overview};

use super::host;
use crate::commands::Context;

/// How long the database may take to say everything.
const DATABASE_WITHIN: Duration = Duration::from_secs(20);
/// Jobs of one kind that are looked at: the newest.
const LOOKED_AT: usize = 500;

/// Gathers everything; never fails, for what does not answer is what is to be told.
pub(super) async fn facts(context: &Context) -> Facts {
    let asked = tokio::time::timeout(DATABASE_WITHIN, ask(context)).await;
    let mut host = host::look(Some(context));
    let database = match asked {
        Ok(Ok(mut database)) => {
            host::mark_stopped(&host.name, &mut database.workers);
            host.processes = host::processes(&host.name, &database.workers).await;
            Ok(database)
        }
        Ok(Err(error)) => Err(silent(context, &error)),
        Err(_) => Err(Silent {
            fault: Fault::Slow,
            message: format!("it did not answer within {} s", DATABASE_WITHIN.as_secs()),
        }),
    };
    Facts { host, database }
}

fn silent(context: &Context, error: &StoreError) -> Silent {
    let message = error.chain();
    let missing = matches!(context.embedded(), Ok(Some(path)) if !Path::new(&path).exists());
    let crowded = ["too many clients", "connection slots", "too many connections"];
    let fault = match error {
        _ if missing => Fault::Missing,
        StoreError::Unreachable { .. } if crowded.iter().any(|words| message.contains(words)) => {
            Fault::Crowded
        }
        StoreError::Unreachable { .. } => Fault::Unreachable,
        StoreError::Interrupted { .. } => Fault::Slow,
        StoreError::Refused { .. } | StoreError::NotAllowed { .. } | StoreError::ReadOnly { .. } => {
            Fault::Refused
        }
        StoreError::SchemaTooOld { .. } => Fault::SchemaTooOld,
        StoreError::SchemaTooNew { .. } | StoreError::MigrationDrift { .. } => Fault::SchemaUnknown,
        StoreError::Full { .. } => Fault::Full,
        StoreError::Corrupt { .. } => Fault::Corrupt,
        StoreError::BadUrl { .. } => Fault::Settings,
        StoreError::ServerTooOld { .. }
        | StoreError::InUse { .. }
        | StoreError::IdempotencyConflict { .. }
        | StoreError::DuplicateId(_)
        | StoreError::Failed { .. } => Fault::Other,
    };
    Silent { fault, message }
}

async fn ask(context: &Context) -> Result<Database, StoreError> {
    let store = open_store(&OpenOptions::from_settings(&context.settings, Purpose::Visit, false)).await?;
    let client = Client::new(store);
    let store = client.store().as_ref();
    // Whoever only reads would not notice.
    store.ask_for_room().await?;
    let stored = store.stored_settings(Now::Database).await?;
    let (settings, stored_faults) = match context.own.above(stored.layer()) {
        Ok(settings) => (settings, Vec::new()),
        Err(faults) => (context.settings.clone(), faults.iter().map(ToString::to_string).collect()),
    };
    let policy = settings.rescue_policy();
    // The clocks are compared when the connection stands, so that its making is not counted.
    let before = clock::wall();
    let whole = overview::Facts::gather(store, &policy).await?;
    let local = jobforge::core::time::add(before, whole.took / 2);
    let (broken, pressure, page, gauges, tokens) = tokio::try_join!(
        store.check(Now::Database),
        store.pressure(),
        store.suspects(&policy.fast, LOOKED_AT, Now::Database),
        store.gauges(Now::Database),
        store.tokens(),
    )?;
    let dead = client.dead_groups(&overview::Facts::dead_latest()).await.map_err(of_client)?;
    let as_of = whole.as_of;
    Ok(Database {
        as_of,
        local,
        took: whole.took,
        location: store.location().to_owned(),
        pressure,
        broken: broken.into_iter().map(broken_rule).collect(),
        stored_faults,
        judges_alerts: settings.flag("alerts"),
        policy,
        last_run: whole.last_run,
        watchdogs: whole.watchdogs,
        scheduler: whole.scheduler,
        housekeeper_at: whole.housekeeper.map(|last| last.at),
        judged: whole.bench.begins(as_of) || !whole.bench.is_silent(as_of),
        workers: whole.workers,
        queues: queues(store, whole.queues).await?,
        waiting_types: gauges.ready,
        schedules: ScheduleFacts {
            total: whole.schedules.total,
            paused: whole.schedules.paused,
            suspects: whole.schedules.ill,
        },
        suspects: page.suspects,
        running: newest(store, Status::Running, MAX_PAGE).await?,
        succeeded: newest(store, Status::Succeeded, LOOKED_AT).await?,
        fallen: fallen(store).await?,
        dead,
        tokens,
        alerts: whole.firing,
    })
}

fn broken_rule(rule: Finding) -> BrokenRule {
    let Finding { rule, meaning, rows, self_healing } = rule;
    BrokenRule { rule, meaning, rows, self_healing }
}

/// The client asks nothing here that is not of the store.
fn of_client(error: jobforge::Error) -> StoreError {
    match error {
        jobforge::Error::Store(error) => error,
        other => StoreError::BadUrl { reason: other.to_string() },
    }
}

async fn newest(store: &dyn Store, status: Status, limit: usize) -> Result<Vec<Job>, StoreError> {
    let filter = JobFilter { statuses: vec![status], limit, ..JobFilter::default() };
    Ok(store.job_page(&filter).await?.jobs)
}

/// Jobs whose last attempt failed, whatever became of them then.
async fn fallen(store: &dyn Store) -> Result<Vec<Job>, StoreError> {
    let mut fallen = store.dead_jobs(&DeadFilter::default(), None, LOOKED_AT).await?;
    fallen.extend(newest(store, Status::Failed, LOOKED_AT).await?);
    let queued = newest(store, Status::Queued, MAX_PAGE).await?;
    fallen.extend(queued.into_iter().filter(|job| job.error.is_some()));
    Ok(fallen)
}

async fn queues(store: &dyn Store, known: Vec<QueueInfo>) -> Result<Vec<Queue>, StoreError> {
    let mut queues = Vec::new();
    for queue in known {
        let paused_by = match queue.paused_at {
            Some(_) => paused_by(store, &queue).await?,
            None => None,
        };
        queues.push(Queue {
            name: queue.name,
            ready: queue.ready,
            running: queue.running,
            oldest_ready_at: queue.oldest_ready_at,
            paused_at: queue.paused_at,
            paused_by,
        });
    }
    Ok(queues)
}

/// Who paused a queue last, and why.
async fn paused_by(store: &dyn Store, queue: &QueueInfo) -> Result<Option<String>, StoreError> {
    let filter = AuditFilter {
        action: Some("queue.pause".to_owned()),
        target: Some(queue.name.clone()),
        ..AuditFilter::default()
    };
    let entries = store.audit(&filter, 1).await?;
    Ok(entries.first().map(|entry| {
        let reason = entry.by.reason.as_ref().map_or("no reason given".to_owned(), Clone::clone);
        format!("by {} ({reason})", entry.by.actor)
    }))
}
