//! What our runbooks say is given, made to be so: `<!-- given: a dead job -->`.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::fleet::{Fleet, TENANT};
use crate::compose;
use crate::program::{Home, eventually};

/// What the blocks below know it by, as variables of their shell.
pub(super) type Variables = Vec<(&'static str, String)>;

/// Waiting jobs of a queue that nobody takes from, so that plans are those of a large table.
const BACKLOG: u32 = 50_000;

/// Makes it so.
pub(super) fn set(fleet: &mut Fleet, what: &str) -> Result<Variables, String> {
    Ok(match what {
        "a job that has run for hours" => {
            // It is the only one, so that the worker has slots for what follows.
            fleet.sql(
                "UPDATE jobforge_jobs SET status = 'canceled' WHERE type = 'exec' AND status = 'running'",
            );
            let job = fleet.exec("default", "sleep 600", "true");
            fleet.until(&job, "running");
            fleet.sql(&format!(
                "UPDATE jobforge_jobs SET created_at = now() - interval '3 hours', started_at = now() - interval '2 hours' WHERE id = '{job}'"
            ));
            let worker = fleet.field(&job, "locked_by");
            vec![("JOB", job), ("WORKER", worker)]
        }
        "a stuck job" => {
            fleet.sql("DELETE FROM jobforge_jobs WHERE type = 'media.qc'");
            let worker = format!("worker-{}", fleet.sql("SELECT substr(md5(random()::text), 1, 8)"));
            let job = fleet.get_stuck(&worker);
            fleet.sql(&format!(
                "UPDATE jobforge_jobs SET heartbeat_at = now() - interval '3 minutes', heartbeat_due_at = now() - interval '1 minute' WHERE id = '{job}'"
            ));
            // A watchdog that has just begun to watch does not believe silence yet.
            eventually("the job counts as stuck", || {
                fleet.home.json(&["job", "explain", &job])["kind"] == "stuck"
            });
            vec![("JOB", job), ("WORKER", worker)]
        }
        "a schedule" => {
            let name = "hourly_report";
            if !fleet.home.ok(&["schedule", "list"]).contains(name) {
                let payload = r#"{"argv": ["true"]}"#;
                fleet.home.ok(&["schedule", "add", name, "exec", payload, "--every", "1h"]);
                fleet.home.ok(&["schedule", "run", name]);
            }
            eventually("it has succeeded", || {
                !fleet.home.json(&["schedule", "show", name])["last_success_at"].is_null()
            });
            Variables::new()
        }
        "a dead job" => vec![("JOB", dead(fleet))],
        "dead jobs of one cause" => {
            let job = dead(fleet);
            dead(fleet);
            let groups = fleet.home.json(&["dead", "groups", "--type", "exec"]);
            let group = groups[0]["group"].as_str().unwrap_or_default().to_owned();
            vec![("JOB", job), ("GROUP", group)]
        }
        "a failed job" => {
            let job =
                fleet.enqueue("connector.http.request", "{\"url\": \"http://127.0.0.1:1/\"}", "default");
            fleet.until(&job, "failed");
            vec![("JOB", job)]
        }
        "a job that waits for its next attempt" => {
            let job = fleet.exec("default", "exit 3", "true");
            eventually("its first attempt fails", || {
                fleet.sql(&format!("SELECT count(*) FROM jobforge_job_attempts WHERE job_id = '{job}'"))
                    == "1"
            });
            fleet.sql(&format!(
                "UPDATE jobforge_jobs SET run_at = now() + interval '10 minutes' WHERE id = '{job}'"
            ));
            vec![("JOB", job)]
        }
        "a job that nobody takes" => {
            vec![("JOB", fleet.exec("reports", "true", "true")), ("QUEUE", "reports".to_owned())]
        }
        "a killed worker" => {
            let (job, worker) = fleet.kill_a_worker("billing");
            fleet.until(&job, "failed");
            fleet.sql(&format!(
                "UPDATE jobforge_workers SET last_heartbeat_at = now() - interval '10 minutes' WHERE id = '{worker}'"
            ));
            vec![("JOB", job), ("WORKER", worker)]
        }
        "a pooler in transaction mode" => vec![("POOLER_URL", fleet.pooler()?)],
        "a long backlog" => {
            fleet.sql(&format!(
                "INSERT INTO jobforge_jobs (tenant_id, type, queue) SELECT '{TENANT}', 'waits', 'nobody' FROM generate_series(1, {BACKLOG})"
            ));
            Variables::new()
        }
        "the SDKs, installed" => {
            let folder = compose::sdks();
            let link = |from: PathBuf, name: &str| {
                let to = fleet.home.path().join(name);
                if to.is_symlink() { Ok(()) } else { symlink(from, to) }
            };
            link(folder.join("python/venv"), ".venv")
                .and_then(|()| link(folder.join("typescript/node_modules"), "node_modules"))
                .map_err(|error| error.to_string())?;
            let programs = [folder.join("python/venv/bin"), Home::programs().to_owned()];
            let path = programs.map(|folder| folder.display().to_string()).join(":");
            vec![("PATH", format!("{path}:/usr/local/bin:/usr/bin:/bin"))]
        }
        "jobs of last year" => {
            let error = "{\"message\": \"no route\", \"kind\": \"error\", \"retryable\": true}";
            for status in ["succeeded", "failed", "dead", "canceled"] {
                let error = if matches!(status, "failed" | "dead") {
                    format!("'{error}'::jsonb")
                } else {
                    "null".to_owned()
                };
                fleet.sql(&format!(
                    "INSERT INTO jobforge_jobs (type, status, attempts, last_worker, error, created_at, started_at, finished_at)
                     SELECT 'old', '{status}', 5, 'worker-0000001d', {error}, at, at, at FROM (SELECT now() - interval '1 year' AS at) a"
                ));
            }
            Variables::new()
        }
        other => return Err(format!("nothing here can bring about {other:?}")),
    })
}

fn dead(fleet: &Fleet) -> String {
    let job = fleet.sql(&format!(
        "INSERT INTO jobforge_jobs (tenant_id, type, payload, max_attempts) VALUES ('{TENANT}', 'exec', '{{\"argv\": [\"false\"]}}', 1) RETURNING id"
    ));
    fleet.until(&job, "dead");
    job
}
