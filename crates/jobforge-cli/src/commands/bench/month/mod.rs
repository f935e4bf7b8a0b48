//! A month of work as it lies in a database: what lists and pages are measured with.

pub(super) mod http;

use std::path::Path;
use std::time::Duration;

use jobforge::clock;
use jobforge::core::audit::By;
use jobforge::core::job::{JobId, WorkerId};
use jobforge::core::schedule::{Definition, Source, check};
use jobforge::core::state::Status;
use jobforge::core::time::Now;
use jobforge::core::worker::NewWorker;
use jobforge::store::rows::{DeadFilter, JobFilter, Move};

use super::Bench;
use crate::cli::ListsArgs;
use crate::failure::{self, Failure};
use crate::output;

/// The big tenant of the jobs that are made.
pub(super) const TENANT: &str = "big";
/// Jobs that are made in one statement.
const CHUNK: u64 = 25_000;
/// Jobs that an operator cancels, for the audit log.
const CANCELED: usize = 2_000;
/// Workers that ended within the last day.
const GONE: u32 = 300;
/// Schedules; `more_*.sql` gives each a history.
const SCHEDULES: usize = 200;

/// Jobs whose pages are asked for.
pub(super) struct Known {
    /// A cursor in the middle of the table.
    pub(super) middle: String,
    /// One among the oldest hundredth.
    pub(super) late: String,
    pub(super) succeeded: String,
    pub(super) failed: String,
    pub(super) canceled: String,
    pub(super) queued: String,
    pub(super) dead: String,
    pub(super) running: String,
    /// A cause of dead jobs.
    pub(super) group: String,
}

/// Fills the empty database, or checks that it is full if it shall be measured as it is.
pub(super) async fn prepare(bench: &Bench, args: &ListsArgs) -> Result<(), Failure> {
    let is_empty = bench.client.jobs(&JobFilter { limit: 1, ..JobFilter::default() }).await?.is_empty();
    if args.as_it_is == is_empty {
        let (told, hint) = match is_empty {
            true => ("the database is empty", "leave out --as-it-is to have it filled"),
            false => ("the database is not empty", "name an empty one, or measure it with --as-it-is"),
        };
        return Err(Failure::new(failure::USAGE, told).hint(hint));
    }
    if args.as_it_is { Ok(()) } else { fill(bench, args.jobs).await }
}

/// Removes what was made, unless it shall stay. The embedded engine's file is removed whole.
pub(super) async fn clear(bench: &Bench, args: &ListsArgs) -> Result<(), Failure> {
    let Some(raw) = bench.raw.as_ref().filter(|_| !args.as_it_is && !args.keep) else { return Ok(()) };
    // It was empty, and what is in it now is ours.
    raw.run(
        "TRUNCATE jobforge_jobs, jobforge_ready, jobforge_scheduled, jobforge_kinds, jobforge_listed, jobforge_tagged, \
         jobforge_workers, jobforge_schedules, jobforge_watchdog_runs CASCADE",
    )
    .await
}

/// A month of jobs, workers, causes of death and an operator's deeds.
async fn fill(bench: &Bench, jobs: u64) -> Result<(), Failure> {
    let by = By::named("bench");
    for number in 0..5 + GONE {
        let worker = worker(number);
        bench.store.register(&worker, Now::Database).await?;
        if number >= 5 {
            bench.store.leave(&worker.id, "its deployment was replaced", Now::Database).await?;
        }
    }
    let now = bench.store.now().await?;
    let schedule = |number| {
        let every = Some(format!("{}h", 24 + number % 5));
        check(Definition { every, ..Definition::new(format!("bench-{number:03}"), "exec") }, now)
    };
    let schedules: Result<Vec<_>, _> = (0..SCHEDULES).map(schedule).collect();
    let schedules = schedules.map_err(|invalid| Failure::usage(invalid.to_string()))?;
    bench.store.declare_schedules(&schedules, Source::Cli, &by, Now::Database).await?;
    if bench.raw.is_some() {
        bench.store.sql_surface(true).await?;
    }
    let bar = output::progress(jobs, "jobs made");
    match (&bench.raw, &bench.file) {
        (Some(raw), _) => {
            for first in (1..=jobs).step_by(CHUNK as usize) {
                let last = jobs.min(first + CHUNK - 1);
                raw.fill(first.cast_signed(), last.cast_signed(), jobs.cast_signed()).await?;
                bar.set_position(last);
            }
            raw.run(include_str!("more_postgres.sql")).await?;
        }
        (None, None) => {}
        (None, Some(path)) => {
            let (path, done) = (path.clone(), bar.clone());
            let filled = tokio::task::spawn_blocking(move || fill_sqlite(&path, jobs, &done)).await;
            let filled = filled
                .map_err(|error| error.to_string())
                .and_then(|filled| filled.map_err(|e| e.to_string()));
            filled.map_err(|error| {
                Failure::new(failure::FAILED, format!("the database could not be filled: {error}"))
            })?;
        }
    }
    bar.finish_and_clear();
    while bench.store.name_causes().await? > 0 {}
    if let Some(raw) = &bench.raw {
        // Naming has changed every dead job at once, which no queue does by itself.
        raw.run("VACUUM ANALYZE").await?;
    }
    let queued =
        JobFilter { statuses: vec![Status::Queued], limit: CANCELED.min(1000), ..JobFilter::default() };
    for _ in 0..CANCELED.div_ceil(queued.limit) {
        let ids: Vec<JobId> = bench.client.jobs(&queued).await?.iter().map(|job| job.id).collect();
        bench.store.move_jobs(&ids, Move::Cancel, &by, Now::Database).await?;
    }
    while bench.store.seal_audit().await? > 0 {}
    Ok(())
}

fn worker(number: u32) -> NewWorker {
    NewWorker {
        id: WorkerId(format!("bench-worker-{number}")),
        name: None,
        hostname: format!("host-{number}"),
        pid: number + 1,
        queues: (0..8).map(|queue| format!("queue-{queue}")).collect(),
        types: None,
        slots: 100,
        lease: Duration::from_secs(3600),
        lease_scales: false,
        place: None,
        registered_by: None,
    }
}

fn fill_sqlite(path: &Path, jobs: u64, bar: &indicatif::ProgressBar) -> rusqlite::Result<()> {
    let conn = rusqlite::Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(60))?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    conn.pragma_update(None, "cache_size", -200_000)?;
    // Indexes are made in one go from what is there, which takes a fraction of what keeping them takes.
    let indexes: Vec<(String, String)> = conn
        .prepare("SELECT name, sql FROM sqlite_schema WHERE tbl_name = 'jobforge_jobs' AND type = 'index' AND sql <> ''")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (name, _) in &indexes {
        conn.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    let now = clock::wall().as_microsecond();
    let count = jobs.cast_signed();
    for first in (1..=jobs).step_by(CHUNK as usize) {
        let last = jobs.min(first + CHUNK - 1);
        conn.execute(
            include_str!("fill_sqlite.sql"),
            rusqlite::params![first.cast_signed(), last.cast_signed(), count, now],
        )?;
        bar.set_position(last);
    }
    for (_, sql) in &indexes {
        conn.execute_batch(sql)?;
    }
    conn.execute_batch(include_str!("more_sqlite.sql"))?;
    conn.pragma_update(None, "wal_checkpoint", "TRUNCATE")
}

/// Jobs to ask for one by one, and places to go on from.
pub(super) async fn known(bench: &Bench) -> Result<Known, Failure> {
    let one = async |status: Status| {
        let filter = JobFilter { statuses: vec![status], limit: 1, ..JobFilter::default() };
        let found = bench.client.jobs(&filter).await?;
        let missing = || {
            Failure::new(failure::FAILED, format!("there is no job that is {status}")).hint("make more jobs")
        };
        found.first().map(|job| job.id.to_string()).ok_or_else(missing)
    };
    let groups = bench.store.dead_groups(&DeadFilter::default()).await?;
    Ok(Known {
        middle: cursor(15.0),
        late: cursor(29.7),
        succeeded: one(Status::Succeeded).await?,
        failed: one(Status::Failed).await?,
        canceled: one(Status::Canceled).await?,
        queued: one(Status::Queued).await?,
        dead: one(Status::Dead).await?,
        running: one(Status::Running).await?,
        group: groups.first().map(|group| group.group.clone()).unwrap_or_default(),
    })
}

/// An id of so many days ago.
fn cursor(days: f64) -> String {
    let at = clock::wall().as_millisecond() - (days * 86_400_000.0) as i64;
    format!("{:08x}-{:04x}-7000-8000-000000000000", at >> 16, at & 0xffff)
}
