//! Schedules: the trigger, and what the server's log says of them.

use std::fs::File;
use std::process::{Command, Stdio};

use super::fleet::Fleet;
use super::http;
use crate::program::eventually;

/// The scheduled job that the runbook names.
pub(super) const SCHEDULE: &str = "hot_score_refresh";

/// Runs a block and looks at what it gives.
pub(super) fn run(fleet: &Fleet, text: &str) -> Result<String, String> {
    if text.contains("/admin/jobs/trigger") {
        return trigger(fleet, text);
    }
    let calls: Vec<&str> =
        text.lines().filter(|line| line.trim_start().starts_with("kubectl logs")).collect();
    if calls.is_empty() {
        return Err("the block looks into no log".to_owned());
    }
    let log = fleet.home.path().join("server.log");
    let mut serve = fleet.home.command(&["serve", "--config", "jobforge.toml", "--listen", "127.0.0.1:0"]);
    serve.stdout(Stdio::null()).stderr(File::create(&log).map_err(|error| error.to_string())?);
    let mut server = serve.spawn().map_err(|error| error.to_string())?;
    for call in &calls {
        // The log of this host's server stands for that of a pod.
        let (_, filter) = call.split_once('|').ok_or_else(|| format!("{call} is filtered by nothing"))?;
        let filter = filter.replace("<job_name>", SCHEDULE);
        let line = format!("cat {} | {filter}", log.display());
        eventually(&line, || {
            Command::new("sh").args(["-c", &line]).output().is_ok_and(|found| found.status.success())
        });
    }
    let ended = server.kill().and_then(|()| server.wait());
    ended
        .map(|_| format!("{} line(s) find what they look for", calls.len()))
        .map_err(|error| error.to_string())
}

fn trigger(fleet: &Fleet, text: &str) -> Result<String, String> {
    // The reader is on the host already.
    let lines: String =
        text.lines().filter(|line| !line.starts_with("kubectl ")).map(|line| format!("{line}\n")).collect();
    let answer = http::ask(fleet, &lines)?;
    let job = answer["job_id"].as_str().ok_or_else(|| answer.to_string())?;
    fleet.until(job, "succeeded");
    let by = fleet.field(job, "created_by");
    if by == format!("schedule:{SCHEDULE}") { Ok(format!("job {job} ran")) } else { Err(by) }
}
