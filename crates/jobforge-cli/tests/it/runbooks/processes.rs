//! Blocks that start, kill or configure processes.

use std::process::Command;
use std::time::Duration;

use jobforge::clock;
use serde_json::Value;
use testkit::postgres::{PgBouncer, PoolMode};

use super::fleet::Fleet;
use super::shell::assignments;
use super::{six, sql};
use crate::program::{Running, done};

/// Kills a worker that runs a job, and asks the block's own question until the answer is the promised one.
pub(super) fn kill_a_worker(fleet: &mut Fleet, text: &str) -> Result<String, String> {
    let question =
        text.split("-c \"").nth(1).and_then(|rest| rest.split('"').next()).ok_or("it asks nothing")?;
    let within: u64 = text
        .split("sleep ")
        .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .max()
        .ok_or("it waits for nothing")?;
    let (job, _) = fleet.kill_a_worker("doomed-too");
    let promised = format!("{job}|failed|Worker died unexpectedly");
    let began = clock::monotonic();
    loop {
        let shown = sql::shown_by(fleet, question)?;
        let took = clock::monotonic().duration_since(began);
        if shown.lines().any(|line| line == promised) {
            return Ok(format!("failed after {:.1} s of at most {within} s", took.as_secs_f64()));
        }
        if took > Duration::from_secs(within) {
            return Err(format!("after {within} s: {shown}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Every variable that a block sets is a setting, and its value is one that the setting takes.
pub(super) fn environment(fleet: &Fleet, text: &str) -> Result<String, String> {
    let given = assignments(text).ok_or("it does more than set variables")?;
    let mut command = fleet.home.command(&["help-settings", "--json"]);
    given.iter().for_each(|(name, value)| {
        command.env(name, value);
    });
    let listed = done(command.output().map_err(|error| error.to_string())?);
    if listed.code != 0 {
        return Err(listed.err);
    }
    let settings: Vec<Value> = serde_json::from_str(&listed.out).map_err(|error| error.to_string())?;
    for (name, _) in &given {
        let known = settings.iter().find(|setting| {
            setting["env"].as_array().is_some_and(|names| names.iter().any(|one| one == name))
        });
        let setting = known.ok_or_else(|| format!("{name} sets nothing"))?;
        if !setting["source"].as_str().is_some_and(|source| source.contains(name.as_str())) {
            return Err(format!("{name} is not where {} comes from: {setting}", setting["key"]));
        }
    }
    Ok(format!("{} setting(s) taken from it", given.len()))
}

/// A worker's log has the word that the runbook looks for, at the default level.
pub(super) fn heartbeat_line(fleet: &Fleet) {
    let arguments = ["work", "--config", "jobforge.toml", "--no-supervise", "--queues", "quiet"];
    drop(fleet.home.start(&arguments, "Heartbeat"));
}

/// Everything goes through a pooler in transaction mode as well; its address is not the one of the block.
pub(super) fn pooler(fleet: &Fleet) -> Result<String, String> {
    let started = PgBouncer::start(fleet.cluster.server(), fleet.database.name(), PoolMode::Transaction);
    let pooler = started.map_err(|error| format!("{error:#}"))?;
    let through = |mut command: Command| {
        command.env("DATABASE_URL", pooler.url());
        command
    };
    let enqueue = ["job", "enqueue", "exec", "{\"argv\": [\"true\"]}", "--queue", "pooled"];
    let enqueued = done(through(fleet.home.command(&enqueue)).output().map_err(|error| error.to_string())?);
    let work = ["work", "--config", "jobforge.toml", "--no-supervise", "--queues", "pooled"];
    let _worker = Running::start(through(fleet.home.command(&work)), "takes jobs from");
    fleet.until(enqueued.out.trim(), "succeeded");
    let status =
        done(through(fleet.home.command(&["db", "status"])).output().map_err(|error| error.to_string())?);
    if !status.out.contains("through a transaction pooler") {
        return Err(status.out);
    }
    Ok("a job went through PgBouncer in transaction mode".to_owned())
}

/// The block's own grep, on what server and worker have logged: failures are there to be found, crashes are not.
pub(super) fn logs(fleet: &Fleet, text: &str) -> Result<String, String> {
    fleet.write_logs();
    let filter = text.split_once("| ").ok_or("it looks for nothing")?.1.trim();
    let found = found_by(fleet, &format!("cat server.log worker.log | {filter}"))?;
    let crashes = filter.contains("panic");
    if found.trim().is_empty() == crashes {
        return Ok(format!("{} line(s) of the logs", found.lines().count()));
    }
    Err(format!("`{filter}` finds {found:?}"))
}

/// The block's own grep, on the variables of every setting and schedule: those of intervals are named so that it finds them.
pub(super) fn interval_names(fleet: &Fleet, text: &str) -> Result<String, String> {
    let filter = text.split_once("env | ").ok_or("it looks for nothing")?.1.trim();
    let settings = fleet.home.json(&["help-settings"]);
    let intervals: Vec<&str> = settings
        .as_array()
        .into_iter()
        .flatten()
        .filter(|setting| setting["key"].as_str().is_some_and(|key| key.contains("interval")))
        .filter_map(|setting| setting["env"][0].as_str())
        .collect();
    let of_schedules = six::variables();
    let intervals: Vec<&str> = intervals.into_iter().chain(of_schedules.iter().map(String::as_str)).collect();
    let names: String = intervals.iter().map(|name| format!("{name}=1\n")).collect();
    std::fs::write(fleet.home.path().join("env"), names).map_err(|error| error.to_string())?;
    let found = found_by(fleet, &format!("cat env | {filter}"))?;
    match intervals.iter().find(|name| !found.contains(**name)) {
        Some(missing) => Err(format!("it does not find {missing}")),
        None if intervals.is_empty() => Err("no setting is about an interval".to_owned()),
        None => Ok(format!("finds {}", intervals.join(", "))),
    }
}

/// What a typed line prints, where the fleet's logs are.
fn found_by(fleet: &Fleet, line: &str) -> Result<String, String> {
    let done = done(fleet.home.other("sh").args(["-c", line]).output().map_err(|error| error.to_string())?);
    if done.err.is_empty() { Ok(done.out) } else { Err(done.err) }
}

/// A statement that takes long is logged in words that the block's own grep finds.
pub(super) fn slow_line(fleet: &Fleet, text: &str) -> Result<String, String> {
    let pattern =
        text.split("grep ").nth(1).and_then(|rest| rest.split('"').nth(1)).ok_or("it looks for nothing")?;
    let mut command = fleet.home.command(&["db", "check"]);
    let logged = command.env("JOBFORGE_SLOW_QUERY_MS", "1").output().map_err(|error| error.to_string())?;
    let log = fleet.home.path().join("slow.log");
    std::fs::write(&log, &logged.stderr).map_err(|error| error.to_string())?;
    let found = Command::new("grep").arg(pattern).arg(&log).output().map_err(|error| error.to_string())?;
    if found.status.success() {
        return Ok(String::from_utf8_lossy(&found.stdout).into_owned());
    }
    Err(format!("the log has no such line: {}", String::from_utf8_lossy(&logged.stderr)))
}
