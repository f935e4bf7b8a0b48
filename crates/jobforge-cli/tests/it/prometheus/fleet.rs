//! The fleet, what goes wrong with it, and what is said of that.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use jobforge::clock;
use serde_json::{Value, json};
use testkit::postgres::{Cluster, ClusterOptions};

use super::judge::Judge;
use super::server::{Prometheus, free_address};
use crate::program::{Home, Running, eventually, http};
use crate::site::send;

/// How long the fleet may take to show what was caused.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a healthy fleet is watched: as long as the longest window that a minute is for the rules, and a bit.
const HEALTHY_FOR: &str = "14s";

/// What is not to change while it runs.
const SETTINGS: &str = "exec_allow = \"*\"\nworker_lease_ms = 6000\nheartbeat_interval_ms = 1000\n\
                        on_lost_queues = \"doomed=dead_letter\"\nalert_interval_ms = 1000\nmax_poll_interval_ms = 1000\n";
/// Running jobs are to cause 60 heartbeats a minute each.
const STORED: [(&str, &str); 3] = [
    ("watchdog_check_interval_ms", "1000"),
    ("heartbeat_budget_per_minute", "1500"),
    ("heartbeat_budgets_per_minute", "acme=600"),
];

/// Alerts that were seen firing.
#[derive(Default)]
pub(super) struct Watched {
    /// By Prometheus.
    pub(super) outside: BTreeSet<String>,
    /// By JobForge itself.
    pub(super) inside: BTreeSet<String>,
}

pub(super) struct Fleet {
    pub(super) prometheus: Prometheus,
    _judge: Judge,
    // Processes end before their database.
    main: Option<Running>,
    doomed: Option<Running>,
    stale: Option<Running>,
    serve: Option<Running>,
    frozen: u32,
    url: String,
    home: Home,
    cluster: Cluster,
}

impl Fleet {
    pub(super) fn start() -> Self {
        let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
        let home = Home::on_postgres(cluster.server().url());
        let channel = format!(
            "[[alert_channels]]\nname = \"oncall\"\nkind = \"webhook\"\nurl = \"http://{}/\"\n",
            refusing()
        );
        std::fs::write(home.path().join("jobforge.toml"), format!("{SETTINGS}{channel}")).unwrap();
        home.ok(&["db", "migrate"]);
        let judge = Judge::start(cluster.server().url());
        let serve = home
            .start(&["serve", "--config", "jobforge.toml", "--listen", "127.0.0.1:0"], "stop with Ctrl-C");
        let url = serve.url();
        let addresses = [free_address(), free_address(), free_address()];
        let main = work(&home, &addresses[0], "default,bad", "70");
        let doomed = work(&home, &addresses[1], "doomed", "12");
        let stale = work(&home, &addresses[2], "stale", "2");
        let targets = [&[url.trim_start_matches("http://").to_owned()][..], &addresses[..]].concat();
        let prometheus = Prometheus::start(&targets);
        let fleet = Self {
            prometheus,
            _judge: judge,
            main: Some(main),
            doomed: Some(doomed),
            stale: Some(stale),
            serve: Some(serve),
            frozen: 0,
            url,
            home,
            cluster,
        };
        fleet.set(&STORED);
        fleet.schedule("steady", "echo '::items processed=9 skipped=1'", &json!({ "every": "1s" }));
        fleet.schedule("stale", "true", &json!({ "every": "1s", "queue": "stale", "stale_after_ms": 2000 }));
        fleet.schedule("rare", "true", &json!({ "every": "30s", "missed": "skip" }));
        fleet
    }

    /// Waits until the fleet has worked for a while. Nobody has been alarmed then.
    pub(super) fn is_healthy_and_nothing_fires(&self, watched: &mut Watched) {
        let seen = |expression: &str| !self.prometheus.query(expression).is_empty();
        // Before the first scrape everything is missing.
        self.until("all are scraped", &mut Watched::default(), || {
            self.prometheus.faults().is_empty() && self.prometheus.alerts(true).is_empty()
        });
        self.until("the fleet has worked for a while", watched, || {
            let alarmed = self.prometheus.alerts(true);
            assert!(alarmed.is_empty(), "nothing is wrong, but: {alarmed:?}");
            seen("count(min_over_time(up[1m]) == 1) == 4")
                && seen(&format!("count(up offset {HEALTHY_FOR}) == 4"))
                && seen("sum(job_execution_total{job_name=~\"steady|stale\",status=\"success\"}) > 5")
                && seen("jobforge_schedule_missed_runs_total{job_name=\"rare\"} == 0")
        });
        assert_eq!(self.prometheus.faults(), "");
        let listed = http("GET", &format!("{}/v1/alerts", self.url), &[], None).body;
        assert_eq!((&listed["alerts"], listed["judged"]["at"].is_string()), (&json!([]), true), "{listed}");
    }

    pub(super) fn freeze_a_worker_with_jobs(&mut self) {
        self.exec("doomed", "exec sleep 300", 12);
        eventually("the jobs run", || {
            self.sql("SELECT count(*) FROM jobforge_jobs WHERE queue = 'doomed' AND status = 'running'")
                == "12"
        });
        self.frozen = self.doomed.as_ref().unwrap().worker_pid();
        send("-STOP", self.frozen);
    }

    /// It finds that it was given up.
    pub(super) fn thaw_the_worker(&self) {
        send("-CONT", self.frozen);
    }

    pub(super) fn kill_the_worker_of_a_schedule(&mut self) {
        kill(self.stale.take());
    }

    pub(super) fn fail_and_dawdle(&self) {
        self.schedule("failing", "false", &json!({ "every": "1s", "max_attempts": 1 }));
        self.schedule("sloppy", "echo '::items processed=1 failed=9'", &json!({ "every": "1s" }));
        self.schedule("slow", "sleep 13", &json!({ "every": "3s", "overlap": "allow" }));
    }

    pub(super) fn flood_a_queue_that_nobody_serves(&self) {
        self.sql(
            "INSERT INTO jobforge_jobs (type, queue) SELECT 'flood', 'nobody' FROM generate_series(1, 1100)",
        );
    }

    pub(super) fn kill_jobs(&self) {
        self.exec("bad", "false", 110);
    }

    pub(super) fn exceed_the_budgets(&self) {
        self.sql("INSERT INTO jobforge_jobs (type, payload, tenant_id) SELECT 'exec', '{\"argv\": [\"sleep\", \"300\"], \"grace_ms\": 100}', 'acme' FROM generate_series(1, 30)");
    }

    /// As if no server had been there for ten minutes: they count as missed after one, for which no test can wait.
    pub(super) fn miss_moments_of_a_schedule(&self) {
        let ago = "interval '10 minutes'";
        self.sql(&format!("UPDATE jobforge_schedules SET next_at = next_at - {ago}, due_at = due_at - {ago}, planned_at = planned_at - {ago} WHERE name = 'rare'"));
    }

    pub(super) fn tell_a_channel_that_refuses(&self) {
        let told = self.home.run(&["alert", "test", "oncall"]);
        assert_ne!(told.code, 0, "{}", told.out);
    }

    pub(super) fn stop_the_watchdog_and_switch_heartbeats_off(&self) {
        self.set(&[("watchdog_check_interval_ms", "3600000"), ("job_heartbeat", "false")]);
    }

    pub(super) fn switch_heartbeats_on(&self) {
        self.set(&[("job_heartbeat", "true")]);
    }

    /// A worker of SQL takes it and is not heard of again.
    pub(super) fn let_a_job_fall_silent(&self) {
        self.sql("INSERT INTO jobforge_jobs (type, queue) VALUES ('silent', 'by-sql')");
        self.sql("SELECT FROM jobforge_claim_jobs('worker-5117a1e5', 1, ARRAY['by-sql'], p_lease_seconds => 86400)");
        self.sql(
            "UPDATE jobforge_jobs SET heartbeat_due_at = now() - interval '1 second' WHERE queue = 'by-sql'",
        );
    }

    pub(super) fn mend(&mut self) {
        self.set(&[("watchdog_check_interval_ms", "1000")]);
        self.sql("DELETE FROM jobforge_jobs WHERE queue IN ('nobody', 'by-sql')");
        let gone = http("DELETE", &format!("{}/v1/schedules/failing", self.url), &[], None);
        assert!(gone.status < 300, "{}", gone.body);
        self.stale = Some(work(&self.home, &free_address(), "stale", "2"));
    }

    pub(super) fn stop_the_database(&self) {
        self.cluster.stop_immediate().unwrap();
    }

    pub(super) fn start_the_database(&self) {
        self.cluster.start_again().unwrap();
    }

    pub(super) fn kill_the_server(&mut self) {
        self.serve.take().unwrap().kill();
    }

    pub(super) fn kill_the_workers(&mut self) {
        for worker in [self.main.take(), self.doomed.take(), self.stale.take()] {
            kill(worker);
        }
    }

    /// Waits until these were seen firing, by Prometheus and by JobForge itself.
    pub(super) fn until_fired(&self, names: &[&str], watched: &mut Watched) {
        self.until_seen(names, watched, true);
    }

    /// The same, by Prometheus alone.
    pub(super) fn until_fired_outside(&self, names: &[&str], watched: &mut Watched) {
        self.until_seen(names, watched, false);
    }

    fn until_seen(&self, names: &[&str], watched: &mut Watched, inside: bool) {
        let began = clock::monotonic();
        loop {
            self.look(watched, inside);
            let missing = |seen: &BTreeSet<String>| -> Vec<String> {
                names.iter().filter(|name| !seen.contains(**name)).map(|name| (*name).to_owned()).collect()
            };
            let (outside, own) =
                (missing(&watched.outside), if inside { missing(&watched.inside) } else { Vec::new() });
            if outside.is_empty() && own.is_empty() {
                note(&format!("{} fired", names.join(", ")), began);
                return;
            }
            assert!(
                since(began) < PATIENCE.as_secs_f64(),
                "Prometheus did not see {outside:?}, JobForge not {own:?}\n{}",
                self.prometheus.faults()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Waits until none of these fires any more, for Prometheus and for JobForge itself.
    pub(super) fn until_resolved(&self, names: &[&str], watched: &mut Watched) {
        self.until("the alerts are over", watched, || {
            let fires = |name: &String| names.contains(&name.as_str());
            !self.prometheus.alerts(false).iter().any(|(name, _)| fires(name))
                && !self.inside().iter().any(fires)
        });
    }

    /// The same, for Prometheus alone.
    pub(super) fn until_resolved_outside(&self, names: &[&str], watched: &mut Watched) {
        self.until("the alerts are over", watched, || {
            !self.prometheus.alerts(false).iter().any(|(name, _)| names.contains(&name.as_str()))
        });
    }

    fn until(&self, what: &str, watched: &mut Watched, mut is_so: impl FnMut() -> bool) {
        let began = clock::monotonic();
        while !is_so() {
            let fires = self.prometheus.alerts(false);
            watched.outside.extend(fires.iter().map(|(name, _)| name.clone()));
            assert!(
                since(began) < PATIENCE.as_secs_f64(),
                "it did not happen: {what}; what fires: {fires:?}\n{}",
                self.prometheus.faults()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
        note(what, began);
    }

    fn look(&self, watched: &mut Watched, inside: bool) {
        watched.outside.extend(self.prometheus.alerts(false).into_iter().map(|(name, _)| name));
        if inside {
            watched.inside.extend(self.inside());
        }
    }

    /// What fires, says the server.
    fn inside(&self) -> Vec<String> {
        let listed = http("GET", &format!("{}/v1/alerts", self.url), &[], None).body;
        let alerts = listed["alerts"].as_array().unwrap_or_else(|| panic!("{listed}"));
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["rule"].as_str().unwrap().to_owned()).collect()
    }

    fn sql(&self, text: &str) -> String {
        self.cluster.psql(text).unwrap().trim().to_owned()
    }

    fn set(&self, changes: &[(&str, &str)]) {
        let body: serde_json::Map<String, Value> =
            changes.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        let answer = http("PATCH", &format!("{}/v1/settings", self.url), &[], Some(&Value::Object(body)));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// A script that runs again and again.
    fn schedule(&self, name: &str, script: &str, more: &Value) {
        let mut body = json!({ "name": name, "type": "exec", "payload": { "argv": ["sh", "-c", script] } });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        let answer = http("POST", &format!("{}/v1/schedules", self.url), &[], Some(&body));
        assert!([200, 201].contains(&answer.status), "{}", answer.body);
    }

    /// So many jobs that run a script, each once only.
    fn exec(&self, queue: &str, script: &str, jobs: u32) {
        let payload = json!({ "argv": ["sh", "-c", script], "grace_ms": 100 });
        self.sql(&format!("INSERT INTO jobforge_jobs (type, payload, queue, max_attempts) SELECT 'exec', '{payload}', '{queue}', 1 FROM generate_series(1, {jobs})"));
    }
}

/// Workers under a supervisor, who tells their metrics.
fn work(home: &Home, metrics: &str, queues: &str, slots: &str) -> Running {
    let arguments = [
        "work",
        "--config",
        "jobforge.toml",
        "--metrics-listen",
        metrics,
        "--queues",
        queues,
        "--slots",
        slots,
    ];
    home.start(&arguments, "takes jobs from")
}

/// kill -9 of the supervisor and then of its worker, so that nobody is there to start another.
fn kill(supervisor: Option<Running>) {
    let supervisor = supervisor.unwrap();
    let worker = supervisor.worker_pid();
    supervisor.kill();
    // It may have seen its supervisor die.
    let _ = std::process::Command::new("kill").args(["-KILL", &worker.to_string()]).output();
}

#[expect(clippy::print_stderr, reason = "shown where the test fails: what had taken how long")]
fn note(what: &str, began: Instant) {
    eprintln!("{what} after {:.1} s", since(began));
}

fn since(began: Instant) -> f64 {
    clock::monotonic().duration_since(began).as_secs_f64()
}

/// The address of somebody who takes no message.
fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ =
                stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    address
}
