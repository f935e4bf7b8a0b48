//! `jobforge runbook`: what it lists, and that it does what a page says and nothing more.

use std::fs;

use serde_json::Value;

use crate::program::Home;
use crate::terminal::Terminal;

fn home() -> Home {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    home
}

/// A directory with one page of an operator's own.
fn own(home: &Home, text: &str) -> String {
    let directory = home.path().join("books");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("mail.md"), text).unwrap();
    directory.display().to_string()
}

fn outcomes(report: &Value) -> Vec<(&str, &str)> {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().map(|step| (step["kind"].as_str().unwrap(), step["outcome"].as_str().unwrap())).collect()
}

const MAIL: &str = "# Mail does not go out\n<!-- alert: QueueBacklog -->\n\n## Look\n\n```sh jobforge:read\njobforge queue list\n\
                    jobforge queue resume mail\njobforge queue list | wc -l\njobforge job show \"$JOB\"\n```\n\n## Mend\n\n\
                    ```console jobforge:mend\n$ jobforge queue pause mail\n$ jobforge queue list\n```\n";

#[test]
fn every_alert_has_a_page_and_ones_own_page_comes_before_it() {
    let home = home();
    let listed = home.ok(&["runbook", "list"]);
    for part in ["stuck-jobs#a-handler-hangs", "qc_job_stuck", "heartbeats"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    assert!(home.ok(&["runbook", "show", "QueueBacklog"]).starts_with("# QueueBacklog"));
    assert!(home.ok(&["runbook", "show", "stuck-jobs#a-handler-hangs"]).starts_with("## A handler hangs"));
    let books = own(&home, MAIL);
    let show = ["runbook", "show", "QueueBacklog", "--dir", &books];
    assert!(home.ok(&show).starts_with("# Mail does not go out"));
    let unknown = home.run(&["runbook", "show", "stuck-job"]);
    assert_eq!(unknown.code, 3);
    assert!(unknown.err.contains("stuck-jobs"), "{}", unknown.err);
    let broken = own(&home, "```sh jobforge:reed\njobforge queue list\n```\n");
    let refused = home.run(&["runbook", "list", "--dir", &broken]);
    assert!(refused.code == 78 && refused.err.contains("line 1"), "{}", refused.err);
}

#[test]
fn reading_steps_are_run_and_filled_in_and_what_is_none_is_left_to_people() {
    let home = home();
    let books = own(&home, MAIL);
    let report = home.json(&["runbook", "run", "mail#look", "--dir", &books]);
    let left = ("read", "left");
    assert_eq!(outcomes(&report), [("read", "ran"), left, left, left], "{report:#}");
    for (step, why) in [(1, "marked as reading"), (2, "no plain jobforge command"), (3, "--set JOB=")] {
        assert!(report["steps"][step]["why"].as_str().unwrap().contains(why), "{report:#}");
    }
    let read = home.ok(&["runbook", "run", "qc_job_stuck", "--dry-run"]);
    assert!(read.contains("$ jobforge watchdog status\n  No watchdog is running"), "{read}");
    assert!(read.contains("$ jobforge watchdog run   proposed\n  a sweep would change nothing"), "{read}");
}

#[test]
fn mending_steps_are_proposed_asked_for_done_and_written_down() {
    let home = home();
    home.ok(&["job", "enqueue", "exec", "--queue", "mail"]);
    let books = own(&home, MAIL);
    let mend = ["runbook", "run", "mail#mend", "--dir", &books];
    let paused = || home.json(&["queue", "list"])[0]["paused_at"].is_string();
    let asked = home.run(&mend);
    assert_eq!(asked.code, 2, "{}", asked.err);
    assert!(asked.out.contains("effect: Let no more jobs of a queue be taken"), "{}", asked.out);
    let previewed = home.json(&[&mend[..], &["--dry-run"]].concat());
    assert_eq!(outcomes(&previewed), [("mend", "previewed"), ("mend", "left")], "{previewed:#}");
    assert!(!paused());
    let done = home.json(&[&mend[..], &["--yes"]].concat());
    assert_eq!(outcomes(&done), [("mend", "ran"), ("mend", "ran")], "{done:#}");
    assert!(paused());
    let audit = home.json(&["audit", "list"]);
    let of = |action: &str| {
        audit.as_array().unwrap().iter().find(|entry| entry["action"] == action).unwrap().clone()
    };
    assert_eq!(of("queue.pause")["reason"], "runbook mail#mend");
    assert!(of("runbook.run")["after"].as_str().unwrap().contains("jobforge queue pause mail"), "{audit:#}");
}

#[test]
fn who_does_not_want_one_step_is_asked_about_the_next() {
    let home = home();
    home.ok(&["job", "enqueue", "exec", "--queue", "mail"]);
    home.ok(&["job", "enqueue", "exec", "--queue", "sms"]);
    let books = own(
        &home,
        "# Two\n\n```sh jobforge:mend\njobforge queue pause mail\njobforge queue pause sms\n```\n",
    );
    let terminal = Terminal::open(&home, &["runbook", "run", "mail", "--dir", &books], (100, 30));
    terminal.until(&["queue pause mail", "Do this? [y/N]"]);
    terminal.type_keys(&["n", "Enter"]);
    terminal.until(&["queue pause sms"]);
    terminal.type_keys(&["y", "Enter"]);
    terminal.until_left();
    let paused = |queue: &&Value| queue["paused_at"].is_string();
    let queues = home.json(&["queue", "list"]);
    let names: Vec<_> =
        queues.as_array().unwrap().iter().filter(paused).map(|queue| &queue["name"]).collect();
    assert_eq!(names, ["sms"]);
}

#[test]
fn a_shell_is_for_ones_own_runbooks_and_only_if_it_is_allowed() {
    let home = home();
    let books = own(&home, "# Mail\n\n```sh jobforge:shell\necho \"$WHO\" > said\n```\n");
    let run = ["runbook", "run", "mail", "--dir", &books, "--set", "WHO=ada"];
    let said = home.path().join("said");
    let refused = home.json(&[&run[..], &["--yes"]].concat());
    assert_eq!(outcomes(&refused), [("shell", "left")]);
    assert_eq!(home.run(&[&run[..], &["--allow-shell"]].concat()).code, 2);
    assert!(!said.exists());
    home.ok(&[&run[..], &["--allow-shell", "--yes"]].concat());
    assert_eq!(fs::read_to_string(said).unwrap(), "ada\n");
}

#[test]
fn a_whole_book_of_ours_is_never_mended_without_asking() {
    let home = home();
    let refused = home.run(&["runbook", "run", "stuck-jobs", "--yes"]);
    assert_eq!(refused.code, 2, "{}", refused.out);
    assert!(refused.err.contains("NAME#SECTION"), "{}", refused.err);
}
