//! What the pages show: nothing yet, everything at once, hostile text, another tenant, and a database that is gone.

use std::time::Duration;

use anyhow::{Context, Result};
use jobforge::Worker;
use jobforge::core::token::Scope;
use jobforge::store::rows::DeadFilter;

use crate::engines::{Engine, guarded_on, on_both_engines};
use crate::harness::{Hold, Site, hold, until_status, worker};
use crate::tokens::token;
use crate::ui::{Browser, Hostile, PAGES, hostile};

on_both_engines!(
    every_page_renders_with_nothing_and_with_hostile_text,
    a_tenant_sees_its_own_and_no_page_of_all,
    a_job_page_says_what_happens_next,
    a_list_is_paged_and_searched_by_its_address,
);

/// Text that would act if a page did not write it as text.
const HOSTILE: &str =
    "</td><script>alert(1)</script>\" onmouseover='alert(2)' \u{202e}txt.exe\u{2066} &amp; <img src=x>";

/// Everything that a page could show, with hostile text wherever text is free.
async fn populate(site: &Site) -> Result<(String, Worker)> {
    let long = "x".repeat(10_000);
    let key = HOSTILE.replace(['\u{202e}', '\u{2066}'], "");
    let running = site.client.enqueue(Hold {}).idempotency_key(key).tag("a<b>&\"'").await?.id.to_string();
    let dead = site.client.enqueue(Hostile { text: format!("{HOSTILE} {long}") }).await?.id.to_string();
    let worker = Worker::builder(&site.client).register(hostile).register(hold).start().await?;
    until_status(site, &running, "running").await?;
    until_status(site, &dead, "dead").await?;
    let reason = [("X-Reason", "<b>why</b>")];
    let answer = site.send("POST", "/v1/queues/mail/pause", &reason, b"").await?;
    anyhow::ensure!(answer.status == 200, "{answer:?}");
    let schedule = br#"{"name":"nightly","type":"log","cron":"0 3 * * *","payload":{"message":"<script>alert(3)</script>"}}"#;
    let headers = [("Content-Type", "application/json")];
    let answer = site.send("POST", "/v1/schedules", &headers, schedule).await?;
    anyhow::ensure!(answer.status == 201, "{answer:?}");
    Ok((dead, worker))
}

async fn every_page_renders_with_nothing_and_with_hostile_text(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    let mut browser = Browser::with(&site, "admin-key").await?;
    for path in PAGES {
        let page = browser.get(path).await?;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        check_html(path, &page.body);
    }
    site.token = Some("admin-key".to_owned());
    let (dead, worker) = populate(&site).await?;
    site.token = None;
    let mut browser = Browser::with(&site, "admin-key").await?;
    let groups = site.client.dead_groups(&DeadFilter::default()).await?;
    let group = &groups.first().context("a cause")?.group;
    let more = [
        format!("/ui/jobs/{dead}"),
        format!("/ui/workers/{}", worker.id()),
        format!("/ui/dead/{group}"),
        format!("/ui/act/job-retry/{dead}"),
        "/ui/schedules/nightly".to_owned(),
        "/ui/jobs?q=%3Cscript%3Ealert(1)%3C/script%3E:x".to_owned(),
        "/ui/jobs?tag=a%3Cb%3E%26%22%27".to_owned(),
        "/ui/audit?actor=%3Cscript%3E".to_owned(),
        "/ui/jobs?done=queue-pause&to=%3Cscript%3Ealert(1)%3C/script%3E".to_owned(),
    ];
    for path in PAGES.into_iter().map(str::to_owned).chain(more) {
        let page = browser.get(&path).await?;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        check_html(&path, &page.body);
    }
    let page = browser.get(&format!("/ui/jobs/{dead}")).await?.body;
    assert!(page.contains("&#60;script&#62;alert(1)"), "the error is shown as text");
    assert!(page.len() < 120_000, "a long error does not make a heavy page: {}", page.len());
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}

/// Checks what holds for every page, without a browser.
fn check_html(path: &str, body: &str) {
    for hostile in ["<script>alert", "<img src=x", "onmouseover='", "<b>why", "a<b>"] {
        assert!(!body.contains(hostile), "{path} holds {hostile}");
    }
    assert_eq!(body.matches("<h1").count(), 1, "{path} has one heading");
    assert_eq!(body.matches("<main").count(), 1, "{path}");
    assert!(body.contains("<html lang=\"en\""), "{path}");
    let mut ids: Vec<&str> =
        body.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "{path} gives an id twice");
    for (table, _) in body.match_indices("<th") {
        let rest = &body[table..];
        assert!(
            rest.starts_with("<thead") || rest.starts_with("<th scope=\""),
            "{path}: {}",
            &rest[..rest.len().min(80)]
        );
    }
}

async fn a_tenant_sees_its_own_and_no_page_of_all(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    site.token = Some("admin-key".to_owned());
    let own = site.job(r#"{"type":"a","tenant_id":"acme"}"#).await?;
    let other = site.job(r#"{"type":"secret-type","tenant_id":"other"}"#).await?;
    let text = token(&site, Scope::Operate, Some("acme")).await?.1;
    site.token = None;
    let mut browser = Browser::with(&site, &text).await?;
    let sent = browser.get("/ui").await?;
    assert_eq!((sent.status, sent.header("location")), (303, "/ui/jobs"));
    let list = browser.get("/ui/jobs").await?;
    assert!(list.body.contains(&own) && !list.body.contains(&other) && !list.body.contains("secret-type"));
    assert!(!list.body.contains("href=\"/ui/workers\""), "the menu names only what they may see");
    assert_eq!(browser.get(&format!("/ui/jobs/{own}")).await?.status, 200);
    let missing = "01980000-0000-7000-8000-000000000000";
    let [foreign, none] = [
        browser.get(&format!("/ui/jobs/{other}")).await?,
        browser.get(&format!("/ui/jobs/{missing}")).await?,
    ];
    assert_eq!((foreign.status, foreign.body.replace(&other, missing)), (404, none.body));
    let of_all = [
        "/ui/workers",
        "/ui/queues",
        "/ui/schedules",
        "/ui/watchdog",
        "/ui/alerts",
        "/ui/runbooks",
        "/ui/settings",
    ];
    for path in of_all {
        assert_eq!(browser.get(path).await?.status, 403, "{path}");
    }
    let refused = browser.get("/ui/act/queue-pause/default").await?;
    assert!(refused.status == 403 && refused.body.contains("tenant_bound"), "{}", refused.body);
    assert_eq!(browser.get(&format!("/ui/act/job-cancel/{other}")).await?.status, 404);
    Ok(())
}

async fn a_job_page_says_what_happens_next(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    site.token = Some("admin-key".to_owned());
    let waiting =
        site.job(r#"{"type":"hold","delay_ms":3600000,"payload":{"big":12345678901234567890}}"#).await?;
    let running = site.job(r#"{"type":"hold"}"#).await?;
    let worker = worker(&site.client).await?;
    until_status(&site, &running, "running").await?;
    site.token = None;
    let mut browser = Browser::with(&site, "operator-key").await?;
    let page = browser.get(&format!("/ui/jobs/{waiting}")).await?.body;
    assert!(page.contains("for its time") && page.contains("data-ahead"), "{page}");
    assert!(page.contains("12345678901234567890"), "big integers are not rounded");
    assert!(page.contains(&format!("/ui/act/job-cancel/{waiting}")), "what a person can do");
    assert!(page.contains(&format!("jobforge job explain {waiting}")), "the same as a command");
    let page = browser.get(&format!("/ui/jobs/{running}")).await?.body;
    assert!(page.contains(worker.id().as_str()) && page.contains("<svg class=\"timeline\""), "{page}");
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}

async fn a_list_is_paged_and_searched_by_its_address(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    site.token = Some("admin-key".to_owned());
    let mut ids = Vec::new();
    for number in 0..55 {
        let kind = if number % 11 == 0 { "rare" } else { "usual" };
        let payload = format!(r#"{{"order":{{"id":{number}}}}}"#);
        ids.push(site.job(&format!(r#"{{"type":"{kind}","queue":"q","payload":{payload}}}"#)).await?);
    }
    // Among the newest fifty, for however slow the machine is, so many are looked at.
    let found = site.send("GET", "/v1/jobs?payload=order.id%3A17", &[], b"").await?.json();
    assert_eq!(
        (&found["jobs"][0]["id"], found["jobs"].as_array().map(Vec::len)),
        (&ids[17].as_str().into(), Some(1))
    );
    let deep = vec!["a"; 17].join(".");
    for wrong in [
        "payload=x",
        "payload=:x",
        "payload=a..b:x",
        &format!("payload={deep}:x"),
        "payload=a:1&payload=b:2",
        "error=",
    ] {
        let refused = site.send("GET", &format!("/v1/jobs?{wrong}"), &[], b"").await?;
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (400, Some("bad_parameter")),
            "{wrong}"
        );
    }
    site.token = None;
    let mut browser = Browser::with(&site, "operator-key").await?;
    let first = browser.get("/ui/jobs?queue=q").await?.body;
    let (_, rest) = first
        .split_once("<a class=\"button\" href=\"/ui/jobs?queue=q&#38;before=")
        .context("an older page")?;
    let before = rest.split('"').next().unwrap_or_default();
    let second = browser.get(&format!("/ui/jobs?queue=q&before={before}")).await?.body;
    for id in &ids {
        let row = format!("<tr data-id=\"{id}\"");
        assert_eq!(usize::from(first.contains(&row)) + usize::from(second.contains(&row)), 1, "{id} once");
    }
    let sent = browser.get("/ui/jobs?q=queue%3Aq+rare").await?;
    assert_eq!((sent.status, sent.header("location")), (303, "/ui/jobs?queue=q&type=rare"));
    let found = browser.get(sent.header("location")).await?.body;
    assert_eq!(found.matches("<tr data-id").count(), 5);
    assert!(found.contains("jobforge job list --type rare --queue q"), "the view as a command");
    let sent = browser.get("/ui/jobs?q=payload.order.id%3A7+error%3A%22no+%5C%22x%5C%22%22").await?;
    assert_eq!(sent.header("location"), "/ui/jobs?payload=order.id%3A7&error=no+%22x%22");
    let none = browser.get(sent.header("location")).await?.body;
    let written = "value=\"payload.order.id:7 error:&#34;no \\&#34;x\\&#34;&#34;\"";
    assert!(!none.contains("<tr data-id") && none.contains(written), "{none}");
    let found = browser.get("/ui/jobs?payload=order.id:17").await?.body;
    assert_eq!(found.matches("<tr data-id").count(), 1);
    assert!(found.contains("jobforge job list --payload order.id:17"), "the view as a command");
    let sent = browser.get(&format!("/ui/jobs?q={}", ids[0])).await?;
    assert_eq!(sent.header("location"), format!("/ui/jobs/{}", ids[0]));
    let fault = browser.get("/ui/jobs?q=colour%3Ared").await?;
    assert!(fault.status == 200 && fault.body.contains("aria-invalid"), "{}", fault.body);
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_gone_makes_a_page_that_says_so_and_what_was_last_known() -> Result<()> {
    let (site, database) = guarded_on(Engine::Postgres).await?;
    let mut browser = Browser::with(&site, "admin-key").await?;
    assert_eq!(browser.get("/ui").await?.status, 200);
    drop(database);
    for path in ["/ui/jobs", "/ui/queues", "/ui/settings"] {
        let page = browser.get(path).await?;
        assert!(page.status >= 500, "{path}: {page:?}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(page.body.contains("Last known"), "{path}: {}", page.body);
    }
    // Without a session not even that is told.
    let page = Browser::new(&site).get("/ui/jobs").await?;
    assert_eq!(page.status, 303);
    Ok(())
}
