//! Workers that die, hang, pause or are cut off while there is much to do, as real processes on both engines. After each
//! the ledger of what the jobs did must add up.

use std::process::Command;
use std::time::Duration;

use crate::ledger::Ledger;
use crate::program::{Running, eventually};
use crate::proxy::Proxy;
use crate::site::{Site, lives, send};

/// As a garbage collection, a busy host or a bad line would have it; the lease is three seconds long.
const BELOW_THE_LEASE: Duration = Duration::from_millis(500);

on_each_engine!(
    process_workers_that_are_killed_under_load_lose_nothing_and_repeat_only_what_they_could_not_report,
    process_a_worker_that_pauses_for_less_than_its_lease_keeps_its_jobs,
    process_a_worker_that_is_cut_off_for_less_than_its_lease_keeps_its_jobs,
    process_a_worker_that_can_open_nothing_more_keeps_its_lease,
    process_a_blocked_handler_is_found_by_its_bounds_and_not_by_heartbeats,
    process_a_worker_that_is_cut_off_has_stopped_before_its_jobs_run_elsewhere,
    process_a_poison_job_ends_dead_with_the_proof_and_costs_its_neighbours_nothing,
);

fn process_workers_that_are_killed_under_load_lose_nothing_and_repeat_only_what_they_could_not_report(
    site: &Site,
) {
    let _watchdog = site.watchdog();
    let workers = [site.work(&[]), site.work(&[])];
    let mut ledger = Ledger::of(site);
    ledger.enqueue(site, 48, "sleep 0.1");
    for round in 1..=4 {
        ledger.until("done", round * 8);
        kill_worker_of(&workers[round % 2]);
    }
    let settled = ledger.settle(site);
    settled.succeeded();
    let lost = settled.attempts("lost");
    assert!(lost > 0, "no job was struck");
    assert!(settled.repeated <= lost, "{} of {lost}", settled.repeated);
}

/// kill -9 of the worker process under this supervisor, which goes on to start another.
fn kill_worker_of(supervisor: &Running) {
    let pid = supervisor.worker_pid();
    send("-KILL", pid);
    eventually("it is dead and buried", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
}

fn process_a_worker_that_pauses_for_less_than_its_lease_keeps_its_jobs(site: &Site) {
    let _watchdog = site.watchdog();
    let work = site.work(&[]);
    let mut ledger = Ledger::of(site);
    ledger.enqueue(site, 24, "sleep 0.3");
    for round in 1..=3 {
        ledger.until("done", round * 4);
        let worker = work.worker_pid();
        send("-STOP", worker);
        std::thread::sleep(BELOW_THE_LEASE);
        send("-CONT", worker);
    }
    ledger.settle(site).undisturbed();
}

fn process_a_blocked_handler_is_found_by_its_bounds_and_not_by_heartbeats(site: &Site) {
    let _watchdog = site.watchdog();
    let work = site.work(&[]);
    let worker = work.worker_pid();
    let mut ledger = Ledger::of(site);
    let mut stuck = |bound| ledger.enqueue_one(site, "sleep 300", &[bound, "4s", "--max-attempts", "1"]);
    let blocked = [(stuck("--timeout"), "timeout"), (stuck("--progress-timeout"), "no_progress")];
    ledger.enqueue(site, 8, "sleep 0.1");
    let settled = ledger.settle(site);
    for (id, kind) in blocked {
        let job = site.home.json(&["job", "show", &id]);
        // The lease of their worker is shorter than their bound, and was never lost: it lived and said so.
        assert_eq!((&job["status"], &job["misses"]), (&"dead".into(), &0.into()), "{job:#}");
        assert_eq!(job["error"]["kind"], kind, "{job:#}");
    }
    assert_eq!((settled.attempts("succeeded"), settled.attempts("lost")), (8, 0));
    assert_eq!(work.worker_pid(), worker);
}

/// A way to the site's database that can be cut.
fn proxy(runtime: &tokio::runtime::Runtime, site: &Site) -> Proxy {
    let made = runtime.block_on(async {
        match site.home.database_url() {
            Some(url) => Proxy::to_postgres(url).await,
            None => Proxy::to_owner(&site.home.data_dir().join("jobforge.db"), site.home.path()),
        }
    });
    made.unwrap()
}

fn process_a_worker_that_is_cut_off_for_less_than_its_lease_keeps_its_jobs(site: &Site) {
    let _watchdog = site.watchdog();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = proxy(&runtime, site);
    let _worker = site.work(&["--database-url", proxy.url()]);
    let mut ledger = Ledger::of(site);
    ledger.enqueue(site, 24, "sleep 0.3");
    for round in 1..=3 {
        ledger.until("done", round * 4);
        proxy.cut();
        std::thread::sleep(BELOW_THE_LEASE);
        proxy.mend();
    }
    ledger.settle(site).undisturbed();
}

fn process_a_worker_that_can_open_nothing_more_keeps_its_lease(site: &Site) {
    let _watchdog = site.watchdog();
    let work = site.work(&[]);
    let mut ledger = Ledger::of(site);
    ledger.enqueue(site, 4, "sleep 4");
    ledger.until("begun", 4);
    let limit = |limit: &str| {
        let arguments = ["--pid", &work.worker_pid().to_string(), &format!("--nofile={limit}")];
        assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
    };
    limit("3:4096");
    // Longer than the lease.
    ledger.until("done", 4);
    limit("4096:4096");
    ledger.enqueue(site, 4, "true");
    ledger.settle(site).undisturbed();
}

fn process_a_worker_that_is_cut_off_has_stopped_before_its_jobs_run_elsewhere(site: &Site) {
    let _watchdog = site.watchdog();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = proxy(&runtime, site);
    let cut_off = site.work(&["--database-url", proxy.url()]);
    let mut ledger = Ledger::of(site);
    let first = site.home.path().join("first");
    std::fs::create_dir(&first).unwrap();
    // The second attempt fails if the program of the first one lives.
    let program = format!("{}/$JOB_ID", first.display());
    ledger.enqueue(
        site,
        4,
        &format!(
            "if [ ! -e {program} ]; then echo $$ > {program}; sleep 300; else ! kill -0 $(cat {program}); fi"
        ),
    );
    ledger.until("begun", 4);
    let _heir = site.work(&[]);
    ledger.enqueue(site, 8, "sleep 0.1");
    proxy.cut();
    let settled = ledger.settle(site);
    settled.succeeded();
    assert_eq!(
        (settled.attempts("lost"), settled.attempts("failed")),
        (4, 0),
        "none ran beside its first program"
    );
    // What it has to say when it is back comes too late.
    proxy.mend();
    cut_off.until_it_says("has lost its lease");
    assert_eq!(cut_off.terminate(), 0);
    ledger.settle(site).succeeded();
}

fn process_a_poison_job_ends_dead_with_the_proof_and_costs_its_neighbours_nothing(site: &Site) {
    let _watchdog = site.watchdog();
    let work = site.work(&[]);
    let mut ledger = Ledger::of(site);
    // Its parent is the worker.
    let poison = ledger.enqueue_one(site, "sleep 0.3; kill -9 $PPID; sleep 300", &[]);
    ledger.enqueue(site, 3, "sleep 0.8");
    let settled = ledger.settle(site);
    let (dead, innocent): (Vec<_>, Vec<_>) =
        settled.jobs.iter().partition(|job| job["id"] == poison.as_str());
    assert_eq!(
        (&dead[0]["status"], &dead[0]["error"]["kind"]),
        (&"dead".into(), &"poison".into()),
        "{:#}",
        dead[0]
    );
    let message = dead[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("it killed its worker") && message.contains("signal 9 (SIGKILL)"), "{message}");
    for job in innocent {
        assert_eq!(job["status"], "succeeded", "{job:#}");
        assert_eq!((&job["attempts"], &job["misses"]), (&1.into(), &0.into()), "{job:#}");
    }
    // The worker is there for whoever comes next.
    assert!(lives(work.worker_pid()));
    ledger.enqueue(site, 4, "true");
    assert_eq!(ledger.settle(site).attempts("succeeded"), 7);
}
