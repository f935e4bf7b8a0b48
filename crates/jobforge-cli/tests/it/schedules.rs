//! Schedules, as people type them and as servers fire them, also when the one that fires is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::program::{Home, Running, eventually};
use crate::site::Site;

/// Leaders that are killed; more if the variable says so.
const KILLS: usize = 20;
const KILLS_VARIABLE: &str = "SCHEDULE_KILLS";

/// A database that nobody has open.
fn home() -> Home {
    let home = Home::new();
    assert_eq!(home.up().terminate(), 0);
    home
}

#[test]
fn a_schedule_is_added_shown_run_paused_changed_and_removed() {
    let home = home();
    let would = home.ok(&[
        "schedule",
        "add",
        "nightly",
        "exec",
        "--cron",
        "30 2 * * 1-5",
        "--time-zone",
        "Europe/Berlin",
        "--dry-run",
    ]);
    assert!(would.starts_with("nightly would run at 02:30 on weekdays, Europe/Berlin"), "{would}");
    assert_eq!(would.lines().count(), 6, "{would}");
    let refresh = ["schedule", "add", "hot_score_refresh", "refresh", "{\"top\": 5}", "--every", "5m"];
    home.ok(&refresh);
    assert_eq!(home.run(&refresh).code, 4, "the name is taken");
    let listed = home.ok(&["schedule", "list"]);
    let line = listed.lines().find(|line| line.starts_with("hot_score_refresh ")).unwrap_or_default();
    assert!(line.contains(" new ") && line.contains("every 5 minutes"), "{listed}");
    assert!(listed.contains("system.cleanup.old_jobs"), "{listed}");
    assert_eq!(
        home.json(&["schedule", "next", "hot_score_refresh", "-n", "3"])["next"].as_array().unwrap().len(),
        3
    );
    let run = home.json(&["schedule", "run", "hot_score_refresh", "--reason", "after the deploy"]);
    let job = home.json(&["job", "show", run["job_id"].as_str().unwrap()]);
    assert_eq!((&job["type"], &job["payload"]["top"]), (&"refresh".into(), &5.into()), "{job}");
    let busy = home.run(&["schedule", "run", "hot_score_refresh"]);
    assert!(
        busy.code == 4 && busy.err.contains("still waits") && busy.err.contains("--force"),
        "{}",
        busy.err
    );
    home.ok(&["schedule", "pause", "hot_score_refresh", "--for", "2h", "--reason", "too slow"]);
    let shown = home.json(&["schedule", "show", "hot_score_refresh"]);
    assert_eq!(
        (&shown["state"], &shown["paused"]["reason"]),
        (&"paused".into(), &"too slow".into()),
        "{shown}"
    );
    assert!(shown["paused"]["until"].is_string() && shown["runs"][0]["triggered_by"].is_string(), "{shown}");
    home.ok(&["schedule", "resume", "hot_score_refresh"]);
    home.ok(&["schedule", "change", "hot_score_refresh", "--every", "10m", "--overlap", "cancel_old"]);
    let told = home.ok(&["schedule", "show", "hot_score_refresh"]);
    assert!(told.contains("every 10 minutes") && told.contains("cancel_old"), "{told}");
    let history = home.ok(&["schedule", "history", "hot_score_refresh"]);
    assert!(history.contains("asked for by hand by cli:"), "{history}");
    let audit = home.json(&["audit", "list", "--target", "hot_score_refresh"]);
    assert_eq!(audit.as_array().unwrap().len(), 5, "{audit}");
    home.ok(&["schedule", "remove", "hot_score_refresh", "--yes"]);
    let gone = home.run(&["schedule", "show", "hot_score_refresh"]);
    assert_eq!(gone.code, 3, "{}", gone.err);
    let built_in = home.run(&["schedule", "remove", "system.cleanup.old_jobs", "--yes"]);
    assert!(built_in.code == 4 && built_in.err.contains("pause it instead"), "{}", built_in.err);
}

#[test]
fn a_slip_is_answered_with_its_place_and_what_was_meant() {
    let home = home();
    for (arguments, code, told) in [
        (&["schedule", "add", "x", "exec", "--cron", "30 25 * * *"][..], 2, "\"25\" at character 4"),
        (&["schedule", "add", "x", "exec", "--cron", "0 0 30 2 *"], 2, "never fires"),
        (
            &["schedule", "add", "x", "exec", "--cron", "* * * * *", "--time-zone", "Europe/Berlim"],
            2,
            "Europe/Berlin",
        ),
        (&["schedule", "add", "x", "exec", "--every", "soon"], 2, "is not a duration"),
        (&["schedule", "add", "x", "exec"], 2, "say when"),
        (&["schedule", "run", "system.cleanup.old_job"], 3, "did you mean \"system.cleanup.old_jobs\"?"),
    ] {
        let refused = home.run(arguments);
        assert!(refused.code == code && refused.err.contains(told), "{arguments:?}: {}", refused.err);
    }
    let file = "[[schedules]]\nname = \"x\"\ntype = \"exec\"\nevery = \"5m\"\novrlap = \"skip\"\n";
    std::fs::write(home.path().join("bad.toml"), file).unwrap();
    let refused = home.run(&["serve", "--config", "bad.toml"]);
    assert!(
        refused.code == 78 && refused.err.contains("schedule x") && refused.err.contains("ovrlap"),
        "{}",
        refused.err
    );
}

#[test]
fn process_a_file_says_what_runs_and_the_environment_how_often() {
    let home = Home::new();
    let file = "exec_allow = \"*\"\n\
        [[schedules]]\nname = \"hot_score_refresh\"\ntype = \"exec\"\nevery = \"5m\"\n\
        payload = { argv = [\"true\"] }\ntags = [\"scores\"]\n";
    std::fs::write(home.path().join("jobforge.toml"), file).unwrap();
    let serve = |variable: Option<&str>| {
        let mut command = home.command(&["up", "--config", "jobforge.toml", "--listen", "127.0.0.1:0"]);
        if let Some(every) = variable {
            command.env("HOT_SCORE_REFRESH_INTERVAL", every);
        }
        command
    };
    let five = Running::start(serve(None), "Starting hot_score_refresh scheduler (every 5 minutes)");
    assert_eq!(five.terminate(), 0);
    let second = Running::start(serve(Some("1s")), "Starting hot_score_refresh scheduler (every second)");
    let mut succeeded = Value::Null;
    eventually("runs succeed and are noted", || {
        succeeded = home.json(&["schedule", "show", "hot_score_refresh"]);
        succeeded["last_success_at"].is_string()
    });
    assert_eq!((&succeeded["source"], &succeeded["consecutive_failures"]), (&"config".into(), &0.into()));
    // What a person changes survives the next start with the same file and environment.
    home.ok(&["schedule", "pause", "hot_score_refresh"]);
    home.ok(&["schedule", "change", "hot_score_refresh", "--every", "2m"]);
    assert_eq!(second.terminate(), 0);
    let again =
        Running::start(serve(Some("1s")), "Starting hot_score_refresh scheduler (every 2 minutes, paused)");
    assert_eq!(again.terminate(), 0);
}

#[test]
fn process_a_server_without_any_worker_cleans_up_by_itself() {
    let site = Site::on_postgres();
    site.sql("INSERT INTO jobforge_jobs (type, status, created_at, started_at, finished_at) \
              SELECT 'old', 'succeeded', at, at, at FROM (SELECT now() - interval '40 days' AS at) a, generate_series(1, 30)");
    let _server = site.serve();
    eventually("the clean-up is scheduled", || {
        site.home.run(&["schedule", "show", "system.cleanup.old_jobs"]).code == 0
    });
    site.home.ok(&["schedule", "run", "system.cleanup.old_jobs"]);
    eventually("the old jobs are gone", || {
        site.sql("SELECT count(*) FROM jobforge_jobs WHERE type = 'old'") == "0"
    });
    let mut shown = Value::Null;
    eventually("its success is noted", || {
        shown = site.home.json(&["schedule", "show", "system.cleanup.old_jobs"]);
        shown["last_success_at"].is_string()
    });
    assert_eq!(shown["runs"][0]["status"], "succeeded", "{shown}");
}

/// Three servers fire a schedule of every second; whoever is elected is killed again and again, at any moment. Every second
/// has one line and one job.
#[test]
fn process_each_moment_fires_once_although_the_leader_is_killed_again_and_again() {
    let site = Site::on_postgres();
    let mut file = std::fs::read_to_string(site.home.path().join("jobforge.toml")).unwrap();
    for number in 0..3 {
        let _ = write!(
            file,
            "[[schedules]]\nname = \"tick-{number}\"\ntype = \"tick\"\nevery = \"1s\"\noverlap = \"allow\"\n\
             missed = \"all\"\nmissed_limit = 1000\n"
        );
    }
    std::fs::write(site.home.path().join("jobforge.toml"), file).unwrap();
    let mut servers: BTreeMap<u32, Running> = BTreeMap::new();
    let start = |servers: &mut BTreeMap<u32, Running>| {
        let server = site.serve();
        servers.insert(server.pid(), server);
    };
    for _ in 0..3 {
        start(&mut servers);
    }
    // The ledger forgets, the number of its lines does not.
    let fired = || site.sql("SELECT coalesce(sum(lines), 0) FROM jobforge_schedules").parse::<u64>().unwrap();
    let mut ledger = Ledger::default();
    let seed = std::process::id();
    eprintln!("seed {seed}");
    let mut dice = u64::from(seed);
    let mut roll = |below: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % below
    };
    for kill in 0..kills() {
        let before = fired();
        eventually("schedules are fired", || fired() > before + 2);
        let mut leader = None;
        eventually("somebody is elected", || {
            let name = site.sql("SELECT leader FROM jobforge_scheduler");
            leader = name.split(':').nth(1).and_then(|pid| pid.parse::<u32>().ok());
            leader.is_some_and(|pid| servers.contains_key(&pid))
        });
        std::thread::sleep(Duration::from_millis(roll(1100)));
        let victim = servers.remove(&leader.unwrap()).unwrap();
        victim.kill();
        eprintln!("kill {kill}: {leader:?}");
        start(&mut servers);
        ledger.read(&site);
    }
    let before = fired();
    eventually("it goes on", || fired() > before + 6);
    for (_, server) in servers {
        assert_eq!(server.terminate(), 0);
    }
    ledger.read(&site);
    let moments = ledger.has_every_second_once(&site);
    eprintln!("{moments} moments, each fired once");
}

/// What became of each moment, read before the database forgets it.
#[derive(Default)]
struct Ledger(BTreeMap<(String, i64), (String, String)>);

impl Ledger {
    fn read(&mut self, site: &Site) {
        let rows = site.sql(
            "SELECT schedule, extract(epoch FROM planned_for)::bigint, outcome, job_id FROM jobforge_schedule_runs \
             WHERE schedule LIKE 'tick-%'",
        );
        for row in rows.lines() {
            let [schedule, second, outcome, job]: [&str; 4] =
                row.split('|').collect::<Vec<_>>().try_into().unwrap();
            let moment = (schedule.to_owned(), second.parse().unwrap());
            let fate = (outcome.to_owned(), job.to_owned());
            let before = self.0.insert(moment, fate.clone());
            assert!(before.is_none_or(|before| before == fate), "{row} had another fate before");
        }
    }

    /// Every second from the first to the last ran, and each has a job of its own; says how many there are.
    fn has_every_second_once(&self, site: &Site) -> usize {
        let mut jobs = BTreeSet::new();
        let mut last: Option<(&str, i64)> = None;
        for ((schedule, second), (outcome, job)) in &self.0 {
            assert!(["ran", "late"].contains(&outcome.as_str()), "{schedule} {second}: {outcome}");
            assert!(jobs.insert(job.as_str()), "{schedule} {second}: job {job} is another moment's");
            if let Some((_, before)) = last.filter(|(of, _)| of == schedule) {
                assert_eq!(*second, before + 1, "{schedule} has a gap");
            }
            last = Some((schedule, *second));
        }
        let made = site.sql("SELECT id FROM jobforge_jobs WHERE created_by LIKE 'schedule:tick-%'");
        assert_eq!(made.lines().collect::<BTreeSet<_>>(), jobs, "jobs are those of the ledger");
        assert!(jobs.len() > 60, "{}", jobs.len());
        jobs.len()
    }
}

#[expect(clippy::disallowed_methods, reason = "says how long the test goes on; no setting of the product")]
fn kills() -> usize {
    std::env::var(KILLS_VARIABLE).ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS)
}

#[test]
fn the_runbooks_curl_triggers_a_schedule() {
    let site = Site::on_postgres();
    let server = site.serve();
    site.home.ok(&["schedule", "add", "hot_score_refresh", "refresh", "--every", "5m"]);
    let line = format!(
        "curl -s -X POST {}/admin/jobs/trigger -d '{{\"job_name\": \"hot_score_refresh\"}}'",
        server.url()
    );
    let answer = Command::new("sh").args(["-c", &line]).output().unwrap();
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(
        (&answer["triggered"], &answer["job_name"]),
        (&true.into(), &"hot_score_refresh".into()),
        "{answer}"
    );
    assert_eq!(site.home.json(&["job", "show", answer["job_id"].as_str().unwrap()])["type"], "refresh");
}
