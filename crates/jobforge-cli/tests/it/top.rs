//! `jobforge top` on a real terminal, which tmux plays.

use crate::program::{Home, Running};
use crate::site::Site;
use crate::terminal::Terminal;

/// A fleet with something in every pane: a job that runs, a queue without workers, one that is paused, a dead job.
fn fleet(home: &Home) -> (Running, String) {
    let up = home.up();
    let runs = home.ok(&["job", "enqueue", "exec", r#"{"argv":["sleep","300"]}"#]);
    home.ok(&["job", "enqueue", "report", "{}", "--queue", "reports"]);
    home.ok(&["queue", "pause", "held"]);
    home.ok(&["schedule", "add", "nightly", "--cron", "0 3 * * *", "log", r#"{"message":"x"}"#]);
    let dies = home.ok(&["job", "enqueue", "exec", r#"{"argv":["false"]}"#, "--max-attempts", "1"]);
    home.until(&runs, "running");
    home.until(&dies, "dead");
    (up, runs)
}

#[test]
fn process_top_shows_the_fleet_and_acts_on_it_at_80_by_24() {
    let home = Home::new();
    let (_up, runs) = fleet(&home);
    let screen = Terminal::open(&home, &["top"], (80, 24));
    let short = &runs[runs.len() - 8..];
    screen.until(&["ACTION NEEDED", "queue reports has 1 ready job and no live worker", short]);
    assert!(screen.shows().lines().all(|line| line.chars().count() <= 80), "{}", screen.shows());
    screen.type_keys(&["?"]);
    screen.until(&["Capital letters change something"]);
    screen.type_keys(&["x", "Enter"]);
    screen.until(&[&format!("Job {runs}"), "why", "next"]);
    // So does every line of the other panes.
    screen.type_keys(&["x", "2", "/", "r", "e", "p", "Enter", "Enter"]);
    screen.until(&["Queue reports", "none is live: jobforge work --queues reports", "ready, the newest:"]);
    screen.type_keys(&["x"]);
    screen.type_keys(&["Escape"]);
    screen.until(&["paused"]);
    screen.type_keys(&["3", "Enter"]);
    screen.until(&["Worker ", "unless it is renewed", "it holds, the newest:", short]);
    screen.type_keys(&["x", "4", "Enter"]);
    screen.until(&["Schedule nightly", "makes", "last success", "next"]);
    // A word that one line has.
    screen.type_keys(&["x", "2", "/", "r", "e", "p", "Enter"]);
    screen.until(&["no workers", "only /rep", "2 Queues 1"]);
    screen.type_keys(&["Escape"]);
    screen.until(&["paused"]);
    screen.type_keys(&["1", "C"]);
    screen.until(&[&format!("cancel job {short}?")]);
    screen.type_keys(&["n"]);
    screen.until(&["nothing was done", "1 Running 1"]);
    screen.type_keys(&["C", "y"]);
    screen.until(&["1 Running 0"]);
    home.until(&runs, "canceled");
    let deed = &home.json(&["audit", "list", "--target", &runs])[0];
    assert_eq!(deed["action"], "job.cancel", "{deed}");
    // What happened is told, whoever did it, and a job is run again from where it is told of.
    screen.type_keys(&["6"]);
    screen.until(&["job.cancel", "died", "of group"]);
    screen.type_keys(&["/", "c", "a", "n", "c", "e", "l", "Enter", "R"]);
    screen.until(&[&format!("run job {short} again from the beginning?")]);
    screen.type_keys(&["y"]);
    home.until(&runs, "running");
}

#[test]
fn process_top_shows_all_panes_at_200_by_50_and_that_nobody_watches() {
    let home = Home::new();
    let (up, _) = fleet(&home);
    let screen = Terminal::open(&home, &["top"], (200, 50));
    screen.until(&["1 Running 1", "2 Queues", "3 Workers 1", "4 Schedules", "5 Dead 1", "6 Events"]);
    up.kill();
    screen.until(&["no watchdog has given a sign for"]);
    screen.type_keys(&["q"]);
    screen.until_left();
}

#[test]
fn one_look_is_printed_as_text_and_as_json_and_a_pipe_is_no_terminal() {
    let home = Home::new();
    let (_up, runs) = fleet(&home);
    let seen = home.json(&["top", "--once"]);
    assert_eq!(seen["overview"]["level"], "act", "{seen}");
    assert_eq!(seen["running"][0]["id"], runs.as_str(), "{seen}");
    assert_eq!(seen["running"][0]["verdict"], "running", "{seen}");
    assert_eq!(seen["dead"][0]["count"], 1, "{seen}");
    let text = home.ok(&["top", "--once"]);
    assert!(text.starts_with("Action needed\n") && text.contains("jobforge work --queues reports"), "{text}");
    let piped = home.run(&["top"]);
    assert!(piped.code == 2 && piped.err.contains("top --once"), "{}", piped.err);
}

#[test]
fn who_looks_again_and_again_never_counts_all_that_is_dead() {
    let site = Site::on_postgres();
    let home = &site.home;
    let lines = "{\"type\":\"t\"}\n".repeat(1200);
    std::fs::write(home.path().join("jobs.ndjson"), lines).unwrap();
    home.ok(&["job", "enqueue", "--from", "jobs.ndjson"]);
    site.sql(
        "UPDATE jobforge_jobs SET status = 'dead', attempts = 1, finished_at = now(),
           error = '{\"kind\":\"mail\",\"message\":\"no route to host\"}'",
    );
    let seen = home.json(&["top", "--once"]);
    assert_eq!(seen["dead"][0]["count"], 1000, "{}", seen["dead"]);
    let text = home.ok(&["top", "--once"]);
    assert!(text.contains("1000+") && text.contains("1000 or more dead jobs (t)"), "{text}");
    let doctor = home.run(&["doctor"]);
    assert!(doctor.out.contains("1000+ dead"), "{}", doctor.out);
    // Whoever asks for the causes is told how many there are.
    assert_eq!(home.json(&["dead", "groups"])[0]["count"], 1200);
}
