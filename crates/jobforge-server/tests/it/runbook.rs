//! What runbooks tell the engineer on call to type, typed as it stands there.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jobforge::core::audit::AuditFilter;
use jobforge::core::claim::{ClaimAsk, QueueAsk, TypeBounds};
use jobforge::core::job::{JobId, WorkerId};
use jobforge::core::schedule::{Definition, Source};
use jobforge::core::time::Now;
use jobforge::core::worker::NewWorker;
use serde_json::{Value, json};

use crate::harness::{Site, guarded, until};

/// Runs lines of a runbook in a shell; only the host differs.
async fn shell(site: &Site, lines: &str) -> Result<String> {
    let base = format!("http://{}", site.address);
    let lines =
        lines.replace("https://alokickflow.onrender.com", &base).replace("http://localhost:8080", &base);
    let lines = lines.replace("\"...", &format!("\"{base}"));
    let run = move || {
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &lines]);
        shell.envs([("AUTH_TOKEN", "operator-key"), ("TOKEN", "operator-key"), ("ADMIN_TOKEN", "admin-key")]);
        shell.output()
    };
    let output = tokio::task::spawn_blocking(run).await??;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

async fn shell_json(site: &Site, lines: &str) -> Result<Value> {
    let text = shell(site, lines).await?;
    serde_json::from_str(&text).with_context(|| text.clone())
}

/// Jobs that a worker has claimed and will never be heard of again; returned when they count as stuck.
async fn stuck(site: &Site, count: usize) -> Result<Vec<String>> {
    stuck_on(site, count, Duration::from_millis(300), Duration::from_secs(60)).await
}

/// The same, on a worker with a lease of its own, whose jobs' heartbeats are due after a while.
async fn stuck_on(site: &Site, count: usize, lease: Duration, beat_due_in: Duration) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for number in 0..count {
        let body = json!({ "type": "qc.check", "payload": { "file_name": format!("film-{number}.mov") } });
        let headers = [("Content-Type", "application/json"), ("Authorization", "Bearer operator-key")];
        let made = site.send("POST", "/v1/jobs", &headers, body.to_string().as_bytes()).await?;
        ids.push(made.json()["id"].as_str().context("an id")?.to_owned());
    }
    let store = site.client.store();
    let worker = NewWorker {
        id: WorkerId::random(),
        name: None,
        hostname: "host-a".to_owned(),
        pid: 1,
        queues: vec!["default".to_owned()],
        types: None,
        slots: 10,
        lease,
        lease_scales: false,
        place: None,
        registered_by: None,
    };
    store.register(&worker, Now::Database).await?;
    let ask = ClaimAsk {
        worker: worker.id.clone(),
        queues: vec![QueueAsk { queue: "default".to_owned(), limit: count }],
        types: None,
        tenant: None,
        beat_due_in,
        beat_interval: None,
        alone: false,
        bounds: TypeBounds::default(),
    };
    ensure!(store.claim(&ask, Now::Database).await?.jobs.len() == count, "not all were claimed");
    let debug = "curl -s https://alokickflow.onrender.com/api/qc/debug -H \"Authorization: Bearer $AUTH_TOKEN\" | jq '.stuckJobs | length'";
    until("they are stuck", async || Ok(shell(site, debug).await? == count.to_string())).await?;
    Ok(ids)
}

async fn status(site: &Site, id: &str) -> Result<String> {
    let id: JobId = id.parse()?;
    Ok(site.client.job(id).await?.status.to_string())
}

#[tokio::test]
async fn health_is_told_by_name_with_and_without_a_token() -> Result<()> {
    let site = guarded().await?;
    let ids = stuck(&site, 1).await?;
    let watchdog = r#"curl -s "https://alokickflow.onrender.com/api/health/full" \
  -H "Authorization: Bearer $AUTH_TOKEN" \
  | jq '.services[] | select(.name == "watchdog")'"#;
    let told = shell_json(&site, watchdog).await?;
    assert_eq!((&told["name"], &told["status"]), (&"watchdog".into(), &"error".into()), "{told}");
    assert!(told["message"].as_str().is_some_and(|m| m.contains("no watchdog")), "{told}");
    let whole = "curl -s https://alokickflow.onrender.com/api/health/full | jq";
    let redacted = shell_json(&site, whole).await?;
    assert_eq!(redacted["status"], "degraded");
    assert_eq!(redacted["qc_worker"]["status"], "error");
    assert_eq!(redacted["qc_worker"]["details"]["stuck"], 1);
    assert_eq!(redacted["groq_api"]["status"], "not_configured");
    assert_eq!(redacted["google_oauth"]["status"], "not_configured");
    assert!(!redacted.to_string().contains(&ids[0]), "{redacted}");
    shell(&site, r#"curl -X POST "https://alokickflow.onrender.com/api/qc/debug" -H "Authorization: Bearer $TOKEN" -d '{"action": "trigger_watchdog"}'"#).await?;
    let short = shell_json(&site, "curl -s https://alokickflow.onrender.com/api/health").await?;
    assert_eq!(short["status"], "healthy");
    Ok(())
}

#[tokio::test]
async fn the_debug_page_tells_what_is_stuck_and_why() -> Result<()> {
    let site = guarded().await?;
    let ids = stuck(&site, 2).await?;
    let jobs = shell_json(
        &site,
        r#"curl -s ".../api/qc/debug" -H "Authorization: Bearer $TOKEN" \
  | jq '.stuckJobs'"#,
    )
    .await?;
    let mut told: Vec<&str> =
        jobs.as_array().context("a list")?.iter().filter_map(|job| job["id"].as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, ids);
    for job in jobs.as_array().context("a list")? {
        assert!(job["fileName"].as_str().is_some_and(|name| name.starts_with("film-")), "{job}");
        assert!(job["worker"].as_str().is_some_and(|worker| worker.starts_with("worker-")), "{job}");
        assert!(job["reason"].as_str().is_some_and(|reason| reason.contains("lease")), "{job}");
        assert!(
            job["age"].is_string() && job.get("progress").is_some() && job.get("phase").is_some(),
            "{job}"
        );
    }
    let metrics = shell_json(
        &site,
        r#"curl -s "https://alokickflow.onrender.com/api/qc/debug" \
  -H "Authorization: Bearer $AUTH_TOKEN" \
  | jq '.watchdogMetrics'"#,
    )
    .await?;
    assert_eq!((&metrics["enabled"], &metrics["jobsChecked"]), (&true.into(), &0.into()), "{metrics}");
    let whole = shell_json(
        &site,
        r#"curl -s https://alokickflow.onrender.com/api/qc/debug \
  -H "Authorization: Bearer $AUTH_TOKEN" | jq"#,
    )
    .await?;
    assert_eq!(whole["jobs"]["counts"]["running"], 2, "{whole}");
    Ok(())
}

#[tokio::test]
async fn the_watchdog_can_be_triggered_and_reports_what_it_did() -> Result<()> {
    let site = guarded().await?;
    let ids = stuck(&site, 1).await?;
    let told = shell_json(
        &site,
        r#"curl -X POST ".../api/qc/debug" \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"action": "trigger_watchdog"}'"#,
    )
    .await?;
    assert_eq!((&told["success"], &told["report"]["requeued"]), (&true.into(), &1.into()), "{told}");
    assert_eq!(status(&site, &ids[0]).await?, "queued");
    Ok(())
}

#[tokio::test]
async fn a_specific_job_is_retried_and_no_other() -> Result<()> {
    let site = guarded().await?;
    let ids = stuck(&site, 2).await?;
    let line = r#"curl -X POST ".../api/qc/debug" \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"action": "retry_specific", "jobId": "JOB_ID_HERE"}'"#;
    let placeholder = shell_json(&site, line).await?;
    assert_eq!((&placeholder["status"], &placeholder["code"]), (&400.into(), &"bad_id".into()));
    let told = shell_json(&site, &line.replace("JOB_ID_HERE", &ids[0])).await?;
    assert_eq!((&told["retried"], &told["jobIds"][0]), (&1.into(), &ids[0].as_str().into()), "{told}");
    assert_eq!(
        (status(&site, &ids[0]).await?, status(&site, &ids[1]).await?),
        ("queued".into(), "running".into())
    );
    let reprocess = r#"curl -X POST https://alokickflow.onrender.com/api/qc/reprocess \
  -H "Authorization: Bearer $AUTH_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"jobId": "JOB_ID_HERE"}'"#;
    let other = site.client.enqueue_untyped(jobforge::core::enqueue::JobRequest {
        job_type: "qc.check".to_owned(),
        queue: Some("elsewhere".to_owned()),
        ..Default::default()
    });
    let other = other.await?.id;
    site.client.cancel(other).await?;
    let told = shell_json(&site, &reprocess.replace("JOB_ID_HERE", &ids[1])).await?;
    assert_eq!((&told["requeued"], &told["requeuedJobIds"]), (&1.into(), &json!([ids[1]])), "{told}");
    assert_eq!(status(&site, &other.to_string()).await?, "canceled");
    for body in [r#"{}"#, r#"{"jobIds": []}"#, r#"{"job_id": "x"}"#, r#"{"all": true}"#] {
        let refused = shell_json(&site, &format!("curl -s -X POST https://alokickflow.onrender.com/api/qc/reprocess -H \"Authorization: Bearer $AUTH_TOKEN\" -d '{body}'")).await?;
        assert_eq!(refused["status"], 422, "{body}: {refused}");
    }
    Ok(())
}

#[tokio::test]
async fn cancel_stuck_cancels_exactly_what_is_listed_as_stuck() -> Result<()> {
    let site = guarded().await?;
    let ids = stuck(&site, 2).await?;
    let healthy = site.client.enqueue_untyped(jobforge::core::enqueue::JobRequest {
        job_type: "qc.check".to_owned(),
        ..Default::default()
    });
    let healthy = healthy.await?.id.to_string();
    let told = shell_json(
        &site,
        r#"curl -X POST https://alokickflow.onrender.com/api/qc/debug \
  -H "Authorization: Bearer $AUTH_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"action": "cancel_stuck"}'"#,
    )
    .await?;
    assert_eq!(told["cancelled"], 2, "{told}");
    for id in &ids {
        assert_eq!(status(&site, id).await?, "canceled");
    }
    assert_eq!(status(&site, &healthy).await?, "queued");
    Ok(())
}

#[tokio::test]
async fn hung_work_is_restarted_and_the_answer_says_who_was_told() -> Result<()> {
    let site = guarded().await?;
    let line = r#"curl -X POST https://alokickflow.onrender.com/api/qc/debug \
  -H "Authorization: Bearer $AUTH_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"action": "trigger_worker"}'"#;
    assert_eq!(shell_json(&site, line).await?["told"], json!([]));
    // The worker lives, and its job hangs.
    let ids = stuck_on(&site, 1, Duration::from_secs(3600), Duration::from_millis(1)).await?;
    let told = shell_json(&site, line).await?;
    let one = &told["told"][0];
    assert_eq!((&one["jobs"], &told["jobIds"]), (&json!([ids[0]]), &json!([ids[0]])), "{told}");
    assert!(one["reason"].as_str().is_some_and(|reason| reason.contains(&ids[0])), "{told}");
    assert_eq!((&one["answer"], &told["restarted"]), (&json!("told"), &json!(1)), "{told}");
    let hung = one["worker"].as_str().unwrap_or_default().to_owned();
    assert_eq!(status(&site, &ids[0]).await?, "queued");
    let workers = site.client.store().workers(Now::Database).await?;
    assert!(workers.iter().find(|row| row.id.as_str() == hung).is_some_and(|row| row.restart_at.is_some()));
    let null = line.replace("trigger_worker\"", "trigger_worker\", \"workerId\": null, \"all\": null");
    assert_eq!(shell_json(&site, &null).await?["success"], true, "null is as good as left out");
    let all = shell_json(&site, &line.replace("trigger_worker\"", "trigger_worker\", \"all\": true")).await?;
    assert_eq!((&all["told"][0]["worker"], &all["told"][0]["answer"]), (&json!(hung), &json!("told_before")));
    for (wrong, code) in [
        (r#""trigger_worker", "workerId": "worker-0badbad0""#, "worker_not_found"),
        (r#""trigger_worker", "workerId": "worker-1", "all": true"#, "invalid_request"),
        (r#""trigger_worker", "workerid": "worker-1""#, "invalid_request"),
        (r#""retry_stuck", "all": true"#, "invalid_request"),
    ] {
        let refused = shell_json(&site, &line.replace("\"trigger_worker\"", wrong)).await?;
        assert_eq!(refused["code"], code, "{wrong}: {refused}");
    }
    let typo = line.replace("trigger_worker", "trigger_wroker");
    let refused = shell_json(&site, &typo).await?;
    assert_eq!((&refused["status"], &refused["code"]), (&422.into(), &"unknown_action".into()));
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("trigger_worker")), "{refused}");
    Ok(())
}

#[tokio::test]
async fn flags_are_told_to_everybody_and_the_threshold_is_changed_by_an_administrator() -> Result<()> {
    let site = guarded().await?;
    let flag = r#"curl -s ".../api/config" | jq '.featureFlags.JOB_HEARTBEAT'"#;
    assert_eq!(shell(&site, flag).await?, "true");
    let line = r#"curl -X PATCH ".../api/admin/config" \
  -H "Authorization: Bearer $ADMIN_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"heartbeat_threshold_ms": 300000}'"#;
    let told = shell_json(&site, line).await?;
    assert_eq!((&told["success"], &told["changes"][0]["new"]), (&true.into(), &"300000".into()), "{told}");
    let operator = shell_json(&site, &line.replace("ADMIN_TOKEN", "AUTH_TOKEN")).await?;
    assert_eq!((&operator["status"], &operator["code"]), (&403.into(), &"scope_missing".into()));
    for bad in
        ["{\"heartbeat_threshold_ms\": 1}", "{\"heartbeat_treshold_ms\": 300000}", "{\"auth_token\": \"x\"}"]
    {
        let refused = shell_json(&site, &line.replace("{\"heartbeat_threshold_ms\": 300000}", bad)).await?;
        assert_eq!(refused["status"], 422, "{bad}: {refused}");
    }
    assert_eq!(site.client.store().stored_settings(Now::Database).await?.version, 1);
    Ok(())
}

#[tokio::test]
async fn a_trigger_is_read_as_curl_sends_it() -> Result<()> {
    let site = guarded().await?;
    let line = r#"curl -X POST http://localhost:8080/admin/jobs/trigger \
  -H "Authorization: Bearer $ADMIN_TOKEN" \
  -d '{"job_name": "hot_score_refresh"}'"#;
    let told = shell_json(&site, line).await?;
    assert_eq!((&told["status"], &told["code"]), (&404.into(), &"schedule_not_found".into()), "{told}");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("hot_score_refresh")), "{told}");
    let definition =
        Definition { every: Some("5m".to_owned()), ..Definition::new("hot_score_refresh", "refresh") };
    site.client.add_schedule(definition, Source::Code).await?;
    let typo = shell_json(&site, &line.replace("hot_score_refresh", "hot_score_refesh")).await?;
    assert!(
        typo["detail"].as_str().is_some_and(|detail| detail.contains("did you mean \"hot_score_refresh\"?")),
        "{typo}"
    );
    let ran = shell_json(&site, line).await?;
    assert_eq!((&ran["triggered"], &ran["job_name"]), (&true.into(), &"hot_score_refresh".into()), "{ran}");
    let job = site.client.job(ran["job_id"].as_str().context("a job")?.parse()?).await?;
    assert_eq!(job.created_by.as_deref(), Some("schedule:hot_score_refresh"));
    let audit = site.client.store().audit(&AuditFilter::default(), 10).await?;
    assert!(audit.iter().any(|entry| entry.action == "schedule.run"), "{audit:?}");
    Ok(())
}

#[tokio::test]
async fn dead_letters_are_counted_retried_resolved_and_purged() -> Result<()> {
    let site = guarded().await?;
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(dead(&site).await?);
    }
    let dlq = |body: &str| {
        format!(
            "curl -s -X POST https://alokickflow.onrender.com/api/admin/dlq -H \"Authorization: Bearer $ADMIN_TOKEN\" -d '{body}'"
        )
    };
    let stats = "curl -s 'https://alokickflow.onrender.com/api/admin/dlq?stats=true' -H \"Authorization: Bearer $AUTH_TOKEN\" | jq .stats";
    let told = shell_json(&site, stats).await?;
    assert_eq!((&told["pending"], &told["resolved"]), (&2.into(), &0.into()), "{told}");
    let listed = shell_json(&site, "curl -s 'https://alokickflow.onrender.com/api/admin/dlq?limit=1' -H \"Authorization: Bearer $AUTH_TOKEN\"").await?;
    assert_eq!(
        (&listed["entries"][0]["jobId"], &listed["pagination"]["hasMore"]),
        (&ids[1].as_str().into(), &true.into()),
        "{listed}"
    );
    let dry =
        shell_json(&site, &dlq(&format!(r#"{{"action":"retry","id":"{}","dryRun":true}}"#, ids[0]))).await?;
    assert_eq!((&dry["dryRun"], status(&site, &ids[0]).await?), (&true.into(), "dead".to_owned()));
    shell(&site, &dlq(&format!(r#"{{"action":"retry","id":"{}"}}"#, ids[0]))).await?;
    assert_eq!(status(&site, &ids[0]).await?, "queued");
    shell(&site, &dlq(&format!(r#"{{"action":"resolve","id":"{}","notes":"known","dryRun":null}}"#, ids[1])))
        .await?;
    let told = shell_json(&site, stats).await?;
    assert_eq!((&told["pending"], &told["resolved"]), (&0.into(), &1.into()), "{told}");
    let purged = shell_json(&site, &dlq(r#"{"action":"purge","olderThanDays":1}"#)).await?;
    assert_eq!(purged["purged"], 0, "it died just now: {purged}");
    let operator = dlq(r#"{"action":"purge"}"#).replace("ADMIN_TOKEN", "AUTH_TOKEN");
    assert_eq!(shell_json(&site, &operator).await?["code"], "scope_missing");
    Ok(())
}

/// A job whose only attempt failed.
async fn dead(site: &Site) -> Result<String> {
    let request = jobforge::core::enqueue::JobRequest {
        job_type: "never.fine".to_owned(),
        queue: Some("dies".to_owned()),
        max_attempts: Some(1),
        ..Default::default()
    };
    let id = site.client.enqueue_untyped(request).await?.id;
    let worker =
        jobforge::Worker::builder(&site.client).queue("dies", 1).register(never_fine).start().await?;
    until("it is dead", async || Ok(status(site, &id.to_string()).await? == "dead")).await?;
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(id.to_string())
}

#[derive(serde::Serialize, serde::Deserialize)]
struct NeverFine {}

impl jobforge::JobType for NeverFine {
    const TYPE: &'static str = "never.fine";
    type Output = ();
}

async fn never_fine(_: NeverFine, _: jobforge::JobContext) -> Result<(), jobforge::JobError> {
    Err(jobforge::JobError::retry("never", "it never works"))
}
