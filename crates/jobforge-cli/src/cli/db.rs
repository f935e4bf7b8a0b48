//! `jobforge db`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Bring the schema up to date
    Migrate {
        /// Also make the views that the runbooks ask: `qc_jobs`, `executions`, `worker_heartbeats`, `job_dlq` (PostgreSQL)
        #[arg(long)]
        runbook_views: bool,
    },
    /// Make the roles `jobforge_app`, `jobforge_readonly` and `jobforge_service`, and give them their rights (PostgreSQL)
    Grant,
    /// Show where the data is and which schema it has
    Status,
    /// Look for rows that break the rules of a consistent database
    Check,
    /// Delete ended jobs past their time, by the retention settings or as told here
    Purge(PurgeArgs),
    /// Give back the space of what was deleted
    Vacuum,
    /// Copy the whole database into one file, while everything runs
    Backup(BackupArgs),
    /// Fill an empty database from a file that `db backup` or `pg_dump` made
    Restore(RestoreArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    /// Only jobs that ended so long ago, in whole days, such as 30d, whatever the retention settings say
    #[arg(long, value_name = "TIME")]
    pub(crate) older_than: Option<String>,
    /// Only jobs that ended so; may be repeated or separated by commas
    #[arg(long, value_delimiter = ',', value_name = "STATUS")]
    pub(crate) status: Vec<String>,
    /// Show what would be deleted and delete nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Where to; must not exist
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// What `jobforge db backup` or `pg_dump --format=custom` made
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace what the database holds now; refused while workers or watchdogs are at it
    #[arg(long)]
    pub(crate) force: bool,
    /// Show what would be restored over what, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}
