//! Schedules: the trigger, and what the server's log says of them.

use std::fs::File;
use std::process::{Command, Stdio};

use super::fleet::{self, Fleet};
use super::{http, six};
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
    let mut serve = fleet::serve(&fleet.home);
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
    // The source of clips first, so that the others find something to do.
    let mut names = six::names();
    names.sort_by_key(|name| name != six::FIRST);
    let mut told = Vec::new();
    for name in names {
        let answer = http::ask(fleet, &lines.replace(SCHEDULE, &name))?;
        let job = answer["job_id"].as_str().ok_or_else(|| answer.to_string())?;
        fleet.until(job, "succeeded");
        let by = fleet.field(job, "created_by");
        if by != format!("schedule:{name}") {
            return Err(by);
        }
        told.push(format!("{name} {}", fleet.field(job, "items_processed")));
    }
    Ok(format!("items processed: {}", told.join(", ")))
}
