//! One tenant never sees or moves another's jobs, and nobody without a tenant sees any.

use anyhow::ensure;
use testkit::Result;

use super::{Scene, refused, scene};

const TABLES: [&str; 6] = [
    "jobforge_jobs",
    "jobforge_job_results",
    "jobforge_job_attempts",
    "jobforge_job_logs",
    "jobforge_job_progress",
    "jobforge_connector_configs",
];
const VIEWS: [&str; 4] = ["qc_jobs", "executions", "worker_heartbeats", "job_dlq"];

/// Tenants `acme` and `blue` have one row in every table and view each; the jobs of `blue` are returned by status.
struct Two {
    scene: Scene,
    running: String,
    dead: String,
}

async fn two() -> Result<Two> {
    let scene = scene().await?;
    let (mut running, mut dead) = (String::new(), String::new());
    for tenant in ["acme", "blue"] {
        dead = scene.enqueue(tenant, "t")?;
        running = scene.enqueue(tenant, "t")?;
        let worker = format!("worker-{tenant}");
        scene.sql(&format!("SELECT jobforge_claim_jobs('{worker}', 2)"))?;
        scene.sql(&format!("SELECT jobforge_complete_job('{dead}', '{worker}', 'failed', '{{\"message\": \"no\", \"retryable\": false}}')"))?;
        scene.sql(&format!(
            "UPDATE jobforge_jobs SET status = 'queued' WHERE id = '{dead}';
             UPDATE jobforge_jobs SET status = 'dead' WHERE id = '{dead}';
             INSERT INTO jobforge_job_results (job_id, tenant_id, result) VALUES ('{dead}', '{tenant}', '1');
             INSERT INTO jobforge_job_logs VALUES ('{dead}', 1, 1, 'line', now());
             SELECT jobforge_heartbeat_job('{running}', '{worker}', NULL, 5, 'message');
             INSERT INTO jobforge_connector_configs (tenant_id, connector_type) VALUES ('{tenant}', 'http');"
        ))?;
    }
    Ok(Two { scene, running, dead })
}

#[tokio::test]
async fn every_table_and_view_shows_a_tenant_its_own_rows_and_nobody_else_any() -> Result<()> {
    let Two { scene, .. } = two().await?;
    for relation in TABLES.iter().chain(&VIEWS) {
        let count = format!("SELECT count(*) FROM {relation}");
        let all: u32 = scene.sql(&count)?.parse()?;
        ensure!(all >= 2, "the scene has {all} rows of {relation}");
        for role in ["jobforge_app", "jobforge_readonly"] {
            ensure!(scene.sql_as(role, None, &count)? == "0", "{role} sees {relation} without a tenant");
            ensure!(
                scene.sql_as(role, Some(""), &count)? == "0",
                "{role} sees {relation} with an empty tenant"
            );
            ensure!(scene.sql_as(role, Some("green"), &count)? == "0", "{role} sees {relation} of others");
            let own: u32 = scene.sql_as(role, Some("acme"), &count)?.parse()?;
            ensure!(own == all / 2, "{role} sees {own} of {all} rows of {relation}");
        }
        ensure!(
            scene.sql_as("jobforge_service", None, &count)? == all.to_string(),
            "the service sees all of {relation}"
        );
    }
    let foreign = "SELECT count(*) FROM jobforge_jobs WHERE tenant_id = 'blue'";
    ensure!(scene.sql_as("jobforge_app", Some("acme"), foreign)? == "0");
    Ok(())
}

#[tokio::test]
async fn no_function_reaches_another_tenants_jobs_and_a_foreign_job_is_as_missing_as_none() -> Result<()> {
    let Two { scene, running, dead } = two().await?;
    let as_acme = |call: &str| scene.sql_as("jobforge_app", Some("acme"), &format!("SELECT jobforge_{call}"));
    for call in ["enqueue_job('blue', 't', '{}')", "list_jobs('blue')"] {
        refused(as_acme(call), "tenant_mismatch")?;
    }
    for call in
        [format!("cancel_job('{running}', 'blue')"), format!("reschedule_job('{dead}', 'blue', now())")]
    {
        refused(as_acme(&call), "tenant_mismatch")?;
    }
    let missing = "01890a5d-ac96-774b-bcce-b302099a8057";
    for verb in ["cancel_job", "reschedule_job"] {
        let text = |id: &str| {
            let refusal = as_acme(&format!("{verb}('{id}', 'acme')"))
                .map_or_else(|error| format!("{error:#}"), |_| String::new());
            refusal.replace(id, "ID")
        };
        ensure!(
            text(&running) == text(missing) && text(missing).contains("job_not_found"),
            "{}",
            text(&running)
        );
    }
    // Another's worker is as unknown as none, and one's own gets one's own jobs only.
    refused(as_acme("claim_jobs('worker-blue')"), "worker_id_taken")?;
    for call in [
        format!("heartbeat_job('{running}', 'worker-blue')"),
        format!("complete_job('{running}', 'worker-blue', 'succeeded')"),
        "leave_worker('worker-blue')".to_owned(),
    ] {
        refused(as_acme(&call), "worker_unknown")?;
    }
    scene.enqueue("blue", "t")?;
    ensure!(as_acme("claim_jobs('worker-own', 10)")?.is_empty());
    refused(as_acme(&format!("heartbeat_job('{running}', 'worker-own')")), "job_not_found")?;
    refused(as_acme(&format!("complete_job('{running}', 'worker-own', 'succeeded')")), "job_not_found")?;
    let own = scene.enqueue("acme", "t")?;
    ensure!(as_acme("claim_jobs('worker-own', 10)")?.contains(&own));
    ensure!(as_acme(&format!("complete_job('{own}', 'worker-own', 'succeeded')"))?.contains("succeeded"));
    Ok(())
}

#[tokio::test]
async fn without_a_tenant_every_function_is_closed() -> Result<()> {
    let Two { scene, running, .. } = two().await?;
    for call in [
        "enqueue_job('acme', 't', '{}')".to_owned(),
        "list_jobs('acme')".to_owned(),
        "claim_jobs('worker-own')".to_owned(),
        "leave_worker('worker-acme')".to_owned(),
        format!("heartbeat_job('{running}', 'worker-blue')"),
        format!("complete_job('{running}', 'worker-blue', 'succeeded')"),
        format!("cancel_job('{running}', 'blue')"),
        format!("reschedule_job('{running}', 'blue', now())"),
    ] {
        refused(scene.sql_as("jobforge_app", None, &format!("SELECT jobforge_{call}")), "tenant_missing")?;
    }
    let fixed = "SET jobforge.now = '2030-01-01'; SELECT jobforge_claim_jobs('worker-own')";
    refused(scene.sql_as("jobforge_app", Some("acme"), fixed), "clock_fixed")?;
    Ok(())
}

#[tokio::test]
async fn neither_role_can_write_a_table_and_the_readonly_role_can_call_nothing_that_does() -> Result<()> {
    let Two { scene, running, .. } = two().await?;
    let denied = |role: &str, text: &str| match scene.sql_as(role, Some("acme"), text) {
        Ok(_) => anyhow::bail!("{role} may {text}"),
        Err(error) if format!("{error:#}").contains("permission denied") => Ok(()),
        Err(error) => Err(error),
    };
    for role in ["jobforge_app", "jobforge_readonly"] {
        for text in [
            "INSERT INTO jobforge_jobs (type) VALUES ('t')",
            "UPDATE jobforge_jobs SET status = 'queued'",
            "DELETE FROM jobforge_jobs",
            "DELETE FROM jobforge_ready",
            "SELECT * FROM jobforge_workers",
            "SELECT * FROM jobforge_migrations",
            "SELECT jobforge_take('w', 'default', NULL, 1, false, NULL, 1000, 0)",
        ] {
            denied(role, text)?;
        }
    }
    for call in [
        "enqueue_job('acme', 't', '{}')".to_owned(),
        "claim_jobs('w')".to_owned(),
        format!("cancel_job('{running}', 'acme')"),
        format!("reschedule_job('{running}', 'acme', now())"),
        "leave_worker('worker-acme')".to_owned(),
    ] {
        denied("jobforge_readonly", &format!("SELECT jobforge_{call}"))?;
    }
    let listed =
        scene.sql_as("jobforge_readonly", Some("acme"), "SELECT count(*) FROM jobforge_list_jobs('acme')")?;
    ensure!(listed == "2", "{listed}");
    Ok(())
}

#[tokio::test]
async fn a_web_token_decides_the_tenant_and_no_setting_overrules_it() -> Result<()> {
    let Two { scene, .. } = two().await?;
    let seen = |claims: &str| {
        let text = format!(
            "SELECT set_config('request.jwt.claims', '{claims}', false) \\g /dev/null\nSELECT string_agg(DISTINCT tenant_id, ',') FROM jobforge_jobs"
        );
        scene.sql_as("jobforge_app", Some("blue"), &text)
    };
    ensure!(seen("{\"tenant_id\": \"acme\"}")? == "acme");
    ensure!(seen("{\"app_metadata\": {\"tenant_id\": \"acme\"}}")? == "acme");
    ensure!(
        seen("{\"user_metadata\": {\"tenant_id\": \"acme\"}}")?.is_empty(),
        "users write that themselves"
    );
    ensure!(seen("{\"role\": \"anon\"}")?.is_empty());
    ensure!(seen("")? == "blue");
    Ok(())
}
