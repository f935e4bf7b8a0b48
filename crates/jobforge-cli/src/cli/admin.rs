//! What administrators can type.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List entries, newest first
    List(AuditArgs),
    /// Print entries as JSON lines, oldest first
    Export(AuditArgs),
    /// Read the whole chain and say whether anything was changed or taken out
    Verify {
        /// The hash that was told at the end of an earlier verification; it must still be there
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only by this actor
    #[arg(long)]
    pub(crate) actor: Option<String>,
    /// Only this action, or all of a group: job.cancel, setting.
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Only about this job, queue, setting or token
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Only of this tenant
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Only from then on: a moment, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only before the entry of this number: the next page
    #[arg(long, value_name = "ENTRY")]
    pub(crate) before: Option<i64>,
    /// How many [default: 50; all for an export]
    #[arg(long)]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; its text is shown once
    Create {
        /// What it is for
        #[arg(value_name = "NAME")]
        name: String,
        /// What it allows: read, enqueue, worker, operate or admin; may be repeated or separated by commas
        #[arg(long, required = true, value_delimiter = ',', value_name = "SCOPE")]
        scope: Vec<String>,
        /// Bind it to one tenant
        #[arg(long)]
        tenant: Option<String>,
        /// Bind a token with the scope enqueue or worker to a queue; may be repeated or separated by commas
        #[arg(long = "queue", value_delimiter = ',', value_name = "QUEUE")]
        queues: Vec<String>,
        /// How long it is good, such as 90d [default: until it is revoked]
        #[arg(long = "for", value_name = "TIME")]
        good_for: Option<String>,
    },
    /// List tokens, without their secrets
    List,
    /// Take a token back; within seconds it opens nothing any more
    Revoke {
        /// Its id, or its beginning up to there
        #[arg(value_name = "TOKEN")]
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// List settings with their value and where it comes from
    List {
        /// Only what is stored
        #[arg(long)]
        stored: bool,
    },
    /// Print the value of a setting
    Get {
        /// The setting
        key: String,
    },
    /// Store settings, all or none: KEY=VALUE …
    Set {
        /// The settings
        #[arg(value_name = "KEY=VALUE", required = true)]
        pairs: Vec<String>,
        /// For how long, such as 2h [default: until it is changed]
        #[arg(long = "for", value_name = "TIME")]
        good_for: Option<String>,
        /// Only if the settings are still at this version
        #[arg(long, value_name = "VERSION")]
        expect: Option<u64>,
    },
    /// Take settings out of the store
    Unset {
        /// The settings
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
    },
    /// Undo the last change of a setting
    Revert {
        /// The setting
        key: String,
    },
    /// List changes, newest first
    History {
        /// Only of this setting
        key: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FlagCommand {
    /// List flags
    List,
    /// Switch a flag
    Set {
        /// The flag, such as JOB_HEARTBEAT
        name: String,
        /// on or off
        #[arg(value_name = "on|off")]
        state: String,
        /// For how long, such as 2h [default: until it is changed]
        #[arg(long = "for", value_name = "TIME")]
        good_for: Option<String>,
    },
}
