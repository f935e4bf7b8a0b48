//! What payloads, results and errors hold under the name of a secret, and who is shown it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jobforge::core::audit::AuditFilter;
use jobforge::core::claim::{ClaimAsk, QueueAsk, TypeBounds};
use jobforge::core::heartbeat::Report;
use jobforge::core::job::{ErrorInfo, WorkerId};
use jobforge::core::payload::Payload;
use jobforge::core::settle::{AttemptFacts, Outcome, RetryPolicy, decide};
use jobforge::core::time::Now;
use jobforge::core::token::{NewToken, Scope};
use jobforge::core::worker::NewWorker;
use jobforge::store::rows::DeadFilter;
use jobforge_server::openapi;
use serde_json::{Value, json};

use crate::engines::{Engine, guarded_on, on_both_engines};
use crate::harness::{Answer, Site, database, serve, with_tokens};
use crate::tokens::token;
use crate::ui::{Browser, PAGES, live_with};

on_both_engines!(
    who_may_only_look_is_never_shown_a_secret,
    who_may_not_see_a_secret_cannot_find_it_out_by_searching,
    who_puts_jobs_in_or_runs_them_is_given_all,
    no_page_shows_a_secret_to_anybody_unless_an_admin_asks_for_it,
);

const JSON: (&str, &str) = ("Content-Type", "application/json");
/// What must not be shown.
const PLANTED: &str = "hunter22-planted";
/// No double holds it.
const EXACT: &str = "12345678901234567890.5";

/// A document that holds the secret in every way in which it is looked for.
fn planted() -> String {
    let text = json!({ "access_token": PLANTED, "n": 1 }).to_string();
    let rest = json!({
        "db": { "password": PLANTED, "user": "ada" },
        "list": [{ "apiKey": PLANTED }, { "Authorization": [PLANTED, PLANTED] }],
        "at": format!("postgres://ada:{PLANTED}@db.example/x"),
        "hook": format!("https://hooks.example/in?token={PLANTED}&n=1"),
        "body": text,
        "secret_ref": "stripe",
        "file_name": "a.mov",
    });
    format!("{{\"exact\":{EXACT},{}", &rest.to_string()[1..])
}

/// A queued, a running, a succeeded and a dead job.
struct Planted {
    jobs: Vec<String>,
    group: String,
}

async fn plant(site: &mut Site) -> Result<Planted> {
    site.token = Some("admin-key".to_owned());
    let payload = planted();
    let schedule = format!(r#"{{"name":"nightly","type":"t","cron":"0 3 * * *","payload":{payload}}}"#);
    let made = site.send("POST", "/v1/schedules", &[JSON], schedule.as_bytes()).await?;
    ensure!(made.status == 201 && made.body.contains(PLANTED), "an admin is answered all: {made:?}");
    let mut jobs = Vec::new();
    for priority in 0..3 {
        let job = format!(r#"{{"type":"t","max_attempts":1,"priority":{priority},"payload":{payload}}}"#);
        jobs.push(site.job(&job).await?);
    }
    let store = site.client.store();
    let id = WorkerId::random();
    let worker = NewWorker {
        id: id.clone(),
        name: None,
        hostname: "host-a".to_owned(),
        pid: 1,
        queues: vec!["default".to_owned()],
        types: None,
        slots: 10,
        lease: Duration::from_secs(600),
        lease_scales: false,
        place: None,
        registered_by: None,
    };
    store.register(&worker, Now::Database).await?;
    let ask = ClaimAsk {
        worker: id.clone(),
        queues: vec![QueueAsk { queue: "default".to_owned(), limit: 3 }],
        types: None,
        tenant: None,
        beat_due_in: Duration::from_secs(600),
        beat_interval: None,
        alone: false,
        bounds: TypeBounds::default(),
    };
    for job in store.claim(&ask, Now::Database).await?.jobs {
        let error = || ErrorInfo {
            message: "refused".to_owned(),
            kind: "http".to_owned(),
            retryable: true,
            details: Some(json!({ "sent": { "client_secret": PLANTED } })),
        };
        let outcome = match job.priority {
            0 => Outcome::Succeeded { result: Some(Payload::parse(&payload)?) },
            1 => Outcome::Retry { error: error(), delay: None },
            _ => continue,
        };
        let facts = AttemptFacts {
            id: job.id,
            lease: job.lease,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            retry: None,
        };
        let settlement = decide(&facts, outcome, Report::default(), &RetryPolicy::default(), 0.5);
        store.settle(&id, &[settlement], Now::Database).await?;
    }
    jobs.push(site.job(&format!(r#"{{"type":"t","payload":{payload}}}"#)).await?);
    let groups = site.client.dead_groups(&DeadFilter::default()).await?;
    let group = groups.first().context("a cause")?.group.clone();
    site.token = None;
    Ok(Planted { jobs, group })
}

/// Every address that the description lets somebody look at, for each of the jobs.
fn looks(planted: &Planted) -> Vec<String> {
    let description: Value = serde_json::from_str(openapi()).expect("JSON");
    let mut looks = Vec::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        // A stream of events has no end; what it tells of a job is a list of names.
        if methods.get("get").is_none() || path == "/v1/events" {
            continue;
        }
        let path = path.replace("{name}", "nightly").replace("{key}", "redact_keys");
        if path.contains("{id}") {
            looks.extend(planted.jobs.iter().map(|id| path.replace("{id}", id)));
        } else {
            looks.push(path);
        }
    }
    looks
        .extend(["/v1/jobs?limit=500", "/v1/jobs?status=dead", "/api/admin/dlq?limit=10"].map(str::to_owned));
    looks
}

fn check_hidden(path: &str, answer: &Answer) {
    assert!(!answer.body.contains(PLANTED), "{path} shows the secret: {}", answer.body);
}

async fn who_may_only_look_is_never_shown_a_secret(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    let planted = plant(&mut site).await?;
    for tenant in [None, Some("default")] {
        site.token = Some(token(&site, Scope::Read, tenant).await?.1);
        let looks = looks(&planted);
        ensure!(looks.len() > 50, "{} addresses", looks.len());
        let mut seen = 0;
        for path in looks {
            let answer = site.get(&path).await?;
            check_hidden(&path, &answer);
            seen += usize::from(answer.body.contains("[redacted]"));
        }
        // Detail and payload of each job, lists of jobs and dead letters, schedules, audit.
        ensure!(seen >= if tenant.is_none() { 16 } else { 12 }, "only {seen} answers hide something");
    }
    site.token = Some(token(&site, Scope::Read, None).await?.1);
    for id in &planted.jobs {
        let payload = site.get(&format!("/v1/jobs/{id}/payload")).await?;
        ensure!(payload.status == 200 && payload.body.contains(EXACT), "no number is rounded: {payload:?}");
        let payload = payload.json();
        assert_eq!((&payload["db"]["user"], &payload["secret_ref"]), (&"ada".into(), &"stripe".into()));
        assert_eq!(payload["at"], "postgres://[redacted]@db.example/x");
    }
    let done = site.get(&format!("/v1/jobs/{}", planted.jobs[0])).await?.json();
    assert_eq!(done["result"]["db"]["password"], "[redacted]");
    let dead = site.get(&format!("/v1/jobs/{}", planted.jobs[1])).await?.json();
    for error in [&dead["error"], &dead["attempts_made"][0]["error"]] {
        assert_eq!(error["details"]["sent"]["client_secret"], "[redacted]", "{dead}");
    }
    Ok(())
}

async fn who_may_not_see_a_secret_cannot_find_it_out_by_searching(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    let planted = plant(&mut site).await?;
    let guess = format!("payload=db.password:{PLANTED}");
    let found = async |site: &Site, search: &str| {
        let answer = site.get(&format!("/v1/jobs?{search}")).await?;
        let found = answer.json()["jobs"].as_array().map(Vec::len);
        anyhow::Ok((answer, found))
    };
    // Bulk operations need nobody who is not shown all.
    site.token = Some("operator-key".to_owned());
    assert_eq!(found(&site, &guess).await?.1, Some(planted.jobs.len()));
    let viewer = token(&site, Scope::Read, None).await?.1;
    site.token = Some(viewer.clone());
    for guess in [guess.as_str(), "payload=list.0.apiKey:no"] {
        let (answer, _) = found(&site, guess).await?;
        assert!(answer.status == 400 && answer.body.contains("names a secret"), "{answer:?}");
    }
    assert_eq!(found(&site, "payload=db.user:ada").await?.1, Some(planted.jobs.len()));
    site.token = None;
    let page = Browser::with(&site, &viewer).await?.get(&format!("/ui/jobs?{guess}")).await?;
    assert!(page.status == 400 && page.body.contains("names a secret"), "{page:?}");
    Ok(())
}

async fn who_puts_jobs_in_or_runs_them_is_given_all(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    let planted = plant(&mut site).await?;
    let waits = NewToken {
        name: "waits for its results".to_owned(),
        scopes: vec![Scope::Read, Scope::Enqueue],
        tenant_id: None,
        queues: None,
        expires_at: None,
    };
    let waits = site.client.create_token(waits).await?.0.secret().to_owned();
    for token in [waits.as_str(), "operator-key", "admin-key"] {
        site.token = Some(token.to_owned());
        let done = site.get(&format!("/v1/jobs/{}", planted.jobs[0])).await?;
        // Of the payload and of the result.
        assert_eq!(done.body.matches(EXACT).count(), 2, "{}", done.body);
        assert_eq!(done.json()["result"]["db"]["password"], PLANTED);
        for path in [
            format!("/v1/jobs/{}/payload", planted.jobs[3]),
            "/v1/jobs".to_owned(),
            "/v1/dead/jobs".to_owned(),
        ] {
            assert!(site.get(&path).await?.body.contains(PLANTED), "{path}");
        }
        // Made for people's eyes, whoever they are.
        check_hidden("dead letters", &site.get("/api/admin/dlq").await?);
    }
    site.token = Some(token(&site, Scope::Worker, None).await?.1);
    let given = site.get(&format!("/v1/worker/payload/{}", planted.jobs[3])).await?;
    assert!(given.body.contains(PLANTED), "{given:?}");
    Ok(())
}

async fn no_page_shows_a_secret_to_anybody_unless_an_admin_asks_for_it(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    let planted = plant(&mut site).await?;
    let viewer = token(&site, Scope::Read, None).await?.1;
    let more = [
        format!("/ui/dead/{}", planted.group),
        format!("/ui/act/job-retry/{}", planted.jobs[1]),
        format!("/ui/act/job-reveal/{}", planted.jobs[1]),
        format!("/ui/act/dead-retry/{}", planted.group),
        "/ui/schedules/nightly".to_owned(),
        "/ui/tenants/default".to_owned(),
        "/ui/runbooks/queue".to_owned(),
        "/ui/names".to_owned(),
        "/ui/audit?action=schedule.".to_owned(),
    ];
    let jobs: Vec<String> = planted.jobs.iter().map(|id| format!("/ui/jobs/{id}")).collect();
    for who in [viewer.as_str(), "operator-key", "admin-key"] {
        let mut browser = Browser::with(&site, who).await?;
        for path in PAGES.into_iter().map(str::to_owned).chain(more.clone()).chain(jobs.clone()) {
            check_hidden(&path, &browser.get(&path).await?);
        }
        for path in jobs.iter().map(String::as_str).chain(["/ui/schedules/nightly"]) {
            let page = browser.get(path).await?.body;
            assert!(page.contains("values are hidden") && page.contains(EXACT), "{path}: {page}");
        }
    }
    let path = format!("/ui/act/job-reveal/{}", planted.jobs[0]);
    for who in [viewer.as_str(), "operator-key"] {
        let mut browser = Browser::with(&site, who).await?;
        let page = browser.get(&jobs[0]).await?.body;
        assert!(!page.contains("/ui/act/job-reveal/") && page.contains("--reveal"), "{who}: {page}");
        assert_eq!(browser.submit(&jobs[0], &path, &[]).await?.status, 403, "{who}");
    }
    let reveals = AuditFilter { action: Some("job.reveal".to_owned()), ..AuditFilter::default() };
    assert!(site.client.store().audit(&reveals, 10).await?.is_empty());
    let mut admin = Browser::with(&site, "admin-key").await?;
    assert!(admin.get(&jobs[0]).await?.body.contains("/ui/act/job-reveal/"));
    let shown = admin.submit(&path, &path, &[("reason", "which key was sent?")]).await?;
    assert!(shown.status == 200 && shown.body.matches(PLANTED).count() > 10, "{}", shown.body);
    assert!(shown.body.contains("data-still"), "a script must not take it away again");
    check_hidden("the page after it", &admin.get(&jobs[0]).await?);
    let told = site.client.store().audit(&reveals, 10).await?;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].target.as_ref(), planted.jobs.first());
    assert_eq!(told[0].by.reason.as_deref(), Some("which key was sent?"));
    Ok(())
}

#[tokio::test]
async fn names_of_ones_own_are_hidden_as_well() -> Result<()> {
    let (client, _dir) = database().await?;
    let mut site = serve(client, with_tokens(), live_with(&[("redact_keys", "iban,file_name")])).await?;
    site.token = Some("admin-key".to_owned());
    let id = site.job(r#"{"type":"t","payload":{"iban":"DE02","file_name":"ada.mov","n":1}}"#).await?;
    let debug = site.get("/api/qc/debug").await?;
    assert_eq!(debug.json()["recentQueued"][0]["fileName"], "[redacted]", "{}", debug.body);
    site.token = Some(token(&site, Scope::Read, None).await?.1);
    let payload = site.get(&format!("/v1/jobs/{id}/payload")).await?;
    assert_eq!(payload.body, r#"{"iban":"[redacted]","file_name":"[redacted]","n":1}"#);
    Ok(())
}
