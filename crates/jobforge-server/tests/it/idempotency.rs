//! The header `Idempotency-Key`: a call whose answer was lost can be repeated.

use anyhow::Result;
use serde_json::Value;

use crate::harness::{Answer, Site, guarded, site};

const JSON: (&str, &str) = ("Content-Type", "application/json");

async fn post(site: &Site, path: &str, key: &str, body: &str) -> Result<Answer> {
    site.send("POST", path, &[JSON, ("Idempotency-Key", key)], body.as_bytes()).await
}

#[tokio::test]
async fn the_header_is_the_key_of_a_job() -> Result<()> {
    let site = site().await?;
    let body = r#"{"type":"greet","payload":{"name":"ada","n":1}}"#;
    let first = post(&site, "/v1/jobs", "k-1", body).await?;
    assert_eq!(first.status, 201, "{first:?}");
    let id = first.json()["id"].clone();
    let again = post(&site, "/v1/jobs", "\"k-1\"", body).await?;
    assert_eq!(
        (again.status, &again.json()["id"], &again.json()["created"]),
        (200, &id, &Value::Bool(false))
    );
    let by_field = r#"{"type":"greet","payload":{"n":1.0,"name":"ada"},"idempotency_key":"k-1"}"#;
    assert_eq!(site.enqueue(by_field).await?.json()["id"], id);
    assert_eq!(post(&site, "/v1/jobs", "k-1", by_field).await?.json()["id"], id);
    post(&site, "/v1/jobs", "k-2", by_field).await?.refused(422, "idempotency_key_mismatch");
    Ok(())
}

#[tokio::test]
async fn a_key_with_another_payload_is_refused_with_what_differs() -> Result<()> {
    let site = site().await?;
    let first =
        post(&site, "/v1/jobs", "k", r#"{"type":"greet","payload":{"a":{"b/c":[1,2]},"d":1}}"#).await?;
    let id = first.json()["id"].clone();
    let other = r#"{"type":"greet","payload":{"a":{"b/c":[1,3]},"e":1},"queue":"mail"}"#;
    let refused = post(&site, "/v1/jobs", "k", other).await?;
    refused.refused(409, "idempotency_conflict");
    assert_eq!(refused.json()["existing"], id);
    let places = ["/payload/a/b~1c/1 differs", "/payload/d differs", "/payload/e differs", "/queue differs"];
    assert_eq!(refused.faults(), places);
    let many = format!(
        r#"{{"jobs":[{{"type":"greet"}},{}]}}"#,
        other.replace("\"queue\"", "\"idempotency_key\":\"k\",\"queue\"")
    );
    let refused = post(&site, "/v1/jobs/many", "batch", &many).await?;
    refused.refused(409, "idempotency_conflict");
    assert_eq!(refused.faults()[0], "/jobs/1/payload/a/b~1c/1 differs");
    assert_eq!(
        site.get("/v1/jobs").await?.json()["jobs"].as_array().map(Vec::len),
        Some(1),
        "nothing was enqueued"
    );
    Ok(())
}

#[tokio::test]
async fn a_batch_is_enqueued_once_and_another_under_its_key_is_refused() -> Result<()> {
    let site = site().await?;
    let batch = r#"{"jobs":[{"type":"greet"},{"type":"hold"},{"type":"greet","idempotency_key":"own"}]}"#;
    let ids = |answer: &Answer| -> Vec<(Value, Value)> {
        let jobs = answer.json()["jobs"].as_array().cloned().unwrap_or_default();
        jobs.iter().map(|job| (job["id"].clone(), job["created"].clone())).collect()
    };
    let first = post(&site, "/v1/jobs/many", "b", batch).await?;
    assert_eq!(first.status, 200, "{first:?}");
    let again = post(&site, "/v1/jobs/many", "b", batch).await?;
    let unmade: Vec<_> = ids(&first).into_iter().map(|(id, _)| (id, Value::Bool(false))).collect();
    assert_eq!(ids(&again), unmade);
    for other in [
        r#"{"jobs":[{"type":"greet"}]}"#,
        r#"{"jobs":[{"type":"hold"},{"type":"hold"},{"type":"greet","idempotency_key":"own"}]}"#,
        r#"{"jobs":[{"type":"greet"},{"type":"hold"},{"type":"greet"}]}"#,
        r#"{"jobs":[{"type":"greet"},{"type":"hold"},{"type":"greet"},{"type":"greet"}]}"#,
        r#"{"jobs":[{"type":"greet","payload":{"name":"eve"}},{"type":"hold"},{"type":"greet","idempotency_key":"own"}]}"#,
    ] {
        let refused = post(&site, "/v1/jobs/many", "b", other).await?;
        refused.refused(409, "idempotency_conflict");
        assert!(refused.json()["existing"].is_string(), "{refused:?}");
    }
    assert_eq!(site.get("/v1/jobs").await?.json()["jobs"].as_array().map(Vec::len), Some(3));
    Ok(())
}

#[tokio::test]
async fn an_operation_begins_once() -> Result<()> {
    let mut site = guarded().await?;
    site.token = Some("admin-key".to_owned());
    let body = r#"{"action":"cancel","filter":{"type":"greet"}}"#;
    let first = post(&site, "/v1/jobs/bulk", "op", body).await?;
    assert_eq!(first.status, 202, "{first:?}");
    let again = post(&site, "/v1/jobs/bulk", "op", body).await?;
    assert_eq!((again.status, &again.json()["id"]), (200, &first.json()["id"]));
    assert_eq!(again.header("location"), first.header("location"));
    let other = post(&site, "/v1/jobs/bulk", "op", r#"{"action":"retry","filter":{"type":"greet"}}"#).await?;
    other.refused(409, "idempotency_conflict");
    assert_eq!(
        (&other.json()["existing"], other.faults()),
        (&first.json()["id"], vec!["/action differs".to_owned()])
    );
    assert_ne!(post(&site, "/v1/jobs/bulk", "op-2", body).await?.json()["id"], first.json()["id"]);
    assert_eq!(site.get("/v1/operations").await?.json()["operations"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[tokio::test]
async fn a_key_that_cannot_be_one_is_refused() -> Result<()> {
    let site = site().await?;
    let long = "k".repeat(201);
    for path in ["/v1/jobs", "/v1/jobs/many", "/v1/jobs/bulk"] {
        for key in ["", &long, "\u{85}x"] {
            post(&site, path, key, "{}").await?.refused(400, "bad_idempotency_key");
        }
        let twice = [JSON, ("Idempotency-Key", "a"), ("Idempotency-Key", "a")];
        site.send("POST", path, &twice, b"{}").await?.refused(400, "bad_idempotency_key");
    }
    Ok(())
}

#[tokio::test]
async fn whole_numbers_are_read_however_they_are_written() -> Result<()> {
    let site = site().await?;
    let id = site.job(r#"{"type":"greet","priority":3.0,"retry":{"base_ms":1e3}}"#).await?;
    let job = site.get(&format!("/v1/jobs/{id}")).await?.json();
    assert_eq!((&job["priority"], &job["retry"]["base_ms"]), (&3.into(), &1000.into()));
    assert_eq!(site.enqueue(r#"{"type":"greet","priority":3.5}"#).await?.faults(), ["/priority wrong_type"]);
    Ok(())
}

#[tokio::test]
async fn a_filter_that_no_job_can_match_is_a_slip() -> Result<()> {
    let site = site().await?;
    let body = r#"{"action":"cancel","filter":{"tenant_id":"a b","tag":""}}"#;
    let refused = site.send("POST", "/v1/jobs/bulk", &[JSON], body.as_bytes()).await?;
    refused.refused(422, "invalid_request");
    assert_eq!(refused.faults(), ["/filter/tenant_id bad_name", "/filter/tag bad_tag"]);
    Ok(())
}
