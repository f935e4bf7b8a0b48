//! Jobs: put in, looked at, moved.

use anyhow::Result;
use jobforge_api::{JobDetailView, JobList, LogList};

use crate::harness::{Site, site, until_status, worker};

async fn list(site: &Site, query: &str) -> Result<JobList> {
    let answer = site.get(&format!("/v1/jobs{query}")).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    Ok(serde_json::from_str(&answer.body)?)
}

#[tokio::test]
async fn a_job_is_created_and_can_be_read_back() -> Result<()> {
    let site = site().await?;
    let answer = site
        .enqueue(r#"{"type":"email.send","payload":{"to":"a@example.org"},"queue":"mail","priority":-3,"tags":["x"]}"#)
        .await?;
    assert_eq!((answer.status, answer.header("content-type")), (201, "application/json"));
    let receipt = answer.json();
    assert_eq!(receipt["created"], true);
    let id = receipt["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/v1/jobs/{id}"));

    let read = site.get(&format!("/v1/jobs/{id}")).await?;
    let job = read.json();
    assert_eq!(
        (&job["type"], &job["queue"], &job["status"]),
        (&"email.send".into(), &"mail".into(), &"queued".into())
    );
    assert_eq!((&job["payload"]["to"], &job["priority"]), (&"a@example.org".into(), &(-3).into()));
    assert_eq!(job["attempts_made"], serde_json::json!([]));
    let view: JobDetailView = serde_json::from_str(&read.body)?;
    assert_eq!(view.job.id, id, "the view reads what it wrote");
    Ok(())
}

#[tokio::test]
async fn a_known_key_is_answered_with_its_job() -> Result<()> {
    let site = site().await?;
    let first = site.enqueue(r#"{"type":"a","idempotency_key":"k","payload":{"n":1}}"#).await?;
    let again = site.enqueue(r#"{"type":"a","idempotency_key":"k","payload":{ "n": 1.0 }}"#).await?;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_eq!(again.json()["created"], false);
    let other = site.enqueue(r#"{"type":"a","idempotency_key":"k","payload":{"n":2}}"#).await?;
    let detail = other.refused(409, "idempotency_conflict");
    assert!(detail.contains(first.json()["id"].as_str().unwrap()), "{detail}");
    Ok(())
}

#[tokio::test]
async fn lists_are_newest_first_and_page_by_cursor() -> Result<()> {
    let site = site().await?;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(site.job(r#"{"type":"a"}"#).await?);
    }
    ids.reverse();
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    for page in 1..=3 {
        let list = list(&site, &query).await?;
        assert_eq!(list.next.is_some(), page < 3, "page {page}");
        seen.extend(list.jobs.into_iter().map(|job| job.id));
        query = format!("?limit=2&before={}", list.next.unwrap_or_default());
    }
    assert_eq!(seen, ids);
    assert!(!site.get("/v1/jobs").await?.body.contains("\"next\""), "the last page has no cursor");
    Ok(())
}

#[tokio::test]
async fn lists_can_be_narrowed_by_every_parameter() -> Result<()> {
    let site = site().await?;
    let odd = site
        .job(r#"{"type":"odd","tenant_id":"t1","queue":"q1","tags":["red & blue"],"idempotency_key":"key one"}"#)
        .await?;
    let plain = site.job(r#"{"type":"plain"}"#).await?;
    assert_eq!(site.post(&format!("/v1/jobs/{plain}/cancel")).await?.status, 200);
    for query in [
        "?tenant_id=t1",
        "?type=odd",
        "?queue=q1",
        "?tag=red%20%26+blue",
        "?idempotency_key=key%20one",
        "?status=queued",
        "?status=running,queued",
        "?status=running&status=queued",
        "?type=odd&queue=q1",
    ] {
        let ids: Vec<String> = list(&site, query).await?.jobs.into_iter().map(|job| job.id).collect();
        assert_eq!(ids, [odd.as_str()], "{query}");
    }
    for query in ["?type=odd&queue=other", "?worker=worker-00000000", "?tag=%27;DROP%20TABLE%20jobs"] {
        assert!(list(&site, query).await?.jobs.is_empty(), "{query}");
    }
    assert_eq!(list(&site, "?status=queued,canceled").await?.jobs.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_waiting_job_explains_itself() -> Result<()> {
    let site = site().await?;
    let id = site.job(r#"{"type":"a"}"#).await?;
    let standing = site.get(&format!("/v1/jobs/{id}/explain")).await?.json();
    assert_eq!((&standing["kind"], &standing["waiting_for"]), (&"waiting".into(), &"worker".into()));
    assert!(standing["headline"].as_str().unwrap().contains("waits for a worker"), "{standing}");
    assert!(!standing["evidence"].as_array().unwrap().is_empty() && standing["next"]["what"].is_string());
    Ok(())
}

#[tokio::test]
async fn a_finished_job_shows_its_attempt_its_result_and_its_log() -> Result<()> {
    let site = site().await?;
    let worker = worker(&site.client).await?;
    let id = site.job(r#"{"type":"greet","payload":{"name":"Ada"}}"#).await?;
    let job = until_status(&site, &id, "succeeded").await?;
    assert_eq!(job["result"], "hello Ada");
    assert_eq!(job["attempts_made"][0]["outcome"], "succeeded");
    assert_eq!(job["attempts_made"][0]["worker"], worker.id().to_string());
    let logs: LogList = serde_json::from_str(&site.get(&format!("/v1/jobs/{id}/logs")).await?.body)?;
    assert_eq!(logs.logs.len(), 1);
    assert!(logs.logs[0].text.contains("greeting Ada"), "{logs:?}");

    let detail = site.post(&format!("/v1/jobs/{id}/cancel")).await?.refused(409, "invalid_transition");
    assert!(detail.contains("is succeeded and cannot be canceled"), "{detail}");
    Ok(())
}

#[tokio::test]
async fn a_running_job_is_listed_under_its_worker_and_must_be_canceled_before_it_is_deleted() -> Result<()> {
    let site = site().await?;
    let worker = worker(&site.client).await?;
    let id = site.job(r#"{"type":"hold"}"#).await?;
    until_status(&site, &id, "running").await?;
    assert_eq!(list(&site, &format!("?worker={}", worker.id())).await?.jobs.len(), 1);
    site.delete(&format!("/v1/jobs/{id}")).await?.refused(409, "invalid_transition");
    assert_eq!(site.post(&format!("/v1/jobs/{id}/cancel")).await?.json()["status"], "canceled");
    assert_eq!(site.delete(&format!("/v1/jobs/{id}")).await?.status, 204);
    site.get(&format!("/v1/jobs/{id}")).await?.refused(404, "job_not_found");
    Ok(())
}

#[tokio::test]
async fn a_canceled_job_can_be_retried_and_deleted() -> Result<()> {
    let site = site().await?;
    let id = site.job(r#"{"type":"a"}"#).await?;
    for _ in 0..2 {
        let canceled = site.post(&format!("/v1/jobs/{id}/cancel")).await?;
        assert_eq!((canceled.status, &canceled.json()["status"]), (200, &"canceled".into()));
    }
    let retried = site.send("POST", &format!("/v1/jobs/{id}/retry"), &[], b"{}").await?;
    assert_eq!((retried.status, &retried.json()["status"]), (200, &"queued".into()));
    let deleted = site.delete(&format!("/v1/jobs/{id}")).await?;
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    site.delete(&format!("/v1/jobs/{id}")).await?.refused(404, "job_not_found");
    Ok(())
}
