//! What can be typed about runbooks.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum RunbookCommand {
    /// List runbooks with the sections that can be run, and the pages of alerts
    List {
        /// Directory of your own runbooks [env: JOBFORGE_RUNBOOKS_DIR]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print a runbook, a section of one, or the page of an alert
    Show {
        /// NAME, NAME#SECTION or the name of an alert
        #[arg(value_name = "NAME")]
        name: String,
        /// Directory of your own runbooks [env: JOBFORGE_RUNBOOKS_DIR]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Look where it says to look, and mend what it says to mend after asking
    Run(RunbookRunArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunbookRunArgs {
    /// NAME, NAME#SECTION or the name of an alert
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What stands for $NAME in its commands, such as JOB=01890a5d-…; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Directory of your own runbooks [env: JOBFORGE_RUNBOOKS_DIR]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Look, and show what mending would do, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Let blocks of your own runbooks that are for a shell run in one, after asking
    #[arg(long)]
    pub(crate) allow_shell: bool,
}
