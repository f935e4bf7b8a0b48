//! What can be typed when something is wrong.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Mend what can be mended without harm: shows what it will do, asks, and writes it into the audit log
    #[arg(long)]
    pub(crate) fix: bool,
    /// Only show what --fix would do
    #[arg(long, requires = "fix")]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short, requires = "fix")]
    pub(crate) yes: bool,
}
