//! Backups taken while everything runs, restored elsewhere, and run on by new workers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use testkit::postgres::{TestDatabase, find_binaries, psql};

use crate::program::{Home, Running, eventually};
use crate::site::Site;

on_each_engine!(
    process_a_backup_taken_under_load_is_a_whole_queue_where_it_is_restored,
    process_a_backup_is_never_written_over_and_a_restore_never_replaces_unasked,
);

/// Where a backup is restored.
struct Elsewhere {
    home: Home,
    // Goes after what uses it.
    _database: Option<TestDatabase>,
}

impl Elsewhere {
    fn like(site: &Site) -> Self {
        let (home, database) = if site.home.database_url().is_some() {
            let database = TestDatabase::create().unwrap();
            (Home::on_postgres(&database.url()), Some(database))
        } else {
            (Home::new(), None)
        };
        let settings = "worker_lease_ms = 3000\nexec_allow = \"*\"\nslots = 4\n";
        std::fs::write(home.path().join("jobforge.toml"), settings).unwrap();
        Self { home, _database: database }
    }

    fn serve(&self) -> Running {
        self.home
            .start(&["serve", "--config", "jobforge.toml", "--listen", "127.0.0.1:0"], "stop with Ctrl-C")
    }

    fn work(&self) -> Running {
        self.home.start(&["work", "--config", "jobforge.toml"], "takes jobs from")
    }
}

/// Writes a line into the ledger of the world in which it runs, once its work is done.
const WORK: &str = r#"{"argv":["sh","-c","sleep 0.2; echo $JOB_ID >> ledger"]}"#;

fn jobs(home: &Home) -> Vec<Value> {
    home.json(&["job", "list", "--limit", "1000"])["jobs"].as_array().unwrap().clone()
}

fn process_a_backup_taken_under_load_is_a_whole_queue_where_it_is_restored(site: &Site) {
    let _watchdog = site.watchdog();
    let _workers = [site.work(&[]), site.work(&[])];
    // Somebody goes on enqueueing all the time, every other job under a key of its own.
    let stop = Arc::new(AtomicBool::new(false));
    let enqueueing = {
        let stop = Arc::clone(&stop);
        let commands: Vec<_> = (0..400)
            .map(|n| {
                let key = format!("key-{n}");
                let mut arguments = vec!["job", "enqueue", "exec", WORK];
                if n % 2 == 0 {
                    arguments.extend(["--key", key.as_str()]);
                }
                site.home.command(&arguments)
            })
            .collect();
        thread::spawn(move || {
            let mut enqueued = 0;
            for mut command in commands {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                assert!(command.output().unwrap().status.success());
                enqueued += 1;
            }
            enqueued
        })
    };
    eventually("jobs run and some have ended", || {
        let listed = jobs(&site.home);
        let of = |status: &str| listed.iter().filter(|job| job["status"] == status).count();
        of("running") > 0 && of("succeeded") > 2
    });
    let made = site.home.json(&["db", "backup", "copy"]);
    assert!(made["bytes"].as_u64().unwrap() > 0 && made["verified"] == true, "{made}");
    stop.store(true, Ordering::Relaxed);
    let enqueued: usize = enqueueing.join().unwrap();

    let elsewhere = Elsewhere::like(site);
    let copy = site.home.path().join("copy").display().to_string();
    let told = elsewhere.home.json(&["db", "restore", &copy]);
    assert_eq!(told["findings"], json!([]), "{told:#}");
    let before = jobs(&elsewhere.home);
    assert!(before.len() > 3 && before.len() <= enqueued, "{} of {enqueued}", before.len());
    assert!(before.iter().all(|job| job["status"] != "running"), "nobody runs anything here");
    let taken = told["taken_back"].as_array().unwrap();
    assert!(!taken.is_empty() && told["workers_of_before"].as_u64().unwrap() >= 1, "{told:#}");
    for line in taken {
        let job = elsewhere.home.json(&["job", "show", line["job"].as_str().unwrap()]);
        assert_eq!(
            (&job["status"], &job["attempts"], &job["misses"]),
            (&"queued".into(), &0.into(), &0.into())
        );
        assert_eq!(job["attempts_made"][0]["outcome"], "lost", "{job:#}");
        assert_eq!(job["attempts_made"][0]["error"]["kind"], "restored", "{job:#}");
    }
    let highest = before.iter().map(|job| job["lease"].as_i64().unwrap()).max().unwrap();
    keys_are_kept(&elsewhere.home, &before);

    // The two worlds share nothing: the old one goes on meanwhile.
    let _server = elsewhere.serve();
    let _new_workers = [elsewhere.work(), elsewhere.work()];
    eventually("every job of the copy has ended", || {
        jobs(&elsewhere.home).iter().all(|job| job["status"] == "succeeded")
    });
    let ledger = std::fs::read_to_string(elsewhere.home.path().join("ledger")).unwrap();
    let after = jobs(&elsewhere.home);
    assert_eq!(after.len(), before.len(), "no job more or less than in the copy");
    for job in &before {
        let id = job["id"].as_str().unwrap();
        let now = elsewhere.home.json(&["job", "show", id]);
        let won = now["attempts_made"].as_array().unwrap().iter();
        let won: Vec<_> = won.filter(|attempt| attempt["outcome"] == "succeeded").collect();
        assert_eq!(won.len(), 1, "{now:#}");
        let done_here = ledger.lines().filter(|line| *line == id).count();
        assert_eq!(done_here, usize::from(job["status"] != "succeeded"), "{now:#}");
        if job["status"] != "succeeded" {
            assert!(
                won[0]["lease"].as_i64().unwrap() > highest,
                "a fence that the old world may have: {now:#}"
            );
        }
    }
    let check = elsewhere.home.run(&["db", "check"]);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);
    let deeds = elsewhere.home.json(&["audit", "list"]);
    assert!(deeds.to_string().contains("db.restore"), "{deeds:#}");
}

/// A key of the copy still is its job's, and others are free.
fn keys_are_kept(home: &Home, jobs: &[Value]) {
    let keyed = jobs.iter().find(|job| job["idempotency_key"].is_string()).unwrap();
    let key = keyed["idempotency_key"].as_str().unwrap();
    let refused = home.run(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--key", key]);
    assert_eq!(refused.code, 4, "another payload under the same key: {}{}", refused.out, refused.err);
}

fn process_a_backup_is_never_written_over_and_a_restore_never_replaces_unasked(site: &Site) {
    let id = site.home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--delay", "1h"]);
    site.home.ok(&["db", "backup", "copy"]);
    let again = site.home.run(&["db", "backup", "copy"]);
    assert_eq!(again.code, 4, "{}", again.err);
    assert!(again.err.contains("--force"), "{}", again.err);
    site.home.ok(&["db", "backup", "copy", "--force"]);
    let left: Vec<PathBuf> =
        std::fs::read_dir(site.home.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.extension().is_none_or(|tail| tail != "part")), "{left:?}");

    let elsewhere = Elsewhere::like(site);
    let copy = site.home.path().join("copy").display().to_string();
    let preview = elsewhere.home.ok(&["db", "restore", &copy, "--dry-run"]);
    assert!(preview.contains("which is empty"), "{preview}");
    // What a server makes for itself when it starts is nobody's.
    if elsewhere.home.database_url().is_some() {
        elsewhere.home.ok(&["db", "migrate"]);
    }
    let server = elsewhere.serve();
    eventually("the clean-up has its schedule", || {
        elsewhere.home.ok(&["schedule", "list"]).contains("cleanup")
    });
    assert_eq!(server.terminate(), 0);
    eventually("the server counts as gone", || elsewhere.home.run(&["db", "restore", &copy]).code == 0);
    let other = elsewhere.home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--delay", "1h"]);
    for (more, code) in [(vec![], 4), (vec!["--force"], 2)] {
        let refused = elsewhere.home.run(&[vec!["db", "restore", &copy], more].concat());
        assert_eq!(refused.code, code, "{}", refused.err);
        elsewhere.home.ok(&["job", "show", &other]);
    }
    {
        let _server = elsewhere.serve();
        let refused = elsewhere.home.run(&["db", "restore", &copy, "--force", "--yes"]);
        assert!(matches!(refused.code, 4 | 78), "somebody is at it: {}", refused.err);
        assert!(refused.err.contains("stop"), "{}", refused.err);
    }
    eventually("the server counts as gone", || {
        elsewhere.home.run(&["db", "restore", &copy, "--force", "--yes"]).code == 0
    });
    elsewhere.home.ok(&["job", "show", &id]);
    assert_eq!(elsewhere.home.run(&["job", "show", &other]).code, 3, "it was replaced");

    let refused = elsewhere.home.run(&["db", "restore", "jobforge.toml"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("is no backup"), "{}", refused.err);
}

#[test]
fn a_dump_that_was_cut_short_changes_nothing() {
    let site = Site::on_postgres();
    for _ in 0..50 {
        site.home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--delay", "1h"]);
    }
    site.home.ok(&["schedule", "add", "yearly", "exec", r#"{"argv":["true"]}"#, "--cron", "0 0 1 1 *"]);
    site.home.ok(&["schedule", "run", "yearly"]);
    let history = site.home.ok(&["schedule", "history", "yearly", "--json"]);
    site.home.ok(&["db", "backup", "copy"]);
    let whole = std::fs::read(site.home.path().join("copy")).unwrap();
    let elsewhere = Elsewhere::like(&site);
    let cut = elsewhere.home.path().join("cut");
    std::fs::write(&cut, &whole[..whole.len() * 9 / 10]).unwrap();
    let refused = elsewhere.home.run(&["db", "restore", "cut"]);
    assert_ne!(refused.code, 0, "{}", refused.err);
    let left = elsewhere.home.run(&["job", "list", "--json"]);
    assert!(left.code != 0 || left.out.contains(r#""jobs": []"#), "{}", left.out);
    std::fs::write(&cut, &whole).unwrap();
    elsewhere.home.ok(&["db", "restore", "cut"]);
    assert_eq!(jobs(&elsewhere.home).len(), 51);
    assert_eq!(elsewhere.home.ok(&["schedule", "history", "yearly", "--json"]), history);
}

#[test]
fn the_runbooks_own_dump_is_restored_by_the_command_as_well() {
    let site = Site::on_postgres();
    let id = site.home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#]);
    let url = site.home.database_url().unwrap();
    psql(url, "UPDATE jobforge_jobs SET priority = 3").unwrap();
    let mut dump = std::process::Command::new(find_binaries().unwrap().program("pg_dump"));
    dump.args(["-d", url, "-F", "c", "-f"]).arg(site.home.path().join("four"));
    for table in ["jobs", "job_results", "job_attempts", "connector_configs"] {
        dump.args(["-t", &format!("jobforge_{table}")]);
    }
    assert!(dump.status().unwrap().success());
    let elsewhere = Elsewhere::like(&site);
    let four = site.home.path().join("four").display().to_string();
    let told = elsewhere.home.run(&["db", "restore", &four]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.err.contains("does not say which schema"), "{}", told.err);
    assert_eq!(elsewhere.home.json(&["job", "show", &id])["priority"], 3);
    // What a dump of four tables lacks is as in a new database: settings can be stored, and the queue runs on.
    elsewhere.home.ok(&["config", "set", "heartbeat_threshold_ms=300000"]);
    let (_server, _worker) = (elsewhere.serve(), elsewhere.work());
    eventually("the job of the dump has run", || {
        elsewhere.home.json(&["job", "show", &id])["status"] == "succeeded"
    });
    let check = elsewhere.home.run(&["db", "check"]);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);
}

#[test]
fn the_password_is_never_among_the_arguments_and_a_missing_program_says_what_to_do() {
    let site = Site::on_postgres();
    let bin = site.home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let real = find_binaries().unwrap();
    for name in ["pg_dump", "pg_restore"] {
        let spy = format!(
            "#!/bin/sh\necho \"$@\" >> {0}/arguments\nenv | grep ^PGPASSWORD >> {0}/environment\nexec {1} \"$@\"\n",
            bin.display(),
            real.program(name).display()
        );
        std::fs::write(bin.join(name), spy).unwrap();
        let chmod = std::process::Command::new("chmod").arg("+x").arg(bin.join(name)).status();
        assert!(chmod.unwrap().success());
    }
    // Trust needs no password, so that any will do.
    let url = site.home.database_url().unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (user, host) = rest.split_once('@').unwrap();
    let user = user.split(':').next().unwrap();
    let secret = format!("{scheme}://{user}:s3cret@{host}");
    let backup = |home: &Home, file: &str| {
        let mut command = home.command(&["db", "backup", file]);
        command.env("DATABASE_URL", &secret).env("PG_BIN", &bin);
        crate::program::done(command.output().unwrap())
    };
    let done = backup(&site.home, "copy");
    assert_eq!(done.code, 0, "{}", done.err);
    let arguments = std::fs::read_to_string(bin.join("arguments")).unwrap();
    assert!(!arguments.contains("s3cret") && arguments.contains("--table=jobforge_*"), "{arguments}");
    assert!(std::fs::read_to_string(bin.join("environment")).unwrap().contains("s3cret"));
    assert!(!format!("{}{}", done.out, done.err).contains("s3cret"));

    std::fs::write(bin.join("pg_dump"), "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n").unwrap();
    let done = backup(&site.home, "old");
    assert_eq!(done.code, 78, "{}", done.err);
    assert!(done.err.contains("install postgresql-client-"), "{}", done.err);
    std::fs::remove_file(bin.join("pg_dump")).unwrap();
    let done = backup(&site.home, "none");
    assert_eq!(done.code, 78, "{}", done.err);
    assert!(done.err.contains("there is no pg_dump in") && done.err.contains("PG_BIN"), "{}", done.err);
    assert!(!site.home.path().join("none").exists());
}
