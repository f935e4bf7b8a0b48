//! What is asked.

use crate::commands::bench::month::Known;

/// One request.
pub(super) struct Case {
    pub(super) path: String,
    /// Whether it is sent with the token that is bound to a tenant.
    pub(super) bound: bool,
    /// Whether the server gives an answer again for a second, so that it is asked after a pause.
    pub(super) is_kept: bool,
}

/// Filters of `/v1/jobs`, alone and together: what many match, what few do, and what none does.
const FILTERS: &[&str] = &[
    "",
    "tenant_id=big",
    "tenant_id=small-77",
    "tenant_id=nobody",
    "status=succeeded",
    "status=queued",
    "status=running",
    "status=failed",
    "status=dead",
    "status=canceled",
    "status=failed,dead",
    "status=queued,running",
    "type=mail.send-3",
    "type=report.rare",
    "type=nothing",
    "queue=queue-3",
    "queue=rare",
    "queue=nothing",
    "tag=customer-40",
    "tag=rare",
    "tag=nothing",
    "idempotency_key=key-500000",
    "idempotency_key=nothing",
    "worker=bench-worker-1",
    "worker=nobody",
    "payload=seq:nothing",
    "tenant_id=big&payload=seq:nothing",
    "status=dead&payload=seq:nothing",
    "type=report.rare&payload=seq:17",
    "error=nothing",
    "error=of+block",
    "status=dead&error=TIMEOUT",
    "type=mail.send-3&error=worker_lost",
    "tenant_id=big&status=dead",
    "tenant_id=big&status=queued",
    "tenant_id=big&status=running",
    "tenant_id=big&status=succeeded",
    "tenant_id=small-77&status=dead",
    "tenant_id=small-77&status=queued",
    "tenant_id=small-77&status=succeeded",
    "tenant_id=big&type=mail.send-3",
    "tenant_id=big&type=report.rare",
    "tenant_id=small-77&queue=queue-3",
    "tenant_id=big&tag=customer-40",
    "type=mail.send-3&status=dead",
    "type=report.rare&status=dead",
    "queue=rare&status=queued",
    "queue=queue-3&type=mail.send-3&status=failed",
    "tag=customer-40&status=dead",
    "tag=customer-40&type=report.rare",
    "limit=500",
    "tenant_id=big&limit=500",
];

/// What else is asked without an id.
const OTHERS: &[&str] = &[
    "/livez",
    "/readyz",
    "/v1/queues",
    "/v1/workers",
    "/v1/watchdog/runs",
    "/v1/dead/groups",
    "/v1/dead/groups?tenant_id=small-77",
    "/v1/dead/groups?queue=queue-3",
    "/v1/dead/jobs",
    "/v1/dead/jobs?tenant_id=small-77",
    "/v1/dead/jobs?type=mail.send-3&queue=queue-3",
    "/v1/dead/jobs?type=report.rare",
    "/v1/audit",
    "/v1/audit?action=job.cancel",
    "/v1/audit?actor=nobody",
    "/v1/audit?tenant_id=small-77",
    "/v1/operations",
    "/v1/settings",
    "/v1/tokens",
    "/api/qc/debug",
    "/api/admin/dlq?stats=true",
    "/api/admin/dlq",
    "/api/admin/dlq?limit=100&offset=300",
    "/api/admin/dlq?status=resolved",
];

/// Answers that the server keeps for a second.
const KEPT: &[&str] = &["/api/health", "/api/health/full"];

/// The routes that a token of one tenant may ask too.
const BOUND: &[&str] = &[
    "/v1/jobs",
    "/v1/jobs?status=dead",
    "/v1/jobs?status=queued",
    "/v1/jobs?status=succeeded",
    "/v1/jobs?type=mail.send-3",
    "/v1/jobs?type=report.rare",
    "/v1/jobs?queue=queue-3",
    "/v1/jobs?tag=customer-40",
    "/v1/jobs?tag=nothing",
    "/v1/dead/groups",
    "/v1/dead/jobs",
    "/v1/audit",
    "/v1/operations",
    "/api/qc/debug",
    "/api/admin/dlq",
    "/api/admin/dlq?stats=true",
];

pub(super) fn all(known: &Known) -> Vec<Case> {
    let plain = |path: String| Case { path, bound: false, is_kept: false };
    let mut cases: Vec<Case> = Vec::new();
    for filter in FILTERS {
        cases.push(plain(format!("/v1/jobs?{filter}")));
        let together = if filter.is_empty() { String::new() } else { format!("{filter}&") };
        cases.push(plain(format!("/v1/jobs?{together}before={}", known.middle)));
    }
    cases.extend(OTHERS.iter().map(|path| plain((*path).to_owned())));
    cases.push(plain(format!("/v1/dead/jobs?group={}", known.group)));
    cases.push(plain(format!("/v1/dead/jobs?before={}", known.middle)));
    for id in [&known.succeeded, &known.dead, &known.running] {
        for part in ["", "/explain", "/timeline", "/logs"] {
            cases.push(plain(format!("/v1/jobs/{id}{part}")));
        }
    }
    cases.extend(KEPT.iter().map(|path| Case { path: (*path).to_owned(), bound: false, is_kept: true }));
    cases.extend(BOUND.iter().map(|path| Case { path: (*path).to_owned(), bound: true, is_kept: false }));
    cases
}

/// What programs and runbooks ask in SQL, where the engine is PostgreSQL.
pub(super) const SQL: &[&str] = &[
    "SELECT * FROM jobforge_list_jobs('big')",
    "SELECT * FROM jobforge_list_jobs('small-77')",
    "SELECT * FROM jobforge_list_jobs('nobody')",
    "SELECT * FROM jobforge_list_jobs('big', '{\"status\": \"dead\"}')",
    "SELECT * FROM jobforge_list_jobs('big', '{\"status\": \"queued\"}')",
    "SELECT * FROM jobforge_list_jobs('small-77', '{\"status\": [\"failed\", \"dead\"], \"limit\": 500}')",
    "SELECT * FROM jobforge_list_jobs('big', '{\"type\": \"report.rare\"}')",
    "SELECT * FROM jobforge_list_jobs('big', '{\"queue\": \"queue-3\", \"offset\": 1000}')",
    "SELECT id, status, last_heartbeat_at FROM qc_jobs WHERE status = 'running' \
     AND (last_heartbeat_at IS NULL OR last_heartbeat_at < NOW() - INTERVAL '2 minutes') ORDER BY last_heartbeat_at ASC",
    "SELECT worker_id, last_heartbeat_at FROM worker_heartbeats ORDER BY last_heartbeat_at DESC",
    "SELECT worker_id, last_heartbeat_at FROM worker_heartbeats WHERE last_heartbeat_at < NOW() - INTERVAL '2 minutes'",
    "SELECT execution_id, worker_id, status, execution_error FROM executions \
     WHERE execution_error = 'Worker died unexpectedly' ORDER BY created_at DESC LIMIT 10",
    "SELECT * FROM job_dlq WHERE status = 'pending' ORDER BY created_at DESC LIMIT 50",
    "SELECT DATE_TRUNC('hour', created_at) AS hour, status, COUNT(*) FROM jobforge_jobs \
     WHERE created_at > NOW() - INTERVAL '24 hours' GROUP BY 1, 2 ORDER BY 1 DESC",
    "SELECT type, AVG(EXTRACT(EPOCH FROM (finished_at - started_at))), COUNT(*) FROM jobforge_jobs \
     WHERE status = 'succeeded' AND finished_at > NOW() - INTERVAL '1 day' GROUP BY type ORDER BY 2 DESC",
    "SELECT type, COUNT(*) FILTER (WHERE status = 'succeeded'), COUNT(*) FILTER (WHERE status IN ('failed', 'dead')) \
     FROM jobforge_jobs WHERE finished_at > NOW() - INTERVAL '1 day' GROUP BY type",
    "SELECT id, type, tenant_id, locked_by, started_at FROM jobforge_jobs \
     WHERE status = 'running' AND started_at < NOW() - INTERVAL '1 hour' ORDER BY started_at ASC",
    "SELECT id, type, tenant_id, attempts, error, created_at FROM jobforge_jobs \
     WHERE status = 'dead' ORDER BY created_at DESC LIMIT 100",
    "SELECT error->>'message', COUNT(*) FROM jobforge_jobs WHERE status = 'dead' GROUP BY 1 ORDER BY 2 DESC",
    "SELECT locked_by, COUNT(*), MAX(locked_at), MAX(heartbeat_at) FROM jobforge_jobs \
     WHERE status = 'running' GROUP BY locked_by",
    "SELECT tenant_id, COUNT(*) FROM jobforge_jobs WHERE status = 'running' \
     AND heartbeat_at > NOW() - INTERVAL '5 minutes' GROUP BY tenant_id",
    "SELECT * FROM jobforge_jobs WHERE status = 'queued' AND run_at <= NOW() ORDER BY run_at ASC LIMIT 10",
];
