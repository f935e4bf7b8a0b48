//! `jobforge db restore`: a working queue from a copy, in which nobody of before holds anything.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jobforge::core::audit::{AuditFilter, Deed, ITSELF};
use jobforge::core::rescue::Rescue;
use jobforge::core::state::Status;
use jobforge::core::time::Now;
use jobforge::store::rows::{COUNT_CAP, Finding};
use jobforge::store::{Store, restored};
use jobforge::{OpenOptions, Purpose};
use serde_json::json;

use super::file::Kind;
use super::{check, restore_postgres, restore_sqlite};
use crate::cli::RestoreArgs;
use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::output;

/// Entries of the audit log that are looked at for a person's deed.
const DEEDS: usize = 100;

/// Counting stops somewhere.
fn counted(count: u64) -> String {
    if count < COUNT_CAP { count.to_string() } else { format!("{count} or more") }
}

/// What came of it.
pub(super) struct Restored {
    pub(super) location: String,
    pub(super) workers: usize,
    pub(super) taken_back: Vec<Rescue>,
    pub(super) jobs: Vec<(Status, u64)>,
    pub(super) schema: i64,
    pub(super) findings: Vec<Finding>,
    /// Where what was there before is now.
    pub(super) set_aside: Option<String>,
}

pub(super) async fn run(context: &Context, args: &RestoreArgs) -> Result<(), Failure> {
    let options = OpenOptions::from_settings(&context.settings, Purpose::Visit, false);
    let restored = match (Kind::of(&args.file)?, options.is_postgres()) {
        (Kind::PgDump, true) => restore_postgres::run(context, args, &options).await?,
        (Kind::Sqlite, false) => restore_sqlite::run(context, args, &options).await?,
        (kind, _) => return Err(other_engine(kind, args)),
    };
    match restored {
        Some(restored) => report(context, args, &restored),
        None => Ok(()),
    }
}

fn other_engine(kind: Kind, args: &RestoreArgs) -> Failure {
    let (made, needs) = match kind {
        Kind::PgDump => ("of PostgreSQL", "name one with --database-url postgres://…"),
        Kind::Sqlite => {
            ("of SQLite", "leave --database-url and DATABASE_URL out, or name a file with sqlite:PATH")
        }
    };
    Failure::usage(format!("{} is a backup {made}, and this database is not", args.file.display()))
        .hint(needs)
}

/// What a database holds that a restore would replace.
#[derive(Debug, Default)]
pub(super) struct Contents {
    jobs: Vec<(Status, u64)>,
    tokens: usize,
    deeds: bool,
    /// Who is at it now: workers and watchdogs.
    at_it: Vec<String>,
    /// How often it was restored before.
    pub(super) epoch: i64,
}

impl Contents {
    pub(super) async fn of(store: &dyn Store) -> Result<Self, Failure> {
        let now = store.now().await?;
        let jobs = store.status_counts(None, Timestamp::UNIX_EPOCH).await?;
        let workers = store.workers(Now::Database).await?;
        let workers =
            workers.iter().filter(|worker| worker.state.is_active() && worker.lease_expires_at > now);
        let watchdogs = store.watchdogs(Now::Database).await?;
        let watchdogs = watchdogs.iter().filter(|watchdog| !watchdog.is_silent(now));
        let deeds = store.audit(&AuditFilter::default(), DEEDS).await?;
        Ok(Self {
            epoch: store.epoch().await?,
            jobs: jobs.into_iter().filter(|(_, count)| *count > 0).collect(),
            tokens: store.tokens().await?.len(),
            // Every server that ever started here has left a few of its own.
            deeds: deeds.len() == DEEDS || deeds.iter().any(|deed| deed.by.actor != ITSELF),
            at_it: workers
                .map(|worker| format!("worker {}", worker.id))
                .chain(watchdogs.map(|watchdog| format!("watchdog {}", watchdog.id)))
                .collect(),
        })
    }

    /// The same, where nobody can be at it: a file that this process owns.
    pub(super) fn owned(self) -> Self {
        Self { at_it: Vec::new(), ..self }
    }

    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.tokens == 0 && !self.deeds
    }

    fn words(&self) -> String {
        let mut parts: Vec<String> =
            self.jobs.iter().map(|(status, count)| format!("{} {status} jobs", counted(*count))).collect();
        if self.tokens > 0 {
            parts.push(format!("{} tokens", self.tokens));
        }
        if self.deeds {
            parts.push("an audit log".to_owned());
        }
        parts.join(", ")
    }

    /// Refuses to go on unless nothing is lost by it, or somebody wants just that. True if it is only to be shown.
    pub(super) fn may_be_replaced(&self, args: &RestoreArgs, location: &str) -> Result<bool, Failure> {
        let file = args.file.display();
        if let Some(first) = self.at_it.first() {
            let more = self.at_it.len() - 1;
            return Err(Failure::new(
                failure::CONFLICT,
                format!("{first} and {more} more are at {location}"),
            )
            .hint(
                "stop servers and workers; whoever was killed counts as gone after its lease, about 20 s",
            ));
        }
        if !self.is_empty() && !args.force {
            return Err(Failure::new(
                failure::CONFLICT,
                format!("{location} is not empty: it holds {}", self.words()),
            )
            .hint("restore into an empty database, or replace all of that with --force"));
        }
        if args.dry_run {
            let over = if self.is_empty() {
                "which is empty".to_owned()
            } else {
                format!("replacing {}", self.words())
            };
            output::say(&format!("would restore {file} into {location}, {over}"));
            return Ok(true);
        }
        if !self.is_empty() {
            output::confirm(
                &format!("Replace what {location} holds ({}) by {file}?", self.words()),
                args.yes,
            )?;
        }
        Ok(false)
    }
}

/// What follows once the rows are in: what ran is taken back, and everything is looked at.
pub(super) async fn finish(
    context: &Context,
    store: &dyn Store,
    args: &RestoreArgs,
    workers: usize,
) -> Result<Restored, Failure> {
    let taken_back = restored::take_back(store, &context.settings.rescue_policy(), Now::Database).await?;
    let jobs = store.status_counts(None, Timestamp::UNIX_EPOCH).await?;
    let after = json!({ "taken_back": taken_back.len(), "workers_of_before": workers });
    let deed =
        Deed { after: Some(after.to_string()), ..Deed::new("db.restore", args.file.display().to_string()) };
    store.note(&context.by(), &[deed], Now::Database).await?;
    store.verify_schema().await?;
    let schema = store.migrations().await?.iter().map(|step| step.version).max().unwrap_or(0);
    let findings = store.check(Now::Database).await?;
    let location = store.location().to_owned();
    Ok(Restored { location, workers, taken_back, jobs, schema, findings, set_aside: None })
}

/// Says what became of the jobs that ran where the copy was made.
pub(super) fn took_back(taken_back: &[Rescue]) -> String {
    let mut to: BTreeMap<&str, usize> = BTreeMap::new();
    for line in taken_back {
        *to.entry(line.to.as_str()).or_default() += 1;
    }
    let to: Vec<String> = to.iter().map(|(status, count)| format!("{count} {status}")).collect();
    format!("took back {} jobs that ran when the copy was made: {}", taken_back.len(), to.join(", "))
}

fn report(context: &Context, args: &RestoreArgs, done: &Restored) -> Result<(), Failure> {
    let jobs: BTreeMap<&str, u64> =
        done.jobs.iter().map(|(status, count)| (status.as_str(), *count)).collect();
    if context.json {
        let taken: Vec<_> = done
            .taken_back
            .iter()
            .map(|line| json!({ "job": line.id, "to": line.to, "why": line.error.message }))
            .collect();
        output::json(&json!({
            "file": args.file, "location": done.location, "schema": done.schema, "jobs": jobs,
            "workers_of_before": done.workers, "taken_back": taken, "set_aside": done.set_aside,
            "findings": done.findings,
        }))?;
        return check::verdict(&done.findings);
    }
    output::note(&format!("restored {} into {}", args.file.display(), done.location));
    if let Some(aside) = &done.set_aside {
        output::note(&format!("what was there before is {aside}; delete it when it is not needed"));
    }
    output::note(&format!("schema version {}, as this program needs it", done.schema));
    output::note(&format!("{} workers of before hold nothing any more", done.workers));
    output::note(&took_back(&done.taken_back));
    let rows = done.jobs.iter().map(|(status, count)| vec![status.to_string(), counted(*count)]).collect();
    output::table(&["status", "jobs"], &[1], rows);
    check::tell(&done.findings, &done.location);
    check::verdict(&done.findings)
}
