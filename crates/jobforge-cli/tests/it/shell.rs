//! What scripts rely on: JSON, ids on pipes, completions, manual pages.

use std::io::Write;
use std::process::Stdio;

use crate::program::{Home, done};

/// A home with an embedded database and nobody running.
fn home() -> Home {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    home
}

#[test]
fn a_key_enqueues_once_and_refuses_another_payload() {
    let home = home();
    let first = home.json(&["job", "enqueue", "mail", r#"{"to":1}"#, "--key", "k"]);
    let again = home.json(&["job", "enqueue", "mail", r#"{"to": 1.0}"#, "--key", "k"]);
    assert_eq!(
        (&first["created"], &again["created"], &again["id"]),
        (&true.into(), &false.into(), &first["id"])
    );
    let other = home.run(&["job", "enqueue", "mail", r#"{"to":2}"#, "--key", "k"]);
    assert_eq!(other.code, 4);
    assert!(other.err.contains(first["id"].as_str().unwrap()), "{}", other.err);
}

#[test]
fn a_file_is_enqueued_line_by_line_or_not_at_all() {
    let home = home();
    let good: String = (0..2500).map(|n| format!("{{\"type\":\"t\",\"payload\":{{\"n\":{n}}}}}\n")).collect();
    std::fs::write(home.path().join("good.ndjson"), &good).unwrap();
    assert_eq!(home.json(&["job", "enqueue", "--from", "good.ndjson"])["created"], 2500);
    std::fs::write(
        home.path().join("bad.ndjson"),
        "{\"type\":\"t\"}\n{\"type\":\"\"}\n{\"typ\":\"t\"}\n{\"type\":\"t\",\"payload\":\"\\u0000\"}\n",
    )
    .unwrap();
    let refused = home.run(&["job", "enqueue", "--from", "bad.ndjson"]);
    assert_eq!(refused.code, 2);
    for part in ["line 2: type", "line 3", "line 4", "nothing was"] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
    assert_eq!(home.json(&["queue", "list"])[0]["ready"], 2500);
}

#[test]
fn ids_flow_from_one_command_to_the_next() {
    let home = home();
    for _ in 0..3 {
        home.ok(&["job", "enqueue", "t", "--tag", "batch"]);
    }
    let ids = home.ok(&["job", "list", "--tag", "batch", "--output", "name"]);
    assert_eq!(ids.lines().count(), 3);
    let mut cancel = home
        .command(&["job", "cancel", "-", "--yes"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    cancel.stdin.take().unwrap().write_all(ids.as_bytes()).unwrap();
    let canceled = done(cancel.wait_with_output().unwrap());
    assert_eq!((canceled.code, canceled.out.lines().count()), (0, 3));
    assert_eq!(home.json(&["job", "list", "--status", "canceled"])["jobs"].as_array().unwrap().len(), 3);
}

#[test]
fn many_jobs_are_not_moved_without_a_yes() {
    let home = home();
    let (a, b) = (home.ok(&["job", "enqueue", "t"]), home.ok(&["job", "enqueue", "t"]));
    let refused = home.run(&["job", "cancel", &a, &b]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("--yes"), "{}", refused.err);
    assert!(home.ok(&["job", "cancel", &a, &b, "--dry-run"]).contains("would cancel"));
    assert_eq!(home.json(&["job", "show", &a])["status"], "queued");
    let mixed = home.run(&["job", "cancel", &a, "01890a5d-ac96-774b-bcce-b302099a8057", "--yes"]);
    assert_eq!((mixed.code, home.json(&["job", "show", &a])["status"].as_str()), (3, Some("canceled")));
}

#[test]
fn pages_of_a_list_follow_each_other() {
    let home = home();
    let mut enqueued: Vec<String> = (0..7).map(|_| home.ok(&["job", "enqueue", "t"])).collect();
    enqueued.reverse();
    let first = home.json(&["job", "list", "--limit", "4"]);
    let next = first["next"].as_str().unwrap();
    let second = home.json(&["job", "list", "--limit", "4", "--before", next]);
    let listed: Vec<String> = [&first, &second]
        .iter()
        .flat_map(|page| page["jobs"].as_array().unwrap())
        .map(|job| job["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, enqueued);
    assert!(second["next"].is_null());
}

#[test]
fn output_on_a_pipe_has_no_colour_and_text_from_jobs_cannot_forge_any() {
    let home = home();
    let id = home.ok(&["job", "enqueue", "t", r#"{"x":"\u001b[31mred\nnew line"}"#]);
    let shown = home.ok(&["job", "show", &id]);
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let coloured = home.ok(&["--color", "always", "job", "show", &id]);
    assert!(coloured.contains('\u{1b}'), "{coloured}");
}

#[test]
fn completions_manual_pages_settings_and_exit_codes_are_printed() {
    let home = home();
    assert!(home.ok(&["completion", "bash"]).contains("_jobforge"));
    home.ok(&["man", "pages"]);
    assert!(home.path().join("pages/jobforge-job-explain.1").exists());
    assert!(home.ok(&["help-exit-codes"]).contains("78"));
    let settings = home.json(&["help-settings"]);
    let named = |key: &str| {
        settings.as_array().unwrap().iter().find(|setting| setting["key"] == key).cloned().unwrap()
    };
    assert_eq!(
        named("watchdog_check_interval_ms")["env"],
        serde_json::json!(["WATCHDOG_CHECK_INTERVAL_MS", "CHECK_INTERVAL"])
    );
    assert_eq!(home.json(&["version"])["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn secrets_in_the_environment_are_never_shown() {
    let home = home();
    let shown = done(
        home.command(&["help-settings"])
            .env("AUTH_TOKEN", "hunter2")
            .env("ADMIN_TOKEN", "hunter2")
            .output()
            .unwrap(),
    );
    assert!(shown.out.contains("auth_token = <secret>") && !shown.out.contains("hunter2"));
    let refused = done(
        home.command(&["job", "list"])
            .env("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d")
            .output()
            .unwrap(),
    );
    assert_eq!(refused.code, 6);
    assert!(!refused.err.contains("hunter2"), "{}", refused.err);
}

#[test]
fn a_list_reads_the_words_of_the_dashboards_search() {
    let home = home();
    let ready = home.ok(&["job", "enqueue", "mail", "--tenant", "acme"]);
    let later = home.ok(&["job", "enqueue", "mail", "--delay", "1h"]);
    let found = |words: &[&str]| -> Vec<String> {
        let list = home.ok(&[&["job", "list", "--output", "name"], words].concat());
        list.lines().map(str::to_owned).collect()
    };
    assert_eq!(found(&["state:ready"]), [ready.as_str()]);
    assert_eq!(found(&["state:scheduled mail"]), [later.as_str()]);
    assert_eq!(found(&["mail", "tenant:acme"]), [ready.as_str()]);
    assert_eq!(found(&["status:queued", "--state", "scheduled"]), [later.as_str()]);
    assert!(found(&["state:stuck"]).is_empty() && found(&["status:dead state:ready"]).is_empty());
    for (words, told) in [
        (&["state:asleep"][..], "use ready, scheduled, retrying, quiet, stuck"),
        (&["--state", "asleep"], "use ready, scheduled, retrying, quiet or stuck"),
        (&["type:mail", "--type", "mail"], "type is given twice"),
        (&[ready.as_str()], "jobforge job show"),
    ] {
        let refused = home.run(&[&["job", "list"], words].concat());
        assert!(refused.code == 2 && refused.err.contains(told), "{words:?}: {}", refused.err);
    }
}
