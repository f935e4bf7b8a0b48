//! What the dashboard's pages copy themselves as: every command is typed, every call of the API made, every statement run,
//! against the fleet that the page shows, and each finds what the page shows.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::program::{Done, Home, Running, done, http};
use crate::site::Site;

/// A page's copies, and the ids of its rows.
struct Page {
    path: String,
    command: String,
    curl: String,
    sql: String,
    rows: Vec<String>,
}

/// A fleet with something on every page, in PostgreSQL, and where its server is.
struct Fleet {
    site: Site,
    url: String,
    worker: String,
    group: String,
    running: String,
    operation: String,
    _server: Running,
    _worker: Running,
}

impl Fleet {
    fn new() -> Self {
        let site = Site::on_postgres();
        let home = &site.home;
        let server = site.serve();
        let url = server.url();
        let work = site.work(&[]);
        for tenant in ["acme", "default"] {
            let fails = ["job", "enqueue", "exec", r#"{"argv":["false"]}"#, "--max-attempts", "1"];
            let id = home.ok(&[&fails[..], &["--tenant", tenant]].concat());
            home.until(&id, "dead");
        }
        let running = home.ok(&["job", "enqueue", "exec", r#"{"argv":["sleep","300"]}"#]);
        home.until(&running, "running");
        for n in 0..3 {
            let key = format!("it's {n}");
            home.ok(&[
                "job", "enqueue", "report", "{}", "--queue", "reports", "--tag", "o'neill", "--key", &key,
            ]);
        }
        home.ok(&["job", "enqueue", "later", "{}", "--tenant", "acme", "--delay", "1h"]);
        home.ok(&["queue", "pause", "held", "--reason", "it's late"]);
        let schedule = ["schedule", "add", "nightly", "--cron", "0 3 * * *", "exec", r#"{"argv":["true"]}"#];
        home.ok(&schedule);
        home.ok(&["schedule", "run", "nightly", "--wait"]);
        let bulk = json!({ "action": "retry", "filter": { "type": "nothing" }, "dry_run": true });
        let begun = http("POST", &format!("{url}/v1/jobs/bulk"), &[], Some(&bulk));
        let operation = begun.body["id"].as_str().unwrap().to_owned();
        let groups = home.json(&["dead", "groups"]);
        let group = groups[0]["group"].as_str().unwrap().to_owned();
        let workers = home.json(&["worker", "list", "--active"]);
        let worker = workers[0]["id"].as_str().unwrap().to_owned();
        Self { url, worker, group, running, operation, _server: server, _worker: work, site }
    }

    fn home(&self) -> &Home {
        &self.site.home
    }

    fn html(&self, path: &str) -> String {
        let answer = http("GET", &format!("{}{path}", self.url), &["Accept: text/html"], None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body.as_str().unwrap().to_owned()
    }

    fn page(&self, path: &str) -> Page {
        let html = self.html(path);
        let copied = |name: &str| {
            let (_, rest) =
                html.split_once(&format!("<h2>{name}</h2><pre tabindex=\"0\">")).unwrap_or_default();
            text(rest.split("</pre>").next().unwrap())
        };
        let rows = html.split("<tr data-id=\"").skip(1).map(|rest| text(rest.split('"').next().unwrap()));
        Page {
            path: path.to_owned(),
            command: copied("Command"),
            curl: copied("curl"),
            sql: copied("SQL"),
            rows: rows.collect(),
        }
    }

    /// What was copied, pasted into a shell.
    fn typed(&self, line: &str) -> Done {
        let mut shell = self.home().other("sh");
        shell.args(["-c", line]).env("JOBFORGE_URL", &self.url).env("JOBFORGE_TOKEN", "none-is-needed");
        shell.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", Home::programs().display()));
        done(shell.output().unwrap())
    }

    fn typed_json(&self, line: &str) -> Value {
        let ran = self.typed(line);
        assert_eq!(ran.code, 0, "{line}: {}{}", ran.out, ran.err);
        serde_json::from_str(&ran.out).unwrap_or_else(|fault| panic!("{fault}: {line}: {}", ran.out))
    }
}

/// What HTML means.
fn text(html: &str) -> String {
    let marks = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
    marks.into_iter().fold(html.to_owned(), |text, (mark, character)| text.replace(mark, character))
}

/// The values of a field in the list that an answer is, or that it holds.
fn listed(answer: &Value, field: &str) -> Vec<String> {
    let list = answer.as_array().or_else(|| answer.as_object()?.values().find_map(Value::as_array));
    let value = |one: &Value| match &one[field] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    list.unwrap_or_else(|| panic!("no list in {answer}")).iter().map(value).collect()
}

fn sorted(mut all: Vec<String>) -> Vec<String> {
    all.sort_unstable();
    all
}

#[test]
fn every_list_of_the_dashboard_copies_itself_as_what_finds_the_same() {
    let fleet = Fleet::new();
    let Fleet { worker, group, .. } = &fleet;
    let all = fleet.page("/ui/jobs").rows;
    assert!(all.len() >= 8, "{all:?}");
    let before = &all[2];
    // The page, the name of what its rows are in an answer, and how many there are at least.
    let pages = [
        ("/ui/jobs".to_owned(), "id", 8),
        ("/ui/jobs?status=queued,running".to_owned(), "id", 5),
        ("/ui/jobs?queue=reports&tag=o%27neill".to_owned(), "id", 3),
        ("/ui/jobs?type=report&tenant_id=default".to_owned(), "id", 3),
        ("/ui/jobs?idempotency_key=it%27s+1".to_owned(), "id", 1),
        ("/ui/jobs?state=ready".to_owned(), "id", 3),
        ("/ui/jobs?state=scheduled&tenant_id=acme".to_owned(), "id", 1),
        ("/ui/jobs?state=retrying".to_owned(), "id", 0),
        ("/ui/jobs?state=quiet".to_owned(), "id", 0),
        ("/ui/jobs?state=stuck".to_owned(), "id", 0),
        ("/ui/jobs?payload=argv.0:false".to_owned(), "id", 2),
        ("/ui/jobs?payload=argv.-1:300".to_owned(), "id", 1),
        ("/ui/jobs?payload=it%27s.%22a%5C:%7Bo%27neill%22%5C%7D".to_owned(), "id", 0),
        ("/ui/jobs?error=EXIT".to_owned(), "id", 2),
        ("/ui/jobs?error=it%27s+100%25+%5C".to_owned(), "id", 0),
        ("/ui/jobs?error=exit&payload=argv.0:false&tenant_id=acme&status=dead".to_owned(), "id", 1),
        (format!("/ui/jobs?worker={worker}"), "id", 1),
        (format!("/ui/jobs?before={before}"), "id", 5),
        (format!("/ui/workers/{worker}"), "id", 1),
        (format!("/ui/dead/{group}"), "id", 2),
        ("/ui/dead".to_owned(), "group", 1),
        ("/ui/dead?tenant_id=acme&type=exec".to_owned(), "group", 1),
        ("/ui/dead?queue=nowhere".to_owned(), "group", 0),
        ("/ui/workers".to_owned(), "id", 1),
        ("/ui/tenants".to_owned(), "name", 2),
        ("/ui/tenants?sort=name".to_owned(), "name", 2),
        ("/ui/tenants?sort=ready&prefix=a".to_owned(), "name", 1),
        ("/ui/operations".to_owned(), "id", 1),
        ("/ui/schedules".to_owned(), "name", 1),
    ];
    let same_order = ["/ui/jobs", "/ui/tenants", "/ui/dead/"];
    for (path, field, least) in pages {
        let page = fleet.page(&path);
        assert!(page.rows.len() >= least, "{path}: {:?}", page.rows);
        let command = listed(&fleet.typed_json(&format!("{} --json", page.command)), field);
        let called = listed(&fleet.typed_json(&page.curl), field);
        let rows = fleet.site.sql(&page.sql);
        let first = |line: &str| line.split('|').next().unwrap_or_default().to_owned();
        let selected: Vec<String> = rows.lines().filter(|line| !line.is_empty()).map(first).collect();
        let keeps_order = same_order.iter().any(|begin| path.starts_with(begin));
        let told = |ids: Vec<String>| if keeps_order { ids } else { sorted(ids) };
        let shown = told(page.rows);
        assert_eq!(told(command), shown, "{path}: {}", page.command);
        assert_eq!(told(called), shown, "{path}: {}", page.curl);
        assert_eq!(told(selected), shown, "{path}: {}", page.sql);
    }
}

#[test]
fn the_audit_log_copies_its_filter_as_it_is() {
    let fleet = Fleet::new();
    for (query, least) in [
        ("", 4),
        ("?action=schedule.", 2),
        ("?action=queue.pause", 1),
        ("?action=queue", 0),
        ("?since=1h", 4),
        ("?since=2020-01-01T00:00:00Z&target=nightly", 2),
        // After all that was done.
        ("?since=2100-01-01T00:00:00Z", 0),
        ("?actor=it%27s+nobody", 0),
    ] {
        let page = fleet.page(&format!("/ui/audit{query}"));
        assert!(page.rows.len() >= least, "{query}: {:?}", page.rows);
        let command = listed(&fleet.typed_json(&format!("{} --json", page.command)), "id");
        let called = listed(&fleet.typed_json(&page.curl), "id");
        let rows = fleet.site.sql(&page.sql);
        let selected: Vec<&str> = rows.lines().filter_map(|line| line.split('|').next()).collect();
        assert_eq!(command.len(), page.rows.len(), "{query}: {}", page.command);
        assert_eq!((&called, selected), (&command, command.iter().map(String::as_str).collect()), "{query}");
    }
}

#[test]
fn every_page_copies_itself_as_what_can_be_typed() {
    let fleet = Fleet::new();
    let Fleet { running, operation, .. } = &fleet;
    let paths = [
        "/ui".to_owned(),
        format!("/ui/jobs/{running}"),
        "/ui/queues".to_owned(),
        "/ui/tenants/acme".to_owned(),
        "/ui/schedules/nightly".to_owned(),
        "/ui/watchdog".to_owned(),
        "/ui/watchdog?heartbeat_threshold_ms=45000&since=7d".to_owned(),
        "/ui/alerts".to_owned(),
        "/ui/settings".to_owned(),
        format!("/ui/operations/{operation}"),
        "/ui/runbooks".to_owned(),
        "/ui/runbooks/stuck-jobs".to_owned(),
    ];
    let mut commands = BTreeSet::new();
    for path in paths {
        let page = fleet.page(&path);
        let typed = fleet.typed(&page.command);
        assert_eq!(typed.code, 0, "{path}: {}: {}", page.command, typed.err);
        commands.insert(page.command.split(' ').take(3).collect::<Vec<_>>().join(" "));
        if page.path.starts_with("/ui/runbooks") {
            // They are files, which neither the API nor the database has.
            assert!(page.curl.is_empty() && page.sql.is_empty());
            continue;
        }
        assert!(fleet.typed_json(&page.curl)["code"].is_null(), "{path}: {}", page.curl);
        fleet.site.sql(&page.sql);
    }
    for own in
        ["jobforge top --once", "jobforge operation show", "jobforge runbook show", "jobforge runbook list"]
    {
        assert!(commands.contains(own), "{own}: {commands:?}");
    }
}

#[test]
fn what_a_deed_copies_does_the_same_for_as_long_and_says_why() {
    let fleet = Fleet::new();
    let (home, said) = (fleet.home(), "it's $HOME");
    let command = |deed: &str, target: &str, query: &str| {
        let html = fleet.html(&format!("/ui/act/{deed}/{target}?reason=it%27s+%24HOME{query}"));
        let (_, rest) = html.split_once("<h2>The same as a command</h2><pre").unwrap();
        text(rest.split_once('>').unwrap().1.split("</pre>").next().unwrap())
    };
    let mut ran = Vec::new();
    let mut run = |deed: &str, target: &str, query: &str, more: &str| {
        let line = format!("{}{more}", command(deed, target, query));
        let typed = fleet.typed(&line);
        assert_eq!(typed.code, 0, "{deed}: {line}: {}{}", typed.out, typed.err);
        ran.push(line);
    };
    let queued = home.json(&["job", "list", "--type", "later"])["jobs"][0]["id"].as_str().unwrap().to_owned();
    run("job-cancel", &queued, "", "");
    run("job-retry", &queued, "", "");
    run("job-delete", &queued, "", " --yes");
    run("queue-pause", "mail", "", "");
    run("queue-resume", "mail", "", "");
    run("schedule-pause", "nightly", "&hours=3", "");
    let paused = home.json(&["schedule", "show", "nightly"]);
    let lasts = fleet
        .site
        .sql("SELECT round(extract(epoch FROM paused_until - now()) / 360) FROM jobforge_schedules WHERE name = 'nightly'");
    assert_eq!(lasts, "30", "three hours: {paused}");
    run("schedule-resume", "nightly", "", "");
    run("schedule-run", "nightly", "", "");
    run("flag-off", "JOB_HEARTBEAT", "&hours=2", "");
    let flag = "SELECT round(extract(epoch FROM expires_at - now()) / 360) FROM jobforge_settings WHERE expires_at IS NOT NULL";
    assert_eq!(fleet.site.sql(flag), "20", "two hours");
    run("flag-on", "JOB_HEARTBEAT", "", "");
    run("alert-silence", "QueueBacklog", "&hours=5", "");
    let silences = home.json(&["alert", "list"]);
    let silence = silences["silences"][0]["id"].as_str().unwrap().to_owned();
    let lasts = "SELECT round(extract(epoch FROM until - now()) / 360) FROM jobforge_silences";
    assert_eq!(fleet.site.sql(lasts), "50", "five hours");
    run("silence-end", &silence, "", "");
    run("dead-discard", &fleet.group, "", " --yes");
    let notes = fleet.site.sql("SELECT count(*) FROM jobforge_jobs WHERE resolution = 'it''s $HOME'");
    assert_eq!(notes, "2");
    run("watchdog-run", "now", "", "");
    run("worker-restart", &fleet.worker, "", "");
    for (deed, action) in [
        ("job-cancel", "job.cancel"),
        ("queue-pause", "queue.pause"),
        ("schedule-pause", "schedule.pause"),
        ("alert-silence", "alert.silence"),
        ("worker-restart", "worker.restart"),
    ] {
        let entry = &home.json(&["audit", "list", "--action", action])[0];
        assert_eq!(entry["reason"], said, "{deed}: {entry}: {ran:?}");
    }
    let stop = command("operation-stop", &fleet.operation, "");
    assert!(stop.starts_with("jobforge operation cancel "), "{stop}");
    // It has looked at everything already.
    let told = fleet.typed(&stop);
    assert!(told.code == 4 && told.err.contains("has ended already"), "{}: {}", told.code, told.err);
}
