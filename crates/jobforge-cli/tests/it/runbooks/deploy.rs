//! Blocks about units, compose files and manifests: what `deploy/` has is held against them, and what they start is
//! started by the very words of the block. `deploy/check` asks the tools that read those files.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::fleet::Fleet;
use super::repository;
use super::shell::assignments;
use crate::program::{Home, Running, done};

const STARTED: &str = "Cleanup daemon started";

/// Judges a block of a configuration file.
pub(super) fn file(fleet: &Fleet, text: &str) -> Result<String, String> {
    if text.contains("[Unit]") {
        unit(fleet, text)
    } else if text.contains("kind: Deployment") {
        deployment(text)
    } else if text.contains("services:") {
        service(fleet, text)
    } else {
        Err("nothing here knows what this configures".to_owned())
    }
}

/// The unit is ours, word for word, and its command runs where `deploy/compat/install` has laid it out.
fn unit(fleet: &Fleet, text: &str) -> Result<String, String> {
    let ours = read("deploy/systemd/rgrid-cleanup-daemon.service")?;
    if ours != text {
        return Err(format!("deploy/systemd has another unit:\n{ours}"));
    }
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let place = Place::new()?;
    let command = value("ExecStart").ok_or("it starts nothing")?.replace("/opt/rgrid", &place.path());
    let set: String = text
        .lines()
        .filter_map(|line| line.strip_prefix("Environment="))
        .map(|line| format!("{}\n", line.trim_matches('"')))
        .collect();
    place.runs(fleet, &format!("exec {command}"), &set)?;
    Ok("deploy/systemd has it word for word, and what it starts runs".to_owned())
}

/// The service is one of ours, set the same, and its command runs in the folder that it is built from.
fn service(fleet: &Fleet, text: &str) -> Result<String, String> {
    let theirs = yaml(text)?;
    let ours = composed()?;
    let place = Place::new()?;
    let mut seen = Vec::new();
    for (name, service) in theirs["services"].as_object().ok_or("it has no services")? {
        let own = &ours["services"][name];
        if own["restart"] != service["restart"] {
            return Err(format!(
                "{name} of compose.core.yaml restarts {}, not {}",
                own["restart"], service["restart"]
            ));
        }
        let set: Vec<&str> =
            service["environment"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (variable, value) in set.iter().filter_map(|line| line.split_once('=')) {
            let given = &own["environment"][variable];
            // A secret of ours comes from a file.
            let by_file = own["environment"].get(format!("{variable}_FILE")).is_some();
            if given != value && !by_file {
                return Err(format!("{name} of compose.core.yaml has {variable}={given}, not {value}"));
            }
        }
        let command = service["command"].as_str().ok_or_else(|| format!("{name} runs nothing"))?;
        place.runs(fleet, &format!("cd runner && exec {command}"), &set.join("\n"))?;
        seen.push(name.as_str());
    }
    Ok(format!("compose.core.yaml has {} with these settings, and the command runs", seen.join(", ")))
}

/// Our Deployment of that name has all that the block has, but for its own image and number.
fn deployment(text: &str) -> Result<String, String> {
    let theirs = yaml(text)?;
    let name = theirs["metadata"]["name"].as_str().ok_or("it has no name")?;
    let file = format!("deploy/kubernetes/base/{}.yaml", name.trim_start_matches("jobforge-"));
    let ours = yaml(&read(&file)?)?;
    covers(&ours, &theirs, "")?;
    Ok(format!("{file} has it"))
}

/// The services that are scaled exist, and nothing stands in the way of more than one of each.
pub(super) fn scaled(text: &str) -> Result<String, String> {
    let ours = composed()?;
    let scaled: Vec<&str> =
        text.split("--scale ").skip(1).filter_map(|rest| rest.split('=').next()).collect();
    for name in &scaled {
        let service = &ours["services"][name];
        if !service.is_object() {
            return Err(format!("compose.core.yaml has no service {name}"));
        }
        if let Some(word) = ["container_name", "ports"].into_iter().find(|word| service.get(word).is_some()) {
            return Err(format!("{name} has {word} and cannot be scaled"));
        }
    }
    Ok(format!("compose.core.yaml has {} and any number of them may run", scaled.join(" and ")))
}

/// What systemd does without running: it enables the units that are named. The rest needs it to run.
pub(super) fn systemctl(text: &str) -> Result<String, String> {
    let root = TempDir::new().map_err(words)?;
    let units = root.path().join("etc/systemd/system");
    std::fs::create_dir_all(&units).map_err(words)?;
    let mut enabled = Vec::new();
    for line in text.lines().filter(|line| line.contains("systemctl ")) {
        let name = line.split_whitespace().last().unwrap_or_default();
        let file = format!("{name}.service");
        std::fs::copy(repository().join("deploy/systemd").join(&file), units.join(&file))
            .map_err(|error| format!("deploy/systemd has no {file}: {error}"))?;
        if line.contains(" enable ") {
            let mut command = Command::new("systemctl");
            let ran =
                command.arg("--root").arg(root.path()).args(["enable", name]).output().map_err(words)?;
            if !ran.status.success() {
                return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
            }
            enabled.push(name);
        }
    }
    match enabled.is_empty() {
        true => Err("it enables nothing".to_owned()),
        false => Ok(format!("deploy/systemd has {}, which systemd enables", enabled.join(", "))),
    }
}

/// Starts the daemon by the block's own words, and looks for it as the runbook does.
pub(super) fn cleanup_daemon(fleet: &Fleet, text: &str) -> Result<String, String> {
    let set: String =
        text.lines().filter(|line| !line.contains(".py")).map(|line| format!("{line}\n")).collect();
    let command = text.lines().find(|line| line.contains(".py")).ok_or("it starts nothing")?;
    let set: Vec<String> = assignments(&set)
        .ok_or("it does more than set variables and start the daemon")?
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Place::new()?.runs(fleet, &format!("exec {command}"), &set.join("\n"))?;
    Ok(format!("`{command}` runs with just these"))
}

/// Starts the worker by the block's own words; killing it kills the worker itself.
pub(super) fn worker(fleet: &Fleet, text: &str) -> Result<(), String> {
    let command = text.lines().find(|line| line.contains("worker.py")).ok_or("it starts no worker")?;
    let place = Place::new()?;
    let line = format!("exec {}", command.trim_end_matches('&').trim());
    let worker = Running::start(place.command(fleet, &line, "JOBFORGE_QUEUES=nobody"), "takes jobs from");
    let children = Command::new("pgrep").args(["-P", &worker.pid().to_string()]).output().map_err(words)?;
    if !children.stdout.is_empty() {
        return Err("the process that the runbook kills is not the worker".to_owned());
    }
    worker.kill();
    Ok(())
}

/// A folder in which older runbooks find what they start.
struct Place(TempDir);

impl Place {
    fn new() -> Result<Self, String> {
        let folder = TempDir::new().map_err(words)?;
        let install = Command::new(repository().join("deploy/compat/install")).arg(folder.path()).output();
        let install = done(install.map_err(words)?);
        if install.code == 0 { Ok(Self(folder)) } else { Err(install.err) }
    }

    fn path(&self) -> String {
        self.0.path().display().to_string()
    }

    /// A line of shell there, with the block's variables but the fleet's database.
    fn command(&self, fleet: &Fleet, line: &str, set: &str) -> Command {
        let mut command = fleet.home.other("sh");
        let path = format!("{}/venv/bin:{}:/usr/bin:/bin", self.path(), Home::programs().display());
        command.args(["-c", line]).current_dir(self.0.path()).env("PATH", path);
        for (name, value) in set.lines().filter_map(|line| line.split_once('=')) {
            if name != "DATABASE_URL" {
                command.env(name, value);
            }
        }
        command
    }

    /// Starts a cleanup daemon, and ends it.
    fn runs(&self, fleet: &Fleet, line: &str, set: &str) -> Result<(), String> {
        let daemon = Running::start(self.command(fleet, line, set), STARTED);
        let seen = Command::new("sh").args(["-c", "ps aux | grep cleanup_daemon"]).output().map_err(words)?;
        let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
        let pid = daemon.pid().to_string();
        if !seen.lines().any(|line| line.split_whitespace().nth(1) == Some(pid.as_str())) {
            return Err(format!("`ps aux | grep cleanup_daemon` does not show process {pid}: {seen}"));
        }
        match daemon.terminate() {
            0 => Ok(()),
            code => Err(format!("it ended with exit code {code}")),
        }
    }
}

/// Whether `ours` has everything of `theirs`; elements of lists are found by their names.
fn covers(ours: &Value, theirs: &Value, at: &str) -> Result<(), String> {
    match theirs {
        Value::Object(keys) => keys.iter().try_for_each(|(key, value)| match key.as_str() {
            // The reader's own.
            "image" | "replicas" => Ok(()),
            key => covers(&ours[key], value, &format!("{at}.{key}")),
        }),
        Value::Array(all) => all.iter().try_for_each(|one| {
            let same = |other: &&Value| other["name"] == one["name"];
            let found = ours.as_array().into_iter().flatten().find(same);
            covers(found.unwrap_or(&Value::Null), one, &format!("{at}[{}]", one["name"]))
        }),
        plain if plain == ours => Ok(()),
        plain => Err(format!("{at} is {ours}, not {plain}")),
    }
}

/// `deploy/compose.core.yaml`.
pub(crate) fn composed() -> Result<Value, String> {
    yaml(&read("deploy/compose.core.yaml")?)
}

/// Reads the first document of a file, merges included.
fn yaml(text: &str) -> Result<Value, String> {
    let mut value: serde_yaml_ng::Value = serde_yaml_ng::from_str(text).map_err(words)?;
    value.apply_merge().map_err(words)?;
    serde_json::to_value(value).map_err(words)
}

fn read(path: &str) -> Result<String, String> {
    let path: &Path = &repository().join(path);
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[test]
fn a_manifest_that_lacks_a_variable_or_has_another_secret_does_not_cover_the_block() {
    let block = yaml("spec: {replicas: 5, containers: [{name: worker, image: x, env: [{name: A, key: k}]}]}")
        .unwrap();
    let with = |env: &str| {
        let ours = format!(
            "spec: {{replicas: 2, more: 1, containers: [{{name: other}}, {{name: worker, env: [{env}]}}]}}"
        );
        covers(&yaml(&ours).unwrap(), &block, "")
    };
    assert_eq!(with("{name: B}, {name: A, key: k, optional: true}"), Ok(()));
    assert!(with("{name: B, key: k}").is_err());
    assert!(with("{name: A, key: other}").is_err());
}
