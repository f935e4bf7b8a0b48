//! A healthy fleet at a moment of its own, and what is said when one thing is wrong with it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::alert::state::Active;
use crate::dead::{DeadGroup, fingerprint};
use crate::death::{Death, Proof};
use crate::fixtures;
use crate::job::{ErrorInfo, Job, JobId, WorkerId};
use crate::payload::Payload;
use crate::rescue::{RescuePolicy, Suspect};
use crate::schedule::{Definition, Schedule, ScheduleView, Scheduler, Source};
use crate::state::Status;
use crate::token::{Scope, TokenRow};
use crate::verdict::HeldBack;
use crate::watchdog::{GuardKind, WatchdogRow};
use crate::worker::{WorkerRow, WorkerState};

/// The moment of every diagnosis here.
const NOW: i64 = 100_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn ago(seconds: i64) -> Timestamp {
    at(NOW - seconds)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn worker(number: u32, host: &str) -> WorkerRow {
    WorkerRow {
        id: WorkerId(format!("worker-{number:08x}")),
        hostname: host.to_owned(),
        pid: 100 + number,
        ..fixtures::worker(NOW - 1, NOW + 19)
    }
}

fn healthy() -> Facts {
    let watchdog = WatchdogRow {
        id: "host-a:1".to_owned(),
        started_at: ago(9000),
        last_sign_at: ago(1),
        check_interval_ms: 60_000,
        held: None,
    };
    let database = Database {
        as_of: at(NOW),
        local: at(NOW),
        took: Duration::from_millis(2),
        location: "postgres://host/db".to_owned(),
        pressure: Some(Pressure { connections: 20, max_connections: 100, ..Pressure::default() }),
        broken: Vec::new(),
        stored_faults: Vec::new(),
        policy: RescuePolicy::default(),
        judges_alerts: true,
        watchdogs: vec![watchdog],
        last_run: None,
        scheduler: None,
        housekeeper_at: Some(ago(30)),
        judged: true,
        workers: vec![worker(1, "host-a"), worker(2, "host-b")],
        queues: vec![Queue {
            name: "default".to_owned(),
            ready: 3,
            oldest_ready_at: Some(ago(1)),
            ..Queue::default()
        }],
        waiting_types: vec![("email.send".to_owned(), 3)],
        schedules: ScheduleFacts::default(),
        suspects: Vec::new(),
        running: Vec::new(),
        succeeded: Vec::new(),
        fallen: Vec::new(),
        dead: Vec::new(),
        tokens: Vec::new(),
        alerts: Vec::new(),
    };
    let disk = Disk { path: "/data".to_owned(), free: 50 << 30, total: 100 << 30 };
    let host = Host { name: "host-a".to_owned(), disk: Some(disk), ..Host::default() };
    Facts { host, database: Ok(database) }
}

/// The findings of a healthy fleet to which something has happened.
fn found(happens: impl FnOnce(&mut Host, &mut Database)) -> Vec<Finding> {
    let mut facts = healthy();
    if let Ok(database) = &mut facts.database {
        happens(&mut facts.host, database);
    }
    let findings: Vec<Finding> = diagnose(&facts).into_iter().flat_map(|area| area.findings).collect();
    findings.iter().for_each(leads_somewhere);
    findings
}

/// Every finding leads to a heading of a runbook, and says why and what to do.
fn leads_somewhere(finding: &Finding) {
    let (page, anchor) = finding.runbook.split_once('#').unwrap_or((finding.runbook, ""));
    let path = format!("{}/../../runbooks/{page}.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("there is no {path}"));
    let plain =
        |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-").replace('?', "");
    let headings = text.lines().filter(|line| line.starts_with('#')).map(plain);
    assert!(
        anchor.is_empty() || headings.into_iter().any(|heading| heading == anchor),
        "{}",
        finding.runbook
    );
    for part in [&finding.what, &finding.cause, &finding.because] {
        assert!(!part.is_empty(), "{finding:#?}");
    }
    assert!(!finding.mend.is_empty(), "{finding:#?}");
    for mend in finding.mend.iter().filter(|mend| mend.contains("jobforge ")) {
        assert!(mend.starts_with("jobforge "), "a line is a command or is words: {mend}");
    }
}

/// The only finding, by its name.
#[track_caller]
fn only(name: &str, happens: impl FnOnce(&mut Host, &mut Database)) -> Finding {
    let mut findings = found(happens);
    let names: Vec<&str> = findings.iter().map(|finding| finding.name).collect();
    assert_eq!(names, [name], "{findings:#?}");
    findings.remove(0)
}

fn job(number: u128) -> Job {
    Job { id: JobId(Uuid::from_u128(number)), ..fixtures::running_job(NOW - 600) }
}

/// A job that ended so a while ago, at 17 % of its download.
fn fell(number: u128, status: Status, kind: &str, message: &str) -> Job {
    let error =
        ErrorInfo { message: message.to_owned(), kind: kind.to_owned(), retryable: true, details: None };
    let mut job = job(number);
    job.dead_group = (status == Status::Dead).then(|| fingerprint(&job.job_type, &error));
    job.progress.percent = Some(17);
    job.progress.phase = Some("download".to_owned());
    Job {
        status,
        error: Some(error),
        locked_by: None,
        last_worker: Some(WorkerId(format!("worker-{:08x}", number % 2 + 1))),
        updated_at: ago(60),
        ..job
    }
}

/// A job of worker 1 that has reported nothing for longer than it may.
fn hung(number: u128, worker: &WorkerRow) -> Suspect {
    let mut job = job(number);
    job.locked_by = Some(worker.id.clone());
    job.heartbeat_due_at = Some(at(NOW + 60));
    job.progress_limit = Some(s(60));
    job.progress.phase = Some("analysis".to_owned());
    job.progress.at = Some(ago(300));
    Suspect { job, worker: Some(worker.clone()), beside: None }
}

fn ended(number: u32, state: WorkerState, proof: Option<Proof>) -> WorkerRow {
    WorkerRow {
        state,
        ended_at: Some(ago(120)),
        end_reason: proof.as_ref().map(ToString::to_string),
        death: proof.map(|proof| Death::new(proof, ["the last line".to_owned()])),
        slot: Some("worker".to_owned()),
        ..worker(number, "host-a")
    }
}

#[test]
fn in_a_healthy_fleet_nothing_is_found() {
    assert_eq!(found(|_, _| {}), []);
    let areas = diagnose(&healthy());
    assert!(areas.iter().all(|area| area.state() == "ok"));
    assert_eq!(worst(&areas), None);
}

#[test]
fn a_few_failed_attempts_and_a_job_that_ended_for_good_are_daily_life() {
    let findings = found(|_, database| {
        database.fallen =
            vec![fell(1, Status::Queued, "exit_code", "boom"), fell(2, Status::Failed, "exit_code", "boom")];
    });
    assert_eq!(findings, []);
}

#[test]
fn each_way_in_which_the_database_does_not_answer_is_one_finding_and_nothing_else_is_guessed() {
    let faults = [
        (Fault::Unreachable, "database.unreachable"),
        (Fault::Slow, "database.slow"),
        (Fault::Crowded, "database.crowded"),
        (Fault::Refused, "database.refused"),
        (Fault::Missing, "database.missing"),
        (Fault::SchemaTooOld, "database.schema_old"),
        (Fault::SchemaUnknown, "database.schema_unknown"),
        (Fault::Full, "database.full"),
        (Fault::Corrupt, "database.corrupt"),
        (Fault::Settings, "database.settings"),
        (Fault::Other, "database.fails"),
    ];
    for (fault, name) in faults {
        let silent = Silent { fault, message: "as it says".to_owned() };
        let areas = diagnose(&Facts { database: Err(silent), ..healthy() });
        let findings: Vec<&Finding> = areas.iter().flat_map(|area| &area.findings).collect();
        assert_eq!(findings.iter().map(|finding| finding.name).collect::<Vec<_>>(), [name]);
        assert_eq!(findings[0].evidence, ["as it says"]);
        assert!(!findings[0].mend.is_empty());
        assert_eq!(worst(&areas), Some(Severity::Error));
    }
}

#[test]
fn what_is_wrong_with_the_database_the_host_and_the_settings_is_named() {
    only("database.slow", |_, database| database.took = s(3));
    for local in [NOW - 90, NOW + 90] {
        let clock = only("host.clock", |_, database| database.local = at(local));
        assert!(clock.what.contains("89 s"), "{}", clock.what);
    }
    only("database.crowded", |_, database| {
        database.pressure = Some(Pressure { connections: 97, max_connections: 100, ..Pressure::default() });
    });
    only("database.old_transaction", |_, database| {
        database.pressure =
            Some(Pressure { max_connections: 100, oldest_transaction: s(7200), ..Pressure::default() });
    });
    let rule = |rule: &str, self_healing| BrokenRule {
        rule: rule.to_owned(),
        meaning: "so it must be".to_owned(),
        rows: vec!["7".to_owned()],
        self_healing,
    };
    only("database.inconsistent", |_, database| database.broken = vec![rule("fence_is_highest", false)]);
    let unoffered = only("database.unoffered", |_, database| {
        // The watchdog sees to the second within seconds.
        database.broken = vec![rule("queued_is_offered", true), rule("lease_is_kept", true)];
    });
    assert_eq!(unoffered.fix, Some(Fix::Reconcile));
    let disk = |free| {
        only("host.disk", |host, _| {
            host.disk = Some(Disk { path: "/data".to_owned(), free, total: 100 << 30 });
        })
    };
    assert_eq!((disk(1 << 30).severity, disk(1 << 20).severity), (Severity::Warning, Severity::Error));
    let variable = only("settings.unknown_variable", |host, _| {
        host.unknown_variables = vec![("JOBFORGE_SLOT".to_owned(), Some("JOBFORGE_SLOTS"))];
    });
    assert!(variable.mend[0].contains("JOBFORGE_SLOTS"));
    only("settings.invalid", |host, _| host.setting_faults = vec!["a is b".to_owned()]);
    only("settings.stored", |_, database| database.stored_faults = vec!["a is b".to_owned()]);
}

#[test]
fn a_server_that_is_missing_is_told_of_as_a_whole_and_a_role_by_its_name() {
    let none = only("servers.none", |_, database| {
        database.watchdogs.clear();
        database.housekeeper_at = None;
        database.judged = false;
    });
    assert_eq!(none.evidence[0], "no server has ever been here");
    only("servers.none", |_, database| {
        database.watchdogs[0].last_sign_at = ago(400);
        database.housekeeper_at = Some(ago(420));
        database.judged = false;
    });
    let killed = only("servers.none", |host, database| {
        host.stale_sockets = vec!["/data/s".to_owned()];
        database.housekeeper_at = Some(ago(20));
    });
    assert_eq!(killed.fix, Some(Fix::RemoveSocket { path: "/data/s".to_owned() }));
    only("servers.no_watchdog", |_, database| database.watchdogs.clear());
    only("servers.no_housekeeper", |_, database| database.housekeeper_at = Some(ago(400)));
    only("servers.no_alerts", |_, database| database.judged = false);
    only("servers.no_scheduler", |_, database| database.schedules.total = 2);
    only("servers.heartbeats_off", |_, database| database.policy.heartbeats = false);
}

#[test]
fn a_guard_is_told_of_unless_it_only_follows_a_start() {
    let held = |guard| {
        move |_: &mut Host, database: &mut Database| {
            database.watchdogs[0].held = Some(HeldBack { guard, until: at(NOW + 15) });
        }
    };
    assert_eq!(found(held(GuardKind::Gap)), []);
    assert_eq!(found(held(GuardKind::Blind)), []);
    for guard in [GuardKind::ClockStep, GuardKind::Failover, GuardKind::MassLoss] {
        only("servers.held", held(guard));
    }
}

#[test]
fn a_worker_that_was_killed_is_told_of_with_its_proof_and_with_what_nobody_serves_since() {
    let proof = || Some(Proof::Signaled { signal: 9, name: "SIGKILL".to_owned(), oom_kills: None });
    let died = only("workers.died", |_, database| {
        database.workers.push(ended(3, WorkerState::Dead, proof()));
    });
    assert_eq!(
        (died.severity, died.cause.as_str()),
        (Severity::Warning, "its process ended: signal 9 (SIGKILL)")
    );
    assert!(died.evidence[0].contains("worker-00000001 has taken its place"), "{:?}", died.evidence);
    assert!(died.evidence[1].contains("the last line"));
    let alone = only("workers.died", |_, database| {
        database.workers = vec![ended(3, WorkerState::Dead, proof())];
        database.queues[0].oldest_ready_at = Some(ago(60));
    });
    assert_eq!(alone.severity, Severity::Error);
    assert!(alone.evidence.iter().any(|line| line.contains("nobody serves queue default")));
    let looping = only("workers.died", |_, database| {
        database
            .workers
            .extend((3..6).map(|number| ended(number, WorkerState::Dead, Some(Proof::Exited { code: 101 }))));
    });
    assert!(looping.cause.starts_with("it ends soon after each start"), "{}", looping.cause);
    // Who stopped in good order, or long ago, is no news.
    assert_eq!(
        found(|_, database| {
            database.workers.push(ended(3, WorkerState::Gone, None));
            database.workers.push(ended(4, WorkerState::Dead, Some(Proof::Exited { code: 0 })));
            let long_ago = WorkerRow { ended_at: Some(ago(4000)), ..ended(5, WorkerState::Dead, proof()) };
            database.workers.push(long_ago);
        }),
        []
    );
}

#[test]
fn frozen_and_silent_workers_are_told_apart_and_a_host_that_is_gone_is_named() {
    let frozen = only("workers.frozen", |_, database| {
        database.workers[0].stopped_at = Some(ago(5));
        let mut suspect = hung(1, &database.workers[0]);
        suspect.job.progress_limit = None;
        if let Some(worker) = &mut suspect.worker {
            worker.lease_expires_at = ago(1);
        }
        database.suspects = vec![suspect];
    });
    assert_eq!(frozen.mend[1], "kill -CONT 101");
    assert!(frozen.evidence.iter().any(|line| line.contains("was not heard")), "{:?}", frozen.evidence);
    let silent = only("workers.silent", |_, database| {
        database.workers.extend([ended(3, WorkerState::Lost, None), ended(4, WorkerState::Lost, None)]);
        database.workers.remove(0);
    });
    assert!(silent.cause.contains("host host-a is down"), "{}", silent.cause);
    let network = only("workers.silent", |_, database| {
        database.workers.push(ended(3, WorkerState::Lost, None));
        database
            .workers
            .push(WorkerRow { hostname: "host-c".to_owned(), ..ended(4, WorkerState::Lost, None) });
    });
    assert!(network.cause.starts_with("the network"), "{}", network.cause);
    only("workers.not_restarting", |_, database| database.workers[0].restart_at = Some(ago(900)));
}

#[test]
fn a_queue_that_nobody_serves_is_paused_or_overflows_is_told_of() {
    let lonely = |name: &str| Queue {
        name: name.to_owned(),
        ready: 7,
        oldest_ready_at: Some(ago(60)),
        ..Queue::default()
    };
    let unserved = only("queues.unserved", |_, database| database.queues.push(lonely("mail")));
    assert_eq!(unserved.what, "nobody serves queue mail: 7 jobs ready");
    assert!(unserved.because.contains("default"));
    let empty = only("queues.unserved", |_, database| {
        database.workers.clear();
        database.queues = vec![lonely("default")];
    });
    assert_eq!(empty.cause, "no worker runs at all");
    let paused = only("queues.paused", |_, database| {
        database.queues[0].paused_at = Some(ago(60));
        database.queues[0].paused_by = Some("by cli:ada@host (deploy)".to_owned());
    });
    assert!(paused.evidence[0].ends_with("by cli:ada@host (deploy)"));
    for (running, cause) in [(8, "too few slots"), (1, "its workers do not take")] {
        let backlog = only("queues.backlog", |_, database| {
            database.queues[0].oldest_ready_at = Some(ago(1200));
            database.queues[0].running = running;
        });
        assert!(backlog.cause.starts_with(cause), "{}", backlog.cause);
    }
    let unknown = only("queues.unknown_type", |_, database| {
        database.queues[0].oldest_ready_at = Some(ago(60));
        for worker in &mut database.workers {
            worker.types = Some(vec!["email.sent".to_owned()]);
        }
    });
    assert!(unknown.cause.contains("email.sent is known"), "{}", unknown.cause);
}

#[test]
fn each_cause_of_jobs_that_stop_alike_is_told_from_the_others() {
    let cases: [(&str, &str, &str, &str); 9] = [
        ("jobs.credential", "error", "Google Drive access denied", "has expired"),
        ("jobs.credential", "http_status", "POST https://api answered 401", "has expired"),
        ("jobs.credential", "secret_missing", "there is no secret \"drive\"", "has expired"),
        ("jobs.pool", "error", "FATAL: sorry, too many clients already", "is used up"),
        ("jobs.pool", "error", "timed out acquiring a connection", "is used up"),
        ("jobs.service", "http_network", "GET https://api: no answer", "is down"),
        ("jobs.service", "error", "connect: connection refused", "is down"),
        ("jobs.out_of_memory", "out_of_memory", "\"ffmpeg\" was killed by signal SIGKILL", "more memory"),
        ("jobs.failing", "error", "index out of range", "their own code"),
    ];
    for (name, kind, message, cause) in cases {
        let finding = only(name, |_, database| {
            database.fallen = (1..=4).map(|number| fell(number, Status::Queued, kind, message)).collect();
        });
        assert!(finding.cause.contains(cause), "{message}: {}", finding.cause);
        let shared = "4 of 4 stopped at phase download".to_owned();
        assert!(finding.evidence.contains(&shared), "{:?}", finding.evidence);
    }
}

#[test]
fn of_a_message_of_many_lines_the_last_one_is_told_too() {
    let finding = only("jobs.credential", |_, database| {
        let message = "\"sh\" ended with exit code 3; its last words:\nstarting\naccess denied for 17\n";
        database.fallen = vec![fell(1, Status::Dead, "exit_code", message)];
    });
    let told = "1 job: \"…\" ended with exit code #; its last words: access denied for #";
    assert!(finding.evidence.contains(&told.to_owned()), "{:?}", finding.evidence);
}

#[test]
fn jobs_that_hang_are_blamed_on_what_they_share_and_others_do_not() {
    type Change = fn(&mut Suspect, usize);
    let cases: [(&str, Change, &str); 5] = [
        ("a step", |_, _| {}, "what they do at phase analysis"),
        ("a host", |suspect, _| suspect.job.tenant_id = "a".to_owned(), "host host-a"),
        ("a tenant", |suspect, _| suspect.job.tenant_id = "acme".to_owned(), "tenant acme"),
        (
            "a credential",
            |suspect, _| {
                let payload = json!({ "headers": { "a": { "secret_ref": "drive" } } });
                suspect.job.payload = Payload::from_value(&payload).expect("a payload");
            },
            "the credential drive",
        ),
        (
            "the beginning",
            |suspect, _| suspect.job.progress.phase = Some("initializing".to_owned()),
            "the database",
        ),
    ];
    for (what, change, cause) in cases {
        let finding = only("jobs.hung", |_, database| {
            let one_host = what == "a host";
            database.workers[1].hostname = if one_host { "host-b" } else { "host-a" }.to_owned();
            let worker = database.workers[0].clone();
            database.suspects = (0..4)
                .map(|number| {
                    let mut suspect = hung(number as u128 + 1, &worker);
                    change(&mut suspect, number);
                    suspect
                })
                .collect();
            let healthy = || {
                let elsewhere = Some(database.workers[1].id.clone());
                Job { tenant_id: "other".to_owned(), locked_by: elsewhere, ..job(99) }
            };
            if what != "a step" {
                database.running = vec![healthy()];
            }
        });
        // Jobs of the default tenant share that one, too, unless the case says otherwise.
        assert!(
            finding.cause.contains(cause) || what == "a step" && finding.cause.contains("analysis"),
            "{what}: {}",
            finding.cause
        );
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.mend[1].starts_with("jobforge job retry 00000000"), "{:?}", finding.mend);
    }
}

/// One that succeeded on this worker a moment ago.
fn succeeded(number: u128, worker: u32) -> Job {
    let last_worker = Some(WorkerId(format!("worker-{worker:08x}")));
    Job { status: Status::Succeeded, locked_by: None, last_worker, updated_at: ago(1), ..job(number) }
}

#[test]
fn a_host_is_blamed_only_if_jobs_of_the_type_go_well_elsewhere_and_not_there() {
    let cause = |well: Vec<Job>| {
        let finding = only("jobs.failing", |_, database| {
            database.fallen =
                (0..4).map(|number| fell(number * 2 + 1, Status::Dead, "error", "boom")).collect();
            database.fallen.iter_mut().for_each(|job| job.last_worker = Some(database.workers[1].id.clone()));
            database.succeeded = well;
        });
        finding.cause
    };
    assert_eq!(
        cause((20..26).map(|number| succeeded(number, 1)).collect()),
        "host host-b: its disk, its network or what runs beside them"
    );
    let both = (20..26).chain(30..36).map(|number| succeeded(number, if number < 30 { 1 } else { 2 }));
    for well in [Vec::new(), (20..26).map(|number| succeeded(number, 2)).collect(), both.collect()] {
        assert_eq!(cause(well), "their own code, or their input");
    }
    let other_type = |number| Job { job_type: "report".to_owned(), ..succeeded(number, 1) };
    assert_eq!(cause((20..26).map(other_type).collect()), "their own code, or their input");
    let before = |number| Job { updated_at: ago(3000), ..succeeded(number, 1) };
    assert_eq!(cause((20..26).map(before).collect()), "their own code, or their input");
}

#[test]
fn a_poison_job_and_jobs_that_died_with_their_workers_are_one_finding_each() {
    let proof = || Some(Proof::Signaled { signal: 9, name: "SIGKILL".to_owned(), oom_kills: None });
    let crash = |number: u32| crate::poison::Crash {
        at: ago(120),
        worker: Some(WorkerId(format!("worker-{number:08x}"))),
        proof: "signal 9 (SIGKILL)".to_owned(),
        beside: 0,
    };
    let poison = only("jobs.poison", |_, database| {
        database.workers.extend((3..6).map(|number| ended(number, WorkerState::Dead, proof())));
        let job = fell(1, Status::Dead, "poison", "poison: it killed its worker 3 times");
        database.fallen = vec![Job { crashes: (3..6).map(crash).collect(), ..job }];
    });
    assert_eq!(poison.evidence[0], "3 workers died of it");
    // Before it is dead it is suspected.
    let died = only("workers.died", |_, database| {
        database.workers.extend((3..5).map(|number| ended(number, WorkerState::Dead, proof())));
        database.running = vec![Job { crashes: (3..5).map(crash).collect(), ..job(1) }];
    });
    assert!(died.evidence.iter().any(|line| line.contains("it may kill them")), "{:?}", died.evidence);
    let lost = only("workers.died", |_, database| {
        database.workers.push(ended(3, WorkerState::Dead, proof()));
        let job = fell(1, Status::Dead, "worker_lost", "worker-00000003 ended while it ran the job");
        database.fallen = vec![Job { last_worker: Some(WorkerId("worker-00000003".to_owned())), ..job }];
    });
    assert_eq!(lost.evidence[0], "1 job was lost with its worker: 1 dead");
    only("jobs.lost_with_workers", |_, database| {
        database.fallen =
            vec![fell(1, Status::Dead, "worker_lost", "worker-00000009 ended while it ran the job")];
    });
}

#[test]
fn what_the_kernel_says_of_a_program_is_stronger_than_what_jobs_share() {
    let states = [
        ('T', 0, "jobs.hung_child", "is stopped"),
        ('S', 0, "jobs.hung", "waits for something"),
        ('R', 590, "jobs.hung", "computes without coming to an end"),
    ];
    for (state, cpu, name, says) in states {
        let findings = found(|host, database| {
            host.processes = vec![Process {
                worker_pid: 101,
                job: None,
                pid: 4711,
                name: "ffmpeg".to_owned(),
                state,
                cpu: s(cpu),
                age: s(600),
            }];
            let worker = database.workers[0].clone();
            database.suspects = vec![hung(1, &worker), hung(2, &worker)];
        });
        let finding = findings.iter().find(|finding| finding.name == name).expect("found");
        assert!(finding.cause.contains("ffmpeg") && finding.cause.contains(says), "{}", finding.cause);
    }
}

#[test]
fn running_jobs_that_stopped_together_are_seen_before_any_limit() {
    let still = |count: u128| {
        move |_: &mut Host, database: &mut Database| {
            database.running = (1..=count)
                .map(|number| {
                    let mut job = job(number);
                    job.progress.percent = Some(63);
                    job.progress.at = Some(ago(1200));
                    job
                })
                .collect();
        }
    };
    assert_eq!(found(still(2)), []);
    let finding = only("jobs.standing_still", still(3));
    assert_eq!(finding.what, "3 running jobs of type email.send stand still at 60 to 69 %");
}

#[test]
fn want_of_memory_is_told_of_once_whether_workers_or_programs_were_killed() {
    let proof = Proof::Signaled { signal: 9, name: "SIGKILL".to_owned(), oom_kills: Some((0, 1)) };
    let finding = only("jobs.out_of_memory", |_, database| {
        database.workers.push(ended(3, WorkerState::Dead, Some(proof.clone())));
        let lost = format!("worker-00000003 ended while it ran the job: {proof}");
        database.fallen = vec![fell(1, Status::Queued, "worker_lost", &lost)];
    });
    assert!(finding.because.contains("the kernel counted"), "{}", finding.because);
    assert!(finding.what.starts_with("1 worker was killed"), "{}", finding.what);
}

#[test]
fn dead_jobs_are_told_of_with_the_command_that_runs_them_again_until_somebody_settles_them() {
    let dead = fell(1, Status::Dead, "error", "no such table");
    let group = dead.dead_group.clone().expect("a cause");
    let kept = DeadGroup {
        group: group.clone(),
        job_type: dead.job_type.clone(),
        kind: "error".to_owned(),
        pattern: "no such table".to_owned(),
        count: 1,
        first_at: ago(60),
        last_at: ago(60),
        sample: dead.id,
    };
    let finding = only("jobs.failing", |_, database| {
        database.fallen = vec![dead.clone()];
        database.dead = vec![kept.clone()];
    });
    assert_eq!(finding.mend.last(), Some(&format!("jobforge dead retry --group {group}")));
    let poison = only("jobs.poison", |_, database| {
        database.fallen = vec![fell(1, Status::Dead, "poison", "poison: it killed its worker 3 times")];
    });
    assert_eq!(poison.severity, Severity::Warning);
    assert_eq!(
        found(|_, database| {
            let by = crate::job::Resolution { at: ago(1), by: "ada".to_owned(), note: "known".to_owned() };
            database.fallen = vec![Job { resolved: Some(by), ..dead.clone() }];
        }),
        []
    );
}

/// A schedule of an every-minute job, without a success for five minutes.
fn schedule(name: &str, change: impl FnOnce(&mut Schedule)) -> ScheduleView {
    let mut schedule = Schedule {
        definition: Definition { every: Some("1m".to_owned()), ..Definition::new(name, "email.send") },
        source: Source::Cli,
        paused: None,
        next_at: Some(at(NOW + 30)),
        due_at: Some(at(NOW + 30)),
        last_planned_for: Some(ago(30)),
        last_fired_at: Some(ago(30)),
        last_job_id: None,
        last_end: None,
        last_success_at: Some(ago(300)),
        fresh_at: ago(300),
        interval_ms: Some(60_000),
        stale_after_ms: Some(3_600_000),
        consecutive_failures: 0,
        missed_runs: 0,
        version: 1,
        created_at: ago(9000),
        created_by: "cli:ada".to_owned(),
        updated_at: ago(9000),
        updated_by: "cli:ada".to_owned(),
    };
    change(&mut schedule);
    ScheduleView::of(schedule, at(NOW))
}

#[test]
fn a_schedule_in_trouble_is_told_of_once_with_its_jobs_with_its_queue_or_alone() {
    let with = |view: ScheduleView| {
        move |_: &mut Host, database: &mut Database| {
            let leader = "host-a:1".to_owned();
            database.scheduler =
                Some(Scheduler { leader, lease_until: at(NOW + 5), last_tick_at: ago(1), as_of: at(NOW) });
            database.schedules = ScheduleFacts { total: 1, paused: 0, suspects: vec![view] };
        }
    };
    let stale = schedule("nightly", |schedule| schedule.stale_after_ms = Some(120_000));
    let alone = only("schedules.stale", with(stale.clone()));
    assert_eq!(
        alone.evidence,
        ["schedule nightly has had no success for 5 min, and may be without for 2 min"]
    );
    let late = only("schedules.late", with(schedule("nightly", |schedule| schedule.due_at = Some(ago(300)))));
    assert_eq!(late.what, "schedule nightly has not been fired");
    assert!(late.cause.contains("is slower than its schedules come due"), "{}", late.cause);
    let held_for = |open: u64| {
        move |host: &mut Host, database: &mut Database| {
            with(schedule("nightly", |schedule| schedule.due_at = Some(ago(300))))(host, database);
            let oldest_transaction = s(open);
            database.pressure =
                Some(Pressure { max_connections: 100, oldest_transaction, ..Pressure::default() });
        }
    };
    let later = only("schedules.late", held_for(299));
    assert_eq!(later.cause, late.cause, "it began when the schedule was late already");
    let held = only("schedules.late", held_for(301));
    assert!(held.cause.contains("has not ended its transaction"), "{}", held.cause);
    let longer = only("database.old_transaction", held_for(7200));
    assert_eq!(longer.evidence[1], "schedule nightly has been due for 5 min, which it may hold");
    let failing = || schedule("nightly", |schedule| schedule.consecutive_failures = 4);
    let fails = only("schedules.failing", with(failing()));
    assert_eq!(fails.evidence, ["nightly has failed 4 times in a row"]);
    let of_jobs = only("jobs.failing", |host, database| {
        with(failing())(host, database);
        let job = fell(1, Status::Dead, "error", "no such table");
        database.fallen = vec![Job { created_by: Some("schedule:nightly".to_owned()), ..job }];
    });
    assert_eq!(of_jobs.evidence[0], "schedule nightly has failed 4 times in a row");
    let of_queue = only("queues.paused", |host, database| {
        with(stale)(host, database);
        database.queues[0].paused_at = Some(ago(600));
    });
    assert!(
        of_queue.evidence[1].starts_with("schedule nightly has had no success"),
        "{:?}",
        of_queue.evidence
    );
}

#[test]
fn tokens_are_told_of_before_and_after_they_end_if_somebody_uses_them() {
    let token = |ends: i64, used: Option<i64>| TokenRow {
        id: "1f2e3d4c".to_owned(),
        name: "deploy".to_owned(),
        scopes: vec![Scope::Operate],
        tenant_id: None,
        queues: None,
        hash: String::new(),
        created_at: ago(50_000),
        created_by: "cli:ada".to_owned(),
        expires_at: Some(at(NOW + ends)),
        revoked_at: None,
        last_used_at: used.map(ago),
    };
    let expired = only("tokens.expired", |_, database| database.tokens = vec![token(-60, Some(120))]);
    assert_eq!(expired.mend[0], "jobforge token create \"deploy\" --scope operate");
    only("tokens.expiring", |_, database| database.tokens = vec![token(3600, Some(120))]);
    for calm in [token(-60, None), token(3600, None), token(30 * 86_400, Some(120))] {
        assert_eq!(found(|_, database| database.tokens = vec![calm]), []);
    }
}

#[test]
fn an_alert_is_told_of_only_if_nothing_else_explains_it() {
    let alert = |rule: &str| Active {
        rule: rule.to_owned(),
        labels: std::collections::BTreeMap::new(),
        since: ago(100),
        fired_at: Some(ago(50)),
        value: 1.0,
        severity: crate::alert::rules::Severity::Critical,
        summary: "it is so".to_owned(),
    };
    let finding = only("alerts.firing", |_, database| database.alerts = vec![alert("qc_job_stuck")]);
    assert_eq!(finding.mend, ["jobforge runbook show qc_job_stuck"]);
    only("jobs.hung", |_, database| {
        database.suspects = vec![hung(1, &database.workers[0].clone())];
        database.alerts = vec![alert("qc_job_stuck")];
    });
}
