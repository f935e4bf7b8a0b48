//! The table of settings.

use crate::alert::kept;
use crate::rescue::OnLost;

/// The unit in which an environment variable is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// As it is.
    Plain,
    /// Milliseconds.
    Milliseconds,
    /// Seconds; fractions are allowed.
    Seconds,
    /// Minutes; fractions are allowed.
    Minutes,
}

/// A name under which the environment may set a value.
#[derive(Debug, Clone, Copy)]
pub struct EnvName {
    /// The variable.
    pub name: &'static str,
    /// How its number is to be read.
    pub unit: Unit,
}

/// What kind of value a setting has; numbers carry their range in the unit of the key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A whole number of milliseconds.
    Millis {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A whole number.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A number with a fraction.
    Decimal {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// `true` or `false`.
    Flag,
    /// One of the words.
    Word(&'static [&'static str]),
    /// Any text.
    Text,
    /// Words separated by commas.
    List,
    /// `name=word` separated by commas, each word one of these.
    Words(&'static [&'static str]),
    /// `name=number` separated by commas; milliseconds where the key ends so.
    MillisByName {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// Text that must never be shown.
    Secret,
}

/// Whether a stored value counts, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It counts on every process within seconds.
    Live,
    /// It counts for processes that start afterwards.
    Restart,
    /// It cannot be stored: it differs from machine to machine, is a secret, or is a fence that only who runs the process
    /// may move.
    Local,
}

impl Effect {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restart => "restart",
            Self::Local => "local",
        }
    }
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in files, the API and stored values; ends in its unit.
    pub key: &'static str,
    /// The environment variables that set it.
    pub env: &'static [EnvName],
    /// What values it takes.
    pub kind: Kind,
    /// What it is if nothing sets it; empty is unset.
    pub default: &'static str,
    /// Whether a stored value counts, and when.
    pub effect: Effect,
    /// What it means.
    pub doc: &'static str,
}

const fn plain(name: &'static str) -> EnvName {
    EnvName { name, unit: Unit::Plain }
}

const fn ms(name: &'static str) -> EnvName {
    EnvName { name, unit: Unit::Milliseconds }
}

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Every setting, in the order of [`super::GROUPS`].
pub const SETTINGS: &[Setting] = &[
    // Where the data is.
    Setting {
        key: "database_url",
        env: &[plain("DATABASE_URL"), plain("SUPABASE_DB_URL")],
        kind: Kind::Secret,
        default: "",
        effect: Effect::Local,
        doc: "PostgreSQL (`postgres://…`) or SQLite (`sqlite:PATH`). Unset: SQLite in the data directory.",
    },
    Setting {
        key: "database_direct_url",
        env: &[plain("DATABASE_DIRECT_URL")],
        kind: Kind::Secret,
        default: "",
        effect: Effect::Local,
        doc: "PostgreSQL without a pooler in between, for LISTEN and migrations when database_url goes through one.",
    },
    Setting {
        key: "database_url_file",
        env: &[plain("DATABASE_URL_FILE")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "File that holds database_url, for secrets that are mounted.",
    },
    Setting {
        key: "database_direct_url_file",
        env: &[plain("DATABASE_DIRECT_URL_FILE")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "File that holds database_direct_url.",
    },
    Setting {
        key: "data_dir",
        env: &[plain("JOBFORGE_DATA_DIR")],
        kind: Kind::Text,
        default: "./.jobforge",
        effect: Effect::Local,
        doc: "Directory of the embedded database.",
    },
    Setting {
        key: "runbooks_dir",
        env: &[plain("JOBFORGE_RUNBOOKS_DIR")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "Directory of runbooks of your own, which `jobforge runbook` finds before those that come with it.",
    },
    Setting {
        key: "sqlite_synchronous",
        env: &[plain("JOBFORGE_SQLITE_SYNCHRONOUS")],
        kind: Kind::Word(&["full", "normal"]),
        default: "full",
        effect: Effect::Local,
        doc: "SQLite's durability. `full`: an acknowledged write survives power loss. `normal`: it survives a crash of the process only.",
    },
    Setting {
        key: "retention_succeeded_days",
        env: &[plain("JOBFORGE_RETENTION_SUCCEEDED_DAYS")],
        kind: Kind::Integer { min: 1, max: 36_500 },
        default: "30",
        effect: Effect::Restart,
        doc: "Days for which jobs that succeeded are kept, unless a clean-up job or `jobforge db purge` says otherwise.",
    },
    Setting {
        key: "retention_failed_days",
        env: &[plain("JOBFORGE_RETENTION_FAILED_DAYS")],
        kind: Kind::Integer { min: 1, max: 36_500 },
        default: "90",
        effect: Effect::Restart,
        doc: "Days for which jobs that failed are kept, unless a clean-up job or `jobforge db purge` says otherwise.",
    },
    Setting {
        key: "retention_dead_days",
        env: &[plain("JOBFORGE_RETENTION_DEAD_DAYS")],
        kind: Kind::Integer { min: 1, max: 36_500 },
        default: "90",
        effect: Effect::Restart,
        doc: "Days for which jobs that are dead are kept, unless a clean-up job or `jobforge db purge` says otherwise.",
    },
    Setting {
        key: "retention_canceled_days",
        env: &[plain("JOBFORGE_RETENTION_CANCELED_DAYS")],
        kind: Kind::Integer { min: 1, max: 36_500 },
        default: "90",
        effect: Effect::Restart,
        doc: "Days for which jobs that were canceled are kept, unless a clean-up job or `jobforge db purge` says otherwise.",
    },
    Setting {
        key: "pg_bin",
        env: &[plain("PG_BIN")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "Directory of `pg_dump` and `pg_restore`, for `jobforge db backup` and `restore`. Unset: found on the PATH.",
    },
    Setting {
        key: "database_pool_size",
        env: &[plain("JOBFORGE_DATABASE_POOL_SIZE")],
        kind: Kind::Integer { min: 2, max: 1000 },
        default: "8",
        effect: Effect::Local,
        doc: "Connections a process opens to PostgreSQL at most, besides the one that listens.",
    },
    Setting {
        key: "pooler",
        env: &[plain("JOBFORGE_POOLER")],
        kind: Kind::Word(&["auto", "on", "off"]),
        default: "auto",
        effect: Effect::Local,
        doc: "Whether database_url goes through a transaction pooler. `auto` asks the connection; port 6543 counts as one.",
    },
    Setting {
        key: "listen",
        env: &[plain("JOBFORGE_LISTEN")],
        kind: Kind::Text,
        default: "127.0.0.1:8080",
        effect: Effect::Local,
        doc: "Address of the HTTP server.",
    },
    Setting {
        key: "metrics_listen",
        env: &[plain("JOBFORGE_METRICS_LISTEN")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "Address at which `serve`, `up`, `work` and `cleanup-daemon` tell their metrics to whoever asks, without a token, such as 127.0.0.1:9464. Unset: only the HTTP server's `/metrics`, which asks for one.",
    },
    // What a worker does.
    Setting {
        key: "worker_name",
        env: &[plain("WORKER_NAME")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "A label for people. Never an identity: every process start has a new worker id.",
    },
    Setting {
        key: "queues",
        env: &[plain("JOBFORGE_QUEUES")],
        kind: Kind::List,
        default: "default",
        effect: Effect::Restart,
        doc: "Queues a worker takes from; `name=slots` gives a queue slots of its own.",
    },
    Setting {
        key: "slots",
        env: &[plain("JOBFORGE_SLOTS")],
        kind: Kind::Integer { min: 1, max: 100_000 },
        default: "10",
        effect: Effect::Restart,
        doc: "Jobs a worker runs at once in each queue.",
    },
    Setting {
        key: "shutdown_grace_ms",
        env: &[ms("SHUTDOWN_GRACE_MS")],
        kind: Kind::Millis { min: 0, max: DAY_MS },
        default: "30000",
        effect: Effect::Restart,
        doc: "How long a stopping worker waits for its jobs before it gives them back.",
    },
    Setting {
        key: "roles",
        env: &[plain("JOBFORGE_ROLES")],
        kind: Kind::List,
        default: "api,watchdog,scheduler,housekeeper,alerts",
        effect: Effect::Local,
        doc: "What a server does: `api`, `watchdog`, `scheduler`, `housekeeper`, `alerts`. Every fleet needs each of them at least once.",
    },
    Setting {
        key: "drain_delay_ms",
        env: &[ms("JOBFORGE_DRAIN_DELAY_MS")],
        kind: Kind::Millis { min: 0, max: HOUR_MS },
        default: "0",
        effect: Effect::Restart,
        doc: "How long `jobforge serve` goes on answering after SIGTERM while /readyz is 503, so that load balancers look elsewhere first.",
    },
    Setting {
        key: "job_timeout_ms",
        env: &[ms("JOBFORGE_JOB_TIMEOUT_MS")],
        kind: Kind::Millis { min: 0, max: 7 * DAY_MS },
        default: "0",
        effect: Effect::Live,
        doc: "Time-out of an attempt whose job and type do not say; 0 is none.",
    },
    Setting {
        key: "job_timeouts_ms",
        env: &[ms("JOBFORGE_JOB_TIMEOUTS_MS")],
        kind: Kind::MillisByName { min: 100, max: 7 * DAY_MS },
        default: "",
        effect: Effect::Live,
        doc: "Time-outs of the attempts of single types, as type=milliseconds; a job's own comes first.",
    },
    Setting {
        key: "progress_timeout_ms",
        env: &[ms("JOBFORGE_PROGRESS_TIMEOUT_MS")],
        kind: Kind::Millis { min: 0, max: 7 * DAY_MS },
        default: "0",
        effect: Effect::Live,
        doc: "How long a job may run without reporting progress, where it and its type do not say; 0 is for ever.",
    },
    Setting {
        key: "progress_timeouts_ms",
        env: &[ms("JOBFORGE_PROGRESS_TIMEOUTS_MS")],
        kind: Kind::MillisByName { min: 100, max: 7 * DAY_MS },
        default: "",
        effect: Effect::Live,
        doc: "The same of single types, as type=milliseconds; a job's own comes first.",
    },
    // Idle polling (runbook 5).
    Setting {
        key: "poll_interval_ms",
        env: &[ms("POLL_INTERVAL_MS")],
        kind: Kind::Millis { min: 10, max: HOUR_MS },
        default: "2000",
        effect: Effect::Live,
        doc: "Wait of an idle worker between claims; a wake-up from the database cuts it short.",
    },
    Setting {
        key: "max_poll_interval_ms",
        env: &[ms("MAX_POLL_INTERVAL_MS")],
        kind: Kind::Millis { min: 10, max: HOUR_MS },
        default: "10000",
        effect: Effect::Live,
        doc: "Longest wait of an idle worker.",
    },
    Setting {
        key: "idle_backoff_multiplier",
        env: &[plain("IDLE_BACKOFF_MULTIPLIER")],
        kind: Kind::Decimal { min: 1.0, max: 100.0 },
        default: "2",
        effect: Effect::Live,
        doc: "Growth of an idle worker's wait from one empty claim to the next.",
    },
    // Job heartbeats (runbooks 1 and 5).
    Setting {
        key: "job_heartbeat",
        env: &[plain("FEATURE_FLAG_JOB_HEARTBEAT")],
        kind: Kind::Flag,
        default: "true",
        effect: Effect::Live,
        doc: "Heartbeats and the sweeps that go by them. `false` leaves time-outs as the only recovery.",
    },
    Setting {
        key: "heartbeat_interval_ms",
        env: &[ms("HEARTBEAT_INTERVAL_MS")],
        kind: Kind::Millis { min: 100, max: HOUR_MS },
        default: "30000",
        effect: Effect::Live,
        doc: "First interval between the heartbeats of a running job.",
    },
    Setting {
        key: "heartbeat_max_interval_ms",
        env: &[ms("HEARTBEAT_MAX_INTERVAL_MS")],
        kind: Kind::Millis { min: 100, max: HOUR_MS },
        default: "60000",
        effect: Effect::Live,
        doc: "Longest interval between the heartbeats of a running job.",
    },
    Setting {
        key: "heartbeat_backoff_multiplier",
        env: &[plain("HEARTBEAT_BACKOFF_MULTIPLIER")],
        kind: Kind::Decimal { min: 1.0, max: 100.0 },
        default: "2",
        effect: Effect::Live,
        doc: "Growth of the interval from one heartbeat to the next.",
    },
    Setting {
        key: "heartbeat_threshold_ms",
        env: &[ms("HEARTBEAT_THRESHOLD_MS")],
        kind: Kind::Millis { min: 1000, max: DAY_MS },
        default: "120000",
        effect: Effect::Live,
        doc: "Silence after which a running job is suspect; never less than two of its own intervals.",
    },
    Setting {
        key: "heartbeat_max_misses",
        env: &[plain("HEARTBEAT_MAX_MISSES")],
        kind: Kind::Integer { min: 1, max: 1000 },
        default: "2",
        effect: Effect::Live,
        doc: "Lost leases at which a job is dead instead of being queued again.",
    },
    // Lost workers (runbook 2).
    Setting {
        key: "worker_lease_ms",
        env: &[
            EnvName { name: "STALE_THRESHOLD_MINUTES", unit: Unit::Minutes },
            ms("JOBFORGE_WORKER_LEASE_MS"),
        ],
        kind: Kind::Millis { min: 1000, max: DAY_MS },
        default: "20000",
        effect: Effect::Live,
        doc: "How long a worker may be silent before its jobs are taken back; while it has jobs it renews four times as often. Unless set, it grows in fleets of more than 1000 workers.",
    },
    Setting {
        key: "heartbeat_budget_per_minute",
        env: &[plain("JOBFORGE_HEARTBEAT_BUDGET_PER_MINUTE")],
        kind: Kind::Integer { min: 0, max: 1_000_000_000 },
        default: "0",
        effect: Effect::Live,
        doc: "Heartbeats a minute of all running jobs beyond which an alert may fire; 0 is no budget. Nothing is refused for it.",
    },
    Setting {
        key: "heartbeat_budgets_per_minute",
        env: &[plain("JOBFORGE_HEARTBEAT_BUDGETS_PER_MINUTE")],
        kind: Kind::MillisByName { min: 1, max: 1_000_000_000 },
        default: "",
        effect: Effect::Live,
        doc: "The same of single tenants, as tenant=number.",
    },
    Setting {
        key: "fast_types",
        env: &[plain("JOBFORGE_FAST_TYPES")],
        kind: Kind::List,
        default: "",
        effect: Effect::Live,
        doc: "Types whose jobs are taken from a worker that has lost its connection for 6 seconds, before its lease ends. Two attempts of theirs may overlap for the rest of it.",
    },
    Setting {
        key: "watchdog_check_interval_ms",
        env: &[ms("WATCHDOG_CHECK_INTERVAL_MS"), EnvName { name: "CHECK_INTERVAL", unit: Unit::Seconds }],
        kind: Kind::Millis { min: 100, max: HOUR_MS },
        default: "60000",
        effect: Effect::Live,
        doc: "Longest time between two sweeps of the watchdog; expiring leases make it sweep sooner.",
    },
    Setting {
        key: "on_lost",
        env: &[plain("JOBFORGE_ON_LOST")],
        kind: Kind::Word(&OnLost::WORDS),
        default: "requeue",
        effect: Effect::Live,
        doc: "What becomes of a job whose worker was lost.",
    },
    Setting {
        key: "on_lost_queues",
        env: &[plain("JOBFORGE_ON_LOST_QUEUES")],
        kind: Kind::Words(&OnLost::WORDS),
        default: "",
        effect: Effect::Live,
        doc: "The same for single queues, as queue=policy: mail=fail,video=dead_letter.",
    },
    Setting {
        key: "on_lost_types",
        env: &[plain("JOBFORGE_ON_LOST_TYPES")],
        kind: Kind::Words(&OnLost::WORDS),
        default: "",
        effect: Effect::Live,
        doc: "The same for single types, as type=policy; it comes before what is said of the queue.",
    },
    // Built-in job types.
    Setting {
        key: "exec_allow",
        env: &[plain("JOBFORGE_EXEC_ALLOW")],
        kind: Kind::List,
        default: "",
        effect: Effect::Local,
        doc: "Programs that `exec` jobs may run: absolute paths or bare names; `*` is any. Empty switches exec off, except under `jobforge up`, which allows any.",
    },
    Setting {
        key: "http_allow_private",
        env: &[plain("JOBFORGE_HTTP_ALLOW_PRIVATE")],
        kind: Kind::List,
        default: "",
        effect: Effect::Local,
        doc: "Private networks (CIDR) that connectors may reach, with a port where given: 10.1.2.0/24, 127.0.0.1:8080.",
    },
    Setting {
        key: "http_allow_ports",
        env: &[plain("JOBFORGE_HTTP_ALLOW_PORTS")],
        kind: Kind::List,
        default: "",
        effect: Effect::Local,
        doc: "Ports of public hosts that connectors may reach besides 80 and 443.",
    },
    Setting {
        key: "secrets_dir",
        env: &[plain("JOBFORGE_SECRETS_DIR")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "Directory with one file per secret that jobs may name by reference.",
    },
    Setting {
        key: "secret_hosts",
        env: &[plain("JOBFORGE_SECRET_HOSTS")],
        kind: Kind::List,
        default: "",
        effect: Effect::Local,
        doc: "Hosts that a secret may be sent to, as secret=host; a secret that is not listed may go to any public host.",
    },
    // Access (runbooks 1, 3, 4).
    Setting {
        key: "auth_token",
        env: &[plain("AUTH_TOKEN")],
        kind: Kind::Secret,
        default: "",
        effect: Effect::Local,
        doc: "Bearer token that the HTTP API accepts, with the scope `operate`.",
    },
    Setting {
        key: "auth_token_file",
        env: &[plain("AUTH_TOKEN_FILE")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "File that holds auth_token, for secrets that are mounted.",
    },
    Setting {
        key: "admin_token",
        env: &[plain("ADMIN_TOKEN")],
        kind: Kind::Secret,
        default: "",
        effect: Effect::Local,
        doc: "Bearer token that the HTTP API accepts, with the scope `admin`.",
    },
    Setting {
        key: "admin_token_file",
        env: &[plain("ADMIN_TOKEN_FILE")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "File that holds admin_token.",
    },
    Setting {
        key: "http_requests_per_second",
        env: &[plain("JOBFORGE_HTTP_REQUESTS_PER_SECOND")],
        kind: Kind::Integer { min: 0, max: 1_000_000 },
        default: "1000",
        effect: Effect::Live,
        doc: "Requests that one token, or one address without a token, may make of each server on average; two seconds' worth may come at once. 0 is no limit.",
    },
    Setting {
        key: "redact_keys",
        env: &[plain("JOBFORGE_REDACT_KEYS")],
        kind: Kind::List,
        default: "",
        effect: Effect::Live,
        doc: "More keys whose values are hidden where payloads and results are shown, such as iban or tax_number; those of passwords, tokens and other secrets always are (docs/security.md).",
    },
    // The dashboard behind a reverse proxy that knows the people (docs/dashboard.md).
    Setting {
        key: "ui_trusted_proxies",
        env: &[plain("JOBFORGE_UI_TRUSTED_PROXIES")],
        kind: Kind::List,
        default: "",
        effect: Effect::Local,
        doc: "Addresses, or ranges such as 10.0.0.0/8, of reverse proxies that may say who looks at the dashboard. Empty trusts none.",
    },
    Setting {
        key: "ui_user_header",
        env: &[plain("JOBFORGE_UI_USER_HEADER")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "The header in which a trusted proxy names the person, such as X-Forwarded-User. Empty, nobody logs in that way. The proxy must take the header out of what clients send.",
    },
    Setting {
        key: "ui_role_header",
        env: &[plain("JOBFORGE_UI_ROLE_HEADER")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "The header in which a trusted proxy says what the person may do: viewer, operator or admin. Without it, or with any other word, they may look.",
    },
    Setting {
        key: "health_probes",
        env: &[plain("JOBFORGE_HEALTH_PROBES")],
        kind: Kind::List,
        default: "",
        effect: Effect::Local,
        doc: "What `/api/health/full` also asks, as name=URL: groq_api=https://status.groq.com/,google_oauth=https://oauth2.googleapis.com/. Asked every minute, apart from the requests.",
    },
    // Alerts (docs/alerting.md).
    Setting {
        key: "alerts",
        env: &[plain("JOBFORGE_ALERTS")],
        kind: Kind::Flag,
        default: "true",
        effect: Effect::Live,
        doc: "Whether servers judge the alerts themselves. `false` where Prometheus does: then nobody keeps samples of the metrics in the database.",
    },
    Setting {
        key: "alert_interval_ms",
        env: &[ms("JOBFORGE_ALERT_INTERVAL_MS")],
        kind: Kind::Millis { min: 1000, max: kept::LONGEST_INTERVAL_MS },
        default: "30000",
        effect: Effect::Live,
        doc: "Between two judgements of the alerts, and between two samples of each process's metrics.",
    },
    Setting {
        key: "alert_quiet_hours",
        env: &[plain("JOBFORGE_ALERT_QUIET_HOURS")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "When only critical alerts are told of, such as `22:00-07:00 Europe/Berlin`; the rest follows in the morning.",
    },
    Setting {
        key: "fleet_name",
        env: &[plain("JOBFORGE_FLEET_NAME")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "What people call this installation, such as `prod-eu`: in messages about alerts, and on top of each page of the dashboard in place of the machine's name.",
    },
    Setting {
        key: "fleet_color",
        env: &[plain("JOBFORGE_FLEET_COLOR")],
        kind: Kind::Word(&["none", "grey", "blue", "teal", "green", "purple", "pink", "brown"]),
        default: "none",
        effect: Effect::Local,
        doc: "Colour of that name in the dashboard, and of a line on top of each page, so that nobody acts in production by mistake. Red is left to what needs somebody.",
    },
    Setting {
        key: "public_url",
        env: &[plain("JOBFORGE_PUBLIC_URL")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "Where people reach the server, for links in messages.",
    },
    Setting {
        key: "alert_slack_url",
        env: &[plain("JOBFORGE_ALERT_SLACK_URL")],
        kind: Kind::Secret,
        default: "",
        effect: Effect::Local,
        doc: "Slack's incoming webhook that is told of alerts, from warning on: the channel `slack`.",
    },
    Setting {
        key: "alert_slack_url_file",
        env: &[plain("JOBFORGE_ALERT_SLACK_URL_FILE")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "File that holds alert_slack_url.",
    },
    Setting {
        key: "alert_pagerduty_key",
        env: &[plain("JOBFORGE_ALERT_PAGERDUTY_KEY")],
        kind: Kind::Secret,
        default: "",
        effect: Effect::Local,
        doc: "Integration key of PagerDuty's Events API v2, told of critical alerts: the channel `pagerduty`.",
    },
    Setting {
        key: "alert_pagerduty_key_file",
        env: &[plain("JOBFORGE_ALERT_PAGERDUTY_KEY_FILE")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "File that holds alert_pagerduty_key.",
    },
    Setting {
        key: "alert_pagerduty_url",
        env: &[plain("JOBFORGE_ALERT_PAGERDUTY_URL")],
        kind: Kind::Text,
        default: "https://events.pagerduty.com/v2/enqueue",
        effect: Effect::Local,
        doc: "Where PagerDuty takes events; in its European region https://events.eu.pagerduty.com/v2/enqueue.",
    },
    Setting {
        key: "alert_webhook_url",
        env: &[plain("JOBFORGE_ALERT_WEBHOOK_URL")],
        kind: Kind::Secret,
        default: "",
        effect: Effect::Local,
        doc: "URL that takes alerts as Prometheus' Alertmanager sends them: the channel `webhook`.",
    },
    Setting {
        key: "alert_webhook_url_file",
        env: &[plain("JOBFORGE_ALERT_WEBHOOK_URL_FILE")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "File that holds alert_webhook_url.",
    },
    Setting {
        key: "alert_webhook_secret",
        env: &[plain("JOBFORGE_ALERT_WEBHOOK_SECRET")],
        kind: Kind::Secret,
        default: "",
        effect: Effect::Local,
        doc: "Signing secret (`whsec_…`) of the channel `webhook`; without it nothing is signed.",
    },
    Setting {
        key: "alert_webhook_secret_file",
        env: &[plain("JOBFORGE_ALERT_WEBHOOK_SECRET_FILE")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "File that holds alert_webhook_secret.",
    },
    Setting {
        key: "alert_email_to",
        env: &[plain("JOBFORGE_ALERT_EMAIL_TO")],
        kind: Kind::List,
        default: "",
        effect: Effect::Local,
        doc: "Mail addresses that are told of alerts: the channel `email`.",
    },
    Setting {
        key: "alert_email_from",
        env: &[plain("JOBFORGE_ALERT_EMAIL_FROM")],
        kind: Kind::Text,
        default: "jobforge@localhost",
        effect: Effect::Local,
        doc: "The sender of those mails.",
    },
    Setting {
        key: "alert_smtp_url",
        env: &[plain("JOBFORGE_ALERT_SMTP_URL")],
        kind: Kind::Secret,
        default: "",
        effect: Effect::Local,
        doc: "Mail server of the channel `email`: `smtps://user:password@host`, `smtp://…` with STARTTLS, or plain `smtp://localhost`.",
    },
    Setting {
        key: "alert_smtp_url_file",
        env: &[plain("JOBFORGE_ALERT_SMTP_URL_FILE")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "File that holds alert_smtp_url.",
    },
    Setting {
        key: "alert_fallback",
        env: &[plain("JOBFORGE_ALERT_FALLBACK")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "The channel that is told where another could not be; a channel of the file may name its own.",
    },
    // Large payloads.
    Setting {
        key: "payload_store",
        env: &[plain("JOBFORGE_PAYLOAD_STORE")],
        kind: Kind::Text,
        default: "",
        effect: Effect::Local,
        doc: "Where payloads go that are too large for the database: a directory, or `s3://bucket/prefix`. Each database needs one of its own, the same in all of its processes. Unset: they are refused.",
    },
    Setting {
        key: "payload_inline_max_bytes",
        env: &[plain("JOBFORGE_PAYLOAD_INLINE_MAX_BYTES")],
        kind: Kind::Integer { min: 1024, max: 1_048_576 },
        default: "102400",
        effect: Effect::Local,
        doc: "Larger payloads go to payload_store, if that is set.",
    },
    Setting {
        key: "payload_max_bytes",
        env: &[plain("JOBFORGE_PAYLOAD_MAX_BYTES")],
        kind: Kind::Integer { min: 1_048_576, max: 67_108_864 },
        default: "16777216",
        effect: Effect::Local,
        doc: "Largest payload that is taken when payload_store is set; without it 1 MiB is.",
    },
    // What is written down.
    Setting {
        key: "slow_query_ms",
        env: &[ms("JOBFORGE_SLOW_QUERY_MS")],
        kind: Kind::Millis { min: 1, max: HOUR_MS },
        default: "500",
        effect: Effect::Restart,
        doc: "Statements that take longer are logged.",
    },
    Setting {
        key: "log",
        env: &[plain("JOBFORGE_LOG")],
        kind: Kind::Text,
        default: "info",
        effect: Effect::Local,
        doc: "Log level or filter, such as `debug` or `jobforge=debug,warn`.",
    },
    Setting {
        key: "log_format",
        env: &[plain("JOBFORGE_LOG_FORMAT")],
        kind: Kind::Word(&["auto", "human", "json"]),
        default: "auto",
        effect: Effect::Local,
        doc: "`auto` is human on a terminal and JSON lines otherwise.",
    },
];
