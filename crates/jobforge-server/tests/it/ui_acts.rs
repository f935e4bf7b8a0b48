//! What can be done in the dashboard: by whom, only after a question, and with an entry in the audit log.

use std::time::Duration;

use anyhow::{Context, Result};
use jobforge::Worker;
use jobforge::core::audit::AuditFilter;
use jobforge::core::state::Status;
use jobforge::core::time::Now;
use jobforge::core::token::Scope;

use crate::engines::{Engine, content, guarded_on, on_both_engines};
use crate::harness::{Site, until};
use crate::tokens::token;
use crate::ui::{Browser, Hostile, PAGES, hostile, proof};

on_both_engines!(
    a_viewer_sees_no_button_and_is_refused_on_every_deed,
    a_job_is_canceled_retried_and_deleted_each_after_a_question,
    jobs_that_are_ticked_are_moved_after_a_question,
    all_that_match_are_counted_before_anything_is_moved,
    all_that_a_search_by_payload_and_error_shows_is_what_is_moved,
    queues_schedules_and_flags_are_switched_with_a_reason,
    dead_jobs_are_retried_and_left_by_cause,
    a_channel_is_tried_and_its_last_message_is_shown,
);

/// Every deed of the table, with a target that would be one.
const DEEDS: [(&str, &str); 19] = [
    ("job-retry", "JOB"),
    ("job-cancel", "JOB"),
    ("job-delete", "JOB"),
    ("job-reveal", "JOB"),
    ("worker-restart", "worker-00000000"),
    ("queue-pause", "mail"),
    ("queue-resume", "mail"),
    ("schedule-run", "nightly"),
    ("schedule-pause", "nightly"),
    ("schedule-resume", "nightly"),
    ("watchdog-run", "now"),
    ("operation-stop", "01980000-0000-7000-8000-000000000000"),
    ("flag-on", "JOB_HEARTBEAT"),
    ("flag-off", "JOB_HEARTBEAT"),
    ("dead-retry", "0123456789abcdef"),
    ("dead-discard", "0123456789abcdef"),
    ("alert-silence", "*"),
    ("channel-test", "slack"),
    ("silence-end", "01980000-0000-7000-8000-000000000000"),
];

/// Enqueues by the API, with the token of an operator.
async fn job(site: &mut Site, body: &str) -> Result<String> {
    site.token = Some("operator-key".to_owned());
    let id = site.job(body).await;
    site.token = None;
    id
}

async fn a_viewer_sees_no_button_and_is_refused_on_every_deed(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    let id = job(&mut site, r#"{"type":"a","queue":"mail"}"#).await?;
    let viewer = token(&site, Scope::Read, None).await?.1;
    let before = content(&site).await?;
    let mut browser = Browser::with(&site, &viewer).await?;
    for page in PAGES {
        let page = browser.get(page).await?.body;
        assert!(!page.contains("/ui/act/") && !page.contains("/ui/jobs/selected"), "{page}");
    }
    let page = browser.get(&format!("/ui/jobs/{id}")).await?;
    assert!(!page.body.contains("/ui/act/"), "{}", page.body);
    let good = proof(&page);
    let refused = async |browser: &mut Browser<'_>, path: &str, fields: &[(&str, &str)]| {
        let mut all = vec![("proof", good.as_str())];
        all.extend(fields);
        let answer = browser.post(path, &all).await?;
        assert!(answer.status == 403 && answer.body.contains("scope_missing"), "{path}: {answer:?}");
        anyhow::Ok(())
    };
    for (deed, target) in DEEDS {
        let path = format!("/ui/act/{deed}/{}", target.replace("JOB", &id));
        assert_eq!(browser.get(&path).await?.status, 403, "{path}");
        refused(&mut browser, &path, &[("reason", "because")]).await?;
    }
    refused(&mut browser, "/ui/jobs/selected", &[("action", "cancel"), ("job", &id), ("sure", "yes")])
        .await?;
    refused(&mut browser, "/ui/jobs/all", &[("action", "cancel"), ("queue", "mail")]).await?;
    let operation = "/ui/operations/01980000-0000-7000-8000-000000000000/begin";
    refused(&mut browser, operation, &[]).await?;
    assert_eq!(content(&site).await?, before);

    // An operator may not do what changes the whole.
    let mut browser = Browser::with(&site, "operator-key").await?;
    for deed in ["flag-on", "flag-off"] {
        assert_eq!(browser.get(&format!("/ui/act/{deed}/JOB_HEARTBEAT")).await?.status, 403);
    }
    // And without a proof nobody does anything.
    for (deed, target) in DEEDS {
        let path = format!("/ui/act/{deed}/{}", target.replace("JOB", &id));
        let mut admin = Browser::with(&site, "admin-key").await?;
        let answer = admin.post(&path, &[("reason", "because")]).await?;
        assert!(answer.status == 403 && answer.body.contains("form_not_yours"), "{path}: {answer:?}");
    }
    assert_eq!(content(&site).await?, before);
    Ok(())
}

async fn a_job_is_canceled_retried_and_deleted_each_after_a_question(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    let id = job(&mut site, r#"{"type":"a"}"#).await?;
    let mut browser = Browser::with(&site, "operator-key").await?;
    let before = content(&site).await?;
    let question = browser.get(&format!("/ui/act/job-cancel/{id}")).await?;
    assert!(question.body.contains("It ends as canceled") && question.body.contains("jobforge job cancel"));
    assert_eq!(content(&site).await?, before, "a question changes nothing");

    let path = |deed: &str| format!("/ui/act/{deed}/{id}");
    let back = format!("/ui/jobs/{id}");
    let done = browser
        .submit(&path("job-cancel"), &path("job-cancel"), &[("back", &back), ("reason", "<i>wrong file</i>")])
        .await?;
    assert_eq!((done.status, done.header("location").split('?').next()), (303, Some(back.as_str())));
    let receipt = browser.get(done.header("location")).await?.body;
    assert!(receipt.contains("role=\"status\"") && receipt.contains("the job was canceled"), "{receipt}");
    let status = async || anyhow::Ok(site.client.job(id.parse()?).await?.status);
    assert_eq!(status().await?, Status::Canceled);
    let again = browser.submit(&back, &path("job-cancel"), &[]).await?;
    assert_eq!(again.status, 303, "a repeated cancel is done already");
    browser.submit(&path("job-retry"), &path("job-retry"), &[]).await?;
    assert_eq!(status().await?, Status::Queued);
    let gone = browser.submit(&path("job-delete"), &path("job-delete"), &[("back", &back)]).await?;
    assert!(gone.header("location").starts_with("/ui/jobs?"), "what is gone has no page: {gone:?}");
    assert_eq!(browser.get(&back).await?.status, 404);

    let about = AuditFilter { target: Some(id), ..AuditFilter::default() };
    let deeds = site.client.store().audit(&about, 10).await?;
    let told: Vec<&str> = deeds.iter().rev().map(|entry| entry.action.as_str()).collect();
    assert!(told.starts_with(&["job.cancel"]) && told.ends_with(&["job.delete"]), "{told:?}");
    let first = deeds.last().context("an entry")?;
    assert_eq!(
        (first.by.actor.as_str(), first.by.reason.as_deref()),
        ("token:AUTH_TOKEN", Some("<i>wrong file</i>"))
    );
    assert!(first.by.address.is_some() && first.by.request_id.is_some());
    Ok(())
}

async fn jobs_that_are_ticked_are_moved_after_a_question(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(job(&mut site, r#"{"type":"a"}"#).await?);
    }
    let mut browser = Browser::with(&site, "operator-key").await?;
    let ticked = [
        ("action", "cancel"),
        ("job", ids[0].as_str()),
        ("job", ids[2].as_str()),
        ("back", "/ui/jobs?type=a"),
    ];
    let question = browser.submit("/ui/jobs?type=a", "/ui/jobs/selected", &ticked).await?;
    assert!(question.status == 200 && question.body.contains("Cancel 2 jobs?"), "{}", question.body);
    assert_eq!(site.client.job(ids[0].parse()?).await?.status, Status::Queued);
    let sure: Vec<(&str, &str)> = ticked.into_iter().chain([("sure", "yes"), ("reason", "test")]).collect();
    let done = browser.submit("/ui/jobs", "/ui/jobs/selected", &sure).await?;
    assert_eq!(done.header("location"), "/ui/jobs?type=a&done=cancel&to=&count=2");
    let mut left = Vec::new();
    for id in &ids {
        left.push(site.client.job(id.parse()?).await?.status);
    }
    assert_eq!(left, [Status::Canceled, Status::Queued, Status::Canceled]);
    assert_eq!(browser.submit("/ui/jobs", "/ui/jobs/selected", &[("action", "retry")]).await?.status, 422);
    Ok(())
}

async fn all_that_match_are_counted_before_anything_is_moved(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    for _ in 0..7 {
        job(&mut site, r#"{"type":"wrong"}"#).await?;
    }
    let kept = job(&mut site, r#"{"type":"right"}"#).await?;
    let mut browser = Browser::with(&site, "operator-key").await?;
    let asked = [("action", "cancel"), ("type", "wrong")];
    let counting = browser.submit("/ui/jobs?type=wrong", "/ui/jobs/all", &asked).await?;
    let place = counting.header("location").to_owned();
    assert!(counting.status == 303 && place.starts_with("/ui/operations/"), "{counting:?}");
    until("it is counted", async || Ok(browser.get(&place).await?.body.contains("Cancel 7 jobs?"))).await?;
    let queued = async || {
        anyhow::Ok(site.client.store().queues(Now::Database).await?.iter().map(|q| q.ready).sum::<u64>())
    };
    assert_eq!(queued().await?, 8, "nothing was moved yet");
    let begun = browser.submit(&place, &format!("{place}/begin"), &[("reason", "wrong import")]).await?;
    let place = begun.header("location").to_owned();
    until("it is done", async || Ok(browser.get(&place).await?.body.contains("Cancel: 7 jobs, done")))
        .await?;
    assert_eq!(queued().await?, 1);
    assert_eq!(site.client.job(kept.parse()?).await?.status, Status::Queued);
    assert_eq!(
        browser.submit(&place, &format!("{place}/begin"), &[]).await?.status,
        409,
        "it was begun once"
    );
    assert!(browser.get("/ui/operations").await?.body.contains("wrong import"));
    Ok(())
}

async fn all_that_a_search_by_payload_and_error_shows_is_what_is_moved(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    for number in 0..5 {
        job(&mut site, &format!(r#"{{"type":"a","payload":{{"n":{}}}}}"#, number % 2)).await?;
    }
    let mut browser = Browser::with(&site, "operator-key").await?;
    let page = browser.get("/ui/jobs?payload=n:1").await?.body;
    assert!(page.contains("<input type=\"hidden\" name=\"payload\" value=\"n:1\">"), "{page}");
    for (field, value) in [("payload", "n"), ("worker", "w"), ("state", "ready"), ("idempotency_key", "k")] {
        let refused =
            browser.submit("/ui/jobs", "/ui/jobs/all", &[("action", "cancel"), (field, value)]).await?;
        assert_eq!(refused.status, 422, "{field}: {}", refused.body);
    }
    let asked = [("action", "cancel"), ("error", "none has any")];
    let place = browser.submit("/ui/jobs", "/ui/jobs/all", &asked).await?.header("location").to_owned();
    until("it is counted", async || Ok(browser.get(&place).await?.body.contains("Cancel 0 jobs?"))).await?;
    let asked = [("action", "cancel"), ("payload", "n:1")];
    let place = browser.submit("/ui/jobs", "/ui/jobs/all", &asked).await?.header("location").to_owned();
    until("it is counted", async || Ok(browser.get(&place).await?.body.contains("Cancel 2 jobs?"))).await?;
    let begun = browser.submit(&place, &format!("{place}/begin"), &[]).await?;
    let place = begun.header("location").to_owned();
    until("it is done", async || Ok(browser.get(&place).await?.body.contains("Cancel: 2 jobs, done")))
        .await?;
    assert!(browser.get(&place).await?.body.contains("payload n:1"), "it says what it was about");
    let left: u64 = site.client.store().queues(Now::Database).await?.iter().map(|q| q.ready).sum();
    assert_eq!(left, 3);
    Ok(())
}

async fn queues_schedules_and_flags_are_switched_with_a_reason(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    job(&mut site, r#"{"type":"a","queue":"mail"}"#).await?;
    site.token = Some("admin-key".to_owned());
    let schedule = br#"{"name":"nightly","type":"a","cron":"0 3 * * *"}"#;
    let made = site.send("POST", "/v1/schedules", &[("Content-Type", "application/json")], schedule).await?;
    anyhow::ensure!(made.status == 201, "{made:?}");
    site.token = None;
    let mut browser = Browser::with(&site, "admin-key").await?;
    let does = async |browser: &mut Browser<'_>, deed: &str, target: &str, fields: &[(&str, &str)]| {
        let path = format!("/ui/act/{deed}/{target}");
        let done = browser.submit(&path, &path, fields).await?;
        assert_eq!(done.status, 303, "{path}: {done:?}");
        assert!(browser.get(done.header("location")).await?.body.contains("role=\"status\""), "{path}");
        anyhow::Ok(())
    };
    does(&mut browser, "queue-pause", "mail", &[("reason", "bad batch")]).await?;
    assert!(browser.get("/ui/queues").await?.body.contains("/ui/act/queue-resume/mail"));
    does(&mut browser, "queue-resume", "mail", &[]).await?;
    does(&mut browser, "schedule-pause", "nightly", &[("hours", "2")]).await?;
    let paused = site.client.find_schedule("nightly").await?.schedule.paused.context("paused")?;
    assert!(paused.until.is_some(), "for a while only");
    does(&mut browser, "schedule-resume", "nightly", &[]).await?;
    does(&mut browser, "schedule-run", "nightly", &[]).await?;
    does(&mut browser, "watchdog-run", "now", &[]).await?;
    assert!(browser.get("/ui/watchdog").await?.body.contains("operator"));
    does(&mut browser, "flag-off", "JOB_HEARTBEAT", &[("hours", "1")]).await?;
    let stored = site.client.store().stored_settings(Now::Database).await?;
    assert!(stored.get("job_heartbeat").is_some_and(|row| row.value == "false" && row.expires_at.is_some()));
    does(&mut browser, "alert-silence", "*", &[]).await?;
    let silence = site.client.store().silences(Now::Database).await?[0].id;
    assert!(browser.get("/ui/alerts").await?.body.contains(&format!("/ui/act/silence-end/{silence}")));
    does(&mut browser, "silence-end", &silence.to_string(), &[]).await?;
    for (path, fields) in [
        ("/ui/act/schedule-pause/nightly", ("hours", "0")),
        ("/ui/act/schedule-pause/nightly", ("hours", "x")),
    ] {
        assert_eq!(browser.submit(path, path, &[fields]).await?.status, 422);
    }
    assert_eq!(browser.get("/ui/act/no-such-deed/x").await?.status, 404);
    Ok(())
}

async fn dead_jobs_are_retried_and_left_by_cause(engine: Engine) -> Result<()> {
    let (site, _kept) = guarded_on(engine).await?;
    let id = site.client.enqueue(Hostile { text: "no such file".to_owned() }).await?.id;
    let worker = Worker::builder(&site.client).register(hostile).start().await?;
    until("it is dead", async || Ok(site.client.job(id).await?.status == Status::Dead)).await?;
    worker.stop_gracefully(Duration::from_secs(5)).await;
    let mut browser = Browser::with(&site, "operator-key").await?;
    let groups = browser.get("/ui/dead").await?.body;
    let (_, rest) = groups.split_once("/ui/act/dead-discard/").context("a cause")?;
    let group = rest.split('?').next().unwrap_or_default().to_owned();
    let discard = format!("/ui/act/dead-discard/{group}");
    assert_eq!(browser.submit(&discard, &discard, &[]).await?.status, 422, "it needs a reason");
    let retry = format!("/ui/act/dead-retry/{group}");
    let done = browser.submit(&retry, &retry, &[]).await?;
    assert!(done.header("location").contains("count=1"), "{done:?}");
    assert_eq!(site.client.job(id).await?.status, Status::Queued);
    Ok(())
}

async fn a_channel_is_tried_and_its_last_message_is_shown(engine: Engine) -> Result<()> {
    let (site, _kept) = guarded_on(engine).await?;
    let mut browser = Browser::with(&site, "operator-key").await?;
    assert!(browser.get("/ui/alerts").await?.body.contains("nobody is told of alerts"));
    let ask = "/ui/act/channel-test/slack";
    let done = browser.submit(ask, ask, &[("reason", "is it there?"), ("back", "/ui/alerts")]).await?;
    assert_eq!(done.status, 303, "{done:?}");
    let page = browser.get(done.header("location")).await?.body;
    assert!(page.contains("a test is sent to slack"), "{page}");
    assert!(page.contains("<tr data-id=\"slack\">") && page.contains(">waits<"), "{page}");
    assert!(page.contains("/ui/act/channel-test/slack?back=/ui/alerts"), "{page}");
    let about = AuditFilter { action: Some("alert.test".to_owned()), ..AuditFilter::default() };
    let told = site.client.store().audit(&about, 10).await?;
    let reasons: Vec<_> = told.iter().map(|entry| entry.by.reason.as_deref()).collect();
    assert_eq!(reasons, [Some("is it there?")]);
    let bad = browser.submit("/ui/act/channel-test/a%20b", "/ui/act/channel-test/a%20b", &[]).await?;
    assert_eq!(bad.status, 422, "{bad:?}");
    Ok(())
}
