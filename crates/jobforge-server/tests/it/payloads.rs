//! Payloads that are too large for the database, over HTTP.

use anyhow::Result;
use jobforge::core::token::Scope;
use jobforge::store::rows::JobFilter;
use jobforge::{Client, Payloads};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, Site, database, fixed, options, serve, site, with_tokens};
use crate::tokens::token;
use crate::worker_tcp::{Program, enqueued, worker_token};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const WORKER: &str = "worker-00000001";

/// A server that keeps large payloads in a directory, with its database.
struct Large {
    site: Site,
    folder: TempDir,
    _database: TempDir,
}

async fn large(guarded: bool) -> Result<Large> {
    let (client, database) = database().await?;
    let folder = tempfile::tempdir()?;
    let payloads = Payloads::at(&folder.path().join("payloads").display().to_string())?;
    let options = if guarded { with_tokens() } else { options("127.0.0.1:0") };
    let site = serve(client.payloads(payloads), options, fixed()).await?;
    Ok(Large { site, folder, _database: database })
}

impl Large {
    fn files(&self) -> usize {
        let folders = std::fs::read_dir(self.folder.path().join("payloads")).into_iter().flatten();
        folders.flatten().flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten()).count()
    }
}

fn body(tenant: &str, bytes: usize) -> String {
    json!({ "type": "greet", "tenant_id": tenant, "payload": { "name": "x".repeat(bytes) } }).to_string()
}

async fn how_many(client: &Client) -> Result<usize> {
    Ok(client.jobs(&JobFilter { limit: 10, ..JobFilter::default() }).await?.len())
}

async fn as_token(site: &Site, bearer: &str, path: &str) -> Result<Answer> {
    site.send("GET", path, &[("Authorization", bearer)], b"").await
}

async fn reader(site: &Site, tenant: &str) -> Result<String> {
    Ok(format!("Bearer {}", token(site, Scope::Read, Some(tenant)).await?.1))
}

#[tokio::test]
async fn a_large_payload_is_kept_elsewhere_and_read_back_as_it_was_sent() -> Result<()> {
    let large = large(false).await?;
    let site = &large.site;
    let limits = site.get("/v1/limits").await?.json();
    let told = json!({ "payload_bytes": 16_777_216, "payload_inline_bytes": 102_400, "payload_store": true });
    assert_eq!(limits, told);
    // Spaces and numbers as no database would keep them.
    let payload = format!(r#"{{ "n" : 1.50e1, "name":"{}" }}"#, "x".repeat(3 * 1024 * 1024));
    let id = site.job(&format!(r#"{{"type":"greet","payload":{payload},"idempotency_key":"k"}}"#)).await?;
    assert_eq!(large.files(), 1);
    let shown = site.get(&format!("/v1/jobs/{id}")).await?.json();
    assert_eq!(shown["payload"]["$jobforge.payload"]["bytes"], payload.len());
    for path in [format!("/v1/jobs/{id}/payload"), format!("/v1/worker/payload/{id}")] {
        let answer = site.get(&path).await?;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        assert!(answer.body == payload, "{path}: {} bytes", answer.body.len());
    }
    let again =
        site.enqueue(&format!(r#"{{"type":"greet","payload":{payload},"idempotency_key":"k"}}"#)).await?;
    assert_eq!((again.status, &again.json()["id"]), (200, &Value::from(id)));
    site.enqueue(&format!(r#"{{"type":"greet","payload":[{payload}],"idempotency_key":"k"}}"#))
        .await?
        .refused(409, "idempotency_conflict");
    let small = site.job(r#"{"type":"greet","payload":{"name":"ada"}}"#).await?;
    assert_eq!(site.get(&format!("/v1/jobs/{small}/payload")).await?.json(), json!({ "name": "ada" }));
    let many =
        json!({ "jobs": [{ "type": "t", "payload": "y".repeat(200_000) }, { "type": "t" }] }).to_string();
    assert_eq!(site.send("POST", "/v1/jobs/many", &[JSON], many.as_bytes()).await?.status, 200);
    assert_eq!(how_many(&site.client).await?, 4);
    Ok(())
}

#[tokio::test]
async fn a_claim_says_where_a_payload_is_not_and_only_its_tenant_gets_it() -> Result<()> {
    let large = large(true).await?;
    let site = &large.site;
    let id = enqueued(site, json!({ "tenant_id": "acme", "payload": { "to": "x".repeat(200_000) } })).await?;
    let acme = Program { site, bearer: worker_token(site, Some("acme"), None).await?, id: WORKER };
    acme.register(&["default"]).await?;
    let claim = json!({ "queues": [{ "name": "default", "max": 5 }] });
    let claimed = acme.ok("claim", claim).await?;
    let stored = &claimed["jobs"][0]["payload_stored"];
    assert_eq!(
        (stored["bytes"].as_u64(), stored["sha256"].as_str().map(str::len)),
        (Some(200_009), Some(64))
    );
    let paths = [format!("/v1/worker/payload/{id}"), format!("/v1/jobs/{id}/payload")];
    assert_eq!(as_token(site, &acme.bearer, &paths[0]).await?.status, 200);
    as_token(site, &acme.bearer, &paths[1]).await?.refused(403, "scope_missing");
    let own = reader(site, "acme").await?;
    assert_eq!(as_token(site, &own, &paths[1]).await?.status, 200);
    as_token(site, &own, &paths[0]).await?.refused(403, "scope_missing");
    let (foreign_worker, foreign_reader) =
        (worker_token(site, Some("globex"), None).await?, reader(site, "globex").await?);
    as_token(site, &foreign_worker, &paths[0]).await?.refused(404, "job_not_found");
    as_token(site, &foreign_reader, &paths[1]).await?.refused(404, "job_not_found");
    as_token(site, &acme.bearer, "/v1/worker/payload/..%2f..%2fetc%2fpasswd").await?.refused(400, "bad_id");
    Ok(())
}

#[tokio::test]
async fn a_payload_that_pretends_to_be_kept_elsewhere_is_refused() -> Result<()> {
    let large = large(false).await?;
    let site = &large.site;
    let id = site.job(&body("acme", 200_000)).await?;
    let stolen = site.get(&format!("/v1/jobs/{id}")).await?.json()["payload"].to_string();
    for payload in [&stolen, &stolen.replace('$', "\\u0024"), r#"{"$jobforge":1}"#] {
        let job = format!(r#"{{"type":"greet","tenant_id":"globex","payload":{payload}}}"#);
        let refused = site.enqueue(&job).await?;
        refused.refused(422, "invalid_job");
        assert_eq!(refused.faults(), ["/payload reserved_key"]);
        let many = format!(r#"{{"jobs":[{job}]}}"#);
        let refused = site.send("POST", "/v1/jobs/many", &[JSON], many.as_bytes()).await?;
        assert_eq!(refused.faults(), ["/jobs/0/payload reserved_key"]);
        let schedule = format!(r#"{{"name":"s","type":"greet","every":"1h","payload":{payload}}}"#);
        site.send("POST", "/v1/schedules", &[JSON], schedule.as_bytes()).await?.refused(422, "reserved_key");
    }
    assert_eq!(how_many(&site.client).await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_and_nothing_is_enqueued() -> Result<()> {
    let large = large(false).await?;
    let site = &large.site;
    let too_large = site.enqueue(&body("acme", 16_777_216)).await?.refused(413, "payload_too_large");
    assert!(too_large.contains("16777216"), "{too_large}");
    site.enqueue(&body("acme", 18_000_000)).await?.refused(413, "body_too_large");
    let id = site.job(&body("acme", 200_000)).await?;
    std::fs::rename(large.folder.path().join("payloads"), large.folder.path().join("away"))?;
    let refused = site.enqueue(&body("acme", 200_000)).await?;
    let detail = refused.refused(503, "payload_store_unavailable");
    assert_eq!(refused.header("retry-after"), "2");
    assert!(detail.contains("nothing was changed") && !detail.contains("/"), "no path is told: {detail}");
    site.get(&format!("/v1/jobs/{id}/payload")).await?.refused(503, "payload_store_unavailable");
    std::fs::create_dir(large.folder.path().join("payloads"))?;
    site.get(&format!("/v1/jobs/{id}/payload")).await?.refused(404, "payload_missing");
    assert_eq!(how_many(&site.client).await?, 1);
    Ok(())
}

#[tokio::test]
async fn without_a_place_large_payloads_are_refused_with_both_ways_out() -> Result<()> {
    let site = site().await?;
    let limits = site.get("/v1/limits").await?.json();
    assert_eq!((&limits["payload_bytes"], &limits["payload_store"]), (&json!(1_048_576), &json!(false)));
    let detail = site.enqueue(&body("acme", 1_048_576)).await?.refused(413, "payload_too_large");
    assert!(detail.contains("data_ref") && detail.contains("payload_store"), "{detail}");
    site.enqueue(&body("acme", 3_000_000)).await?.refused(413, "body_too_large");
    assert_eq!(how_many(&site.client).await?, 0);
    Ok(())
}
