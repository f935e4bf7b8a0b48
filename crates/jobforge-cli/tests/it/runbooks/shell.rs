//! Shell: what can be run here is, by kind; what needs somebody else's cluster or host is not.

use std::process::{Child, Command, Stdio};

use testkit::postgres::find_binaries;

use super::fleet::Fleet;
use super::verdict::Verdict;
use super::{backup, deploy, http, processes, schedules, sql};
use crate::program::eventually;

/// Runs a block by what it is about.
pub(super) fn run(fleet: &mut Fleet, text: &str) -> Verdict {
    let has = |word: &str| text.contains(word);
    if has("pg_dump") {
        Verdict::of(backup::dump(fleet, text))
    } else if has("pg_restore") {
        Verdict::of(backup::restore(fleet, text))
    } else if has("kill -9") && has("worker.py") {
        Verdict::of(deploy::worker(fleet, text).and_then(|()| processes::kill_a_worker(fleet, text)))
    } else if has("cleanup_daemon.py") {
        Verdict::of(deploy::cleanup_daemon(fleet, text))
    } else if has("psql ") {
        Verdict::of(in_psql(fleet, text))
    } else if has("/admin/jobs/trigger")
        || has("Starting.*scheduler")
        || has("<job_name>")
        || has("\"job_name\"")
    {
        Verdict::of(schedules::run(fleet, text))
    } else if has("curl ") {
        Verdict::of(http::run(fleet, text))
    } else if has("grep \"Heartbeat\"") {
        processes::heartbeat_line(fleet);
        Verdict::Passes("the worker's log has a line with it".to_owned())
    } else if has("slow query") {
        Verdict::of(processes::slow_line(fleet, text))
    } else if has("kubectl logs") && has("| grep") {
        Verdict::of(processes::logs(fleet, text))
    } else if has("env | grep") {
        Verdict::of(processes::interval_names(fleet, text))
    } else if has("docker-compose") {
        Verdict::of(deploy::scaled(text))
    } else if has("systemctl") {
        Verdict::of(deploy::systemctl(text))
    } else if has("kubectl ") {
        Verdict::NotApplicable("asks the reader's own cluster about its pods and deployments".to_owned())
    } else if has("journalctl") {
        Verdict::NotApplicable("systemd shows its own journal".to_owned())
    } else if has("git ") {
        Verdict::NotApplicable("goes back to an older release of the reader's own service".to_owned())
    } else if assignments(text).is_some() {
        Verdict::of(processes::environment(fleet, text))
    } else {
        Verdict::Fails("no executor knows what this is about".to_owned())
    }
}

/// The variables that a block sets, if it does nothing else.
pub(super) fn assignments(text: &str) -> Option<Vec<(String, String)>> {
    text.lines()
        .map(|line| line.split(" #").next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
            let is_name =
                name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
            is_name.then(|| (name.to_owned(), value.trim().trim_matches('"').to_owned()))
        })
        .collect()
}

/// The statements that are handed to psql, wherever it would run, run here.
fn in_psql(fleet: &Fleet, text: &str) -> Result<String, String> {
    let statements: Vec<&str> =
        text.split("psql ").skip(1).filter_map(|call| call.split('"').nth(1)).collect();
    if statements.is_empty() {
        return Err("psql is called without a statement".to_owned());
    }
    for statement in &statements {
        let victim = statement.contains("<pid>").then(|| Session::start(fleet));
        let pid = victim.as_ref().map_or("", |session| &session.pid);
        let shown = sql::shown_by(fleet, &statement.replace("<pid>", pid))?;
        if statement.contains("pg_terminate_backend") && shown.trim() != "t" {
            return Err(format!("it ended nothing: {shown}"));
        }
        let must_show = ["pg_stat_activity", "pg_stat_statements", "SELECT 1"];
        if must_show.iter().any(|word| statement.contains(word)) && shown.trim().is_empty() {
            return Err("it shows nothing".to_owned());
        }
    }
    Ok(format!("{} statement(s) run", statements.len()))
}

/// A session that a reader may want to end.
struct Session {
    child: Child,
    pid: String,
}

impl Session {
    fn start(fleet: &Fleet) -> Self {
        let psql = find_binaries().unwrap().program("psql");
        let mut command = Command::new(psql);
        command.args(["-X", "-c", "SELECT pg_sleep(120)", &fleet.database.url()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut pid = String::new();
        eventually("the session runs", || {
            pid = fleet.sql(
                "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(120)' AND state = 'active'",
            );
            !pid.is_empty()
        });
        Self { child, pid }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn variables_are_told_from_commands() {
    let two = assignments("export A_B=\"x y\"\n\n# why\nC=1  # note\n");
    assert_eq!(two, Some(vec![("A_B".to_owned(), "x y".to_owned()), ("C".to_owned(), "1".to_owned())]));
    assert_eq!(assignments("A=1\ncurl x?b=c\n"), None);
}
