//! What can be typed about schedules.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// List schedules with how they are and when they run next
    List {
        /// Only of this tenant
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Show a schedule with its policies and how its last runs did
    Show(OneSchedule),
    /// Say when a schedule runs next
    Next {
        #[command(flatten)]
        schedule: OneSchedule,
        /// How many moments
        #[arg(long, short = 'n', default_value_t = 5)]
        count: usize,
    },
    /// Run a schedule now, paused or not
    Run {
        #[command(flatten)]
        schedule: OneSchedule,
        /// Also while a job of it has not ended
        #[arg(long)]
        force: bool,
        /// Wait until the job has ended; the exit code tells how
        #[arg(long)]
        wait: bool,
    },
    /// Let a schedule make no more jobs; moments that pass meanwhile are skipped
    Pause {
        #[command(flatten)]
        schedule: OneSchedule,
        /// For how long, such as 2h [default: until it is resumed]
        #[arg(long = "for", value_name = "TIME")]
        pause_for: Option<String>,
    },
    /// Let a paused schedule run again from its next moment on
    Resume(OneSchedule),
    /// List what became of a schedule's moments, newest first
    History {
        #[command(flatten)]
        schedule: OneSchedule,
        /// How many lines
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Only moments before this one: the next page
        #[arg(long, value_name = "MOMENT")]
        before: Option<String>,
    },
    /// Add a schedule: when (--cron or --every), and which job
    Add {
        /// What it is called
        #[arg(value_name = "NAME")]
        name: String,
        /// The type of its jobs, such as exec or connector.http.request
        #[arg(value_name = "TYPE")]
        job_type: String,
        /// The payload as JSON; @FILE reads a file, - standard input [default: {}]
        #[arg(value_name = "PAYLOAD")]
        payload: Option<String>,
        #[command(flatten)]
        fields: Box<ScheduleFields>,
        /// Begin paused
        #[arg(long)]
        paused: bool,
        /// Show when it would run and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Change some of what a schedule says
    Change {
        #[command(flatten)]
        schedule: OneSchedule,
        /// The type of its jobs
        #[arg(long = "type", value_name = "TYPE")]
        job_type: Option<String>,
        /// The payload as JSON; @FILE reads a file, - standard input
        #[arg(long, value_name = "PAYLOAD")]
        payload: Option<String>,
        #[command(flatten)]
        fields: Box<ScheduleFields>,
    },
    /// Remove a schedule with its history; its jobs stay
    Remove {
        #[command(flatten)]
        schedule: OneSchedule,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OneSchedule {
    /// The schedule's name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// What a schedule says beside its name, type and payload.
#[derive(Debug, Args)]
pub(crate) struct ScheduleFields {
    /// By a cron pattern: '30 2 * * 1-5', six fields with seconds, or @daily
    #[arg(long, value_name = "PATTERN", conflicts_with = "every")]
    pub(crate) cron: Option<String>,
    /// The time zone of the pattern, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// Every so often: 15m, 6h
    #[arg(long, value_name = "TIME")]
    pub(crate) every: Option<String>,
    /// A moment that the interval goes through (RFC 3339)
    #[arg(long, value_name = "MOMENT")]
    pub(crate) anchor: Option<String>,
    /// While the job of an earlier moment has not ended [default: skip]
    #[arg(long, value_name = "POLICY")]
    pub(crate) overlap: Option<OverlapWord>,
    /// After an outage [default: once]
    #[arg(long, value_name = "POLICY")]
    pub(crate) missed: Option<MissedWord>,
    /// With --missed all, run the last so many [default: 10]
    #[arg(long, value_name = "N")]
    pub(crate) missed_limit: Option<i64>,
    /// Do not catch up on moments older than this, such as 6h
    #[arg(long, value_name = "TIME")]
    pub(crate) catch_up: Option<String>,
    /// Put each moment off by up to so much, at random
    #[arg(long, value_name = "TIME")]
    pub(crate) jitter: Option<String>,
    /// Without a success for so long it is stale [default: twice its interval]
    #[arg(long, value_name = "TIME")]
    pub(crate) stale_after: Option<String>,
    /// The tenant of its jobs
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// The queue of its jobs
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Lower runs first
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) priority: Option<i64>,
    /// Attempts before a job is dead
    #[arg(long, value_name = "N")]
    pub(crate) max_attempts: Option<i64>,
    /// Bound on one attempt, such as 90s
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<String>,
    /// Bound on the time between two reports of progress, such as 5m
    #[arg(long, value_name = "TIME")]
    pub(crate) progress_timeout: Option<String>,
    /// A label of its jobs; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// The key of each job, with {date} or {planned_for} in it
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum OverlapWord {
    Skip,
    Queue,
    CancelOld,
    Allow,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum MissedWord {
    Skip,
    Once,
    All,
}
