//! What can be typed.

mod admin;
mod alert;
mod db;
mod doctor;
mod operation;
mod protocol_test;
mod runbook;
mod schedule;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use admin::{AuditArgs, AuditCommand, ConfigCommand, FlagCommand, TokenCommand};
pub(crate) use alert::AlertCommand;
pub(crate) use db::{BackupArgs, DbCommand, PurgeArgs, RestoreArgs};
pub(crate) use doctor::DoctorArgs;
pub(crate) use operation::OperationCommand;
pub(crate) use protocol_test::ProtocolTestArgs;
pub(crate) use runbook::{RunbookCommand, RunbookRunArgs};
pub(crate) use schedule::{MissedWord, OverlapWord, ScheduleCommand, ScheduleFields};

/// Durable background jobs that can always say what they are doing
#[derive(Debug, Parser)]
#[command(
    name = "jobforge",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = "Try `jobforge up --demo`. Exit codes: `jobforge help-exit-codes`.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// PostgreSQL (postgres://…) or SQLite (sqlite:PATH); default: SQLite in the data directory [env: DATABASE_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Directory of the embedded database [env: JOBFORGE_DATA_DIR] [default: ./.jobforge]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Configuration file in TOML, with the keys that `jobforge help-settings` lists
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Colour,
    /// Log level or filter, such as debug [env: JOBFORGE_LOG] [default: info for servers, warn otherwise]
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// Why you do this, for the audit log
    #[arg(long, global = true, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything: database, server, watchdog and worker
    Up(UpArgs),
    /// Run a server: HTTP API, scheduler, watchdog, housekeeper and alerts, or some of them
    Serve(ServeArgs),
    /// Run a worker with the built-in job types
    Work(WorkCommand),
    /// Enqueue, look at and move jobs
    #[command(subcommand)]
    Job(JobCommand),
    /// See how far operations on many jobs are, and end them
    #[command(subcommand)]
    Operation(OperationCommand),
    /// Look at, pause and resume queues
    #[command(subcommand)]
    Queue(QueueCommand),
    /// See which tenant has how much waiting and running, and whose jobs fall
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Look at workers, and tell them to restart
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Jobs that are made by themselves: add, look at, run, pause and change schedules
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Look at dead jobs by what they died of, run them again, discard or purge them
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Watch the fleet in this terminal: what is wrong, what runs, and what happens next
    Top(TopArgs),
    /// See who takes lost jobs back and what was done, and do it now
    #[command(subcommand)]
    Watchdog(WatchdogCommand),
    /// Find out what is wrong, why, and what mends it
    Doctor(DoctorArgs),
    /// Read runbooks, and work through them step by step
    #[command(subcommand)]
    Runbook(RunbookCommand),
    /// Run the watchdog alone, as `serve --roles watchdog` does
    CleanupDaemon,
    /// See what is wrong, silence it, and try who is told
    #[command(subcommand)]
    Alert(AlertCommand),
    /// See who did what, and whether that is the whole story
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Make, list and take back bearer tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Look at settings, and change those that every process goes by
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at feature flags and switch them
    #[command(subcommand)]
    Flag(FlagCommand),
    /// Prepare, check, copy and tidy the database
    #[command(subcommand)]
    Db(DbCommand),
    /// Really kill, freeze or cut off a worker of its own, and measure how its work comes back
    #[command(subcommand)]
    Drill(DrillCommand),
    /// Measure this installation
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Ask the server of this machine whether it is ready, as health checks of containers do
    Health(HealthArgs),
    /// See whether a worker program, in any language, keeps to the worker protocol when things go wrong
    ProtocolTest(ProtocolTestArgs),
    /// Print a completion script for a shell
    #[command(visible_alias = "completions")]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory
    Man {
        /// Where to; created if missing
        directory: PathBuf,
    },
    /// Print the version
    Version,
    /// List every setting with its environment variables, value and meaning
    HelpSettings,
    /// List the exit codes
    HelpExitCodes,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List what jobs died of, the most frequent first
    Groups(DeadFilterArgs),
    /// List dead jobs, newest first
    List {
        #[command(flatten)]
        filter: DeadFilterArgs,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Only before this job: the next page
        #[arg(long, value_name = "JOB")]
        before: Option<String>,
    },
    /// Show a dead job with the evidence of every attempt
    Show(OneJob),
    /// Run dead jobs again with fresh attempts
    Retry(DeadMany),
    /// Settle that dead jobs stay dead; they are no longer listed
    Discard {
        #[command(flatten)]
        many: DeadMany,
        /// Why
        #[arg(long, value_name = "TEXT")]
        note: String,
    },
    /// Delete dead jobs with all that is kept of them
    Purge(DeadMany),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DeadFilterArgs {
    /// Only of this cause: the id that `jobforge dead groups` shows
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Only of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) job_type: Option<String>,
    /// Only of this queue
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Only of this tenant
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Also jobs that were discarded
    #[arg(long)]
    pub(crate) discarded: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeadMany {
    /// Job ids; or choose jobs by group, type, queue or tenant
    #[arg(value_name = "JOB", conflicts_with_all = ["group", "job_type", "queue", "tenant", "all"])]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: DeadFilterArgs,
    /// Every dead job
    #[arg(long)]
    pub(crate) all: bool,
    /// At most so many jobs a second
    #[arg(long, value_name = "N")]
    pub(crate) per_second: Option<f64>,
    /// Show what would be done and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WatchdogCommand {
    /// Say whether a watchdog runs, which running jobs are in trouble, and what the last run did
    Status,
    /// Sweep once, now, and say what was done; believes every lease that has run out
    Run {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// List recorded runs, newest first
    History {
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Say what was decided about each job
        #[arg(long)]
        verdicts: bool,
    },
    /// Say what another heartbeat threshold would have caught sooner, and which healthy jobs it would have hit
    WhatIf {
        /// The threshold to try, in milliseconds [default: the one that goes now]
        #[arg(long, value_name = "MS")]
        heartbeat_threshold_ms: Option<u64>,
        /// From when on: a moment, or how long back, such as 14d
        #[arg(long, value_name = "TIME", default_value = "14d")]
        since: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Enqueue a few jobs of different kinds and follow them
    #[arg(long)]
    pub(crate) demo: bool,
    /// Stop when the demo is over
    #[arg(long, requires = "demo")]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address of the HTTP server [env: JOBFORGE_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// What this server does, of api, watchdog, scheduler, housekeeper and alerts [env: JOBFORGE_ROLES]
    /// [default: all of them]
    #[arg(long, value_name = "ROLES")]
    pub(crate) roles: Option<String>,
    /// Address at which metrics are told without a token, such as 127.0.0.1:9464 [env: JOBFORGE_METRICS_LISTEN]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Print one look and end; with --json as JSON
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Ask the listener for metrics, the only one that a worker has
    #[arg(long)]
    pub(crate) metrics: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WorkCommand {
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// Address at which metrics are told, such as 127.0.0.1:9464 [env: JOBFORGE_METRICS_LISTEN]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WorkArgs {
    /// Queues to take from, with slots of their own where given: default,mail=20 [env: JOBFORGE_QUEUES]
    #[arg(long, value_name = "QUEUES")]
    pub(crate) queues: Option<String>,
    /// Jobs to run at once in each queue [env: JOBFORGE_SLOTS] [default: 10]
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<String>,
    /// Programs that exec jobs may run, or * for any [env: JOBFORGE_EXEC_ALLOW]
    #[arg(long, value_name = "PROGRAMS")]
    pub(crate) exec_allow: Option<String>,
    /// Run the worker in this process, without a supervisor that starts another and tells how it died
    #[arg(long)]
    pub(crate) no_supervise: bool,
    /// Be the worker of a supervisor, whose orders come on standard input
    #[arg(long, hide = true, conflicts_with = "no_supervise")]
    pub(crate) supervised: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Enqueue a job
    Enqueue(EnqueueArgs),
    /// List jobs, newest first
    List(ListArgs),
    /// Show a job with its attempts and result
    Show {
        #[command(flatten)]
        job: OneJob,
        /// Show the values too whose keys name secrets; the audit log keeps who looked
        #[arg(long)]
        reveal: bool,
    },
    /// Say what a job is now, why, and what happens next
    Explain(OneJob),
    /// Wait until a job has ended; the exit code tells how
    Wait {
        #[command(flatten)]
        job: OneJob,
        /// Give up after this time, such as 30s or 5m
        #[arg(long, value_name = "TIME", default_value = "1h")]
        timeout: String,
    },
    /// Follow a job until it has ended
    Watch(OneJob),
    /// Run jobs again with fresh attempts
    Retry(ManyJobs),
    /// End queued or running jobs
    Cancel(ManyJobs),
    /// Remove jobs that are not running, with all that is kept of them
    Delete(ManyJobs),
    /// Print what a job has logged
    Logs(OneJob),
}

#[derive(Debug, Args)]
pub(crate) struct OneJob {
    /// The job's id
    #[arg(value_name = "JOB")]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct ManyJobs {
    /// Job ids, or - to read them from standard input
    #[arg(value_name = "JOB", required = true)]
    pub(crate) ids: Vec<String>,
    /// Show what would be done and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EnqueueArgs {
    /// The type, such as exec or connector.http.request
    #[arg(value_name = "TYPE")]
    pub(crate) job_type: Option<String>,
    /// The payload as JSON; @FILE reads a file, - standard input [default: {}]
    #[arg(value_name = "PAYLOAD")]
    pub(crate) payload: Option<String>,
    /// Enqueue one job per line of JSON from a file, or - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["job_type", "payload"])]
    pub(crate) from: Option<String>,
    /// The queue
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// The tenant
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Lower runs first
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) priority: Option<i64>,
    /// Wait this long first, such as 30s or 2h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) delay: Option<String>,
    /// Run no sooner than this moment (RFC 3339)
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    pub(crate) run_at: Option<String>,
    /// Attempts before the job is dead
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) max_attempts: Option<i64>,
    /// Bound on one attempt, such as 90s
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<String>,
    /// Bound on the time between two reports of progress, such as 5m
    #[arg(long, value_name = "TIME")]
    pub(crate) progress_timeout: Option<String>,
    /// Make at most one job of this tenant and type exist with this key
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// A label; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Wait until it has ended; the exit code tells how
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Words as in the dashboard's search: 'status:dead type:mail', 'payload.order.id:17'; a bare word is a type
    #[arg(value_name = "SEARCH")]
    pub(crate) search: Vec<String>,
    /// Only in this status; may be repeated or separated by commas
    #[arg(long, value_delimiter = ',', value_name = "STATUS")]
    pub(crate) status: Vec<String>,
    /// Only those that are so now: ready, scheduled, retrying, quiet (no sign of life when due) or stuck
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Only of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) job_type: Option<String>,
    /// Only of this queue
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Only of this tenant
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Only with this label
    #[arg(long)]
    pub(crate) tag: Option<String>,
    /// Only with this idempotency key
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Only those that this worker holds
    #[arg(long, value_name = "WORKER")]
    pub(crate) worker: Option<String>,
    /// Only with this value in the payload, such as order.id:1234 or items.0.sku:a-7
    #[arg(long, value_name = "PATH:VALUE")]
    pub(crate) payload: Option<String>,
    /// Only those whose last error has this text in its message or kind
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// At most this many, up to 1000
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
    /// Only jobs enqueued before this one: the next page
    #[arg(long, value_name = "JOB")]
    pub(crate) before: Option<String>,
    /// table, or only the ids for another command
    #[arg(long, short, default_value = "table")]
    pub(crate) output: ListOutput,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListOutput {
    Table,
    Name,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List queues with what is in them
    List,
    /// Let no more jobs of a queue be taken; running ones go on
    Pause {
        /// The queue
        queue: String,
    },
    /// Let jobs of a paused queue be taken again
    Resume {
        /// The queue
        queue: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// List tenants, that whose oldest job waits the longest first
    List {
        /// Only those whose name begins like this
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        prefix: String,
        /// What comes first
        #[arg(long, value_parser = ["waits", "ready", "running", "name"], default_value = "waits")]
        sort: String,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=500))]
        limit: usize,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// List workers that are active or ended within the last day
    List {
        /// Only those that are active
        #[arg(long)]
        active: bool,
    },
    /// Let workers take no more jobs, finish what they have and begin anew
    Restart {
        /// The worker, as `worker list` names it
        #[arg(value_name = "WORKER", required_unless_present = "all")]
        worker: Option<String>,
        /// Every active worker, all at once
        #[arg(long, conflicts_with = "worker")]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DrillCommand {
    /// Kill a worker process with SIGKILL
    KillWorker(DrillArgs),
    /// Freeze a worker process with SIGSTOP for longer than its lease; needs a watchdog
    StopWorker(DrillArgs),
    /// Cut a worker off from the database; needs a watchdog
    Partition(DrillArgs),
    /// Freeze busy workers again and again for less than their lease, and see whether any is taken for dead
    Pauses(PausesArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PausesArgs {
    /// For how long
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub(crate) length: String,
    /// Workers that are frozen, each on its own
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) workers: u64,
    /// Programs beside them that do nothing but take the processor's time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub(crate) busy: u64,
}

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// How long it may take until all jobs run again [default: 5s for kill-worker, else the lease and 10s]
    #[arg(long, value_name = "TIME")]
    pub(crate) within: Option<String>,
    /// Do it so often, and show median and p99
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) trials: u64,
    /// Keep the drill's jobs, to look at them
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Enqueue in bulk, then drain with one worker process
    Throughput(ThroughputArgs),
    /// Enqueue one by one from one client
    Enqueue {
        /// For how long
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
        /// Clients at once
        #[arg(long, default_value_t = 1)]
        clients: usize,
    },
    /// Time from enqueue to the start of the handler on an idle system
    Latency {
        /// How many jobs
        #[arg(long, default_value_t = 300)]
        jobs: usize,
    },
    /// What an idle worker costs
    Idle {
        /// For how long
        #[arg(long, default_value_t = 60.0)]
        seconds: f64,
    },
    /// How late schedules are fired of which a tenth is due each minute, and what that costs
    Schedules(SchedulesArgs),
    /// How long /metrics takes with as many series as there may be, beside waiting jobs
    Scrape {
        /// How many jobs wait
        #[arg(long, default_value_t = 100_000)]
        jobs: usize,
        /// How often is asked
        #[arg(long, default_value_t = 100)]
        scrapes: usize,
    },
    /// What it costs PostgreSQL to know that running jobs are alive
    Heartbeat(HeartbeatArgs),
    /// How fast lists, filters, counts and health answer with a big table
    Lists(ListsArgs),
    /// How long the server takes for each page of the dashboard with a big table, and how much pages weigh
    Pages(ListsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SchedulesArgs {
    /// How many schedules
    #[arg(long, default_value_t = 10_000)]
    pub(crate) schedules: usize,
    /// For how many minutes a scheduler fires them
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(crate) minutes: u64,
    /// All that are due in a minute are due at its beginning, instead of spread over it
    #[arg(long)]
    pub(crate) at_once: bool,
    /// How many further minutes are played on a clock of their own, as fast as they go
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub(crate) played: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ListsArgs {
    /// How many jobs the empty database is filled with
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) jobs: u64,
    /// How often everything is asked; the median counts
    #[arg(long, default_value_t = 15)]
    pub(crate) rounds: usize,
    /// Leave the jobs in the database
    #[arg(long)]
    pub(crate) keep: bool,
    /// Measure the jobs that an earlier run left, and leave them
    #[arg(long)]
    pub(crate) as_it_is: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HeartbeatArgs {
    /// How many jobs run
    #[arg(long, default_value_t = 10_000)]
    pub(crate) jobs: usize,
    /// Workers that hold them
    #[arg(long, default_value_t = 10)]
    pub(crate) workers: usize,
    /// How long each of both kinds of signs of life is measured; as long as from checkpoint to checkpoint by default
    #[arg(long, default_value_t = 300.0)]
    pub(crate) seconds: f64,
}

#[derive(Debug, Args)]
pub(crate) struct ThroughputArgs {
    /// Jobs per round
    #[arg(long, default_value_t = 100_000)]
    pub(crate) jobs: usize,
    /// Rounds; the median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Handlers at once
    #[arg(long, default_value_t = 1000)]
    pub(crate) slots: usize,
    /// Enqueue this many further jobs in another queue first, which nobody drains
    #[arg(long, default_value_t = 0)]
    pub(crate) backlog: usize,
    /// Hold an old snapshot open and leave this many dead rows behind before measuring (PostgreSQL)
    #[arg(long, default_value_t = 0)]
    pub(crate) dead_rows: usize,
    /// Do not analyse between enqueue and drain: start from an empty, never analysed database (PostgreSQL)
    #[arg(long)]
    pub(crate) cold: bool,
}
