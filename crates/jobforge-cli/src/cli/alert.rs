//! What can be typed about alerts.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum AlertCommand {
    /// List what fires, what is about to, and silences
    List {
        /// What has ceased in the last 7 days instead
        #[arg(long)]
        resolved: bool,
    },
    /// List the rules, and what each means
    Rules,
    /// Send a message that tries a channel, and wait until a server has sent it
    Test {
        /// The channel's name: slack, pagerduty, webhook, email, or one of the configuration file
        #[arg(value_name = "CHANNEL")]
        channel: String,
    },
    /// Tell nobody of a rule for a while
    Silence {
        /// The rule, or '*' for all
        #[arg(value_name = "RULE")]
        rule: String,
        /// Only where a label has this value, such as queue=mail; may be repeated
        #[arg(long = "label", value_name = "NAME=VALUE")]
        labels: Vec<String>,
        /// For how long, such as 2h
        #[arg(long = "for", value_name = "TIME")]
        lasts: String,
    },
    /// End a silence
    Unsilence {
        /// Its id
        #[arg(value_name = "ID")]
        id: uuid::Uuid,
    },
}
