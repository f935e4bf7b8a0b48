//! Dead letters as the engineer on call meets them.

use std::time::Duration;

use jobforge::clock;

use crate::program::Home;

/// A queue in which three jobs died of one thing and one of another, and a job that did not die.
fn after_a_bad_night(home: &Home) -> [String; 5] {
    let up = home.up();
    let failing =
        |script: &str| serde_json::json!({ "argv": ["sh", "-c", format!("{script}; exit 4")] }).to_string();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(home.ok(&["job", "enqueue", "exec", &failing("true"), "--max-attempts", "1"]));
    }
    let other = ["job", "enqueue", "exec", &failing("true"), "--max-attempts", "1", "--tenant", "acme"];
    ids.push(home.ok(&other));
    for id in &ids {
        home.until(id, "dead");
    }
    let fine = home.json(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--wait"]);
    ids.push(fine["id"].as_str().unwrap().to_owned());
    assert_eq!(up.terminate(), 0);
    ids.try_into().unwrap()
}

#[test]
fn dead_jobs_are_found_by_cause_and_shown_with_the_evidence() {
    let home = Home::new();
    let [first, .., acme, done] = after_a_bad_night(&home);
    let groups = home.json(&["dead", "groups"]);
    assert_eq!((groups.as_array().unwrap().len(), &groups[0]["count"]), (1, &4.into()), "{groups}");
    assert_eq!(home.json(&["dead", "groups", "--tenant", "acme"])[0]["count"], 1);
    let group = groups[0]["group"].as_str().unwrap();
    let listed = home.json(&["dead", "list", "--group", group, "--limit", "3"]);
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 3);
    let next = listed["next"].as_str().unwrap();
    assert_eq!(home.json(&["dead", "list", "--before", next])["jobs"][0]["id"], first.as_str());
    let shown = home.ok(&["dead", "show", &acme]);
    assert!(shown.contains("attempt 1 under lease 1 on worker-") && shown.contains("exit code 4"), "{shown}");
    let alive = home.run(&["dead", "show", &done]);
    assert_eq!(alive.code, 4, "{}", alive.err);
    assert!(alive.err.contains("is succeeded, not dead"), "{}", alive.err);
}

#[test]
fn many_dead_jobs_move_only_when_chosen_and_confirmed() {
    let home = Home::new();
    let [.., done] = after_a_bad_night(&home);
    let unchosen = home.run(&["dead", "retry"]);
    assert_eq!(unchosen.code, 2);
    assert!(unchosen.err.contains("jobforge dead groups"), "{}", unchosen.err);
    let preview = home.run(&["dead", "purge", "--all", "--dry-run"]);
    assert!(preview.out.contains("would purge 4 dead jobs"), "{}", preview.out);
    let unconfirmed = home.run(&["dead", "purge", "--all"]);
    assert_eq!(unconfirmed.code, 2);
    assert!(unconfirmed.err.contains("--yes"), "{}", unconfirmed.err);
    let alive = home.run(&["dead", "retry", &done]);
    assert!(alive.code == 4 && alive.err.contains("nothing was done"), "{}", alive.err);
    assert_eq!(home.json(&["dead", "groups"])[0]["count"], 4, "nothing was moved");
    assert_eq!(home.json(&["dead", "purge", "--all", "--yes"])["done"], 4);
    assert_eq!(home.json(&["job", "list"])["jobs"].as_array().unwrap().len(), 1);
}

#[test]
fn dead_jobs_are_retried_no_faster_than_asked() {
    let home = Home::new();
    let ids = after_a_bad_night(&home);
    let began = clock::monotonic();
    let retried = home.json(&["dead", "retry", "--type", "exec", "--per-second", "4", "--yes"]);
    // Three pauses of a quarter of a second at the least.
    assert!(clock::monotonic().duration_since(began) >= Duration::from_millis(750));
    assert_eq!((&retried["done"], &retried["passed_over"]), (&4.into(), &0.into()));
    for id in &ids[..4] {
        let job = home.json(&["job", "show", id]);
        assert_eq!((&job["status"], &job["attempts"]), (&"queued".into(), &0.into()), "{job}");
    }
}

#[test]
fn a_discarded_job_stays_dead_with_the_reason_and_is_no_longer_listed() {
    let home = Home::new();
    let [first, ..] = after_a_bad_night(&home);
    let silent = home.run(&["dead", "discard", &first, "--note", " "]);
    assert_eq!(silent.code, 2, "{}", silent.err);
    home.ok(&["dead", "discard", &first, "--note", "the customer left"]);
    assert_eq!(home.json(&["dead", "groups"])[0]["count"], 3);
    assert_eq!(home.json(&["dead", "groups", "--discarded"])[0]["count"], 4);
    assert!(home.ok(&["dead", "show", &first]).contains("the customer left"));
    assert!(home.ok(&["job", "explain", &first]).contains("the customer left"));
}
