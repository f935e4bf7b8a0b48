//! Calls of the operators' API by curl and jq, typed as they stand in the runbook; only the host differs.

use std::process::Command;

use serde_json::Value;

use super::fleet::{ADMINISTRATOR, Fleet, OPERATOR};
use super::processes;
use crate::program::{done, eventually};

/// Runs a block and looks at what its calls answered and did.
pub(super) fn run(fleet: &Fleet, text: &str) -> Result<String, String> {
    let has = |word: &str| text.contains(word);
    if has("select(.name == \"watchdog\")") {
        let watchdog = ask(fleet, text)?;
        expect(&watchdog, "/name", |name| name == "watchdog")?;
        expect(&watchdog, "/status", Value::is_string)
    } else if has(".watchdogMetrics") {
        expect(&ask(fleet, text)?, "/jobsChecked", Value::is_number)
    } else if has(".stuckJobs") {
        let stuck = fleet.get_stuck("worker-0057c001");
        let listed = ask(fleet, text)?;
        let found = listed.as_array().and_then(|jobs| jobs.iter().find(|job| job["id"] == stuck.as_str()));
        let found = found.ok_or_else(|| format!("job {stuck} is stuck and not listed: {listed}"))?;
        expect(found, "/fileName", |name| name == "late.mov")?;
        expect(found, "/reason", Value::is_string)
    } else if has("trigger_watchdog") {
        let stuck = fleet.get_stuck("worker-0057c002");
        let answer = ask(fleet, text)?;
        expect(&answer, "/report/suspects", |count| count.as_u64().is_some_and(|count| count > 0))?;
        status(fleet, &stuck, |status| status != "running")
    } else if has("cancel_stuck") {
        let stuck = fleet.get_stuck("worker-0057c003");
        let healthy =
            fleet.sql("SELECT count(*) FROM jobforge_jobs WHERE status = 'running' AND type = 'exec'");
        ask(fleet, text)?;
        status(fleet, &stuck, |status| status == "canceled")?;
        let left = fleet.sql("SELECT count(*) FROM jobforge_jobs WHERE status = 'running' AND type = 'exec'");
        if left == healthy {
            Ok(format!("canceled {stuck}, and nothing that was healthy"))
        } else {
            Err(left)
        }
    } else if has("trigger_worker") {
        restart(fleet, text)
    } else if has("JOB_ID_HERE") {
        let job = fleet.sql(
            "INSERT INTO jobforge_jobs (type, payload, max_attempts) VALUES ('exec', '{\"argv\": [\"false\"]}', 1) RETURNING id",
        );
        fleet.until(&job, "dead");
        let answer = ask(fleet, &text.replace("JOB_ID_HERE", &job))?;
        expect(&answer, "/jobIds", |ids| *ids == serde_json::json!([job]))?;
        let attempts = format!("SELECT count(*) FROM jobforge_job_attempts WHERE job_id = '{job}'");
        eventually("that job runs again", || fleet.sql(&attempts) == "2");
        let other = fleet.field(&fleet.dead, "status");
        // Other blocks count the dead.
        fleet.sql(&format!("DELETE FROM jobforge_jobs WHERE id = '{job}'"));
        if other == "dead" { Ok("that job ran again, and no other".to_owned()) } else { Err(other) }
    } else if has("heartbeat_threshold_ms") {
        ask(fleet, text)?;
        let (stored, needed) = (fleet.home.json(&["config", "get", "heartbeat_threshold_ms"]), "300000");
        if stored.to_string().contains(needed) { Ok("stored".to_owned()) } else { Err(stored.to_string()) }
    } else if has(".featureFlags.JOB_HEARTBEAT") {
        // The block's other line looks into a worker's log.
        processes::heartbeat_line(fleet);
        let calls: String =
            text.lines().filter(|line| !line.starts_with("grep ")).map(|line| format!("{line}\n")).collect();
        expect(&ask(fleet, &calls)?, "", Value::is_boolean)
    } else if has("/api/health/full") {
        let health = ask(fleet, text)?;
        for pointer in ["/qc_worker/status", "/groq_api/status", "/google_oauth/status"] {
            expect(&health, pointer, Value::is_string)?;
        }
        expect(&health, "/qc_worker/details/stuck", Value::is_number)
    } else if has("/api/qc/debug") {
        let seen = ask(fleet, text)?;
        expect(&seen, "/stuckJobs", Value::is_array)?;
        expect(&seen, "/watchdogMetrics", Value::is_object)
    } else {
        Err("nothing here knows what this call must give".to_owned())
    }
}

/// The worker process of a job that hangs restarts: another runs the job again.
fn restart(fleet: &Fleet, text: &str) -> Result<String, String> {
    let worker =
        fleet.home.start(&["work", "--config", "jobforge.toml", "--queues", "hangs"], "takes jobs from");
    let before = worker.worker_pid();
    let stuck = fleet.exec("hangs", "sleep 600", "true");
    fleet.until(&stuck, "running");
    let id = fleet.field(&stuck, "locked_by");
    // Nobody hears of it any more.
    fleet.sql(&format!(
        "UPDATE jobforge_jobs SET heartbeat_due_at = now() - interval '1 second' WHERE id = '{stuck}'"
    ));
    let answer = ask(fleet, text)?;
    let told = answer["told"].as_array().ok_or_else(|| answer.to_string())?;
    let one = told.iter().find(|one| one["worker"] == id.as_str()).ok_or_else(|| answer.to_string())?;
    if !one["jobs"].as_array().is_some_and(|jobs| jobs.iter().any(|job| *job == stuck.as_str())) {
        return Err(one.to_string());
    }
    worker.until_it_says("ended to restart, as it was told");
    eventually("another process works", || worker.worker_pid() != before);
    fleet.until(&stuck, "succeeded");
    Ok(format!("{id} was told, another process took its place, and {stuck} ran again"))
}

/// Runs the lines in a shell, in which curl fails when the server refuses, and reads what they print.
pub(super) fn ask(fleet: &Fleet, lines: &str) -> Result<Value, String> {
    let base = fleet.url();
    let lines = lines
        .replace("https://alokickflow.onrender.com", &base)
        .replace("http://localhost:8080", &base)
        .replace("\"...", &format!("\"{base}"));
    let strict = format!("curl() {{ command curl --fail-with-body \"$@\"; }}\n{lines}");
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &strict]);
    shell.envs([("AUTH_TOKEN", OPERATOR), ("TOKEN", OPERATOR), ("ADMIN_TOKEN", ADMINISTRATOR)]);
    let ran = done(shell.output().map_err(|error| error.to_string())?);
    if ran.code != 0 {
        return Err(format!("exit code {}: {}{}", ran.code, ran.out, ran.err));
    }
    serde_json::from_str(&ran.out).map_err(|error| format!("{error}: {}", ran.out))
}

fn expect(answer: &Value, pointer: &str, fits: impl FnOnce(&Value) -> bool) -> Result<String, String> {
    let found = answer.pointer(pointer).ok_or_else(|| format!("no {pointer} in {answer}"))?;
    if fits(found) { Ok(format!("{pointer} is {found}")) } else { Err(format!("{pointer} is {found}")) }
}

fn status(fleet: &Fleet, job: &str, fits: impl FnOnce(&str) -> bool) -> Result<String, String> {
    let found = fleet.field(job, "status");
    if fits(&found) { Ok(format!("the stuck job is {found}")) } else { Err(format!("job {job} is {found}")) }
}
