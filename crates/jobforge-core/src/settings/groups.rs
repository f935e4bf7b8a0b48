//! Settings by what they govern.

/// What settings govern, and with which setting each group begins.
pub const GROUPS: &[(&str, &str)] = &[
    ("Where the data is", "database_url"),
    ("What a worker does", "worker_name"),
    ("Idle polling", "poll_interval_ms"),
    ("Job heartbeats", "job_heartbeat"),
    ("Lost workers", "worker_lease_ms"),
    ("Built-in job types", "exec_allow"),
    ("Access", "auth_token"),
    ("The dashboard behind a reverse proxy", "ui_trusted_proxies"),
    ("Alerts", "alerts"),
    ("Large payloads", "payload_store"),
    ("What is written down", "slow_query_ms"),
];
