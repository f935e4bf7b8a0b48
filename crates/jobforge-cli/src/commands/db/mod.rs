//! `jobforge db`: preparing, checking, copying and tidying the database.

mod backup;
mod check;
mod file;
mod programs;
mod purge;
mod restore;
mod restore_postgres;
mod restore_sqlite;
mod vacuum;

use jobforge::core::time::Now;
use jobforge::store::restored;
use jobforge::{OpenOptions, Purpose};

use super::Context;
use crate::cli::DbCommand;
use crate::failure::{self, Failure};
use crate::output;

pub(crate) async fn run(context: Context, command: DbCommand) -> Result<(), Failure> {
    match command {
        DbCommand::Migrate { runbook_views } => migrate(&context, runbook_views).await,
        DbCommand::Grant => grant(&context).await,
        DbCommand::Status => status(&context).await,
        DbCommand::Check => check::run(&context).await,
        DbCommand::Purge(args) => purge::run(&context, &args).await,
        DbCommand::Vacuum => vacuum::run(&context).await,
        DbCommand::Backup(args) => backup::run(&context, &args).await,
        DbCommand::Restore(args) => restore::run(&context, &args).await,
    }
}

async fn migrate(context: &Context, runbook_views: bool) -> Result<(), Failure> {
    // Beside an owner, too: migrations take their own lock.
    let options = OpenOptions::from_settings(&context.settings, Purpose::Visit, true);
    if runbook_views && !options.is_postgres() {
        return Err(no_surface("--runbook-views"));
    }
    let store = options.open_unverified().await?;
    let applied = store.migrate().await?;
    // A dump of the tables alone becomes a queue by the migration; what ran where it was made is taken back.
    let taken_back =
        restored::take_back(store.as_ref(), &context.settings.rescue_policy(), Now::Database).await?;
    let mut surface = store.sql_surface(runbook_views).await?;
    if !taken_back.is_empty() {
        surface.push(restore::took_back(&taken_back));
    }
    if context.json {
        tell(&surface);
        return output::json(&applied);
    }
    if applied.is_empty() {
        output::note(&format!("the schema of {} is up to date", store.location()));
    }
    for step in applied {
        output::note(&format!("applied migration {} ({}) to {}", step.version, step.name, store.location()));
    }
    tell(&surface);
    Ok(())
}

async fn grant(context: &Context) -> Result<(), Failure> {
    let options = OpenOptions::from_settings(&context.settings, Purpose::Visit, false);
    if !options.is_postgres() {
        return Err(no_surface("db grant"));
    }
    let store = options.open_unverified().await?;
    store.verify_schema().await?;
    let done = store.sql_surface(false).await?;
    if context.json {
        return output::json(&done);
    }
    tell(&done);
    output::note("every role of JobForge that exists has its rights; GRANT jobforge_app TO … hands them on");
    Ok(())
}

fn tell(sentences: &[String]) {
    for sentence in sentences {
        output::note(sentence);
    }
}

fn no_surface(what: &str) -> Failure {
    Failure::new(failure::USAGE, format!("{what} needs PostgreSQL, and this database is SQLite"))
        .hint("on SQLite, `jobforge job list`, the API and `jobforge dead` answer the same questions")
}

async fn status(context: &Context) -> Result<(), Failure> {
    let options = OpenOptions::from_settings(&context.settings, Purpose::Visit, false);
    let store = options.open_unverified().await?;
    let migrations = store.migrations().await?;
    let capabilities = store.capabilities();
    let verified = store.verify_schema().await;
    if context.json {
        output::json(&serde_json::json!({
            "location": store.location(), "capabilities": capabilities, "migrations": migrations,
            "usable": verified.is_ok(), "problem": verified.as_ref().err().map(ToString::to_string),
        }))?;
    } else {
        output::say(&format!("{} {} ({})", output::bold("database"), store.location(), capabilities.engine));
        let wake = if capabilities.wake_across_processes { "at once" } else { "by polling" };
        output::say(&format!(
            "{} finds new work {wake}{}",
            output::bold("wake-up "),
            if capabilities.pooled { ", through a transaction pooler" } else { "" }
        ));
        let rows = migrations
            .iter()
            .map(|step| {
                let applied =
                    step.applied_at.map_or_else(|| "pending".to_owned(), |at| format!("applied {at:.0}"));
                vec![step.version.to_string(), step.name.clone(), applied]
            })
            .collect();
        output::table(&["version", "migration", "state"], &[], rows);
    }
    verified.map_err(Failure::from)
}
