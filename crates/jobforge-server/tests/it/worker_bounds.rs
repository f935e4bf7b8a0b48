//! Tokens of the wrong scope, and tokens that are for some queues.

use anyhow::{Context, Result, ensure};
use jobforge::core::token::Scope;
use serde_json::json;

use crate::engines::{Engine, guarded_on, on_both_engines};
use crate::harness::Site;
use crate::tokens::token;
use crate::worker_tcp::{Program, enqueued, job, succeeded, worker_token};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const WORKER: &str = "worker-0a1b2c3d";
const CALLS: [&str; 5] = ["register", "claim", "heartbeat", "results", "leave"];
/// What only the socket answers.
const OF_SOCKET: [&str; 4] = ["deaths", "purge", "samples", "settings"];

async fn send(site: &Site, call: &str, bearer: &str) -> Result<crate::harness::Answer> {
    let headers = [JSON, ("Authorization", bearer)];
    if call == "signals" {
        return site.send("GET", "/v1/worker/signals?worker_id=worker-7", &headers, b"").await;
    }
    site.send("POST", &format!("/v1/worker/{call}"), &headers, b"{}").await
}

async fn every_call_needs_the_scope_worker(engine: Engine) -> Result<()> {
    let (site, _database) = guarded_on(engine).await?;
    let all = || CALLS.into_iter().chain(OF_SOCKET).chain(["signals", "sing"]);
    for scope in [Scope::Read, Scope::Enqueue, Scope::Operate] {
        let bearer = format!("Bearer {}", token(&site, scope, None).await?.1);
        for call in all() {
            let said = send(&site, call, &bearer).await?.refused(403, "scope_missing");
            ensure!(said.contains("the scope worker") && said.contains(scope.as_str()), "{said}");
        }
    }
    for call in all() {
        let path = format!("/v1/worker/{call}");
        site.send("POST", &path, &[JSON], b"{}").await?.refused(401, "token_missing");
    }
    for scope in [Scope::Worker, Scope::Admin] {
        let bearer = format!("Bearer {}", token(&site, scope, None).await?.1);
        for call in CALLS {
            send(&site, call, &bearer).await?.refused(422, "invalid_request");
        }
        send(&site, "signals", &bearer).await?.refused(422, "invalid_request");
        send(&site, "sing", &bearer).await?.refused(404, "route_not_found");
        for call in OF_SOCKET {
            let said = send(&site, call, &bearer).await?.refused(403, "socket_only");
            ensure!(said.contains("Unix socket"), "{said}");
        }
    }
    Ok(())
}

async fn a_worker_token_for_queues_serves_only_these(engine: Engine) -> Result<()> {
    let (site, _database) = guarded_on(engine).await?;
    let bearer = worker_token(&site, None, Some(&["http", "mail"])).await?;
    let worker = Program { site: &site, bearer, id: WORKER };
    let both = Program::registration(&["mail", "default"]);
    let said = worker.call("register", both).await?.refused(403, "queue_bound");
    assert_eq!(said, "the token is for the queues http, mail, not for default");
    worker.register(&["mail"]).await?;
    let (mail, other) =
        (enqueued(&site, json!({ "queue": "mail" })).await?, enqueued(&site, json!({})).await?);
    let ask = json!({ "queues": [{ "name": "mail", "max": 1 }, { "name": "default", "max": 1 }] });
    worker.call("claim", ask.clone()).await?.refused(403, "queue_bound");
    assert_eq!(worker.claims("mail").await?, [mail.as_str()]);
    let with_claim = json!({ "results": [succeeded(&mail, 1)], "claim": ask });
    worker.call("results", with_claim).await?.refused(403, "queue_bound");
    assert_eq!(job(&site, &mail).await?["status"], "running", "nothing was stored");
    let beat = json!({ "jobs": [{ "id": other, "fence": 0 }, { "id": mail, "fence": 1 }] });
    let told = worker.ok("heartbeat", beat).await?;
    assert_eq!((&told["jobs"][0]["state"], &told["jobs"][1]["state"]), (&json!("gone"), &json!("kept")));
    assert_eq!(worker.result(succeeded(&other, 0)).await?["answer"], "gone");
    assert_eq!(worker.result(succeeded(&mail, 1)).await?["answer"], "applied");
    Ok(())
}

async fn an_enqueue_token_for_queues_fills_only_these(engine: Engine) -> Result<()> {
    let (mut site, _database) = guarded_on(engine).await?;
    site.token = Some("admin-key".to_owned());
    let make = async |body: &str| site.send("POST", "/v1/tokens", &[JSON], body.as_bytes()).await;
    make(r#"{"name":"m","scopes":["enqueue"],"queues":[]}"#).await?.refused(422, "invalid_request");
    make(r#"{"name":"m","scopes":["operate"],"queues":["mail"]}"#).await?.refused(422, "invalid_request");
    make(r#"{"name":"m","scopes":["enqueue"],"queues":["a b"]}"#).await?.refused(422, "invalid_request");
    let made =
        make(r#"{"name":"m","scopes":["enqueue"],"tenant_id":"acme","queues":["mail"]}"#).await?.json();
    assert_eq!(made["queues"], json!(["mail"]));
    let listed = site.get("/v1/tokens").await?.json();
    assert_eq!(listed["tokens"][0]["queues"], json!(["mail"]));
    site.token = Some(made["token"].as_str().context("a token")?.to_owned());
    site.job(r#"{"type":"greet","queue":"mail"}"#).await?;
    let said = site.enqueue(r#"{"type":"greet"}"#).await?.refused(403, "queue_bound");
    assert_eq!(said, "the token is for the queues mail, not for default");
    let many = br#"{"jobs":[{"type":"greet","queue":"mail"},{"type":"greet","queue":"http"}]}"#;
    site.send("POST", "/v1/jobs/many", &[JSON], many).await?.refused(403, "queue_bound");
    site.token = Some("admin-key".to_owned());
    let jobs = site.get("/v1/jobs").await?.json();
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(1), "{jobs}");
    assert_eq!((&jobs["jobs"][0]["queue"], &jobs["jobs"][0]["tenant_id"]), (&json!("mail"), &json!("acme")));
    Ok(())
}

on_both_engines!(
    every_call_needs_the_scope_worker,
    a_worker_token_for_queues_serves_only_these,
    an_enqueue_token_for_queues_fills_only_these,
);
