//! What a real fleet tells Prometheus after a short life in which everything has happened to jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use jobforge::core::metric::{self, table};
use serde_json::{Value, json};
use testkit::postgres::TestDatabase;

use crate::program::{Home, Running, done, eventually};
use crate::site::{Site, send};

const SETTINGS: &str = "exec_allow = \"*\"\nqueues = \"default,bad,once,stop,wait,lost\"\nheartbeat_interval_ms = 500\nheartbeat_threshold_ms = 60000\nslots = 8\n\
                        watchdog_check_interval_ms = 500\nslow_query_ms = 1\n\
                        heartbeat_budget_per_minute = 1000\nheartbeat_budgets_per_minute = \"acme=10\"\n\
                        [[alert_channels]]\nname = \"oncall\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\n";

/// Series by name and labels as they are written.
type Series = BTreeMap<String, f64>;

struct Fleet {
    up: Running,
    home: Home,
    url: String,
    _database: Option<TestDatabase>,
}

impl Fleet {
    fn start(home: Home, database: Option<TestDatabase>) -> Self {
        std::fs::write(home.path().join("jobforge.toml"), SETTINGS).unwrap();
        let up =
            home.start(&["up", "--config", "jobforge.toml", "--listen", "127.0.0.1:0"], "stop with Ctrl-C");
        let url = up.told_url();
        Self { up, home, url, _database: database }
    }

    fn on_sqlite() -> Self {
        Self::start(Home::new(), None)
    }

    fn on_postgres() -> Self {
        let database = TestDatabase::create().unwrap();
        Self::start(Home::on_postgres(&database.url()), Some(database))
    }

    fn curl(&self, arguments: &[&str], path: &str) -> String {
        let url = format!("{}{path}", self.url);
        let asked = Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments).arg(url).output();
        let asked = done(asked.unwrap());
        assert_eq!(asked.code, 0, "{}", asked.err);
        asked.out
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let answer = self.curl(&["-H", "content-type: application/json", "-d", &body], path);
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{path}: {answer}"))
    }

    /// Enqueues a program, with whatever else the job shall have.
    fn run(&self, argv: &[&str], more: &Value) -> String {
        let mut job =
            json!({ "type": "exec", "payload": { "argv": argv, "grace_ms": 100 }, "tenant_id": "acme" });
        for (key, value) in more.as_object().unwrap() {
            job[key] = value.clone();
        }
        let answer = self.post("/v1/jobs", &job);
        answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn exposition(&self) -> String {
        self.curl(&[], "/metrics")
    }

    fn series(&self) -> Series {
        series(&self.exposition())
    }

    /// Waits until these series have these values.
    fn tells(&self, wanted: &[(&str, f64)]) {
        let mut last = Series::new();
        let mut wrong = Vec::new();
        for _ in 0..600 {
            last = self.series();
            wrong = wanted.iter().filter(|(name, value)| last.get(*name) != Some(value)).collect();
            if wrong.is_empty() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let seen: Vec<_> = wrong.iter().map(|(name, _)| (*name, last.get(*name))).collect();
        panic!("wanted {wrong:?}\n  seen {seen:?}");
    }
}

fn series(text: &str) -> Series {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Families that have at least one series.
fn families(text: &str) -> BTreeSet<String> {
    let names = series(text).into_keys().map(|name| name.split('{').next().unwrap().to_owned());
    let family = |name: String| {
        let part = ["_bucket", "_sum", "_count"].into_iter().find_map(|part| name.strip_suffix(part));
        match part.filter(|short| metric::Metric::named(short).is_some()) {
            Some(short) => short.to_owned(),
            None => name,
        }
    };
    names.map(family).collect()
}

fn a_fleet_tells_everything_of_the_table_and_nothing_else_with_the_right_numbers(fleet: &Fleet) {
    // Three that succeed.
    let succeeded: Vec<String> = (0..3).map(|_| fleet.run(&["true"], &json!({}))).collect();
    // One that fails, is tried again, and is dead.
    let quick = json!({ "base_ms": 100, "factor": 1, "max_ms": 100, "jitter": 0 });
    let dead = fleet.run(&["false"], &json!({ "max_attempts": 2, "retry": quick, "queue": "bad" }));
    // One that can never run.
    let failed = fleet.post("/v1/jobs", &json!({ "type": "exec", "payload": { "argv": 7 }, "queue": "bad" }));
    // One that is asked for twice, and refused the third time; and one that is no job.
    let key = json!({ "idempotency_key": "k", "queue": "once" });
    assert_eq!(fleet.run(&["true"], &key), fleet.run(&["true"], &key));
    let other = json!({ "type": "exec", "payload": {}, "tenant_id": "acme", "queue": "once", "idempotency_key": "k" });
    assert_eq!(fleet.post("/v1/jobs", &other)["status"], 409);
    assert_eq!(fleet.post("/v1/jobs", &json!({ "type": "", "queue": "once" }))["status"], 422);
    // One that is canceled while it runs, and one before it does.
    let running = fleet.run(&["sleep", "300"], &json!({ "queue": "stop" }));
    let later = fleet.run(&["true"], &json!({ "queue": "stop", "delay_ms": 3_600_000 }));
    // One that waits for its time, one that waits for another attempt, one that nobody takes.
    fleet.run(&["true"], &json!({ "queue": "wait", "delay_ms": 3_600_000 }));
    let slow = json!({ "base_ms": 3_600_000, "factor": 1, "max_ms": 3_600_000, "jitter": 0 });
    fleet.run(&["false"], &json!({ "queue": "wait", "retry": slow }));
    fleet.run(&["true"], &json!({ "queue": "nobody" }));
    // One that a schedule makes.
    let hourly = json!({ "name": "hourly", "type": "exec", "payload": { "argv": ["true"] }, "every": "1h" });
    fleet.post("/v1/schedules", &hourly);
    let run = fleet.post("/v1/schedules/hourly/run", &json!({}));
    fleet.home.until(run["job_id"].as_str().unwrap(), "succeeded");
    for id in &succeeded {
        fleet.home.until(id, "succeeded");
    }
    fleet.home.until(&dead, "dead");
    fleet.home.until(failed["id"].as_str().unwrap(), "failed");
    fleet.home.until(&running, "running");
    fleet.post(&format!("/v1/jobs/{running}/cancel"), &json!({}));
    fleet.post(&format!("/v1/jobs/{later}/cancel"), &json!({}));
    fleet.home.until(&running, "canceled");
    fleet.tells(&[
        ("job_execution_total{job_name=\"exec\",status=\"success\"}", 4.0),
        ("job_execution_total{job_name=\"exec\",status=\"failed\"}", 4.0),
        ("job_execution_duration_seconds_count{job_name=\"exec\"}", 8.0),
        ("job_execution_total{job_name=\"hourly\",status=\"success\"}", 1.0),
        ("jobforge_jobs_total{queue=\"default\"}", 4.0),
        ("jobforge_jobs_failed_total{queue=\"default\"}", 0.0),
        ("jobforge_attempts_total{queue=\"default\",outcome=\"succeeded\"}", 4.0),
        ("jobforge_jobs_enqueued_total{queue=\"default\",result=\"created\"}", 4.0),
        ("jobforge_schedule_runs_total{job_name=\"hourly\",result=\"ran\"}", 1.0),
        ("jobforge_schedule_runs_total{job_name=\"hourly\",result=\"missed\"}", 0.0),
        ("jobforge_schedule_missed_runs_total{job_name=\"hourly\"}", 0.0),
        ("jobforge_schedule_interval_seconds{job_name=\"hourly\"}", 3600.0),
        ("jobforge_schedule_stale_after_seconds{job_name=\"hourly\"}", 7200.0),
        ("jobforge_schedule_consecutive_failures{job_name=\"hourly\"}", 0.0),
        ("jobforge_schedule_paused{job_name=\"hourly\"}", 0.0),
        ("jobforge_schedule_interval_seconds{job_name=\"system.cleanup.old_jobs\"}", 86_400.0),
        ("jobforge_leader{role=\"scheduler\"}", 1.0),
        ("jobforge_leader{role=\"alerts\"}", 1.0),
        ("jobforge_notifications_total{channel=\"oncall\",outcome=\"sent\"}", 0.0),
        ("jobforge_jobs_total{queue=\"bad\"}", 3.0),
        ("jobforge_jobs_failed_total{queue=\"bad\"}", 3.0),
        ("jobforge_attempts_total{queue=\"bad\",outcome=\"failed\"}", 2.0),
        ("jobforge_attempts_total{queue=\"bad\",outcome=\"dead\"}", 1.0),
        ("jobforge_jobs_retried_total{queue=\"bad\"}", 1.0),
        ("jobforge_jobs_dead_total{queue=\"bad\",source=\"worker\"}", 1.0),
        ("jobforge_jobs_dead_total{queue=\"bad\",source=\"watchdog\"}", 0.0),
        ("jobforge_jobs_enqueued_total{queue=\"once\",result=\"created\"}", 1.0),
        ("jobforge_jobs_enqueued_total{queue=\"once\",result=\"duplicate\"}", 1.0),
        ("jobforge_jobs_enqueued_total{queue=\"once\",result=\"rejected\"}", 2.0),
        ("jobforge_attempts_total{queue=\"stop\",outcome=\"cancelled\"}", 1.0),
        ("jobforge_jobs_cancelled_total{queue=\"stop\"}", 2.0),
        ("jobforge_jobs_total{queue=\"stop\"}", 1.0),
        ("jobforge_jobs{queue=\"wait\",status=\"scheduled\"}", 1.0),
        ("jobforge_jobs{queue=\"wait\",status=\"retrying\"}", 1.0),
        ("jobforge_jobs{queue=\"nobody\",status=\"queued\"}", 1.0),
        ("jobforge_jobs_ready{queue=\"nobody\"}", 1.0),
        ("job_queue_size{job_name=\"exec\"}", 1.0),
        ("jobforge_dead_groups{state=\"new\"}", 1.0),
        ("jobforge_workers{queue=\"default\",state=\"live\"}", 1.0),
        ("jobforge_feature_enabled{flag=\"JOB_HEARTBEAT\"}", 1.0),
        ("jobforge_config_threshold_seconds{name=\"heartbeat_threshold\"}", 60.0),
        ("jobforge_heartbeat_budget_per_minute{tenant=\"acme\"}", 10.0),
        ("jobforge_heartbeat_budget_per_minute_global", 1000.0),
        ("jobforge_database_up", 1.0),
        ("jobforge_label_overflow_total{label=\"series\"}", 0.0),
    ]);
    // One whose worker is killed: its numbers so far stay, and another worker goes on.
    let lost = fleet.run(&["sleep", "300"], &json!({ "queue": "lost", "timeout_ms": 7_200_000 }));
    fleet.home.until(&lost, "running");
    eventually("heartbeats were sent", || fleet.series()["job_heartbeat_sent"] > 0.0);
    let worker = fleet.up.worker_pid();
    send("-KILL", worker);
    fleet.tells(&[
        ("jobforge_attempts_total{queue=\"lost\",outcome=\"lost\"}", 1.0),
        ("jobforge_jobs_recovered_total{queue=\"lost\"}", 1.0),
        ("jobforge_jobs_failed_total{queue=\"lost\"}", 1.0),
        ("jobforge_workers_declared_dead_total", 1.0),
        ("jobforge_workers_resurrected_total", 0.0),
        ("jobforge_jobs{queue=\"lost\",status=\"running\"}", 1.0),
        ("jobforge_worker_slots_used{queue=\"lost\"}", 1.0),
        ("jobforge_heartbeats_expected_per_minute{tenant=\"acme\"}", 120.0),
        ("job_execution_total{job_name=\"exec\",status=\"success\"}", 4.0),
        // It has been replaced.
        ("jobforge_workers{queue=\"default\",state=\"down\"}", 0.0),
    ]);
    let text = fleet.exposition();
    let seen = series(&text);
    assert!(seen["jobforge_claim_wait_seconds_count{queue=\"default\"}"] >= 3.0);
    assert!(seen["job_last_success_timestamp_seconds{job_name=\"exec\"}"] > 1.7e9);
    assert!(seen["jobforge_running_job_age_seconds_max{type=\"exec\"}"] >= 0.0);
    assert_eq!(seen["jobforge_running_job_timeout_seconds_max{type=\"exec\"}"], 7200.0);
    assert!(seen["job_last_success_timestamp_seconds{job_name=\"hourly\"}"] > 1.7e9);
    assert!(seen["jobforge_schedule_next_run_timestamp_seconds{job_name=\"hourly\"}"] > 1.7e9);
    assert!(seen["jobforge_scheduler_last_tick_timestamp_seconds"] > 1.7e9);
    assert!(seen["jobforge_watchdog_runs_total{result=\"ok\"}"] >= 1.0);
    assert!(
        seen["jobforge_http_requests_total{route=\"/v1/jobs/{id}/cancel\",method=\"POST\",code=\"200\"}"]
            == 2.0
    );
    assert!(seen["jobforge_queue_oldest_ready_age_seconds{queue=\"nobody\"}"] > 0.0);
    let table: BTreeSet<String> = table::TABLE.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(families(&text), table);
    assert_eq!(promtool(&text), metric::promtool_exceptions().into_iter().collect::<BTreeSet<_>>());
    let open = fleet.curl(&["-H", "Accept: application/openmetrics-text"], "/metrics");
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE job_heartbeat_sent unknown\n"));
    fleet.post(&format!("/v1/jobs/{lost}/cancel"), &json!({}));
}

/// What Prometheus' own checker says, a line each.
fn promtool(text: &str) -> BTreeSet<String> {
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of the package prometheus: `cargo xtask deps`");
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let told = done(tool.wait_with_output().unwrap());
    told.out.lines().chain(told.err.lines()).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn process_a_fleet_on_sqlite_tells_everything_of_the_table_and_nothing_else() {
    a_fleet_tells_everything_of_the_table_and_nothing_else_with_the_right_numbers(&Fleet::on_sqlite());
}

#[test]
fn process_a_fleet_on_postgresql_tells_everything_of_the_table_and_nothing_else() {
    a_fleet_tells_everything_of_the_table_and_nothing_else_with_the_right_numbers(&Fleet::on_postgres());
}

#[test]
fn process_the_last_success_survives_a_restart_and_a_purge() {
    let fleet = Fleet::on_postgres();
    let id = fleet.run(&["true"], &json!({}));
    fleet.home.until(&id, "succeeded");
    let name = "job_last_success_timestamp_seconds{job_name=\"exec\"}";
    eventually("it is told", || fleet.series().contains_key(name));
    let before = fleet.series()[name];
    fleet.home.ok(&["job", "delete", &id, "--yes"]);
    let Fleet { up, home, _database, .. } = fleet;
    assert_eq!(up.terminate(), 0);
    let again = Fleet::start(home, _database);
    eventually("it is told again", || again.series().get(name) == Some(&before));
    let own = "job_execution_total{job_name=\"exec\",status=\"success\"}";
    eventually("its own count begins anew", || again.series().get(own) == Some(&0.0));
}

/// An address of this machine that nobody listens at.
fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn process_a_worker_tells_its_own_numbers_and_keeps_them_when_it_is_killed() {
    let site = Site::on_postgres();
    let address = free_address();
    let work = site.work(&["--metrics-listen", &address]);
    let ask = |path: &str| {
        done(Command::new("curl").args(["-sS", &format!("http://{address}{path}")]).output().unwrap()).out
    };
    let id = site.home.ok(&["job", "enqueue", "exec", "{\"argv\": [\"true\"]}"]);
    site.home.until(&id, "succeeded");
    let name = "job_execution_total{job_name=\"exec\",status=\"success\"}";
    eventually("its count is told", || series(&ask("/metrics")).get(name) == Some(&1.0));
    send("-KILL", work.worker_pid());
    let again = site.home.ok(&["job", "enqueue", "exec", "{\"argv\": [\"true\"]}"]);
    site.home.until(&again, "succeeded");
    eventually("both are told", || series(&ask("/metrics")).get(name) == Some(&2.0));
    let shared = families(&ask("/metrics")).into_iter().filter(|name| name == "jobforge_jobs_ready").count();
    assert_eq!(shared, 0, "what is shared is told by servers");
    assert!(ask("/v1/jobs").contains("only /metrics"));
    assert_eq!(work.terminate(), 0);
}

#[test]
fn process_a_server_with_tokens_tells_its_metrics_to_who_may_read_and_its_listener_to_everybody() {
    let home = Home::new();
    let listener = free_address();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", &listener];
    let mut command = home.command(&arguments);
    command.env("AUTH_TOKEN", "let-me-in-let-me-in");
    let serve = Running::start(command, "stop with Ctrl-C");
    let url = serve.url();
    let ask = |url: &str, header: &[&str]| {
        let code = ["-sS", "-o", "/dev/null", "-w", "%{http_code}"];
        done(Command::new("curl").args(code).args(header).arg(format!("{url}/metrics")).output().unwrap()).out
    };
    assert_eq!(ask(&url, &[]), "401");
    assert_eq!(ask(&url, &["-H", "Authorization: Bearer let-me-in-let-me-in"]), "200");
    assert_eq!(ask(&format!("http://{listener}"), &[]), "200");
    assert_eq!(serve.terminate(), 0);
}
