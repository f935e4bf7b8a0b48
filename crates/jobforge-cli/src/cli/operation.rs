//! What can be typed about operations on many jobs.

use clap::Subcommand;
use uuid::Uuid;

#[derive(Debug, Subcommand)]
pub(crate) enum OperationCommand {
    /// List operations, newest first
    List {
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show an operation and how far it is
    Show {
        /// Its id
        #[arg(value_name = "ID")]
        id: Uuid,
    },
    /// End an operation; what it did stays done
    Cancel {
        /// Its id
        #[arg(value_name = "ID")]
        id: Uuid,
    },
}
