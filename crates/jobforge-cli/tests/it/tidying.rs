//! `jobforge db purge` and `db vacuum`.

use serde_json::json;

use crate::site::Site;

on_each_engine!(
    a_purge_deletes_what_it_counted_and_nothing_else,
    a_vacuum_says_what_it_did_or_who_is_in_the_way
);

/// One job ended as canceled just now, another waits.
fn two_jobs(site: &Site) -> (String, String) {
    let enqueue = || site.home.ok(&["job", "enqueue", "exec", r#"{"argv":["true"]}"#, "--delay", "1h"]);
    let (ended, waits) = (enqueue(), enqueue());
    site.home.ok(&["job", "cancel", &ended, "--yes"]);
    (ended, waits)
}

/// Lets it have ended so many days ago.
fn age(site: &Site, id: &str, days: u32) {
    if let Some(url) = site.home.database_url() {
        let sql = format!(
            "UPDATE jobforge_jobs SET finished_at = finished_at - interval '{days} days', \
             created_at = created_at - interval '{days} days' WHERE id = '{id}'"
        );
        testkit::postgres::psql(url, &sql).unwrap();
    } else {
        let micros = i64::from(days) * 86_400_000_000;
        let sql = format!(
            "UPDATE jobforge_jobs SET finished_at = finished_at - {micros}, created_at = created_at - {micros} \
             WHERE id = '{id}'"
        );
        let connection = rusqlite::Connection::open(site.home.data_dir().join("jobforge.db")).unwrap();
        connection.execute(&sql, []).unwrap();
    }
}

fn a_purge_deletes_what_it_counted_and_nothing_else(site: &Site) {
    let (ended, waits) = two_jobs(site);
    age(site, &ended, 40);
    let by_settings = site.home.json(&["db", "purge", "--yes"]);
    assert_eq!(by_settings["deleted"]["canceled"], 0, "90 days are kept: {by_settings}");
    let preview = site.home.ok(&["db", "purge", "--older-than", "30d", "--dry-run"]);
    let row = preview.lines().find(|line| line.starts_with("canceled")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["canceled", "30", "days", "1"], "{preview}");
    let others = site.home.json(&["db", "purge", "--older-than", "30d", "--status", "failed,dead", "--yes"]);
    assert_eq!(others["deleted"], json!({ "failed": 0, "dead": 0 }));
    let unasked = site.home.run(&["db", "purge", "--older-than", "30d"]);
    assert_eq!(unasked.code, 2, "{}", unasked.err);
    site.home.ok(&["job", "show", &ended]);
    let done = site.home.json(&["db", "purge", "--older-than", "30d", "--yes"]);
    assert_eq!(done["deleted"]["canceled"], 1, "{done}");
    assert_eq!(site.home.run(&["job", "show", &ended]).code, 3);
    site.home.ok(&["job", "show", &waits]);
    let deeds = site.home.json(&["audit", "list"]).to_string();
    assert!(deeds.contains("db.purge"), "{deeds}");
    for (bad, says) in [
        (["--older-than", "0"], "whole days"),
        (["--older-than", "12h"], "whole days"),
        (["--older-than", "all"], "30d"),
        (["--status", "running"], "never purged"),
    ] {
        let refused = site.home.run(&[&["db", "purge", "--yes"][..], &bad[..]].concat());
        assert_eq!(refused.code, 2, "{bad:?}: {}", refused.err);
        assert!(refused.err.contains(says), "{bad:?}: {}", refused.err);
    }
    let set = {
        let mut command = site.home.command(&["db", "purge", "--dry-run", "--json"]);
        command.env("JOBFORGE_RETENTION_CANCELED_DAYS", "7");
        crate::program::done(command.output().unwrap())
    };
    assert!(set.out.contains(r#""canceled": 7"#), "{}{}", set.out, set.err);
}

fn a_vacuum_says_what_it_did_or_who_is_in_the_way(site: &Site) {
    two_jobs(site);
    let done = site.home.run(&["db", "vacuum"]);
    if site.home.database_url().is_some() {
        assert_eq!(done.code, 0, "{}", done.err);
        assert!(done.out.contains("jobforge_jobs") && done.out.contains("in all"), "{}", done.out);
        return;
    }
    assert_eq!(done.code, 78, "a server owns the file: {}", done.err);
    assert!(done.err.contains("stop `jobforge up` or `serve`"), "{}", done.err);
}

#[test]
fn a_vacuum_of_a_file_that_nobody_owns_makes_it_smaller() {
    let mut site = Site::on_sqlite();
    let lines = format!(
        "{}\n",
        json!({ "type": "exec", "payload": { "argv": ["x".repeat(4000)] }, "delay_ms": 3_600_000 })
    );
    std::fs::write(site.home.path().join("jobs.jsonl"), lines.repeat(300)).unwrap();
    site.home.ok(&["job", "enqueue", "--from", "jobs.jsonl"]);
    let ids = site.home.ok(&["job", "list", "--limit", "1000", "--output", "name"]);
    let mut delete = vec!["job", "delete", "--yes"];
    delete.extend(ids.lines());
    site.home.ok(&delete);
    site.kill_server();
    let done = site.home.json(&["db", "vacuum"]);
    let bytes = |when: &str| done[when][0]["bytes"].as_u64().unwrap();
    assert!(bytes("after") < bytes("before") / 2, "{done}");
    site.start_server();
    site.home.ok(&["db", "check"]);
}
