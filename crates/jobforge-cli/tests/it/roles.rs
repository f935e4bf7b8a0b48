//! Servers that do only some of what a server may do.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::program::{Home, Running, eventually, http};
use crate::site::{Site, pid_in, send};

/// What a fleet is without, as health tells it.
fn missing(health: &Value) -> Vec<&str> {
    health["missing_roles"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

/// Whether any of a process's sockets listens on a TCP port.
fn listens(pid: u32) -> bool {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let own: BTreeSet<String> = fds
        .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables = ["tcp", "tcp6"]
        .map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default());
    let mut listening = tables.iter().flat_map(|table| table.lines()).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        (columns.get(3) == Some(&"0A")).then(|| columns.get(9).map(|inode| (*inode).to_owned()))?
    });
    listening.any(|inode| own.contains(&inode))
}

fn serve(home: &Home, role: &str) -> Running {
    let ready = match role {
        "watchdog" => "Cleanup daemon started",
        _ => "stop with Ctrl-C",
    };
    home.start(&["serve", "--roles", role, "--listen", "127.0.0.1:0"], ready)
}

#[test]
fn process_each_role_runs_alone_does_only_that_and_health_tells_which_is_missing() {
    let site = Site::on_postgres();
    let api = serve(&site.home, "api");
    assert!(listens(api.pid()));
    let health = || http("GET", &format!("{}/api/health/full", api.url()), &[], None).body;
    let mut shown = Value::Null;
    let mut until_missing = |wanted: &[&str]| {
        eventually(&format!("{wanted:?} are missing"), || {
            shown = health();
            missing(&shown) == wanted
        });
        shown.clone()
    };
    let shown = until_missing(&["watchdog", "scheduler", "housekeeper", "alerts"]);
    assert_eq!(shown["status"], "degraded", "{shown}");
    for role in ["watchdog", "housekeeper", "alerts"] {
        let message = shown[role]["message"].as_str().unwrap();
        assert!(message.contains(&format!("jobforge serve --roles {role}")), "{message}");
    }
    // Somebody who only answers leaves everything else alone.
    assert_eq!(
        site.sql(
            "SELECT (SELECT count(*) FROM jobforge_watchdogs), (SELECT count(*) FROM jobforge_scheduler), \
             (SELECT count(*) FROM jobforge_housekeeper), (SELECT count(*) FROM jobforge_schedules)"
        ),
        "0|0|0|0"
    );
    site.home.ok(&["schedule", "add", "tick", "tick", "--every", "1s"]);
    let mut message = String::new();
    eventually("nobody fires, and health says who would", || {
        message = health()["scheduler"]["message"].as_str().unwrap_or_default().to_owned();
        message.contains("jobforge serve --roles scheduler")
    });
    let watchdog = serve(&site.home, "watchdog");
    until_missing(&["scheduler", "housekeeper", "alerts"]);
    assert_eq!(site.sql("SELECT count(*) FROM jobforge_schedule_runs"), "0", "a watchdog fires nothing");
    let scheduler = serve(&site.home, "scheduler");
    until_missing(&["housekeeper", "alerts"]);
    eventually("schedules are fired", || site.sql("SELECT count(*) FROM jobforge_schedule_runs") != "0");
    let housekeeper = serve(&site.home, "housekeeper");
    until_missing(&["alerts"]);
    let alerts = serve(&site.home, "alerts");
    let shown = until_missing(&[]);
    assert_eq!(shown["watchdog"]["status"], "ok", "{shown}");
    // Whoever gave a sign is who has the role, and nobody else.
    let by = |sql: &str| -> BTreeSet<u32> {
        site.sql(sql).lines().filter_map(|id| id.split(':').nth(1)?.parse().ok()).collect()
    };
    assert_eq!(by("SELECT id FROM jobforge_watchdogs"), [watchdog.pid()].into());
    assert_eq!(by("SELECT leader FROM jobforge_scheduler"), [scheduler.pid()].into());
    assert_eq!(by("SELECT id FROM jobforge_housekeeper"), [housekeeper.pid()].into());
    for server in [watchdog, scheduler, housekeeper, alerts] {
        assert!(!listens(server.pid()), "a server without the role api has a port:\n{}", server.said());
        assert_eq!(server.terminate(), 0);
    }
    assert_eq!(api.terminate(), 0);
}

/// On SQLite whoever owns the file takes worker processes at its socket, which also tells how everything is.
#[test]
fn process_each_role_runs_alone_on_sqlite_and_is_reached_by_workers() {
    for role in ["api", "watchdog", "scheduler", "housekeeper", "alerts"] {
        let home = Home::new();
        let server = serve(&home, role);
        let socket = home.data_dir().join("jobforge.sock");
        let ask = || -> Value {
            let curl = ["-sS", "--max-time", "30", "--unix-socket"];
            let answer =
                Command::new("curl").args(curl).arg(&socket).arg("http://x/api/health/full").output();
            serde_json::from_slice(&answer.unwrap().stdout).unwrap_or_default()
        };
        let others: Vec<&str> = ["watchdog", "scheduler", "housekeeper", "alerts"]
            .into_iter()
            .filter(|other| *other != role)
            .collect();
        let mut shown = Value::Null;
        eventually(&format!("only {others:?} are missing"), || {
            shown = ask();
            shown["missing_roles"].is_array() && missing(&shown) == others
        });
        assert_eq!(listens(server.pid()), role == "api", "{role}");
        let work = home.start(&["work", "--exec-allow", "*"], "takes jobs from");
        let id = home.ok(&["job", "enqueue", "exec", r#"{"argv": ["true"]}"#]);
        home.until(&id, "succeeded");
        assert_eq!(work.terminate(), 0);
        assert_eq!(server.terminate(), 0);
    }
}

#[test]
fn process_a_cleanup_daemon_alone_takes_back_the_job_of_a_killed_worker() {
    let site = Site::on_postgres();
    let mut daemon = site.home.command(&["cleanup-daemon"]);
    daemon.env("STALE_THRESHOLD_MINUTES", "0.05").env("CHECK_INTERVAL", "1");
    let daemon = Running::start(daemon, "checks at least every 1000 ms");
    assert!(!listens(daemon.pid()));
    let work = site.work(&["--no-supervise"]);
    let id = site.enqueue("echo $$ > pid; sleep 300", "true");
    site.home.until(&id, "running");
    let program = pid_in(&site.home.path().join("pid"));
    work.kill();
    let back = site.home.until(&id, "queued");
    assert_eq!(back["misses"], 1, "{back}");
    send("-KILL", program);
    assert_eq!(site.sql("SELECT count(*) FROM jobforge_scheduler"), "0", "it fires nothing");
    assert_eq!(daemon.terminate(), 0);
}

on_each_engine!(process_a_schedule_that_does_not_succeed_in_time_degrades_health_until_it_does);

fn process_a_schedule_that_does_not_succeed_in_time_degrades_health_until_it_does(site: &Site) {
    let beside = site.watchdog();
    let url = site.url(beside.as_ref());
    let add = [
        "schedule",
        "add",
        "nightly",
        "exec",
        r#"{"argv": ["true"]}"#,
        "--every",
        "1s",
        "--stale-after",
        "4s",
    ];
    site.home.ok(&add);
    let ask = |path: &str| {
        let answer = http("GET", &format!("{url}{path}"), &[], None);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    };
    let mut told = Value::Null;
    eventually("nobody runs its jobs, and health says so", || {
        told = ask("/api/health");
        told["status"] == "degraded"
    });
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("schedule nightly has had no success since 2"), "{message}");
    assert!(message.contains("it may be without for 4"), "{message}");
    assert!(message.contains("`jobforge schedule history nightly`"), "{message}");
    let whole = ask("/api/health/full");
    assert_eq!(whole["status"], "degraded", "{whole}");
    let stale = &whole["scheduler"]["details"]["stale_schedules"][0];
    assert_eq!((&stale["name"], &stale["stale_after_ms"]), (&"nightly".into(), &4000.into()), "{whole}");
    assert!(stale["stale_since"].is_string(), "{whole}");
    let work = site.work(&[]);
    eventually("it succeeds, and health says so", || ask("/api/health")["status"] == "healthy");
    assert_eq!(work.terminate(), 0);
}

#[test]
fn a_role_that_does_not_exist_is_refused_with_what_was_meant() {
    let home = Home::new();
    let refused = home.run(&["serve", "--roles", "api,shceduler"]);
    assert!(refused.code == 78 && refused.err.contains("did you mean \"scheduler\"?"), "{}", refused.err);
    assert!(!home.data_dir().exists(), "nothing is made for a server that does not start");
}
