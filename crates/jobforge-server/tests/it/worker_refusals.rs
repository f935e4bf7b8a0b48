//! Requests of workers that are refused, each with its code.

use anyhow::Result;
use serde_json::json;

use crate::worker_site::{WORKER, claim, post, registered, registration, worker_site};

const BODY: usize = 8 * 1024 * 1024;

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_the_reason() -> Result<()> {
    let site = worker_site().await?;
    let path = "/v1/worker/claim";
    for (body, status, code) in [
        ("", 400, "body_empty"),
        ("{", 400, "json_syntax"),
        ("[]", 422, "invalid_request"),
        ("{}", 422, "invalid_request"),
        (r#"{"worker_id":"worker-0a1b2c3d","queues":[],"waitms":5}"#, 422, "invalid_request"),
        (r#"{"worker_id":"worker-0a1b2c3d","queues":[{"name":"default","max":-1}]}"#, 422, "invalid_request"),
    ] {
        site.raw(&post(path, &[], body.as_bytes())).await?.refused(status, code);
    }
    site.raw(&post(path, &[("Content-Type", "text/plain")], b"{}")).await?.refused(415, "content_type");
    site.raw(&post(path, &[("JobForge-Protocol", "2")], b"{}")).await?.refused(400, "protocol_version");
    site.call("sing", &json!({})).await?.refused(404, "route_not_found");
    site.raw(b"GET /v1/worker/claim HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?
        .refused(405, "method_not_allowed");
    site.raw(b"GET /v1/worker/signals HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?
        .refused(400, "bad_parameter");
    Ok(())
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_and_the_server_goes_on() -> Result<()> {
    let site = registered().await?;
    let long = format!(r#"{{"worker_id":"{}"}}"#, "x".repeat(BODY));
    let said =
        site.raw(&post("/v1/worker/results", &[], long.as_bytes())).await?.refused(413, "body_too_large");
    assert!(said.contains(&BODY.to_string()), "{said}");
    site.claim(0).await?;
    Ok(())
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() -> Result<()> {
    let site = registered().await?;
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let registered_with = |field: &str, value: serde_json::Value| {
        let mut request = registration();
        request[field] = value;
        ("register", request, field.to_owned())
    };
    let result = |more: serde_json::Value, part: &str| {
        let mut result = json!({ "id": id, "fence": 1 });
        for (name, value) in more.as_object().into_iter().flatten() {
            result[name] = value.clone();
        }
        ("results", json!({ "worker_id": WORKER, "results": [result] }), part.to_owned())
    };
    let mut asks_nothing = claim(0);
    asks_nothing["queues"] = json!([{ "name": "default", "max": 0 }]);
    for (call, request, part) in [
        registered_with("worker_id", json!("worker-7")),
        registered_with("queues", json!([])),
        registered_with("queues", json!(["a b"])),
        registered_with("slots", json!(0)),
        registered_with("lease_ms", json!(5)),
        registered_with("host", json!("a\u{0}b")),
        ("claim", asks_nothing, "max".to_owned()),
        ("heartbeat", json!({ "worker_id": WORKER, "state": "asleep" }), "asleep".to_owned()),
        result(json!({ "outcome": "retry" }), "error.message"),
        result(json!({ "outcome": "snoozed" }), "retry_in_ms"),
        result(json!({ "outcome": "released", "result": 1 }), "result belongs to"),
        result(json!({ "outcome": "succeeded", "result": { "a": "\u{0}" } }), "U+0000"),
        result(json!({ "outcome": "succeeded", "retry_in_ms": 1 }), "retry_in_ms"),
        result(json!({ "outcome": "snoozed", "retry_in_ms": u64::MAX }), "ten years"),
    ] {
        let said = site.call(call, &request).await?.refused(422, "invalid_request");
        assert!(said.contains(&part), "{call} {request} does not say {part:?}: {said}");
    }
    let many = vec![json!({ "id": id, "fence": 1 }); 1001];
    let said = site.call("heartbeat", &json!({ "worker_id": WORKER, "jobs": many })).await?;
    assert!(said.refused(422, "invalid_request").contains("at most 1000"));
    Ok(())
}
