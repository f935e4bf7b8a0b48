//! The dashboard beside a million jobs: every page is there, and a search finds what there is.

use std::collections::BTreeMap;

use crate::program::Home;

#[test]
fn every_page_is_there_with_a_million_jobs_and_a_search_finds_what_there_is() {
    // Takes half a minute on a quiet machine, most of it to make the jobs: what fewer jobs would show is shown elsewhere.
    let home = Home::new();
    let report = home.json(&["bench", "pages", "--jobs", "1000000", "--rounds", "1"]);
    let lines = report["lines"].as_array().unwrap();
    let rows: BTreeMap<&str, u64> =
        lines.iter().map(|line| (line["asked"].as_str().unwrap(), line["rows"].as_u64().unwrap())).collect();
    for line in lines {
        assert_eq!(line["status"], 200, "{line}");
        assert!(line["first_bytes"].as_u64().unwrap() < 60_000, "{line}");
    }
    for (search, found) in [
        ("", 50),
        ("?status=queued", 50),
        ("?status=dead", 50),
        ("?status=failed,dead", 50),
        ("?type=mail.send-3", 50),
        ("?tenant_id=small-77", 50),
        ("?tenant_id=small-77&status=dead", 48),
        // The oldest of all are found as well as the newest.
        ("?type=report.rare", 1),
        ("?queue=rare", 1),
        ("?tag=rare", 1),
        ("?idempotency_key=key-500000", 1),
        ("?worker=bench-worker-1", 40),
        ("?type=nothing", 0),
        ("?tenant_id=nobody", 0),
        ("?tag=nothing", 0),
        ("?worker=nobody", 0),
        ("?type=report.rare&status=dead", 0),
    ] {
        let path = format!("/ui/jobs{search}");
        assert_eq!(rows.get(path.as_str()), Some(&found), "{path}");
    }
    for (path, found) in [
        ("/ui/schedules", 100),
        ("/ui/workers", 200),
        ("/ui/audit?actor=person-7", 100),
        ("/ui/audit?actor=nobody", 0),
    ] {
        assert_eq!(rows.get(path), Some(&found), "{path}");
    }
    assert!(rows["/ui/dead"] > 50 && rows["/ui"] > 5 && rows["/ui/queues"] >= 8, "{rows:?}");
    // Whoever is bound to a tenant sees less.
    assert_eq!(rows["big's token: /ui/jobs"], 50);
    assert_eq!(rows["big's token: /ui/jobs?type=report.rare"], 0);
}
